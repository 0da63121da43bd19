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
	checkConv2d("Conv2dForwardFused", s, sliceLength{"y", len(y), s.outputLen()}, sliceLength{"x", len(x), s.inputLen()},
		sliceLength{"packed", len(packed), PackedConv2dLen(s, ConvForward)})
	if bias != nil {
		checkConv2d("Conv2dForwardFused", s, sliceLength{"bias", len(bias), s.OC})
	}
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

// epilogue is applied in place to each part of a result once it is complete. A nil
// epilogue does nothing.
type epilogue struct {
	kernel   *vectorKernel // y = act(x*scale + shift + residual)
	shift    *scratch[float32]
	residual []float32
	width    int
}

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
	if e == nil {
		return
	}
	for _, c := range columns.cut(len(epilogueOnes)) {
		e.flat(y, at+c.from, rows, step, c.len(), e.shift.data[c.from:])
	}
}

// flat applies e to rows of n numbers, n at most len(epilogueOnes), with this shift
// for each.
func (e *epilogue) flat(y []float32, at, rows, step, n int, shift []float32) {
	out := matrix(y[at:], step)
	streams := [5]vectorStream{out, out, parameters(epilogueOnes[:]), parameters(shift)}
	used := streams[:4]
	if e.residual != nil {
		streams[4] = matrix(e.residual[at:], step)
		used = streams[:5]
	}
	e.kernel.call(rows, n, 0, nil, used)
}
