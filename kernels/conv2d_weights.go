package kernels

import (
	"sync"
	"unsafe"
)

// Conv2dBackwardWeights computes the gradient of the weights, dw (+)= the sum
// over images and pixels of x times dy. dw is [OC][C][KH][KW], x [H][W][N][C],
// dy [OutH][OutW][N][OC].
//
// For each tap it is a product x'dy whose inner index runs over pixels and
// images. A box of the output at a time, with what it reads of x, is packed as the
// micro-kernels want it and serves all taps, and the box below it too where it reads the
// same lines: a row of x is used KH*KW*OC times, so packing costs little, and the product
// reads memory in order. The order of the boxes and the number of partial sums depend on
// the shape alone.
func Conv2dBackwardWeights(dw, x, dy []float32, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardWeights", s, sliceLength{"dw", len(dw), s.weightLen()}, sliceLength{"x", len(x), s.inputLen()},
		sliceLength{"dy", len(dy), s.outputLen()})
	if s.N == 0 {
		if !accumulate {
			clear(dw)
		}
		return
	}
	if s.Algorithm(ConvBackwardWeights) == ConvWinograd {
		winogradBackwardWeights(dw, x, dy, s, accumulate)
		return
	}
	if s.planar() && s.readableRows(brgemmOf[float32]()) {
		p := newPlanes(s, x)
		defer p.drop()
		p.backwardWeights(dw, dy, accumulate)
		return
	}
	if s.unfolds() {
		newUnfolded(s, x).backwardWeights(dw, dy, accumulate)
		return
	}
	g := newWeightsProduct(s, x, dy)
	defer g.sums.drop()
	weightsLoop.parallel(g.slices()*g.rowGroups*g.colGroups, g)
	sumSlices(g.sums.data, g.slices())
	storeWeights(dw, g.sums.data, sumsByTap, s, g.ocPad, accumulate)
}

// weightsProduct is one backward-weights computation.
type weightsProduct struct {
	s     Conv2dShape
	kern  *brgemmKernels
	x, dy []float32
	ocPad int // columns of sums: OC, filled up to whole vectors

	lines, columns, images  int // of the output, in a box
	lineSlices, imageSlices int // of the output, each with its own sums
	rowGroups, colGroups    int // of input and output channels
	sums                    *scratch[float32]
}

// Shape rules, by measurement: a box of x and dy, of one group of channels each,
// should stay in the second-level cache with the sums; slices, of images first, give
// enough parallel work where groups are few. A box is up to weightsLines lines, some
// columns and weightsImages images, maxRun rows together; of small maps it has more images.
const (
	weightsGroupChannels = 128
	weightsStridedIn     = 64  // with a stride x is four times as large as dy, and is
	weightsStridedOut    = 256 // packed once for each group of output channels
	weightsPointChannels = 256 // with one kernel position each packed number is used in few products
	weightsImages        = 16  // a slice has about as many at least; packed at a time
	weightsLines         = 4
	weightsSliceRows     = 1 << 10
	weightsMinTasks      = 16
)

func newWeightsProduct(s Conv2dShape, x, dy []float32) weightsProduct {
	s = s.flat()
	g := weightsProduct{s: s, kern: brgemmOf[float32](), x: x, dy: dy}
	g.ocPad = ceilTo(s.OC, g.kern.lanes)
	in, out := weightsGroupChannels, weightsGroupChannels
	switch {
	case s.KH*s.KW == 1:
		in, out = weightsPointChannels, weightsPointChannels
	case s.Stride > 1:
		in, out = weightsStridedIn, weightsStridedOut
	}
	g.rowGroups, g.colGroups = ceilDiv(s.C, in), ceilDiv(s.OC, out)
	slices := min(ceilDiv(weightsMinTasks, g.rowGroups*g.colGroups), max(s.OutH()*s.OutW()*s.N/weightsSliceRows, 1))
	g.imageSlices = min(slices, ceilDiv(s.N, weightsImages))
	g.lineSlices = min(ceilDiv(slices, g.imageSlices), s.OutH())
	g.images = min(ceilDiv(s.N, g.imageSlices), max(weightsImages, maxRun/(s.OutH()*s.OutW())))
	g.lines = min(ceilDiv(s.OutH(), g.lineSlices), weightsLines)
	g.columns = min(s.OutW(), max(maxRun/(g.images*g.lines), 1))
	g.sums = takeScratch[float32](g.slices() * g.sumsLen())
	return g
}

