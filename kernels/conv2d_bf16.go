package kernels

// Convolutions of bfloat16 activations. Weights are rounded to bfloat16 when they
// are packed; products are summed in float32 and a result is rounded once. Gradients
// of weights stay float32. Where no unit multiplies bfloat16, operands are widened
// for the float32 kernels: the products are the same, only their order of summation
// is another.

// MultipliesBF16 tells whether the current level has units that multiply bfloat16,
// which makes it much faster than float32. Elsewhere it is somewhat slower.
func MultipliesBF16() bool { return CurrentLevel() == AMX }

// MultipliesBF16 tells whether such units compute a convolution of this shape in
// direction d; else its operands are widened to float32.
func (s Conv2dShape) MultipliesBF16(d ConvDirection) bool { return amxTakes(s, d) }

// BF16Weights are the weights of a convolution, rounded and packed for one direction
// at the level and algorithm current then.
type BF16Weights struct {
	tiles []uint16  // as units that multiply bfloat16 want them,
	wide  []float32 // or for float32 kernels

	// Recycled memory of either; nil: the weights stay.
	tilesMemory *scratch[uint16]
	wideMemory  *scratch[float32]
}

// PackConv2dBF16 rounds and packs weights [OC,C,KH,KW] for direction d.
func PackConv2dBF16(w []float32, s Conv2dShape, d ConvDirection) BF16Weights {
	var p BF16Weights
	if s.MultipliesBF16(d) {
		p.tiles = make([]uint16, amxPackedLen(s, d))
	} else {
		p.wide = make([]float32, PackedConv2dLen(s, d))
	}
	p.pack("PackConv2dBF16", w, 1, s, d)
	return p
}

// PackTemporaryBF16 is PackConv2dBF16 of scale·w into recycled memory, which the
// kernels' own work shares. Free gives it back.
func PackTemporaryBF16(w []float32, scale float32, s Conv2dShape, d ConvDirection) BF16Weights {
	var p BF16Weights
	if s.MultipliesBF16(d) {
		p.tilesMemory = takeScratch[uint16](amxPackedLen(s, d))
		p.tiles = p.tilesMemory.data
	} else {
		p.wideMemory = takeScratch[float32](PackedConv2dLen(s, d))
		p.wide = p.wideMemory.data
	}
	p.pack("PackTemporaryBF16", w, scale, s, d)
	return p
}

// Free gives recycled memory back and leaves no weights. Copies of them must not be
// used, or freed, any more. Weights in memory of their own stay usable in copies.
func (p *BF16Weights) Free() {
	if p.tilesMemory != nil {
		p.tilesMemory.drop()
	}
	if p.wideMemory != nil {
		p.wideMemory.drop()
	}
	*p = BF16Weights{}
}

// length is how many elements packed weights have, beside how many they should have.
func (p BF16Weights) length(s Conv2dShape, d ConvDirection) sliceLength {
	if s.MultipliesBF16(d) {
		return sliceLength{"the packed weights", len(p.tiles), amxPackedLen(s, d)}
	}
	return sliceLength{"the packed weights", len(p.wide), PackedConv2dLen(s, d)}
}

func (p BF16Weights) pack(name string, w []float32, scale float32, s Conv2dShape, d ConvDirection) {
	checkConv2d(name, s, sliceLength{"w", len(w), s.weightLen()})
	if p.tiles != nil {
		amxPack(p.tiles, w, scale, s, d)
		return
	}
	rounded := takeScratch[float32](len(w))
	defer rounded.drop()
	roundScaled(rounded.data, w, scale)
	PackConv2d(p.wide, rounded.data, s, d)
}

// roundScaled computes dst = scale·x rounded to bfloat16, as float32.
func roundScaled(dst, x []float32, scale float32) {
	Parallel(ceilDiv(len(x), flatBlock), func(t int) {
		b := blockSpan(flatBlock, len(x), t)
		half := takeScratch[uint16](b.len())
		defer half.drop()
		from := x[b.from:b.to]
		if scale != 1 {
			to := dst[b.from:b.to]
			Scale(to, from, scale)
			from = to
		}
		Round(half.data, from)
		Widen(dst[b.from:b.to], half.data)
	})
}

// widened is an operand in float32.
func widened(x []uint16) *scratch[float32] {
	wide := takeScratch[float32](len(x))
	Widen(wide.data, x)
	return wide
}

// Conv2dForwardBF16 is Conv2dForward for x and y in bfloat16.
func Conv2dForwardBF16(y, x []uint16, w BF16Weights, bias []float32, s Conv2dShape) {
	forwardBF16("Conv2dForwardBF16", y, x, w, bias, nil, ActNone, s)
}

