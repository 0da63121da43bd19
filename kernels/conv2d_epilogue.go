package kernels

// Conv2dForwardFused computes y = act(conv2d(x, w) + bias + residual), what comes
// after the convolution while its results are in cache. bias is [OC] or nil,
// residual like y or nil; everything else is as for Conv2dForward.
func Conv2dForwardFused(y, x, packed, bias, residual []float32, act Activation, s Conv2dShape) {
	act.check("Conv2dForwardFused")
	if act == ActNone && residual == nil {
		Conv2dForward(y, x, packed, bias, s)
		return
	}
	checkConv2dForward("Conv2dForwardFused", y, x, packed, bias, s)
	if residual != nil {
		checkConv2d("Conv2dForwardFused", s, sliceLength{"residual", len(residual), s.outputLen()})
	}
	e := &epilogue{kernel: batchNormForward[act][index(residual != nil)], residual: residual, width: s.OC, shift: takeScratch[float32](s.OC)}
	defer e.shift.drop()
	if bias == nil {
		clear(e.shift.data)
	}
	copy(e.shift.data, bias)
	convProduct(y, x, packed, nil, s, ConvForward, false, e)
}

// epilogue is what happens to each part of a result once it is complete: it is
// activated in place, or its moments are gathered. A nil epilogue does nothing.
type epilogue struct {
	kernel   *vectorKernel // y = act(x*scale + shift + residual), or nil
	shift    *scratch[float32]
	residual []float32
	width    int

	moments *convMoments // or nil
}

// activates tells whether e changes the result.
func (e *epilogue) activates() bool { return e != nil && e.kernel != nil }

// epilogueOnes are the scale, for as many columns as are done at a time.
var epilogueOnes = func() (ones [winogradStrip]float32) {
	for i := range ones {
		ones[i] = 1
	}
	return ones
}()

// rows applies e to some columns of rows of y that begin at element at and lie step
// apart.
func (e *epilogue) rows(y []float32, at, rows, step int, columns span) {
	if e.activates() {
		for _, c := range columns.cut(len(epilogueOnes)) {
			e.activate(y, at+c.from, rows, step, c.len(), e.shift.data[c.from:])
		}
	}
	e.complete(at+columns.from, rows, step, columns.len())
}

// complete has the moments of rows of n numbers, step apart, gathered.
func (e *epilogue) complete(at, rows, step, n int) {
	if e != nil && e.moments != nil {
		e.moments.complete(at, rows, step, n)
	}
}

// activate changes rows of n numbers, n at most len(epilogueOnes), with this shift for
// each.
func (e *epilogue) activate(y []float32, at, rows, step, n int, shift []float32) {
	out := matrix(y[at:], step)
	streams := [5]vectorStream{out, out, parameters(epilogueOnes[:]), parameters(shift)}
	used := streams[:4]
	if e.residual != nil {
		streams[4] = matrix(e.residual[at:], step)
		used = streams[:5]
	}
	e.kernel.call(rows, n, 0, nil, used)
}