// flat returns the shape of one pixel for a convolution that is a product of matrices
// of all pixels.
func (s Conv2dShape) flat() Conv2dShape {
	if s.KH*s.KW*s.Stride == 1 && s.Padding == 0 {
		s.N, s.H, s.W = s.N*s.H*s.W, 1, 1
	}
	return s
}

func (g *weightsProduct) slices() int { return g.lineSlices * g.imageSlices }

func (g *weightsProduct) sumsLen() int { return g.s.KH * g.s.KW * g.s.C * g.ocPad }

var weightsLoop = newLoop((*weightsProduct).task)

// task adds up one slice of images and lines for one group of input and output channels.
func (g *weightsProduct) task(t int) {
	slice, group := t/(g.rowGroups*g.colGroups), t%(g.rowGroups*g.colGroups)
	w := weightsTasks.Get().(*weightsTask)
	defer w.drop()
	*w = weightsTask{
		weightsProduct: g,
		sums:           g.sums.data[slice*g.sumsLen() : (slice+1)*g.sumsLen()],
		channels:       split(g.s.C, g.rowGroups, group/g.colGroups),
		panels:         split(ceilDiv(g.s.OC, g.kern.nr), g.colGroups, group%g.colGroups),
		aK:             g.kern.tileRows(),
		taps:           w.taps, started: w.started,
	}
	w.args = takeArgs()
	defer w.args.drop()
	w.cut = cutRows(w.channels.len(), g.kern.mr)
	w.inLines = g.s.reach(g.lines, g.s.KH, g.s.H)
	w.aStep = w.inLines * g.s.reach(g.columns, g.s.KW, g.s.W) * g.images * w.aK
	w.bStep = g.lines * g.columns * g.images * g.kern.nr
	packed := takeScratch[float32](w.cut.tiles*w.aStep + w.panels.len()*w.bStep)
	defer packed.drop()
	w.packedX, w.packedDy = packed.data[:w.cut.tiles*w.aStep], packed.data[w.cut.tiles*w.aStep:]
	w.preparePacking()
	defer w.dropPacking()
	w.started = append(w.started[:0], make([]bool, w.panels.len()*g.s.KH*g.s.KW)...)
	lines, images := split(g.s.OutH(), g.lineSlices, slice%g.lineSlices), split(g.s.N, g.imageSlices, slice/g.lineSlices)
	for i := images.from; i < images.to; i += g.images {
		for c := 0; c < g.s.OutW(); c += g.columns {
			w.strip(lines, span{c, min(c+g.columns, g.s.OutW())}, span{i, min(i+g.images, images.to)})
		}
	}
	w.clearRest()
}

// weightsTask is a weightsProduct for some channels and lines.
type weightsTask struct {
	*weightsProduct
	sums             []float32 // [KH*KW][C][ocPad]
	channels, panels span
	cut              rowCut // of the channels

	// Packed x is [tile][row][aK], packed dy [panel][row][nr]; a row is an image of
	// a pixel of the box. Tiles and panels begin aStep and bStep apart. Line h of x is
	// line h%inLines, as a box needs no more, so that what the next box reads again stays.
	packedX, packedDy []float32
	inLines           int
	aK, aStep, bStep  int

	packingX  [2]tilePacking[float32] // of the larger tiles and of the others
	packingDy [2]tilePacking[float32] // of whole panels and of a ragged last one

	taps    []brgemmTap
	args    *brgemmArgs
	started []bool // by panel and tap: whether there are sums to add to
}