// Conv2dForwardFusedBF16 is Conv2dForwardFused for x, y and residual in bfloat16; y
// is rounded once, at the end.
func Conv2dForwardFusedBF16(y, x []uint16, w BF16Weights, bias []float32, residual []uint16, act Activation, s Conv2dShape) {
	act.check("Conv2dForwardFusedBF16")
	forwardBF16("Conv2dForwardFusedBF16", y, x, w, bias, residual, act, s)
}

func forwardBF16(name string, y, x []uint16, w BF16Weights, bias []float32, residual []uint16, act Activation, s Conv2dShape) {
	checkConv2d(name, s, sliceLength{"x", len(x), s.inputLen()}, sliceLength{"y", len(y), s.outputLen()}, w.length(s, ConvForward))
	if bias != nil {
		checkConv2d(name, s, sliceLength{"bias", len(bias), s.OC})
	}
	if residual != nil {
		checkConv2d(name, s, sliceLength{"residual", len(residual), s.outputLen()})
	}
	if s.MultipliesBF16(ConvForward) {
		amxForward(y, x, w.tiles, bias, residual, act, s)
		return
	}
	wideX, wideY := widened(x), takeScratch[float32](len(y))
	defer wideX.drop()
	defer wideY.drop()
	if residual == nil && act == ActNone {
		Conv2dForward(wideY.data, wideX.data, w.wide, bias, s)
		Round(y, wideY.data)
		return
	}
	Conv2dForward(wideY.data, wideX.data, w.wide, nil, s)
	finishRounded(y, wideY.data, bias, residual, act, len(y)/s.OC, s.OC)
}

// finishRounded computes y = act(x + bias + residual) for x [rows][c], y and residual
// alike; bias [c] and residual may be nil.
func finishRounded(y []uint16, x, bias []float32, residual []uint16, act Activation, rows, c int) {
	affine := takeScratch[float32](2 * c)
	defer affine.drop()
	scale, shift := affine.data[:c], affine.data[c:]
	for i := range scale {
		scale[i] = 1
	}
	if bias == nil {
		clear(shift)
	}
	copy(shift, bias)
	streams := []vectorStream{matrix(y, c), matrix(x, c), parameters(scale), parameters(shift)}
	if residual != nil {
		streams = append(streams, matrix(residual, c))
	}
	batchNormRounded[act][index(residual != nil)].channels(rows, c, nil, streams...)
}

var batchNormRounded = [numActivations][2]*vectorKernel{
	{&vecBatchNormNoneRounded, &vecBatchNormNoneResidualRounded}, {&vecBatchNormReLURounded, &vecBatchNormReLUResidualRounded},
	{&vecBatchNormLeakyReLURounded, &vecBatchNormLeakyReLUResidualRounded}, {&vecBatchNormELURounded, &vecBatchNormELUResidualRounded},
}

// Conv2dBackwardDataBF16 is Conv2dBackwardData for dx and dy in bfloat16.
func Conv2dBackwardDataBF16(dx, dy []uint16, w BF16Weights, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardDataBF16", s, sliceLength{"dx", len(dx), s.inputLen()}, sliceLength{"dy", len(dy), s.outputLen()},
		w.length(s, ConvBackwardData))
	if s.MultipliesBF16(ConvBackwardData) {
		amxBackwardData(dx, dy, w.tiles, s, accumulate)
		return
	}
	wideDy, wideDx := widened(dy), takeScratch[float32](len(dx))
	defer wideDy.drop()
	defer wideDx.drop()
	Conv2dBackwardData(wideDx.data, wideDy.data, w.wide, s, false)
	if accumulate {
		AddRounded(dx, wideDx.data)
	} else {
		Round(dx, wideDx.data)
	}
}

// Conv2dBackwardWeightsBF16 is Conv2dBackwardWeights for x and dy in bfloat16; dw is
// float32.
func Conv2dBackwardWeightsBF16(dw []float32, x, dy []uint16, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardWeightsBF16", s, sliceLength{"dw", len(dw), s.weightLen()}, sliceLength{"x", len(x), s.inputLen()}, sliceLength{"dy", len(dy), s.outputLen()})
	if s.MultipliesBF16(ConvBackwardWeights) {
		amxBackwardWeights(dw, x, dy, s, accumulate)
		return
	}
	wideX, wideDy := widened(x), widened(dy)
	defer wideX.drop()
	defer wideDy.drop()
	Conv2dBackwardWeights(dw, wideX.data, wideDy.data, s, accumulate)
}
