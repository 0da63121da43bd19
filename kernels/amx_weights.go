package kernels

import "unsafe"

// amxBackwardWeights computes the gradient of the weights, dw (+)= the sum over
// images and pixels of x times dy. dw is [OC][C][KH][KW], x [H][W][N][C], dy
// [OutH][OutW][N][OC].
//
// As for vectors a box of the output and what it reads of x are packed and serve all
// taps, see amxWeightsPack. k runs over images, and the pixels of the box are the
// taps of a batch.
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
		g.dw, g.accumulate = dw, accumulate
		if !g.oneBox() {
			g.sums = takeScratch[float32](g.slices() * g.sumsLen())
			defer g.sums.drop()
		}
		if g.shared() {
			g.packOnce()
		} else {
			Parallel(g.tasks(), g.task)
		}
		if !g.oneBox() {
			sumSlices(g.sums.data, g.slices())
			storeWeights(dw, g.sums.data, sumsByChannel, s, g.ocPad, accumulate)
		}
	}
}

// amxWeights is one backward-weights computation.
type amxWeights struct {
	s          Conv2dShape
	x, dy      []uint16
	dw         []float32
	accumulate bool
	ocPad      int // columns of sums: OC, filled up to whole vectors

	lines, columns, images  int               // of the output, in a box
	imageSlices, lineSlices int               // each with its own sums
	rowGroups, colGroups    int               // of tiles of input and output channels
	lined                   bool              // products run in lines
	sums                    *scratch[float32] // nil with one box
}

// amxBoxPixels is how many pixels of 32 images a box has: 2,048 terms a sum, or some
// 1.3 MB for one group of channels both ways, which stays in the second-level cache.
const amxBoxPixels, amxBoxSide = 64, 8

// amxOneGroup is up to how many channels one group beats several both ways: packed operands
// are read by nobody else and stay where they are. There must be slices enough in place of
// the groups.
const amxOneGroup = 192

// amxWeightsMinTasks is weightsMinTasks for tiles, which are so fast that the sums of
// more slices would cost more than what they give to do.
const amxWeightsMinTasks = 8

func newAMXWeights(s Conv2dShape, x, dy []uint16) *amxWeights {
	g := &amxWeights{s: s, x: x, dy: dy, ocPad: ceilTo(s.OC, amxHalf), lined: s.threeByThree()}
	g.rowGroups, g.colGroups = ceilDiv(s.C, weightsGroupChannels), ceilDiv(s.OC, weightsGroupChannels)
	pixels := amxBoxPixels
	if g.shared() && max(s.C, s.OC) <= amxOneGroup && s.OutH()*s.OutW()*s.N >= amxWeightsMinTasks*weightsSliceRows {
		g.rowGroups, g.colGroups = 1, 1
	}
	slices := min(ceilDiv(amxWeightsMinTasks, g.rowGroups*g.colGroups), max(s.OutH()*s.OutW()*s.N/weightsSliceRows, 1))
	g.imageSlices = min(slices, ceilDiv(s.N, amxMaxStep))
	if g.shared() {
		g.imageSlices = 1
	}
	g.lineSlices = min(ceilDiv(slices, g.imageSlices), s.OutH())
	pixels = max(pixels/s.Stride, 1)
	g.lines = min(ceilDiv(s.OutH(), g.lineSlices), amxBoxSide)
	g.columns = min(s.OutW(), max(pixels/g.lines, 1))
	g.images = min(max(pixels/(g.lines*g.columns), 1)*amxMaxStep, s.N)
	return g
}

func (g *amxWeights) slices() int { return g.imageSlices * g.lineSlices }

// oneBox tells whether the output is one box, as small maps are. Its sums are complete
// once computed: each panel's go to dw at once, while they are in a cache.
func (g *amxWeights) oneBox() bool {
	return g.slices() == 1 && g.s.N <= g.images && g.s.OutH() <= g.lines && g.s.OutW() <= g.columns
}

// shared tells whether the groups of channels share one packed copy of the operands,
// which goes through memory: where copies of their own would be one more of either at
// least.
func (g *amxWeights) shared() bool { return g.rowGroups > 1 && g.colGroups > 1 }

func (g *amxWeights) sumsLen() int { return g.s.KH * g.s.KW * g.s.C * g.ocPad }

// sumsRow returns how many bytes lie between channels in the sums of a kernel position.
func (g *amxWeights) sumsRow() int {
	width := g.ocPad
	if g.oneBox() {
		width = amxPanel
	}
	return 4 * g.s.KH * g.s.KW * width
}

