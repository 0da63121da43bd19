package kernels

// Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions with stride 1 and
// padding 1 (Lavin and Gray 2015, arXiv 1509.09308): a tile of 4x4 outputs takes
// 36 products instead of 144. Input tiles of 6x6 and filters are transformed, 36
// matrix products follow, one for each point of the transformed tile, with a row
// for each tile and image, and what they give is transformed back:
//
//	Y = A [sum over channels of (G g G') * (B d B')] A'
//
// The points 0, ±3/4, ±3/2 and infinity keep all of A and B exact in float32 and
// the error near that of direct sums; the usual 0, ±1, ±2 have twice as much.
// Transforms run along images and channels, which lie side by side.
const (
	winogradOut    = 4 // outputs of a tile on a side
	winogradIn     = 6
	winogradPoints = winogradIn * winogradIn
)

// winogradStrip is how many numbers of a pixel a transform takes at a time: its
// 36 intermediate strips stay in the second-level cache.
const winogradStrip = 512

// winogradPacking packs weights and transforms them to [point][panel][depth][nr].
type winogradPacking struct{ packing }

var winogradPackLoop = newLoop((*winogradPacking).task)

func (p *winogradPacking) task(i int) {
	depth, _ := p.d.depthWidth(p.s)
	j, blocks := p.tasks.of(i)
	for b := blocks.from; b < blocks.to; b++ {
		p.block(j, blockSpan(packDepth, depth, b))
	}
}

// block packs and transforms some rows of the depth of panel j: the filters stay in the
// first-level cache meanwhile.
func (p *winogradPacking) block(j int, rows span) {
	depth, width := p.d.depthWidth(p.s)
	length := rows.len() * p.nr // of a tap
	memory := takeScratch[float32]((9 + 3*winogradIn) * length)
	defer memory.drop()
	direct, half := memory.data[:9*length], memory.data[9*length:] // half: [point][kw]
	p.pack(direct, rows.len(), j, rows)
	tap := func(i int) int {
		if p.d == ConvBackwardData {
			return 2 - i // the taps turned round
		}
		return i
	}
	var in [4]vectorStream
	for i := range 3 {
		in[i] = vectorStream{data: direct[tap(i)*3*length:], stride: length}
	}
	in[3] = vectorStream{data: half, stride: length, step: 3 * length}
	vecWinogradFilter.call(3, length, 0, nil, in[:])
	for i := range 3 {
		in[i] = vectorStream{data: half[tap(i)*length:], stride: 3 * length}
	}
	point := ceilDiv(width, p.nr) * depth * p.nr
	in[3] = vectorStream{data: p.dst[(j*depth+rows.from)*p.nr:], stride: winogradIn * point, step: point}
	vecWinogradFilter.call(winogradIn, length, 0, nil, in[:])
}

// winogradTiles is how an image of height x width is cut into tiles.
type winogradTiles struct{ h, w, down, across int }

func newWinogradTiles(h, w int) winogradTiles {
	return winogradTiles{h, w, ceilDiv(h, winogradOut), ceilDiv(w, winogradOut)}
}

func (t winogradTiles) count() int { return t.down * t.across }

// origin is the first output of a tile.
func (t winogradTiles) origin(tile int) (h, w int) {
	return tile / t.across * winogradOut, tile % t.across * winogradOut
}

// winogradTransform is a transform along both sides of a tile: B of the input of
// outputs, or A transposed of the gradient of outputs.
type winogradTransform struct {
	kernel *vectorKernel
	side   int // of what it reads
	before int // pixels that it reads before the first output
}

var (
	winogradOfInput    = winogradTransform{&vecWinogradInput, winogradIn, 1}
	winogradOfGradient = winogradTransform{&vecWinogradGradient, winogradOut, 0}
)

// winogradZeros are the pixels beyond the image.
var winogradZeros [winogradStrip]float32

// transform transforms the pixels of a, [h][w][n][channels], for one tile and some
// images. The points are written point numbers apart; half is working memory.
func (t winogradTiles) transform(f winogradTransform, points []float32, point int, a, half []float32, n, channels, tile int, images span) {
	h, w := t.origin(tile)
	h, w = h-f.before, w-f.before
	columns, pixel := span{max(w, 0), min(w+f.side, t.w)}, n*channels
	var s [winogradIn + 1]vectorStream
	out, in := &s[f.side], s[:f.side+1]
	for _, strip := range (span{0, images.len() * channels}).cut(winogradStrip) {
		for i := range f.side {
			if y := h + i; y >= 0 && y < t.h {
				s[i] = vectorStream{data: a[(y*t.w+columns.from)*pixel+images.from*channels+strip.from:], stride: pixel}
			} else {
				s[i] = vectorStream{data: winogradZeros[:]}
			}
		}
		*out = vectorStream{data: half[(columns.from-w)*winogradStrip:], stride: winogradStrip, step: f.side * winogradStrip}
		f.kernel.call(columns.len(), strip.len(), 0, nil, in)
		for x := range f.side {
			for i := range winogradIn {
				if w+x < columns.from || w+x >= columns.to {
					clear(half[(i*f.side+x)*winogradStrip:][:strip.len()])
				}
			}
		}
		for i := range f.side {
			s[i] = vectorStream{data: half[i*winogradStrip:], stride: f.side * winogradStrip}
		}
		*out = vectorStream{data: points[strip.from:], stride: winogradIn * point, step: point}
		f.kernel.call(winogradIn, strip.len(), 0, nil, in)
	}
}
