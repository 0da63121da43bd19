package kernels

import "unsafe"

// Conv2dForward computes y = conv2d(x, w) + bias. x is [H][W][N][C], y
// [OutH][OutW][N][OC], packed the weights from PackConv2d for ConvForward at the
// current level, bias [OC] or nil.
func Conv2dForward(y, x, packed, bias []float32, s Conv2dShape) {
	checkConv2dForward("Conv2dForward", y, x, packed, bias, s)
	convProduct(y, x, packed, bias, s, ConvForward, false, nil)
}

func checkConv2dForward(name string, y, x, packed, bias []float32, s Conv2dShape) {
	checkConv2d(name, s, sliceLength{"y", len(y), s.outputLen()}, sliceLength{"x", len(x), s.inputLen()},
		sliceLength{"packed", len(packed), PackedConv2dLen(s, ConvForward)})
	if bias != nil {
		checkConv2d(name, s, sliceLength{"bias", len(bias), s.OC})
	}
}

// Conv2dBackwardData computes the gradient of the input, dx (+)= the transposed
// convolution of dy. dx is [H][W][N][C], dy [OutH][OutW][N][OC], packed the
// weights from PackConv2d for ConvBackwardData at the current level.
func Conv2dBackwardData(dx, dy, packed []float32, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardData", s, sliceLength{"dx", len(dx), s.inputLen()}, sliceLength{"dy", len(dy), s.outputLen()},
		sliceLength{"packed", len(packed), PackedConv2dLen(s, ConvBackwardData)})
	convProduct(dx, dy, packed, nil, s, ConvBackwardData, accumulate, nil)
}

// convProduct computes the result c from the operand a.
func convProduct(c, a, packed, bias []float32, s Conv2dShape, d ConvDirection, accumulate bool, e *epilogue) {
	switch {
	case len(c) == 0:
	case s.planned(d, brgemmOf[float32]()):
		directProduct(c, a, packed, bias, s, d, accumulate, e)
	case s.Algorithm(d) == ConvWinograd:
		winogradProduct(c, a, packed, bias, s, d, accumulate, e)
	case s.planar():
		p := newPlanes(s, a)
		defer p.drop()
		p.forward(c, packed, bias, e)
	default:
		newUnfolded(s, a).forward(c, packed, bias, e)
	}
}

// planned tells whether direction d runs a plan: every direct product but that of a
// first layer that is not turned.
func (s Conv2dShape) planned(d ConvDirection, kern *brgemmKernels) bool {
	return s.Algorithm(d) == ConvDirect && (d != ConvForward || s.turns(d, kern) || !s.planar() && !s.unfolds())
}

// directProduct runs a plan.
func directProduct(c, a, packed, bias []float32, s Conv2dShape, d ConvDirection, accumulate bool, end *epilogue) {
	kern := brgemmOf[float32]()
	depth, width := d.depthWidth(s)
	plan := planConv2d(s, d, kern)
	panelLen := s.KH * s.KW * depth * kern.nr
	panels := (width + kern.nr - 1) / kern.nr
	product := directConv{
		plan: plan, panels: panels, end: end,
		kern: kern, c: c, a: a, packed: packed, bias: bias, width: width, panelLen: panelLen, accumulate: accumulate,
	}
	if plan.turned {
		pixels := len(a) / (s.N * depth)
		turned := turnToPlanes(a, pixels, s.N, depth)
		defer turned.drop()
		product.a = turned.x
	}
	if plan.gathered != nil {
		product.gathered()
		return
	}
	if !accumulate {
		for _, e := range plan.empty {
			clear(c[e.from:e.to])
			for i := e.from; bias != nil && i < e.to; i += width {
				copy(c[i:e.to], bias)
			}
			end.rows(c, e.from, e.len()/width, width, span{0, width})
		}
	}
	// Few chunks, as in the last layers of a network at small batches: the
	// panels of weights are shared out too.
	product.groups = min(panels, max(1, 4*Threads()/max(len(plan.chunks), 1)))
	directLoop.parallel(len(plan.chunks)*product.groups, product)
}

// directConv is a plan at work.
type directConv struct {
	plan               *convPlan
	panels, groups     int // of weights, and into how many groups they are cut
	end                *epilogue
	kern               *brgemmKernels
	c, a, packed, bias []float32
	width, panelLen    int
	accumulate         bool
}

var directLoop = newLoop((*directConv).task)

// task computes a chunk for a group of panels.
func (p *directConv) task(i int) {
	chunk, group := p.plan.chunks[i/p.groups], split(p.panels, p.groups, i%p.groups)
	blocks := p.plan.blocks[chunk.from:chunk.to]
	switch {
	case p.plan.turned:
		p.turnedChunk(blocks)
	case p.kern.packs(blocks[0].aRow*4, group.len()):
		p.packedChunk(blocks, group)
	default:
		p.chunk(blocks, p.later(i), group)
	}
	for i := range blocks {
		b := &blocks[i]
		p.end.rows(p.c, b.c, b.rows, b.cRow, span{group.from * p.kern.nr, min(group.to*p.kern.nr, p.width)})
	}
}