// tasks is how many there are: each adds up one slice for one group of input and
// output channels.
func (g *amxWeights) tasks() int {
	return g.slices() * g.rowGroups * g.colGroups
}

// task is one of them, which packs what it reads box by box.
func (g *amxWeights) task(t int) {
	w := g.newTask(t)
	w.pack = g.newPack(w.channels, w.panels, g.lines, g.columns)
	defer w.pack.drop()
	args := takeAMXArgs()
	defer args.drop()
	images := split(g.s.N, g.imageSlices, w.slice/g.lineSlices)
	lines := split(g.s.OutH(), g.lineSlices, w.slice%g.lineSlices)
	for _, i := range images.cut(g.images) {
		g.eachBox(lines, i, func(box outputBox) {
			w.pack.move(box)
			for line := range w.pack.packLines() {
				w.pack.packLine(line)
			}
			w.add(args, box)
		})
	}
	w.finish()
}

// packOnce runs all tasks, region by region, on one packed copy of the operands.
func (g *amxWeights) packOnce() {
	tasks := make([]*amxWeightsTask, g.tasks())
	for t := range tasks {
		tasks[t] = g.newTask(t)
	}
	lines := g.regionLines()
	pack := g.newPack(span{0, g.s.C}, span{0, ceilDiv(g.s.OC, amxPanel)}, lines, g.s.OutW())
	defer pack.drop()
	for _, i := range (span{0, g.s.N}).cut(g.images) {
		for _, l := range (span{0, g.s.OutH()}).cut(lines) {
			pack.move(outputBox{l, span{0, g.s.OutW()}, i})
			Parallel(pack.packLines(), pack.packLine)
			Parallel(len(tasks), func(t int) {
				w, args := tasks[t], takeAMXArgs()
				defer args.drop()
				w.pack = pack
				g.eachBox(l.split(g.lineSlices, w.slice), i, func(box outputBox) { w.add(args, box) })
			})
		}
	}
	for _, w := range tasks {
		w.finish()
	}
}

// amxRegionElements is how many elements of the operands packOnce packs at a time,
// about, if that is a box for each slice at least: they wait in the third-level cache.
// Tests set it.
var amxRegionElements = 1 << 23

// regionLines returns how many lines of the output a region has.
func (g *amxWeights) regionLines() int {
	s := &g.s
	line := g.images * (s.W*s.C*s.Stride + s.OutW()*s.OC)
	most := max(amxRegionElements/max(line, 1), g.lines*g.lineSlices)
	return ceilDiv(s.OutH(), ceilDiv(s.OutH(), most))
}

// eachBox cuts lines of some images into boxes.
func (g *amxWeights) eachBox(lines, images span, do func(outputBox)) {
	for _, l := range lines.cut(g.lines) {
		for _, c := range (span{0, g.s.OutW()}).cut(g.columns) {
			do(outputBox{l, c, images})
		}
	}
}

func (g *amxWeights) newTask(t int) *amxWeightsTask {
	group := t % (g.rowGroups * g.colGroups)
	w := &amxWeightsTask{amxWeights: g, slice: t / (g.rowGroups * g.colGroups), begun: make([]bool, g.s.KH*g.s.KW)}
	if g.sums != nil {
		w.sums = g.sums.data[w.slice*g.sumsLen() : (w.slice+1)*g.sumsLen()]
	}
	w.panels = split(ceilDiv(g.s.OC, amxPanel), g.colGroups, group%g.colGroups)
	w.channels = split(ceilDiv(g.s.C, amxRows), g.rowGroups, group/g.colGroups)
	w.channels = span{w.channels.from * amxRows, min(w.channels.to*amxRows, g.s.C)}
	w.tileRows = amxRows
	if g.lined {
		w.tileRows = amxHalf
	}
	w.whole, w.rest = tilesOf(nil, w.tileRows, w.channels.len(), 2*g.packedRow(), g.sumsRow(), 0)
	return w
}

// amxWeightsTask is an amxWeights for some channels, images and lines.
type amxWeightsTask struct {
	*amxWeights
	slice            int
	sums             []float32 // [C][KH*KW][ocPad]
	begun            []bool    // the kernel positions whose sums a box has set
	channels, panels span
	pack             *amxWeightsPack

	tileRows    int
	whole, rest []amxTile   // of channels
	taps        []brgemmTap // of a product
}

// finish sets the sums of kernel positions that only meet padding to zero.
func (w *amxWeightsTask) finish() {
	if w.oneBox() {
		return // they are in dw already
	}
	from, to := w.panels.from*amxPanel, min(w.panels.to*amxPanel, w.ocPad)
	for tap, begun := range w.begun {
		if begun {
			continue
		}
		for c := w.channels.from; c < w.channels.to; c++ {
			row := (c*len(w.begun) + tap) * w.ocPad
			clear(w.sums[row+from : row+to])
		}
	}
}

