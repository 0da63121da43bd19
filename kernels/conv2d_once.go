package kernels

import "unsafe"

// A convolution whose weights serve one product only, as those of a power iteration
// do: of small maps packing them takes about as long as the product. Where the plan
// gathers rows of all taps, they are gathered in the order in which the weights lie, as
// columns: the weights are then the left operand of the product, read where they lie,
// once and in order, and its result is turned.

// Conv2dForwardOnce computes y = conv2d(x, w) with weights w, [OC,C,KH,KW], that are
// not packed. x is [H][W][N][C], y [OutH][OutW][N][OC].
func Conv2dForwardOnce(y, x, w []float32, s Conv2dShape) {
	checkConv2d("Conv2dForwardOnce", s, sliceLength{"y", len(y), s.outputLen()}, sliceLength{"x", len(x), s.inputLen()}, sliceLength{"w", len(w), s.weightLen()})
	convOnce(y, x, w, s, ConvForward)
}

// Conv2dBackwardDataOnce computes the gradient of the input, dx = the transposed
// convolution of dy, with weights w, [OC,C,KH,KW], that are not packed. dx is
// [H][W][N][C], dy [OutH][OutW][N][OC].
func Conv2dBackwardDataOnce(dx, dy, w []float32, s Conv2dShape) {
	checkConv2d("Conv2dBackwardDataOnce", s, sliceLength{"dx", len(dx), s.inputLen()}, sliceLength{"dy", len(dy), s.outputLen()}, sliceLength{"w", len(w), s.weightLen()})
	convOnce(dx, dy, w, s, ConvBackwardData)
}

// convOnce computes the result c from the operand a.
func convOnce(c, a, w []float32, s Conv2dShape, d ConvDirection) {
	if len(c) == 0 {
		return
	}
	kern := brgemmOf[float32]()
	if g := s.gathered(d, kern); g != nil {
		_, width := d.depthWidth(s)
		o := onceConv{gathering: g, s: s, d: d, kern: kern, c: c, a: a, w: w, width: width}
		panels := takeScratch[float32](o.panels() * o.panelLen())
		defer panels.drop()
		o.gathered = panels.data
		o.groups = min(ceilDiv(width, kern.mr), gatheredTasks*Threads())
		onceGatherLoop.parallel(o.panels(), o)
		onceLoop.parallel(o.groups, o)
		return
	}
	packed := PackTemporary(w, 1, s, d)
	defer packed.Free()
	convProduct(c, a, packed.Data, nil, s, d, false, nil)
}

// gathered returns how direction d gathers rows, nil where it does not.
func (s Conv2dShape) gathered(d ConvDirection, kern *brgemmKernels) *gathering {
	if !s.planned(d, kern) {
		return nil
	}
	return planConv2d(s, d, kern).gathered
}

// onceConv is such a convolution at work.
type onceConv struct {
	*gathering
	s        Conv2dShape
	d        ConvDirection
	kern     *brgemmKernels
	c, a, w  []float32
	width    int
	groups   int       // of the width
	gathered []float32 // [panel][depth][tap][nr]
}

var (
	onceGatherLoop = newLoop((*onceConv).gatherPanel)
	onceLoop       = newLoop((*onceConv).group)
)

// panels is how many panels of nr gathered rows there are.
func (p *onceConv) panels() int { return ceilDiv(p.count, p.kern.nr) }

func (p *onceConv) panelLen() int { return p.depth * p.taps() * p.kern.nr }

// gatherPanel gathers the rows of a panel. Those of its taps share cache lines.
func (p *onceConv) gatherPanel(panel int) {
	nr := p.kern.nr
	for tap := range p.taps() {
		p.gather(p.gathered[panel*p.panelLen()+tap*nr:], p.taps()*nr, p.a, blockSpan(nr, p.count, panel), tap, nr)
	}
}

// group computes all rows for a part of the width, one run of the depth after the other:
// what it takes of the rows stays in cache while the weights pass by.
func (p *onceConv) group(i int) {
	width := split(p.width, p.groups, i)
	turned := takeScratch[float32](width.len() * p.count)
	defer turned.drop()
	run := max(maxRun/p.taps(), 1) // of the depth; a kernel of more taps is one run
	product := p.newProduct(turned.data, run)
	defer product.drop()
	cut := cutRows(width.len(), p.kern.mr)
	for _, depth := range (span{0, p.depth}).cut(run) {
		for t := range cut.tiles {
			product.tile(width.from, span{cut.start(t), cut.start(t + 1)}, depth)
		}
	}
	transpose(p.c[width.from:], p.width, turned.data, p.count, width.len(), p.count)
}

// onceProduct is the product of weights with gathered rows, [width][count].
type onceProduct struct {
	*onceConv
	*brgemmBatch
	turned []float32
}

// newProduct returns one with runs of the depth. The taps of a channel lie side by side in
// the weights, and those of neighbouring input channels too: forward a run is one term. In
// backward data the taps of each output channel are one.
func (p *onceConv) newProduct(turned []float32, run int) onceProduct {
	taps, nr := p.taps(), p.kern.nr
	o := onceProduct{p, takeBatch(), turned}
	o.args.bK, o.args.cRow = nr*4, p.count*4
	if p.d == ConvForward {
		o.args.aRow = p.s.C * taps * 4
		o.args.oneTap()
		return o
	}
	o.args.aRow, o.args.k = taps*4, taps
	for i := range run {
		o.terms = append(o.terms, brgemmTap{a: i * p.s.C * taps * 4, b: i * taps * nr * 4})
	}
	o.args.taps = &o.terms[0]
	return o
}

// tile adds what a run of the depth gives to some rows of turned, or sets them: those of
// the width from first on.
func (p *onceProduct) tile(first int, rows, run span) {
	taps, nr, args := p.taps(), p.kern.nr, p.args
	args.accumulate = index(run.from > 0)
	first += rows.from
	if p.d == ConvForward {
		args.a = unsafe.Pointer(&p.w[(first*p.s.C+run.from)*taps])
		args.k = run.len() * taps
	} else {
		args.a = unsafe.Pointer(&p.w[(run.from*p.s.C+first)*taps])
		args.numTaps = run.len()
	}
	for panel := range p.panels() {
		args.b = unsafe.Pointer(&p.gathered[panel*p.panelLen()+run.from*taps*nr])
		args.c = unsafe.Pointer(&p.turned[rows.from*p.count+panel*nr])
		p.kern.tiles(false, 4, rows.len(), 1, min(nr, p.count-panel*nr), 0, args)
	}
}
