package kernels

import "unsafe"

// With few and small images few pixels of the result have the same taps: of one image
// of 4x4, corners are blocks of one row, sides of two and the centre is one of four, and such
// tiles leave most of the multipliers idle. Then rows of all taps are gathered, zeros
// for padding, and the convolution is one product with them.

// gathering is what a plan has in place of its blocks then.
type gathering struct {
	rows    rowCut
	count   int    // of rows
	depth   int    // of a tap
	sources []int  // [tap][row]: offset of its depth in the operand, -1 for padding
	runs    []span // of the whole depth of a row
}

// tileCost is what a tile of m rows takes for each k, in time of a row of a large
// one: a multiply-add waits for that of the k before, which takes as long as four
// rows do.
func tileCost(m int) int { return max(m, 4) }

// gatherCost is what gathering adds to a product, in per cent.
const gatherCost = 15

// gathering returns how to gather the rows of a convolution, or nil where the blocks
// of the plan are not slower.
func (b *planBuilder) gathering(s Conv2dShape, d ConvDirection, kern *brgemmKernels) *gathering {
	if d == ConvBackwardData && s.Stride > 1 {
		return nil // most of what is gathered would be zeros
	}
	taps, pixels := s.KH*s.KW, b.resultH*b.resultW
	g := &gathering{count: pixels * b.n, depth: b.depth}
	if g.count == 0 || 100*b.plan.cost(kern) <= (100+gatherCost)*taps*g.depth*rowsCost(g.count, kern) {
		return nil
	}
	g.rows = cutRows(g.count, kern.mr)
	for tap := range taps {
		for p := range pixels {
			h, inH := d.source(p/b.resultW, b.sourceH, tap/s.KW, s.Stride, s.Padding)
			w, inW := d.source(p%b.resultW, b.sourceW, tap%s.KW, s.Stride, s.Padding)
			for i := range b.n {
				at := -1
				if inH && inW {
					at = ((h*b.sourceW+w)*b.n + i) * b.depth
				}
				g.sources = append(g.sources, at)
			}
		}
	}
	runs := ceilDiv(taps*g.depth, maxRun)
	for i := range runs {
		g.runs = append(g.runs, split(taps*g.depth, runs, i))
	}
	return g
}

// rowsCost is what the tiles of some rows take for each k.
func rowsCost(rows int, kern *brgemmKernels) int {
	cut := cutRows(rows, kern.mr)
	return cut.larger*tileCost(cut.small+1) + (cut.tiles-cut.larger)*tileCost(cut.small)
}

// cost is what a plan's tiles take for each column of the weights.
func (p *convPlan) cost(kern *brgemmKernels) (cost int) {
	for i := range p.blocks {
		k := 0
		for _, r := range p.blocks[i].runs {
			k += r.k * len(r.taps)
		}
		cost += k * rowsCost(p.blocks[i].rows, kern)
	}
	return cost
}

// gatheredConv is a convolution at work.
type gatheredConv struct {
	*directConv
	*gathering
	rowsOfA []float32 // in column form, [tile][tap][depth][tileRows]
}

var (
	gatherLoop   = newLoop((*gatheredConv).tap)
	gatheredLoop = newLoop((*gatheredConv).panelGroup)
)

// gatheredTasks is how many groups of panels of weights there are for a thread.
const gatheredTasks = 2

func (p *directConv) gathered() {
	g := p.plan.gathered
	rows := takeScratch[float32](g.rows.tiles * g.tileLen(p.kern))
	defer rows.drop()
	p.groups = min(p.panels, gatheredTasks*Threads())
	c := gatheredConv{p, g, rows.data}
	gatherLoop.parallel(g.rows.tiles*g.taps(), c)
	gatheredLoop.parallel(p.groups, c)
}

func (g *gathering) taps() int { return len(g.sources) / g.count }

// tileLen is how many elements a tile of packed rows has.
func (g *gathering) tileLen(kern *brgemmKernels) int { return g.taps() * g.depth * kern.tileRows() }

// tap gathers a tile's rows of one tap.
func (p *gatheredConv) tap(task int) {
	t, tap := task/p.taps(), task%p.taps()
	width := p.kern.tileRows()
	p.gather(p.rowsOfA[t*p.tileLen(p.kern)+tap*p.depth*width:], width, p.a, span{p.rows.start(t), p.rows.start(t + 1)}, tap, width)
}

// gather brings some rows of one tap, which are in the operand a, into column form,
// [depth][width], step apart.
func (g *gathering) gather(dst []float32, step int, a []float32, some span, tap, width int) {
	rows := takeScratch[float32](width * g.depth)
	defer rows.drop()
	for i, at := range g.sources[tap*g.count+some.from : tap*g.count+some.to] {
		row := rows.data[i*g.depth : (i+1)*g.depth]
		if at < 0 {
			clear(row)
		} else {
			copy(row, a[at:])
		}
	}
	// Whole vectors, with rows past these, which nothing reads.
	transpose(dst, step, rows.data, g.depth, width, g.depth)
}

// panelGroup computes all rows for some panels of weights: a run of the rows stays in
// cache while the panels pass by.
func (p *gatheredConv) panelGroup(group int) {
	panels, args := split(p.panels, p.groups, group), takeArgs()
	defer args.drop()
	whole := convBlock{rows: p.count, cRow: p.width}
	for r, run := range p.runs {
		for j := panels.from; j < panels.to; j++ {
			p.prepare(args, &whole, r, j)
			args.aK, args.k = p.kern.tileRows()*4, run.len()
			args.oneTap()
			args.b = p.panelOf(run, j)
			args.fetchNothing()
			if next := j + 1; next < panels.to {
				args.fetchAhead(p.panelOf(run, next), p.rows.tiles)
			} else if r+1 < len(p.runs) {
				args.fetchAhead(p.panelOf(p.runs[r+1], panels.from), p.rows.tiles)
			}
			c := args.c
			p.rows.each(span{0, p.rows.tiles}, func(t, tiles, m int) {
				args.a = unsafe.Pointer(&p.rowsOfA[t*p.tileLen(p.kern)+run.from*p.kern.tileRows()])
				args.c = unsafe.Add(c, p.rows.start(t)*args.cRow)
				p.kern.tiles(true, 4, m, tiles, p.columns(j), p.tileLen(p.kern)*4, args)
			})
		}
	}
	p.end.rows(p.c, 0, p.count, p.width, span{panels.from * p.kern.nr, min(panels.to*p.kern.nr, p.width)})
}

// panelOf is where a run of panel j of the weights begins.
func (p *gatheredConv) panelOf(run span, j int) unsafe.Pointer {
	return unsafe.Pointer(&p.packed[j*p.panelLen+run.from*p.kern.nr])
}