// addOnly sets dw, or adds to it, what the only box gives. Sums of a panel are
// [channel][KH*KW][amxPanel].
func (w *amxWeightsTask) addOnly(args *amxArgs, box outputBox) {
	s, taps := &w.s, w.s.KH*w.s.KW
	sums := takeScratch[float32](w.channels.len() * taps * amxPanel)
	defer sums.drop()
	for panel := w.panels.from; panel < w.panels.to; panel++ {
		for tap := 0; tap < taps; tap += w.positions() {
			if w.listTaps(box, tap); len(w.taps) > 0 {
				w.product(args, box, sums.data[tap*amxPanel:], amxPanel, panel, amxEndStore)
				continue
			}
			for c := range w.channels.len() {
				clear(sums.data[(c*taps+tap)*amxPanel:][:w.positions()*amxPanel])
			}
		}
		first := panel * amxPanel
		storeTurned(w.dw[(first*s.C+w.channels.from)*taps:], s.C*taps, sums.data, amxPanel, w.channels.len()*taps,
			min(amxPanel, s.OC-first), w.accumulate)
	}
}

// add adds what a box of what is packed gives to all taps.
func (w *amxWeightsTask) add(args *amxArgs, box outputBox) {
	if w.oneBox() {
		w.addOnly(args, box)
		return
	}
	taps := w.s.KH * w.s.KW
	for tap := 0; tap < taps; tap += w.positions() {
		if w.listTaps(box, tap); len(w.taps) == 0 {
			continue
		}
		end := amxEndAdd
		if !w.begun[tap] {
			end = amxEndStore
			for i := range w.positions() {
				w.begun[tap+i] = true
			}
		}
		for panel := w.panels.from; panel < w.panels.to; panel++ {
			sums := w.sums[(w.channels.from*taps+tap)*w.ocPad+panel*amxPanel:]
			w.product(args, box, sums, w.ocPad, panel, end)
		}
	}
}

// positions is how many kernel positions a product computes: one, or those of a line.
func (g *amxWeights) positions() int {
	if g.lined {
		return g.s.KW
	}
	return 1
}

// listTaps lists what a product for the kernel position tap, or for those of a line from
// there on, takes of a box.
func (w *amxWeightsTask) listTaps(box outputBox, tap int) {
	if w.lined {
		w.taps = w.pack.listLines(w.taps[:0], box, tap/w.s.KW)
	} else {
		w.taps = w.pack.listTaps(w.taps[:0], box, tap)
	}
}

// product adds a box to the sums of a panel, whose rows have width columns, or begins
// them.
func (w *amxWeightsTask) product(args *amxArgs, box outputBox, sums []float32, width, panel int, end amxEnd) {
	steps, step := amxCut(box.images.len())
	args.steps, args.taps = steps, &w.taps[0]
	args.aRow, args.cRow = 2*w.packedRow(), w.sumsRow()
	columns := min(amxPanel, w.ocPad-panel*amxPanel)
	args.a, args.b = w.pack.operands(w.channels.from, panel)
	if !w.lined {
		args.c = unsafe.Pointer(&sums[0])
		w.eachTiles(func(rows int, list []amxTile) {
			args.shape(rows, columns, step)
			args.run(end, list)
		})
		return
	}
	args.aPixel, args.bNext, args.cNext = 2*w.pack.xPixel, 2*w.pack.dyPixel, 4*width
	args.pixels, args.edges = box.columns.len(), index(box.columns.from == 0)*amxFirstEdge+index(box.columns.to == w.s.W)*amxLastEdge
	b := args.b
	for half, of := range (span{0, columns}).cut(amxHalf) {
		args.b, args.c = unsafe.Add(b, half*w.pack.dyPixel), unsafe.Pointer(&sums[of.from])
		w.eachTiles(func(rows int, list []amxTile) {
			args.lineGradientShape(rows, of.len(), step)
			args.runLineGradients(end, list)
		})
	}
}

// eachTiles visits the tiles of as many rows each, with the taps of the product.
func (w *amxWeightsTask) eachTiles(visit func(rows int, list []amxTile)) {
	for _, list := range [][]amxTile{w.whole, w.rest} {
		for i := range list {
			list[i].numTaps = len(w.taps)
		}
	}
	if len(w.whole) > 0 {
		visit(w.tileRows, w.whole)
	}
	if len(w.rest) > 0 {
		visit(w.channels.len()%w.tileRows, w.rest)
	}
}
