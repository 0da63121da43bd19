package kernels

import "unsafe"

// amxBackwardWeights computes the gradient of the weights, dw (+)= the sum over
// images and pixels of x times dy. dw is [OC][C][KH][KW], x [H][W][N][C], dy
// [OutH][OutW][N][OC].
//
// As for vectors a box of the output and what it reads of x are packed and serve all
// taps. k runs over images: each pixel of x is turned to [C][N], each pixel of dy
// becomes panels of pairs, and the pixels of the box are the taps of a batch.
func amxBackwardWeights(dw []float32, x, dy []uint16, s Conv2dShape, accumulate bool) {
	switch {
	case s.N == 0:
		if !accumulate {
			clear(dw)
		}
	case s.unfolds():
		newAMXUnfolded(s, x).backwardWeights(dw, dy, accumulate)
	default:
		g := newAMXWeights(s, x, dy)
		defer g.sums.drop()
		Parallel(g.imageSlices*g.lineSlices*g.rowGroups*g.colGroups, g.task)
		sumSlices(g.sums.data, g.imageSlices*g.lineSlices)
		storeWeights(dw, g.sums.data, s, g.ocPad, accumulate)
	}
}

// amxWeights is one backward-weights computation.
type amxWeights struct {
	s     Conv2dShape
	x, dy []uint16
	ocPad int // columns of sums: OC, filled up to whole vectors

	lines, columns, images  int // of the output, in a box
	imageSlices, lineSlices int // each with its own sums
	rowGroups, colGroups    int // of tiles of input and output channels
	sums                    *scratch[float32]
}

// amxBoxPixels is how many pixels of 32 images a box has: 2,048 terms a sum, or some
// 1.3 MB for one group of channels both ways, which stays in the second-level cache.
const amxBoxPixels, amxBoxSide = 64, 8

// amxWeightsMinTasks is weightsMinTasks for tiles, which are so fast that the sums of
// more slices would cost more than what they give to do.
const amxWeightsMinTasks = 8

func newAMXWeights(s Conv2dShape, x, dy []uint16) *amxWeights {
	g := &amxWeights{s: s, x: x, dy: dy, ocPad: ceilTo(s.OC, amxHalf)}
	g.rowGroups, g.colGroups = ceilDiv(s.C, weightsGroupChannels), ceilDiv(s.OC, weightsGroupChannels)
	slices := min(ceilDiv(amxWeightsMinTasks, g.rowGroups*g.colGroups), max(s.OutH()*s.OutW()*s.N/weightsSliceRows, 1))
	g.imageSlices = min(slices, ceilDiv(s.N, amxMaxStep))
	g.lineSlices = min(ceilDiv(slices, g.imageSlices), s.OutH())
	pixels := max(amxBoxPixels/s.Stride, 1)
	g.lines = min(ceilDiv(s.OutH(), g.lineSlices), amxBoxSide)
	g.columns = min(s.OutW(), max(pixels/g.lines, 1))
	g.images = min(max(pixels/(g.lines*g.columns), 1)*amxMaxStep, s.N)
	g.sums = takeScratch[float32](g.imageSlices * g.lineSlices * g.sumsLen())
	return g
}

func (g *amxWeights) sumsLen() int { return g.s.KH * g.s.KW * g.s.C * g.ocPad }

// task adds up one slice for one group of input and output channels.
func (g *amxWeights) task(t int) {
	slice, group := t/(g.rowGroups*g.colGroups), t%(g.rowGroups*g.colGroups)
	w := &amxWeightsTask{amxWeights: g, axes: weightsTask{weightsProduct: &weightsProduct{s: g.s}}}
	w.sums = g.sums.data[slice*g.sumsLen() : (slice+1)*g.sumsLen()]
	w.panels = split(ceilDiv(g.s.OC, amxPanel), g.colGroups, group%g.colGroups)
	w.channels = split(ceilDiv(g.s.C, amxRows), g.rowGroups, group/g.colGroups)
	w.channels = span{w.channels.from * amxRows, min(w.channels.to*amxRows, g.s.C)}
	w.args = takeAMXArgs()
	defer w.args.drop()
	w.xRow = ceilTo(g.images, turnRows)
	w.xPixel = ceilTo(w.channels.len(), turnCols) * w.xRow
	w.dyPixel = w.xRow * amxPanel
	w.dyPanel = g.lines * g.columns * w.dyPixel
	pixels := w.axes.weightsProduct.reach(g.lines, g.s.KH, g.s.H) * w.axes.weightsProduct.reach(g.columns, g.s.KW, g.s.W)
	memory := takeScratch[uint16](pixels*w.xPixel + w.panels.len()*w.dyPanel)
	defer memory.drop()
	w.packedX, w.packedDy = memory.data[:pixels*w.xPixel], memory.data[pixels*w.xPixel:]
	w.whole, w.rest = rowTiles(nil, w.channels.len(), 2*w.xRow, 4*g.ocPad, 0)
	w.begun = make([]bool, g.s.KH*g.s.KW)
	lines := split(g.s.OutH(), g.lineSlices, slice%g.lineSlices)
	for _, i := range split(g.s.N, g.imageSlices, slice/g.lineSlices).cut(g.images) {
		for _, l := range lines.cut(g.lines) {
			for _, c := range (span{0, g.s.OutW()}).cut(g.columns) {
				w.box(outputBox{l, c, i})
			}
		}
	}
	for tap, begun := range w.begun {
		if !begun {
			w.clear(tap)
		}
	}
}

