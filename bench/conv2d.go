package bench

import (
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Conv2dCase is one convolution shape of a network in one direction: Forward,
// BackwardData or BackwardWeights.
type Conv2dCase struct {
	Shape     kernels.Conv2dShape
	Direction trace.Direction
	Count     int          // how often a training step computes it
	DType     tensor.DType // of activations: Float32 or BFloat16
}

// Conv2dCases returns what a training step of a network computes: its
// convolutions at a batch size, as Convolutions takes it, in each direction, with
// activations of type dt.
func Conv2dCases(network string, o models.Options, batch int, dt tensor.DType) ([]Conv2dCase, error) {
	all, err := Convolutions(network, o, batch)
	if err != nil {
		return nil, err
	}
	var cases []Conv2dCase
	for _, c := range all {
		cases = append(cases, Conv2dCase{c.Shape, trace.Forward, c.Count, dt})
		if c.CountData > 0 {
			cases = append(cases, Conv2dCase{c.Shape, trace.BackwardData, c.CountData, dt})
		}
		cases = append(cases, Conv2dCase{c.Shape, trace.BackwardWeights, c.Count, dt})
	}
	return cases, nil
}

// Flops returns the nominal floating-point operations, products with padding
// counted.
func (c Conv2dCase) Flops() float64 { return trace.Conv2dFlops(c.Shape) }

// Prepare allocates the operands, fills them with normal numbers and packs the
// weights. The function it returns computes the case once.
func (c Conv2dCase) Prepare() func() {
	s := c.Shape
	x, y := make([]float32, s.N*s.C*s.H*s.W), make([]float32, s.N*s.OC*s.OutH()*s.OutW())
	w := make([]float32, s.OC*s.C*s.KH*s.KW)
	fillNormal(x)
	fillNormal(y)
	fillNormal(w)
	if c.DType == tensor.BFloat16 {
		return c.prepareBF16(x, w, y)
	}
	switch c.Direction {
	case trace.Forward:
		packed := packWeights(w, s, kernels.ConvForward)
		return func() { kernels.Conv2dForward(y, x, packed, nil, s) }
	case trace.BackwardData:
		packed := packWeights(w, s, kernels.ConvBackwardData)
		return func() { kernels.Conv2dBackwardData(x, y, packed, s, false) }
	case trace.BackwardWeights:
		return func() { kernels.Conv2dBackwardWeights(w, x, y, s, false) }
	}
	panic("bench: a convolution has no direction " + string(c.Direction))
}

func (c Conv2dCase) prepareBF16(wideX, w, wideY []float32) func() {
	s, x, y := c.Shape, make([]uint16, len(wideX)), make([]uint16, len(wideY))
	kernels.Round(x, wideX)
	kernels.Round(y, wideY)
	switch c.Direction {
	case trace.Forward:
		packed := kernels.PackConv2dBF16(w, s, kernels.ConvForward)
		return func() { kernels.Conv2dForwardBF16(y, x, packed, nil, s) }
	case trace.BackwardData:
		packed := kernels.PackConv2dBF16(w, s, kernels.ConvBackwardData)
		return func() { kernels.Conv2dBackwardDataBF16(x, y, packed, s, false) }
	case trace.BackwardWeights:
		return func() { kernels.Conv2dBackwardWeightsBF16(w, x, y, s, false) }
	}
	panic("bench: a convolution has no direction " + string(c.Direction))
}

func packWeights(w []float32, s kernels.Conv2dShape, d kernels.ConvDirection) []float32 {
	packed := make([]float32, kernels.PackedConv2dLen(s, d))
	kernels.PackConv2d(packed, w, s, d)
	return packed
}

// fillNormal repeats a block of normal numbers; its length is a prime, so that
// no row of a matrix is like the next.
func fillNormal(x []float32) {
	const block = 4099
	random.NewKey(0, "bench").FillNormal(x[:min(block, len(x))], 0, 1)
	for i := block; i < len(x); i += block {
		copy(x[i:], x[:block])
	}
}
