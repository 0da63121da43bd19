package kernels

import (
	"fmt"
	"testing"
)

func BenchmarkConv2d(b *testing.B) {
	for _, s := range []Conv2dShape{
		{128, 3, 32, 32, 64, 3, 3, 1, 1},
		{128, 64, 32, 32, 64, 3, 3, 1, 1},
		{128, 64, 32, 32, 128, 3, 3, 2, 1},
		{128, 128, 16, 16, 128, 3, 3, 1, 1},
		{128, 128, 16, 16, 256, 3, 3, 2, 1},
		{128, 256, 8, 8, 256, 3, 3, 1, 1},
		{128, 256, 8, 8, 512, 3, 3, 2, 1},
		{128, 512, 4, 4, 512, 3, 3, 1, 1},
		{1, 512, 4, 4, 512, 3, 3, 1, 1},
		{64, 256, 8, 8, 1024, 1, 1, 1, 0},
		{64, 1024, 8, 8, 256, 1, 1, 1, 0},
		{128, 16, 28, 28, 16, 3, 3, 1, 1},
		{128, 1, 28, 28, 6, 5, 5, 1, 0},
	} {
		benchConv2d(b, s)
	}
}

func benchConv2d(b *testing.B, s Conv2dShape) {
	x, y, w := make([]float32, s.inputLen()), make([]float32, s.outputLen()), make([]float32, s.weightLen())
	forward, backward := make([]float32, PackedConv2dLen(s, ConvForward)), make([]float32, PackedConv2dLen(s, ConvBackwardData))
	for name, f := range map[string]func(){
		"forward":         func() { Conv2dForward(y, x, forward, nil, s) },
		"backwardData":    func() { Conv2dBackwardData(x, y, backward, s, false) },
		"backwardWeights": func() { Conv2dBackwardWeights(w, x, y, s, false) },
	} {
		b.Run(fmt.Sprintf("n%d_c%d_%dx%d_oc%d_k%d_s%d/%s", s.N, s.C, s.H, s.W, s.OC, s.KH, s.Stride, name), func(b *testing.B) {
			f()
			for b.Loop() {
				f()
			}
			flops := 2 * float64(s.outputLen()) * float64(s.C*s.KH*s.KW)
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