// weightsTasks recycles the memory of tasks.
var weightsTasks = sync.Pool{New: func() any { return new(weightsTask) }}

func (w *weightsTask) drop() {
	*w = weightsTask{taps: w.taps, started: w.started}
	weightsTasks.Put(w)
}

// outputBox is a box of the output.
type outputBox struct{ lines, columns, images span }

// strip adds what boxes of the output, one below the other, give to all taps.
func (w *weightsTask) strip(lines, columns, images span) {
	inColumns, packed := w.s.reads(columns, w.s.KW, w.s.W), 0
	if inColumns.len() <= 0 {
		return // all padding
	}
	for _, lines := range lines.cut(w.lines) {
		box, in := outputBox{lines, columns, images}, w.s.reads(lines, w.s.KH, w.s.H)
		if in.len() <= 0 {
			continue
		}
		w.packX(span{max(in.from, packed), in.to}, inColumns, images)
		packed = in.to
		w.packDy(box)
		for p := range w.panels.len() {
			for _, lines := range lines.cut(max(maxRun/(columns.len()*images.len()), 1)) {
				for tap := range w.s.KH * w.s.KW {
					w.product(box, lines, inColumns, p, tap)
				}
			}
		}
	}
}

// ahead is by how many rows of x or dy packing fetches ahead: to the images that are
// packed next, or those of the next pixel.
func (w *weightsTask) ahead(images span) int {
	if images.len() > weightsImages {
		return weightsImages
	}
	return w.s.N
}

func (w *weightsTask) preparePacking() {
	i := 0
	w.cut.each(span{0, w.cut.tiles}, func(_, tiles, m int) {
		w.packingX[i] = newTilePacking[float32](w.aK, w.aStep, w.s.C, m, m, tiles)
		i++
	})
	nr := w.kern.nr
	columns := min(w.panels.to*nr, w.s.OC) - w.panels.from*nr
	w.packingDy[0] = newTilePacking[float32](nr, w.bStep, w.s.OC, nr, nr, columns/nr)
	if rest := columns % nr; rest > 0 {
		w.packingDy[1] = newTilePacking[float32](nr, w.bStep, w.s.OC, nr, rest, 1)
	}
}

func (w *weightsTask) dropPacking() {
	for i := range w.packingX {
		w.packingX[i].drop()
	}
	for i := range w.packingDy {
		w.packingDy[i].drop()
	}
}

// packX packs pixels of x.
func (w *weightsTask) packX(lines, columns, images span) {
	s := &w.s
	ahead := w.ahead(images) * s.C
	for h := lines.from; h < lines.to; h++ {
		for c := columns.from; c < columns.to; c++ {
			// With a stride above the kernel size some positions are read by no tap.
			if (h+s.Padding)%s.Stride >= s.KH || (c+s.Padding)%s.Stride >= s.KW {
				continue
			}
			row := w.packedRow(h, c-columns.from, columns.len()) * images.len()
			for _, some := range images.cut(weightsImages) {
				x := w.x[((h*s.W+c)*s.N+some.from)*s.C+w.channels.from:]
				first := 0
				for i := range w.packingX {
					if p := &w.packingX[i]; p.tiles > 0 {
						p.pack(w.packedX[first*w.aStep+row*w.aK:], x[w.cut.start(first):], some.len(), ahead)
						first += p.tiles
					}
				}
				row += some.len()
			}
		}
	}
}

// packedRow is where the images of a pixel of x begin, among columns pixels a
// line: a stride apart, the pixels that neighbouring outputs read lie side by side.
func (w *weightsTask) packedRow(line, column, columns int) int {
	phase := column % w.s.Stride
	return line%w.inLines*columns + column/w.s.Stride + phase*(columns/w.s.Stride) + min(phase, columns%w.s.Stride)
}

