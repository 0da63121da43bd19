package kernels

import "unsafe"

// amxTakes tells whether a convolution in direction d has a form for tiles and this
// level has tiles. Operands of forward and backward data are read in place, so their
// depth must be even steps; those of a first layer and of backward weights are copied.
func amxTakes(s Conv2dShape, d ConvDirection) bool {
	return CurrentLevel() == AMX && amxShapeFits(s, d)
}

func amxShapeFits(s Conv2dShape, d ConvDirection) bool {
	depth, _ := d.depthWidth(s)
	return d == ConvBackwardWeights || d == ConvForward && s.unfolds() || amxStep(depth) >= amxMinStep
}

// amxPackedLen returns how many elements amxPack writes.
func amxPackedLen(s Conv2dShape, d ConvDirection) int {
	_, width := d.depthWidth(s)
	return ceilDiv(width, amxPanel) * amxPanelLen(s, d)
}

// amxPanelLen is the length of a panel of packed weights,
// [KH*KW][depth/2][32][2]; where the input is unfolded all of KH*KW*C is one depth. For
// lines it is two panels of 16 columns.
func amxPanelLen(s Conv2dShape, d ConvDirection) int {
	depth, _ := d.depthWidth(s)
	if d == ConvForward && s.unfolds() {
		steps, step := amxCut(s.KH * s.KW * s.C)
		return steps * step * amxPanel
	}
	return s.KH * s.KW * depth * amxPanel
}

// amxPack rounds weights [OC,C,KH,KW] times scale and packs them for direction d,
// forward or backward data.
func amxPack(dst []uint16, w []float32, scale float32, s Conv2dShape, d ConvDirection) {
	depth, width := d.depthWidth(s)
	taps, panelLen := s.KH*s.KW, amxPanelLen(s, d)
	unfolds, lined := d == ConvForward && s.unfolds(), s.amxLined(d)
	block := packDepth
	if unfolds {
		block = depth
	}
	pack := func(p int, rows span) {
		cols := min(amxPanel, width-p*amxPanel)
		length := block * taps * amxPanel
		memory := takeScratch[float32](length + max(length, turnedSlack))
		defer memory.drop()
		turned, ordered := memory.data, memory.data[length:]
		if cols < amxPanel {
			clear(turned[:length])
		}
		turnWeights(turned, amxPanel, w, 1, &s, d, p*amxPanel, cols, rows, d.nextDepth(&s, block))
		panel := dst[p*panelLen : (p+1)*panelLen]
		if unfolds {
			// Rows [C][KH*KW] become [KH*KW][C].
			for t := range taps {
				for c := range depth {
					copy(ordered[(t*depth+c)*amxPanel:][:cols], turned[(c*taps+t)*amxPanel:])
				}
			}
			clear(panel[ceilDiv(taps*depth, 2)*2*amxPanel:])
			pairRows(panel, panelLayout(panelLen, scale), ordered, amxPanel, taps*depth, cols)
			return
		}
		// The taps of a row lie side by side as panels do.
		to, columns := panelLayout(depth*amxPanel, scale), amxPanel
		if lined {
			to, columns = pairLayout{panel: depth * amxHalf, row: 2 * amxHalf, half: panelLen / 2, scale: scale}, amxHalf
		}
		pairRows(panel[rows.from*columns:], to, turned, taps*amxPanel, rows.len(), taps*amxPanel)
	}
	tasks := cutPanels(ceilDiv(width, amxPanel), ceilDiv(depth, block))
	Parallel(tasks.count(), func(task int) {
		p, blocks := tasks.of(task)
		for b := blocks.from; b < blocks.to; b++ {
			pack(p, blockSpan(block, depth, b))
		}
	})
}

// amxForward computes y = act(conv2d(x, w) + bias + residual), rounded to bfloat16.
// x is [H][W][N][C], y [OutH][OutW][N][OC], packed the weights from amxPack for
// ConvForward, bias [OC] or nil, residual like y or nil.
func amxForward(y, x, packed []uint16, bias []float32, residual []uint16, act Activation, s Conv2dShape) {
	if len(y) == 0 {
		return
	}
	e := newAMXEpilogue(bias, residual, act, s.OC)
	defer e.drop()
	if s.unfolds() {
		newAMXUnfolded(s, x).forward(y, packed, e)
		return
	}
	amxProduct(y, x, packed, s, ConvForward, amxEndRound, e)
}

// amxBackwardData computes the gradient of the input, dx (+)= the transposed
// convolution of dy, rounded once. dx is [H][W][N][C], dy [OutH][OutW][N][OC], packed
// the weights from amxPack for ConvBackwardData.
func amxBackwardData(dx, dy, packed []uint16, s Conv2dShape, accumulate bool) {
	if len(dx) == 0 {
		return
	}
	end := amxEndRound
	if accumulate {
		end = amxEndAddRound
	} else {
		for _, e := range planAMX(s, ConvBackwardData).empty {
			clear(dx[e.from:e.to])
		}
	}
	amxProduct(dx, dy, packed, s, ConvBackwardData, end, nil)
}

// amxConv is a plan at work: the result c from the operand a.
type amxConv struct {
	shape           Conv2dShape
	direction       ConvDirection
	plan            *amxPlan
	c, a, packed    []uint16
	width, panelLen int
	end             amxEnd
	epilogue        *amxEpilogue
}