// later returns the blocks of the chunk that the thread of task i probably takes next,
// if it takes chunks for all panels.
func (p *directConv) later(i int) []convBlock {
	if i += Threads(); p.groups == 1 && i < len(p.plan.chunks) {
		return p.plan.blocks[p.plan.chunks[i].from:p.plan.chunks[i].to]
	}
	return nil
}

// chunk computes some blocks for some panels, one panel after the other, with the
// operand read in place. Meanwhile it fetches what later blocks read.
func (p *directConv) chunk(blocks, later []convBlock, panels span) {
	args := takeArgs()
	defer args.drop()
	for j := panels.from; j < panels.to; j++ {
		for i := range blocks {
			b := &blocks[i]
			for r := range b.runs {
				run := &b.runs[r]
				p.prepare(args, b, r, j)
				args.a, args.aRow = unsafe.Pointer(&p.a[b.a]), b.aRow*4
				args.k, args.taps, args.numTaps = run.k, &run.taps[0], len(run.taps)
				args.fetchNothing()
				if i < len(later) && r < len(later[i].runs) {
					if reads := later[i].reads(r).split(panels.len(), j-panels.from); reads.len() > 0 {
						args.fetchBytes(unsafe.Pointer(&p.a[reads.from]), 4*reads.len(), cutRows(b.rows, p.kern.rowsAt(b.aRow*4)).tiles)
					}
				}
				p.kern.run(false, 4, b.rows, p.columns(j), args)
			}
		}
	}
}

// reads returns the elements of the operand that run r of a block reads, if they lie side
// by side.
func (b *convBlock) reads(r int) span {
	run := &b.runs[r]
	one, other := run.taps[0].a/4, run.taps[len(run.taps)-1].a/4 // backward data goes down
	first, last := min(one, other), max(one, other)
	if rows := b.rows * b.aRow; run.k == b.aRow && last-first < len(run.taps)*rows {
		return span{b.a + first, b.a + last + rows}
	}
	return span{}
}

// packedChunk computes some blocks for all of some panels. What a run reads of the
// operand is packed in column form first: micro-kernels then read it in order,
// whatever the stride of its rows.
func (p *directConv) packedChunk(blocks []convBlock, panels span) {
	args := takeArgs()
	defer args.drop()
	aK := p.kern.tileRows()
	for i := range blocks {
		b := &blocks[i]
		cut := cutRows(b.rows, p.kern.mr)
		for r := range b.runs {
			run := &b.runs[r]
			step := len(run.taps) * run.k * aK
			rows := takeScratch[float32](cut.tiles * step)
			for t := range cut.tiles {
				from := cut.start(t)
				for n, tap := range run.taps {
					// Whole vectors, with rows of the next tile, which nothing reads.
					transpose(rows.data[t*step+n*run.k*aK:], aK, p.a[b.a+tap.a/4+from*b.aRow:], b.aRow, min(aK, b.rows-from), run.k)
				}
			}
			for j := panels.from; j < panels.to; j++ {
				p.prepare(args, b, r, j)
				args.aK, args.k, args.taps, args.numTaps = aK*4, run.k, &run.packed[0], len(run.packed)
				c := args.c
				cut.each(span{0, cut.tiles}, func(t, tiles, m int) {
					args.a, args.c = unsafe.Pointer(&rows.data[t*step]), unsafe.Add(c, cut.start(t)*args.cRow)
					p.kern.tiles(true, 4, m, tiles, p.columns(j), step*4, args)
				})
			}
			rows.drop()
		}
	}
}

func (p *directConv) columns(panel int) int { return min(p.kern.nr, p.width-panel*p.kern.nr) }

// prepare sets B and C for run r of a block and a panel, and whether it adds: to
// what C holds, or to the bias, or to the runs before.
func (p *directConv) prepare(args *brgemmArgs, b *convBlock, r, panel int) {
	col := panel * p.kern.nr
	args.accumulate = 0
	if r > 0 || p.accumulate || p.bias != nil {
		args.accumulate = 1
	}
	if r == 0 && !p.accumulate && p.bias != nil {
		b.startFrom(p.c[b.c+col:], p.bias[col:col+p.columns(panel)])
	}
	args.b, args.bK = unsafe.Pointer(&p.packed[panel*p.panelLen]), p.kern.nr*4
	args.c, args.cRow = unsafe.Pointer(&p.c[b.c+col]), b.cRow*4
}

// startFrom sets the rows of a block to the bias, for the product to add to.
func (b *convBlock) startFrom(c, bias []float32) {
	for i := range b.rows {
		copy(c[i*b.cRow:], bias)
	}
}