// amxWeightsTask is an amxWeights for some channels, images and lines.
type amxWeightsTask struct {
	*amxWeights
	axes             weightsTask // what it knows of positions along a side
	sums             []float32   // [KH*KW][C][ocPad]
	begun            []bool      // the kernel positions whose sums a box has set
	channels, panels span

	// Packed x is [pixel][channel][image], packed dy [panel][pixel][image/2][32][2].
	packedX, packedDy              []uint16
	xRow, xPixel, dyPixel, dyPanel int

	whole, rest []amxTile // of channels
	taps        []brgemmTap
	args        *amxArgs
}

// clear sets the sums of a kernel position that only meets padding to zero.
func (w *amxWeightsTask) clear(tap int) {
	from, to := w.panels.from*amxPanel, min(w.panels.to*amxPanel, w.ocPad)
	for c := w.channels.from; c < w.channels.to; c++ {
		row := (tap*w.s.C + c) * w.ocPad
		clear(w.sums[row+from : row+to])
	}
}

// box adds what one box of the output gives to all taps.
func (w *amxWeightsTask) box(box outputBox) {
	lines, columns := w.axes.input(box.lines, w.s.KH, w.s.H), w.axes.input(box.columns, w.s.KW, w.s.W)
	if lines.len() <= 0 || columns.len() <= 0 {
		return // all padding
	}
	steps, step := amxCut(box.images.len())
	w.args.steps = steps
	w.packX(lines, columns, box.images)
	w.packDy(box, steps*step)
	for tap := range w.s.KH * w.s.KW {
		w.listTaps(box, lines, columns, tap)
		if len(w.taps) == 0 {
			continue
		}
		end := amxEndAdd
		if !w.begun[tap] {
			w.begun[tap], end = true, amxEndStore
		}
		for p := range w.panels.len() {
			w.product(tap, p, step, end)
		}
	}
}

func (w *amxWeightsTask) packX(lines, columns, images span) {
	s := &w.s
	for h := lines.from; h < lines.to; h++ {
		for c := columns.from; c < columns.to; c++ {
			// With a stride above the kernel size some positions are read by no tap.
			if (h+s.Padding)%s.Stride >= s.KH || (c+s.Padding)%s.Stride >= s.KW {
				continue
			}
			pixel := (h-lines.from)*columns.len() + c - columns.from
			turnHalves(w.packedX[pixel*w.xPixel:], w.xRow, w.x[((h*s.W+c)*s.N+images.from)*s.C+w.channels.from:], s.C, images.len(), w.channels.len())
		}
	}
}

func (w *amxWeightsTask) packDy(box outputBox, filled int) {
	first := w.panels.from * amxPanel
	n := min(w.panels.to*amxPanel, w.s.OC) - first
	pixel := 0
	for h := box.lines.from; h < box.lines.to; h++ {
		for c := box.columns.from; c < box.columns.to; c++ {
			dy := w.dy[((h*w.s.OutW()+c)*w.s.N+box.images.from)*w.s.OC+first:]
			amxPairPixels(w.packedDy[pixel*w.dyPixel:], w.dyPanel, dy, w.s.OC, box.images.len(), n, filled)
			pixel++
		}
	}
}

// listTaps lists the pixels of a box whose input for a kernel position is no padding.
func (w *amxWeightsTask) listTaps(box outputBox, inLines, inColumns span, tap int) {
	s, kh, kw := &w.s, tap/w.s.KW, tap%w.s.KW
	w.taps = w.taps[:0]
	from, to := validRange(s.OutW(), s.W, kw, s.Stride, s.Padding)
	for h := box.lines.from; h < box.lines.to; h++ {
		y := h*s.Stride - s.Padding + kh
		if y < 0 || y >= s.H {
			continue
		}
		for c := max(from, box.columns.from); c < min(to, box.columns.to); c++ {
			x := c*s.Stride - s.Padding + kw
			w.taps = append(w.taps, brgemmTap{
				a: 2 * ((y-inLines.from)*inColumns.len() + x - inColumns.from) * w.xPixel,
				b: 2 * ((h-box.lines.from)*box.columns.len() + c - box.columns.from) * w.dyPixel,
			})
		}
	}
}

// product adds a box to the sums of one kernel position and panel, or begins them.
func (w *amxWeightsTask) product(tap, panel, step int, end amxEnd) {
	args, col := w.args, (w.panels.from+panel)*amxPanel
	args.a, args.b = unsafe.Pointer(&w.packedX[0]), unsafe.Pointer(&w.packedDy[panel*w.dyPanel])
	args.c = unsafe.Pointer(&w.sums[(tap*w.s.C+w.channels.from)*w.ocPad+col])
	args.aRow, args.cRow, args.taps = 2*w.xRow, 4*w.ocPad, &w.taps[0]
	eachRowTiles(w.channels.len(), w.whole, w.rest, func(rows, _ int, list []amxTile) {
		for i := range list {
			list[i].numTaps = len(w.taps)
		}
		args.shape(rows, min(amxPanel, w.ocPad-col), step)
		args.run(end, list)
	})
}
