package bench

import (
	"fmt"

	"github.com/deepuncertainty/ddu/kernels"
)

// Conv2dCase is one convolution of a network, in one direction.
type Conv2dCase struct {
	Name  string // "resnet18/64x32x32-64-k3s1/forward"
	Flops float64
	Run   func()
}

// convolutions of a network at 3x32x32, each shape once.
var convolutions = map[string][]kernels.Conv2dShape{
	"resnet18": {
		{C: 3, H: 32, W: 32, OC: 64, KH: 3, KW: 3, Stride: 1, Padding: 1},
		{C: 64, H: 32, W: 32, OC: 64, KH: 3, KW: 3, Stride: 1, Padding: 1},
		{C: 64, H: 32, W: 32, OC: 128, KH: 3, KW: 3, Stride: 2, Padding: 1},
		{C: 128, H: 16, W: 16, OC: 128, KH: 3, KW: 3, Stride: 1, Padding: 1},
		{C: 128, H: 16, W: 16, OC: 256, KH: 3, KW: 3, Stride: 2, Padding: 1},
		{C: 256, H: 8, W: 8, OC: 256, KH: 3, KW: 3, Stride: 1, Padding: 1},
		{C: 256, H: 8, W: 8, OC: 512, KH: 3, KW: 3, Stride: 2, Padding: 1},
		{C: 512, H: 4, W: 4, OC: 512, KH: 3, KW: 3, Stride: 1, Padding: 1},
	},
}

// Conv2dCases returns the convolutions of a network at a batch size, in all three
// directions. FLOPs are counted on nominal products, padding included.
func Conv2dCases(network string, batch int) ([]Conv2dCase, error) {
	shapes, ok := convolutions[network]
	if !ok {
		return nil, fmt.Errorf("no convolution shapes for network %q", network)
	}
	var cases []Conv2dCase
	for _, s := range shapes {
		s.N = batch
		cases = append(cases, conv2dCases(network, s)...)
	}
	return cases, nil
}

func conv2dCases(network string, s kernels.Conv2dShape) []Conv2dCase {
	var x, y, w, dw, forward, backward []float32
	prepare := func(f func()) func() {
		return func() {
			if x == nil {
				x, y = make([]float32, s.N*s.C*s.H*s.W), make([]float32, s.N*s.OC*s.OutH()*s.OutW())
				w, dw = make([]float32, s.OC*s.C*s.KH*s.KW), make([]float32, s.OC*s.C*s.KH*s.KW)
				forward = make([]float32, kernels.PackedConv2dLen(s, kernels.ConvForward))
				backward = make([]float32, kernels.PackedConv2dLen(s, kernels.ConvBackwardData))
				kernels.PackConv2d(forward, w, s, kernels.ConvForward)
				kernels.PackConv2d(backward, w, s, kernels.ConvBackwardData)
			}
			f()
		}
	}
	name := fmt.Sprintf("%s/%dx%dx%d-%d-k%ds%d/", network, s.C, s.H, s.W, s.OC, s.KH, s.Stride)
	flops := 2 * float64(s.N*s.OC*s.OutH()*s.OutW()) * float64(s.C*s.KH*s.KW)
	return []Conv2dCase{
		{name + "forward", flops, prepare(func() { kernels.Conv2dForward(y, x, forward, nil, s) })},
		{name + "backward-data", flops, prepare(func() { kernels.Conv2dBackwardData(x, y, backward, s, false) })},
		{name + "backward-weights", flops, prepare(func() { kernels.Conv2dBackwardWeights(dw, x, y, s, false) })},
	}
}
