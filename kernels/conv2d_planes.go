package kernels

import "unsafe"

// A first layer has one or three channels: a tap is then a product of depth one or
// three, all start and end. Where there are images enough,
// forward and backward weights read the input as planes, [H][W][C][N]: the images of
// a channel lie side by side, which is the column form of A, and the channels of
// neighbouring pixels follow one another at the same distance. So all taps of a line
// of the kernel are one product of depth KW*C, read in place. Forward to few channels is
// turned instead.

// planeChannels is up to how many channels that pays, planeImages from how many
// images on.
const (
	planeChannels = 4
	planeImages   = 16
)

// planar tells whether x is read as planes: not where these lie so that they fall
// into one set of a first-level cache.
func (s Conv2dShape) planar() bool {
	return s.C <= planeChannels && s.N >= planeImages && s.N*8%conflictStride != 0
}

// planes is an input as planes.
type planes struct {
	turnedPixels
	s    Conv2dShape
	kern *brgemmKernels
}

func newPlanes(s Conv2dShape, x []float32) planes {
	return planes{turnToPlanes(x, s.H*s.W, s.N, s.C), s, brgemmOf[float32]()}
}

// turnedPixels are pixels of several channels as planes.
type turnedPixels struct {
	x      []float32
	memory *scratch[float32] // of x; nil: the pixels themselves
}

// turnToPlanes turns each pixel of x from [n][channels] to [channels][n].
func turnToPlanes(x []float32, pixels, n, channels int) turnedPixels {
	if channels == 1 {
		return turnedPixels{x: x}
	}
	memory := takeScratch[float32](len(x))
	planesLoop.parallel(ceilDiv(pixels, planePixels), planesToTurn{memory.data, x, pixels, n, channels})
	return turnedPixels{memory.data, memory}
}

func (p *turnedPixels) drop() {
	if p.memory != nil {
		p.memory.drop()
	}
}

// planePixels is how many pixels a task turns, or computes.
const planePixels = 8

// planesToTurn is the turning of pixels to planes.
type planesToTurn struct {
	to, x               []float32
	pixels, n, channels int
}

var planesLoop = newLoop((*planesToTurn).turn)

func (t *planesToTurn) turn(task int) {
	size := t.n * t.channels
	pixels := blockSpan(planePixels, t.pixels, task)
	for p := pixels.from; p < pixels.to; p++ {
		transpose(t.to[p*size:], t.n, t.x[p*size:(p+1)*size], t.channels, t.n, t.channels)
	}
}

// taps returns the positions of the kernel that meet no padding, from the first
// position of the input on.
func (p *planes) taps(oh, ow int) (kh, kw span) {
	s := &p.s
	h, w := oh*s.Stride-s.Padding, ow*s.Stride-s.Padding
	return span{max(-h, 0), min(s.H-h, s.KH)}, span{max(-w, 0), min(s.W-w, s.KW)}
}

// at is where the images of a pixel of the input begin.
func (p *planes) at(h, w int) int { return (h*p.s.W + w) * p.s.C * p.s.N }

// planesForward computes y from weights packed for the direct algorithm.
type planesForward struct {
	planes
	y, packed, bias []float32
	end             *epilogue
}

var planesForwardLoop = newLoop((*planesForward).pixels)

func (p planes) forward(y, packed, bias []float32, e *epilogue) {
	planesForwardLoop.parallel(ceilDiv(p.s.OutH()*p.s.OutW(), planePixels), planesForward{p, y, packed, bias, e})
}

func (p *planesForward) pixels(task int) {
	s, t := &p.s, takeBatch()
	defer t.drop()
	pixels := blockSpan(planePixels, s.OutH()*s.OutW(), task)
	for i := pixels.from; i < pixels.to; i++ {
		p.pixel(t, i/s.OutW(), i%s.OutW())
	}
	p.end.rows(p.y, pixels.from*s.N*s.OC, pixels.len()*s.N, s.OC, span{0, s.OC})
}