// amxThreadTasks is how many tasks of several chunks there are for a thread.
const amxThreadTasks = 16

// amxProduct runs a plan.
func amxProduct(c, a, packed []uint16, s Conv2dShape, d ConvDirection, end amxEnd, e *amxEpilogue) {
	_, width := d.depthWidth(s)
	p := &amxConv{shape: s, direction: d, plan: planAMX(s, d), c: c, a: a, packed: packed, width: width, panelLen: amxPanelLen(s, d), end: end, epilogue: e}
	chunks, panels := len(p.plan.chunks), ceilDiv(width, amxPanel)
	// Few chunks: the panels of weights are shared out too. Many: neighbours, which
	// read the same lines of the operand, stay on one thread.
	groups := min(panels, max(1, 4*Threads()/max(chunks, 1)))
	together := max(chunks/(amxThreadTasks*Threads()), 1)
	Parallel(ceilDiv(chunks, together)*groups, func(task int) {
		args := takeAMXArgs()
		defer args.drop()
		of := blockSpan(together, chunks, task/groups)
		for i := of.from; i < of.to; i++ {
			p.chunk(args, &p.plan.chunks[i], split(panels, groups, task%groups))
		}
	})
}

// chunk computes a chunk for a group of panels of weights.
func (p *amxConv) chunk(args *amxArgs, chunk *amxChunk, panels span) {
	if chunk.blocks != nil {
		p.lineChunk(args, chunk, panels)
		return
	}
	strip := args.chunkStrip(len(chunk.runs[0]), len(chunk.runs) > 1 || p.epilogue != nil)
	defer strip.drop()
	args.a, args.taps = unsafe.Pointer(&p.a[0]), unsafe.SliceData(p.plan.taps)
	args.aRow, args.cRow = 2*chunk.aRow, 2*chunk.cRow
	for j := panels.from; j < panels.to; j++ {
		col := j * amxPanel
		cols := min(amxPanel, p.width-col)
		args.shape(chunk.rows, cols, p.plan.step)
		args.b, args.c = unsafe.Pointer(&p.packed[j*p.panelLen]), unsafe.Pointer(&p.c[col])
		for r, list := range chunk.runs {
			args.steps, args.load = p.plan.steps[r], index(r > 0)
			args.run(amxEndOf(r == len(chunk.runs)-1 && p.epilogue == nil, p.end), list)
		}
		if p.epilogue != nil {
			p.epilogue.chunk(p.c, strip.data, chunk, col, cols)
		}
	}
}

// amxEndOf is end where a sum is complete.
func amxEndOf(complete bool, end amxEnd) amxEnd {
	if complete {
		return end
	}
	return amxEndStrip
}

// chunkStrip takes a strip for so many row tiles if their sums are to be kept.
func (args *amxArgs) chunkStrip(tiles int, keep bool) *scratch[float32] {
	if !keep {
		args.ownStrip()
		return takeScratch[float32](1)
	}
	strip := takeScratch[float32](tiles * amxStripLen)
	args.keepStrip(strip.data)
	return strip
}

// amxEpilogue is what comes after the sums of a convolution: y = act(sum + shift +
// residual). A nil epilogue does nothing.
type amxEpilogue struct {
	kernel   *vectorKernel
	shift    *scratch[float32]
	residual []uint16
	width    int
}

func newAMXEpilogue(bias []float32, residual []uint16, act Activation, width int) *amxEpilogue {
	if bias == nil && residual == nil && act == ActNone {
		return nil
	}
	e := &amxEpilogue{kernel: batchNormRounded[act][index(residual != nil)], residual: residual, width: width, shift: takeScratch[float32](width)}
	clear(e.shift.data[copy(e.shift.data, bias):])
	return e
}

func (e *amxEpilogue) drop() {
	if e != nil {
		e.shift.drop()
	}
}

// chunk finishes some columns of the row tiles of a chunk, whose sums are in the
// strip: at a time as many as lie one after the other in y too.
func (e *amxEpilogue) chunk(y []uint16, strip []float32, chunk *amxChunk, col, cols int) {
	list := chunk.runs[0]
	for from := 0; from < len(list); {
		to := from + 1
		for chunk.rows == amxRows && to < len(list) && list[to].c == list[to-1].c+2*amxRows*chunk.cRow {
			to++
		}
		e.rows(y, list[from].c/2+col, chunk.cRow, strip[from*amxStripLen:], (to-from-1)*amxRows+chunk.rows, col, cols)
		from = to
	}
}

// rows finishes rows of up to 32 columns: x, of which each row takes 32 numbers,
// becomes y from element at on, rows step apart. col is the first column.
func (e *amxEpilogue) rows(y []uint16, at, step int, x []float32, rows, col, cols int) {
	streams := [5]vectorStream{matrix(y[at:], step), matrix(x, amxPanel), parameters(epilogueOnes[:]), parameters(e.shift.data[col:])}
	used := streams[:4]
	if e.residual != nil {
		streams[4] = matrix(e.residual[at:], step)
		used = streams[:5]
	}
	e.kernel.call(rows, cols, 0, nil, used)
}