func (w *weightsTask) packDy(box outputBox) {
	nr, oc := w.kern.nr, w.s.OC
	first := w.panels.from * nr
	whole, ahead := &w.packingDy[0], w.ahead(box.images)*oc
	row := 0
	for h := box.lines.from; h < box.lines.to; h++ {
		for c := box.columns.from; c < box.columns.to; c++ {
			for _, some := range box.images.cut(weightsImages) {
				dy := w.dy[((h*w.s.OutW()+c)*w.s.N+some.from)*oc+first:]
				whole.pack(w.packedDy[row*nr:], dy, some.len(), ahead)
				if last := &w.packingDy[1]; last.tiles > 0 {
					last.pack(w.packedDy[whole.tiles*w.bStep+row*nr:], dy[whole.tiles*nr:], some.len(), 0)
				}
				row += some.len()
			}
		}
	}
}

// product adds some lines of a box for one panel and tap. A term of the batch is a
// run of pixels that lie side by side in packed x and dy.
func (w *weightsTask) product(box outputBox, lines, inColumns span, panel, tap int) {
	s, images := &w.s, box.images.len()
	kh, kw := tap/s.KW, tap%s.KW
	from, to := validRange(s.OutW(), s.W, kw, s.Stride, s.Padding)
	from, to = max(from, box.columns.from), min(to, box.columns.to)
	if from >= to {
		return
	}
	w.taps = w.taps[:0]
	inColumn := from*s.Stride - s.Padding + kw - inColumns.from
	for h := lines.from; h < lines.to; h++ {
		in := h*s.Stride - s.Padding + kh
		if in < 0 || in >= s.H {
			continue
		}
		w.taps = append(w.taps, brgemmTap{
			a: w.packedRow(in, inColumn, inColumns.len()) * images * w.aK * 4,
			b: ((h-box.lines.from)*box.columns.len() + from - box.columns.from) * images * w.kern.nr * 4,
		})
	}
	if len(w.taps) == 0 {
		return
	}
	col := (w.panels.from + panel) * w.kern.nr
	args := w.args
	*args = brgemmArgs{k: (to - from) * images, aK: w.aK * 4, bK: w.kern.nr * 4, cRow: w.ocPad * 4, taps: &w.taps[0], numTaps: len(w.taps)}
	if started := &w.started[panel*s.KH*s.KW+tap]; *started {
		args.accumulate = 1
	} else {
		*started = true
	}
	w.cut.each(span{0, w.cut.tiles}, func(t, tiles, m int) {
		args.a, args.b = unsafe.Pointer(&w.packedX[t*w.aStep]), unsafe.Pointer(&w.packedDy[panel*w.bStep])
		args.c = unsafe.Pointer(&w.sums[(tap*s.C+w.channels.from+w.cut.start(t))*w.ocPad+col])
		w.kern.tiles(true, 4, m, tiles, min(w.kern.nr, w.ocPad-col), w.aStep*4, args)
	})
}

// clearRest sets the sums of the task that nothing was added to to zero.
func (w *weightsTask) clearRest() {
	for panel := range w.panels.len() {
		from := (w.panels.from + panel) * w.kern.nr
		to := min(from+w.kern.nr, w.ocPad)
		for tap := range w.s.KH * w.s.KW {
			if w.started[panel*w.s.KH*w.s.KW+tap] {
				continue
			}
			for c := w.channels.from; c < w.channels.to; c++ {
				row := (tap*w.s.C + c) * w.ocPad
				clear(w.sums[row+from : row+to])
			}
		}
	}
}

// validRange returns the output positions of one side whose input position for
// kernel position k is not padding.
func validRange(out, in, k, stride, padding int) (from, to int) {
	from = max(0, (padding-k+stride-1)/stride)
	to = min(out, (in-1+padding-k)/stride+1)
	if in-1+padding-k < 0 {
		to = 0
	}
	return from, to
}

// sumSlices adds all of a number of slices to the first, in order.
func sumSlices(sums []float32, slices int) {
	sumSlicesLoop.parallel(ceilDiv(len(sums)/slices, sumSlicesBlock), slicesToSum{sums, slices})
}