// pixel computes one pixel of all images.
func (p *planesForward) pixel(t *brgemmBatch, oh, ow int) {
	s, nr, args := &p.s, p.kern.nr, t.args
	c := p.y[(oh*s.OutW()+ow)*s.N*s.OC:][:s.N*s.OC]
	args.accumulate = 0
	if p.bias != nil {
		repeat(c, p.bias)
		args.accumulate = 1
	}
	kh, kw := p.taps(oh, ow)
	if kh.len() <= 0 || kw.len() <= 0 {
		if p.bias == nil {
			clear(c)
		}
		return
	}
	args.k = kw.len() * s.C
	args.aK, args.bK, args.cRow = s.N*4, nr*4, s.OC*4
	for from := kh.from; from < kh.to; {
		lines := span{from, min(from+max(maxRun/args.k, 1), kh.to)}
		t.terms = t.terms[:0]
		for i := range lines.len() {
			t.terms = append(t.terms, brgemmTap{
				a: p.at(i, 0) * 4, b: ((lines.from+i)*s.KW + kw.from) * s.C * nr * 4,
			})
		}
		args.taps, args.numTaps = &t.terms[0], len(t.terms)
		a := p.x[p.at(oh*s.Stride-s.Padding+lines.from, ow*s.Stride-s.Padding+kw.from):]
		for i := 0; i < s.N; i += maxBlockRows {
			for panel := range ceilDiv(s.OC, nr) {
				args.a, args.b = unsafe.Pointer(&a[i]), unsafe.Pointer(&p.packed[panel*s.KH*s.KW*s.C*nr])
				args.c = unsafe.Pointer(&c[i*s.OC+panel*nr])
				p.kern.run(true, 4, min(maxBlockRows, s.N-i), min(nr, s.OC-panel*nr), args)
			}
		}
		args.accumulate = 1
		from = lines.to
	}
}

// planesWeights computes the gradient of the weights; the sums over slices of the
// output lines are [slice][KH][KW*C][ocPad].
type planesWeights struct {
	planes
	dy, sums      []float32
	slices, ocPad int
}

var planesWeightsLoop = newLoop((*planesWeights).slice)

// readableRows tells whether the micro-kernels can read rows of dy in place.
func (s Conv2dShape) readableRows(kern *brgemmKernels) bool {
	return kern.masked || s.OC%kern.lanes == 0
}

func (p planes) backwardWeights(dw, dy []float32, accumulate bool) {
	s := p.s
	w := planesWeights{planes: p, dy: dy, slices: min(weightsMinTasks, s.OutH()), ocPad: ceilTo(s.OC, p.kern.lanes)}
	sums := takeScratch[float32](w.slices * s.KH * s.KW * s.C * w.ocPad)
	defer sums.drop()
	clear(sums.data)
	w.sums = sums.data
	planesWeightsLoop.parallel(w.slices, w)
	sumSlices(sums.data, w.slices)
	storeWeights(dw, sums.data, sumsByTap, s, w.ocPad, accumulate)
}

func (p *planesWeights) slice(i int) {
	s, t := &p.s, takeBatch()
	defer t.drop()
	sums := p.sums[i*s.KH*s.KW*s.C*p.ocPad:][:s.KH*s.KW*s.C*p.ocPad]
	t.args.aRow, t.args.bK, t.args.cRow, t.args.accumulate = s.N*4, s.OC*4, p.ocPad*4, 1
	lines := split(s.OutH(), p.slices, i)
	for oh := lines.from; oh < lines.to; oh++ {
		for ow := 0; ow < s.OutW(); {
			ow = p.run(t, sums, oh, ow)
		}
	}
}

// run adds neighbouring pixels with the same taps, about maxRun images of them, and
// returns the next one.
func (p *planesWeights) run(t *brgemmBatch, sums []float32, oh, ow int) (next int) {
	s, nr, args := &p.s, p.kern.nr, t.args
	kh, kw := p.taps(oh, ow)
	t.terms = t.terms[:0]
	for next = ow; next < s.OutW() && len(t.terms) < max(maxRun/s.N, 1); next++ {
		if _, k := p.taps(oh, next); k != kw {
			break
		}
		t.terms = append(t.terms, brgemmTap{a: p.at(0, (next-ow)*s.Stride) * 4, b: (next - ow) * s.N * s.OC * 4})
	}
	if kh.len() <= 0 || kw.len() <= 0 {
		return next
	}
	args.taps, args.numTaps = &t.terms[0], len(t.terms)
	for i := 0; i < s.N; i += maxRun {
		args.k = min(maxRun, s.N-i)
		b := p.dy[((oh*s.OutW()+ow)*s.N+i)*s.OC:]
		for k := kh.from; k < kh.to; k++ {
			a := &p.x[p.at(oh*s.Stride-s.Padding+k, ow*s.Stride-s.Padding+kw.from)+i]
			c := sums[(k*s.KW+kw.from)*s.C*p.ocPad:]
			for col := 0; col < s.OC; col += nr {
				args.a, args.b, args.c = unsafe.Pointer(a), unsafe.Pointer(&b[col]), unsafe.Pointer(&c[col])
				p.kern.run(false, 4, kw.len()*s.C, min(nr, s.OC-col), args)
			}
		}
	}
	return next
}
