package kernels

import (
	"sync"
	"unsafe"
)

// winogradChunkBytes is about how much transformed data a task works on: what the
// second-level cache holds, so that threads do not meet in the third. No sum depends
// on it.
var winogradChunkBytes = sync.OnceValue(func() int {
	l2 := CPU().L2
	if l2 == 0 { // unknown
		l2 = 1 << 20
	}
	return min(max(l2, 1<<18), 1<<20)
})

// winogradRows are the rows below which reading the filters would cost too much,
// winogradSharedRows those of fewer images than threads, which would wait otherwise.
const (
	winogradRows       = 64
	winogradSharedRows = 8
)

// winogradPackPanels is from how many panels of filters on packing transformed rows
// pays where it does not pay for activations: measured with AVX-512, taken for every
// level without packRows.
const winogradPackPanels = 9

// packsTransformed tells whether transformed rows, aRow bytes apart, should be packed
// before that many panels use them. They are in cache, so where packing pays for
// activations at all it pays for these from the first panel on; rows that would fall
// into one set of the cache are packed always.
func (k *brgemmKernels) packsTransformed(aRow, panels int) bool {
	return k.packRows > 0 || panels >= winogradPackPanels || aRow%conflictStride == 0
}

// winogradConv is a convolution, forward or backward data: c is the result, a the
// operand.
type winogradConv struct {
	winogradTiles
	n, depth, width int
	kern            *brgemmKernels
	c, a, filters   []float32
	bias            []float32
	accumulate      bool
	end             *epilogue

	images, tiles int // of a chunk
}

// winogradProduct is convProduct for weights from winogradPacking.
func winogradProduct(c, a, packed, bias []float32, s Conv2dShape, d ConvDirection, accumulate bool, e *epilogue) {
	depth, width := d.depthWidth(s)
	w := winogradConv{
		winogradTiles: newWinogradTiles(s.H, s.W), n: s.N, depth: depth, width: width, kern: brgemmOf[float32](),
		c: c, a: a, filters: packed, bias: bias, accumulate: accumulate || bias != nil,
		end: e,
	}
	most := max(winogradChunkBytes()/(4*winogradPoints*(depth+width)), winogradRows)
	parts := ceilDiv(s.N, most)
	w.images = ceilDiv(s.N, parts)
	w.tiles = min(max(most/w.images, 1), w.count())
	if threads := Threads(); s.N < threads {
		// Too few images to give each thread some: tiles are shared out.
		w.tiles = min(w.tiles, max(ceilDiv(w.count(), threads), winogradSharedRows))
	}
	chunks := ceilDiv(w.count(), w.tiles)
	if threads := Threads(); s.N >= threads && parts*chunks < 4*threads && parts*chunks%threads != 0 {
		// Few chunks: as many for each thread.
		parts = min(ceilDiv(parts*chunks, threads)*threads, s.N)
		w.images = ceilDiv(s.N, parts)
		w.tiles, chunks = w.count(), 1
	}
	parts = ceilDiv(s.N, w.images)
	winogradLoop.parallel(parts*chunks, w)
}

var winogradLoop = newLoop((*winogradConv).task)

func (w *winogradConv) task(i int) {
	chunks := ceilDiv(w.count(), w.tiles)
	w.chunk(blockSpan(w.tiles, w.count(), i%chunks), blockSpan(w.images, w.n, i/chunks))
}

// winogradChunk is the work on some tiles of some images.
type winogradChunk struct {
	*winogradConv
	tiles, images span
	rows          int

	v, m  []float32 // [point][rows][depth] and [point][rows][width]
	half  []float32 // of a transform: [6][6][strip]
	cut   rowCut
	packs bool      // whether products read packed rows of v
	tile  []float32 // these: [row tile][k][aK]
	aK    int
	shift []float32 // the bias, or what the epilogue adds, once for each image
	args  *brgemmArgs
}

func (w *winogradConv) chunk(tiles, images span) {
	rows := tiles.len() * images.len()
	c := &winogradChunk{winogradConv: w, tiles: tiles, images: images, rows: rows, cut: cutRows(rows, w.kern.mr)}
	panels := ceilDiv(w.width, w.kern.nr)
	c.packs = w.kern.packsTransformed(w.depth*4, panels)
	packed, shifts := 0, 0
	if c.packs {
		c.aK = w.kern.tileRows()
		packed = c.cut.tiles * maxRun * c.aK
	}
	bias := w.bias
	if w.end.activates() {
		bias = w.end.shift.data
	}
	if bias != nil {
		shifts = images.len() * w.width
	}
	parts := [...]struct {
		of       *[]float32
		elements int
	}{
		{&c.v, winogradPoints * rows * w.depth}, {&c.m, winogradPoints * rows * w.width},
		{&c.half, winogradPoints * winogradStrip}, {&c.tile, packed}, {&c.shift, shifts},
	}
	total := 0
	for _, p := range parts {
		total += p.elements
	}
	memory := takeScratch[float32](total)
	defer memory.drop()
	rest := memory.data
	for _, p := range parts {
		*p.of, rest = rest[:p.elements:p.elements], rest[p.elements:]
	}
	repeat(c.shift, bias)
	c.args = takeArgs()
	defer c.args.drop()
	for i := range tiles.len() {
		w.transform(winogradOfInput, c.v[i*images.len()*w.depth:], rows*w.depth, w.a, c.half, w.n, w.depth, tiles.from+i, images)
	}
	for point := range winogradPoints {
		c.multiply(point)
	}
	for i := range tiles.len() {
		c.output(i)
	}
}