// sumSlicesBlock is how many sums a task adds up.
const sumSlicesBlock = 1 << 12

// slicesToSum is a call of sumSlices.
type slicesToSum struct {
	sums   []float32
	slices int
}

var sumSlicesLoop = newLoop((*slicesToSum).block)

func (s *slicesToSum) block(t int) {
	n := len(s.sums) / s.slices
	b := blockSpan(sumSlicesBlock, n, t)
	first := vectorStream{data: s.sums[b.from:b.to]}
	for i := 1; i < s.slices; i++ {
		vecAdd.call(1, b.len(), 0, nil, []vectorStream{first, {data: s.sums[i*n+b.from:]}, first})
	}
}

// storeWeights turns sums, whose rows of outputs are in the given order, into
// [OC][C][KH*KW].
func storeWeights(dw, sums []float32, order sumOrder, s Conv2dShape, ocPad int, accumulate bool) {
	storeWeightsLoop.parallel(ceilDiv(s.C, storeChannels)*ceilDiv(s.OC, storeOutputs), weightsToStore{dw, sums, order, span{0, s.C}, s, ocPad, accumulate})
}

// sumOrder is the order of the sums of backward weights, rows of ocPad.
type sumOrder int

const (
	sumsByTap     sumOrder = iota // [KH*KW][C]
	sumsByChannel                 // [C][KH*KW], as in the weights
)

// storeChannels and storeOutputs are how many input and output channels a task turns:
// neighbouring cache lines of each row of sums, and of each row of weights too.
const storeChannels, storeOutputs = 16, 64

// weightsToStore is a call of storeWeights.
type weightsToStore struct {
	dw, sums   []float32
	order      sumOrder
	held       span // the channels that sums are of
	s          Conv2dShape
	ocPad      int
	accumulate bool
}

var storeWeightsLoop = newLoop((*weightsToStore).block)

func (w *weightsToStore) block(b int) {
	outBlocks := ceilDiv(w.s.OC, storeOutputs)
	w.store(blockSpan(storeChannels, w.s.C, b/outBlocks), blockSpan(storeOutputs, w.s.OC, b%outBlocks))
}

// store turns those of some channels for some outputs, at most storeOutputs.
func (w *weightsToStore) store(channels, outputs span) {
	s, taps := &w.s, w.s.KH*w.s.KW
	length := channels.len() * taps
	to, toRow := w.dw[(outputs.from*s.C+channels.from)*taps:], s.C*taps
	first := channels.from - w.held.from
	// rows [c][tap] of outputs, to be turned.
	rows, row := w.sums, w.ocPad
	if w.order == sumsByChannel {
		rows = rows[first*taps*w.ocPad+outputs.from:]
	} else {
		memory := takeScratch[float32](length * storeOutputs)
		defer memory.drop()
		rows, row = memory.data, storeOutputs
		for c := range channels.len() {
			for t := range taps {
				copy(rows[(c*taps+t)*row:][:outputs.len()], w.sums[(t*w.held.len()+first+c)*w.ocPad+outputs.from:])
			}
		}
	}
	storeTurned(to, toRow, rows, row, length, outputs.len(), w.accumulate)
}

// storeTurned stores, or adds, rows of outputs as columns.
func storeTurned(to []float32, toRow int, rows []float32, row, length, outputs int, accumulate bool) {
	if !accumulate {
		transpose(to, toRow, rows, row, length, outputs)
		return
	}
	turned := takeScratch[float32](length * outputs)
	defer turned.drop()
	transpose(turned.data, length, rows, row, length, outputs)
	for i := range outputs {
		sum := vectorStream{data: to[i*toRow:][:length]}
		vecAdd.call(1, length, 0, nil, []vectorStream{sum, {data: turned.data[i*length:]}, sum})
	}
}

// blockSpan is block i of n elements.
func blockSpan(block, n, i int) span { return span{i * block, min((i+1)*block, n)} }
