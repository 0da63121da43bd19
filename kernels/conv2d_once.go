package kernels

import "unsafe"

// A convolution whose weights serve one product only, as those of a power iteration
// do: of small maps packing them takes about as long as the product. Where the plan
// gathers rows of all taps, they are gathered in the order in which the weights lie,
// and each block of weights is turned into the first-level cache when the product
// comes to it: the weights are read once and never written to memory.

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
		rows := takeScratch[float32](g.rows.tiles * g.tileLen(kern))
		defer rows.drop()
		o := onceConv{gathering: g, s: s, d: d, kern: kern, c: c, a: a, w: w, width: width, rowsOfA: rows.data}
		o.groups = min(ceilDiv(width, kern.nr), gatheredTasks*Threads())
		onceGatherLoop.parallel(g.rows.tiles, o)
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
	s       Conv2dShape
	d       ConvDirection
	kern    *brgemmKernels
	c, a, w []float32
	width   int
	groups  int       // of panels of weights
	rowsOfA []float32 // in column form, [tile][depth][tap][tileRows]
}

var (
	onceGatherLoop = newLoop((*onceConv).gatherTile)
	onceLoop       = newLoop((*onceConv).panelGroup)
)

// gatherTile gathers a tile's rows. Those of its taps share cache lines.
func (p *onceConv) gatherTile(t int) {
	width := p.kern.tileRows()
	for tap := range p.taps() {
		p.gather(p.rowsOfA[t*p.tileLen(p.kern)+tap*width:], p.taps()*width, p.a, t, tap, width)
	}
}

// nextPanel is how far in the weights one panel begins from another.
func (p *onceConv) nextPanel() int {
	n := p.kern.nr * p.s.KH * p.s.KW
	if p.d == ConvForward {
		n *= p.s.C
	}
	return n
}

// panelGroup computes all rows for some panels of weights, one block of the depth
// after the other: what it takes of the rows stays in cache while the panels pass by.
func (p *onceConv) panelGroup(group int) {
	nr, aK, taps := p.kern.nr, p.kern.tileRows(), p.taps()
	panels := split(ceilDiv(p.width, nr), p.groups, group)
	block := max(maxRun/taps, 1) // of the depth; a kernel of more taps is one run
	turned := takeScratch[float32](block*taps*nr + turnedSlack)
	defer turned.drop()
	args := takeArgs()
	defer args.drop()
	args.aK, args.bK, args.cRow = aK*4, nr*4, p.width*4
	args.oneTap()
	for _, depth := range (span{0, p.depth}).cut(block) {
		args.k = depth.len() * taps
		for j := panels.from; j < panels.to; j++ {
			cols := min(nr, p.width-j*nr)
			turnWeights(turned.data, nr, p.w, 1, &p.s, p.d, j*nr, cols, depth, p.nextPanel())
			p.rows.each(span{0, p.rows.tiles}, func(t, tiles, m int) {
				args.a = unsafe.Pointer(&p.rowsOfA[t*p.tileLen(p.kern)+depth.from*taps*aK])
				args.b, args.c = unsafe.Pointer(&turned.data[0]), unsafe.Pointer(&p.c[p.rows.start(t)*p.width+j*nr])
				p.kern.tiles(true, 4, m, tiles, cols, p.tileLen(p.kern)*4, args)
			})
		}
		args.accumulate = 1
	}
}