// multiply computes the product of one point.
func (c *winogradChunk) multiply(point int) {
	nr, args := c.kern.nr, c.args
	panels := ceilDiv(c.width, nr)
	v, m := c.v[point*c.rows*c.depth:(point+1)*c.rows*c.depth], c.m[point*c.rows*c.width:]
	filters := c.filters[point*panels*c.depth*nr:]
	*args = brgemmArgs{aRow: c.depth * 4, aK: c.aK * 4, bK: nr * 4, cRow: c.width * 4}
	args.oneTap()
	for _, run := range (span{0, c.depth}).cut(maxRun) {
		args.k = run.len()
		if c.packs {
			c.pack(v, run)
		}
		for p := range panels {
			c.cut.each(span{0, c.cut.tiles}, func(t, tiles, rows int) {
				from, aTile := c.cut.start(t), rows*args.aRow
				args.a = unsafe.Pointer(&v[from*c.depth+run.from])
				if c.packs {
					aTile = args.k * args.aK
					args.a = unsafe.Pointer(&c.tile[t*args.k*c.aK])
				}
				args.b, args.c = unsafe.Pointer(&filters[(p*c.depth+run.from)*nr]), unsafe.Pointer(&m[from*c.width+p*nr])
				c.kern.tiles(c.packs, 4, rows, tiles, min(nr, c.width-p*nr), aTile, args)
			})
		}
		args.accumulate = 1
	}
}

// pack packs a run of the rows of v.
func (c *winogradChunk) pack(v []float32, run span) {
	for t := range c.cut.tiles {
		// Whole vectors, with rows of the next tile, which nothing reads.
		from := c.cut.start(t)
		transpose(c.tile[t*run.len()*c.aK:], c.aK, v[from*c.depth+run.from:], c.depth, min(c.aK, c.rows-from), run.len())
	}
}

// output transforms the products of tile i of the chunk back and stores them.
func (c *winogradChunk) output(i int) {
	h, w := c.origin(c.tiles.from + i)
	down, across := min(winogradOut, c.h-h), min(winogradOut, c.w-w)
	point, pixel := c.rows*c.width, c.n*c.width
	m := c.m[i*c.images.len()*c.width:]
	for _, strip := range (span{0, c.images.len() * c.width}).cut(winogradStrip) {
		var s [winogradIn + 1]vectorStream
		for i := range winogradIn {
			s[i] = vectorStream{data: m[i*winogradIn*point+strip.from:], stride: point}
		}
		s[winogradIn] = vectorStream{data: c.half, stride: winogradStrip, step: winogradIn * winogradStrip}
		vecWinogradOutput.call(winogradIn, strip.len(), 0, nil, s[:])
		for i := range winogradIn {
			s[i] = vectorStream{data: c.half[i*winogradStrip:], stride: winogradIn * winogradStrip}
		}
		at := ((h*c.w+w)*c.n+c.images.from)*c.width + strip.from
		if c.bias != nil {
			for y := range down {
				for x := range across {
					copy(c.c[at+(y*c.w+x)*pixel:], c.shift[strip.from:strip.to])
				}
			}
		}
		if across == winogradOut {
			s[winogradIn] = vectorStream{data: c.c[at:], stride: c.w * pixel, step: pixel}
			if c.accumulate {
				vecWinogradOutputAccumulate.call(down, strip.len(), 0, nil, s[:])
			} else {
				vecWinogradOutput.call(down, strip.len(), 0, nil, s[:])
			}
			c.finish(at, down, across, pixel, strip)
			continue
		}
		// The tile reaches beyond the image: by way of the first half, of which the
		// rows that are overwritten have been read.
		out := c.half[winogradOut*winogradIn*winogradStrip:]
		s[winogradIn] = vectorStream{data: out, step: winogradStrip}
		for y := range down {
			for i := range winogradIn {
				s[i] = vectorStream{data: c.half[(y*winogradIn+i)*winogradStrip:]}
			}
			vecWinogradOutput.call(1, strip.len(), 0, nil, s[:])
			for x := range across {
				to, from := c.c[at+(y*c.w+x)*pixel:][:strip.len()], out[x*winogradStrip:]
				if c.accumulate {
					vecAdd.call(1, strip.len(), 0, nil, []vectorStream{{data: to}, {data: from}, {data: to}})
				} else {
					copy(to, from)
				}
			}
		}
		c.finish(at, down, across, pixel, strip)
	}
}

// finish applies the epilogue to a strip of the pixels of a tile, down x across.
func (c *winogradChunk) finish(at, down, across, pixel int, strip span) {
	for y := range down {
		line := at + y*c.w*pixel
		if c.end.activates() {
			c.end.activate(c.c, line, across, pixel, strip.len(), c.shift[strip.from:])
		}
		c.end.complete(line, across, pixel, strip.len())
	}
}
