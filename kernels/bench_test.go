package kernels

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// benchFlops runs f and reports its rate, also in per cent of the peak of the
// threads in use.
func benchFlops(b *testing.B, peak, flops float64, f func()) {
	f()
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
	rate := flops * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(100*rate/peak, "%peak")
}

// BenchmarkConv2d runs the convolutions of ResNet-18 (batch 128, 32x32) and some
// others in three directions, by each algorithm that applies. Products are counted
// as the direct algorithm computes them, padding included.
func BenchmarkConv2d(b *testing.B) {
	peak := PeakFloat32(Threads())
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
		for _, a := range []ConvAlgorithm{ConvDirect, ConvWinograd} {
			withAlgorithm(b, a)
			if s.Algorithm(ConvForward) == a {
				benchConv2d(b, s, a, peak)
			}
		}
	}
}

func benchConv2d(b *testing.B, s Conv2dShape, a ConvAlgorithm, peak float64) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y, w := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.outputLen()), randomSlice[float32](r, s.weightLen())
	forward, backward := make([]float32, PackedConv2dLen(s, ConvForward)), make([]float32, PackedConv2dLen(s, ConvBackwardData))
	PackConv2d(forward, w, s, ConvForward)
	PackConv2d(backward, w, s, ConvBackwardData)
	flops := 2 * float64(s.outputLen()) * float64(s.C*s.KH*s.KW)
	run := func(direction string, f func()) {
		name := fmt.Sprintf("n%d_c%d_%dx%d_oc%d_k%d_s%d/%v/%s", s.N, s.C, s.H, s.W, s.OC, s.KH, s.Stride, a, direction)
		b.Run(name, func(b *testing.B) { benchFlops(b, peak, flops, f) })
	}
	run("forward", func() { Conv2dForward(y, x, forward, nil, s) })
	run("backwardData", func() { Conv2dBackwardData(x, y, backward, s, false) })
	run("backwardWeights", func() { Conv2dBackwardWeights(w, x, y, s, false) })
}

// BenchmarkPackConv2d packs the weights of the largest convolution of ResNet-18.
func BenchmarkPackConv2d(b *testing.B) {
	s := Conv2dShape{1, 512, 4, 4, 512, 3, 3, 1, 1}
	w := make([]float32, s.weightLen())
	for _, a := range []ConvAlgorithm{ConvDirect, ConvWinograd} {
		withAlgorithm(b, a)
		for _, d := range []ConvDirection{ConvForward, ConvBackwardData} {
			packed := make([]float32, PackedConv2dLen(s, d))
			benchBytes(b, a.String()+"/"+d.String(), 4*(len(w)+len(packed)), func() { PackConv2d(packed, w, s, d) })
		}
	}
}

// BenchmarkGemm multiplies the matrices of linear layers and of densities, in
// float32 and float64. The peak of float64 is half that of float32.
func BenchmarkGemm(b *testing.B) {
	peak := PeakFloat32(Threads())
	for _, size := range [][3]int{{128, 10, 512}, {128, 512, 512}, {1024, 1024, 1024}, {2048, 640, 640}} {
		for _, form := range []string{"NN", "NT", "TN"} {
			m, n, k := size[0], size[1], size[2]
			name := fmt.Sprintf("m%d_n%d_k%d_%s", m, n, k, form)
			flops := 2 * float64(m) * float64(n) * float64(k)
			b.Run(name+"/float32", func(b *testing.B) { benchGemm(b, Gemm, form, m, n, k, peak, flops) })
			b.Run(name+"/float64", func(b *testing.B) { benchGemm(b, GemmFloat64, form, m, n, k, peak/2, flops) })
		}
	}
}

func benchGemm[T float](b *testing.B, gemm gemmFunc[T], form string, m, n, k int, peak, flops float64) {
	x, y, c := make([]T, m*k), make([]T, k*n), make([]T, m*n)
	lda, ldb := k, n
	if strings.HasPrefix(form, "T") {
		lda = m
	}
	if strings.HasSuffix(form, "T") {
		ldb = k
	}
	benchFlops(b, peak, flops, func() { gemm(form[0] == 'T', form[1] == 'T', m, n, k, x, lda, y, ldb, false, c, n) })
}

// BenchmarkSyrkFloat64 counts the products of one triangle as work.
func BenchmarkSyrkFloat64(b *testing.B) {
	peak := PeakFloat32(Threads()) / 2
	for _, n := range []int{640, 2048} {
		const k = 1024
		a, c := make([]float64, k*n), make([]float64, n*n)
		b.Run(fmt.Sprintf("n%d_k%d", n, k), func(b *testing.B) {
			benchFlops(b, peak, float64(n)*float64(n)*k, func() { SyrkFloat64(n, k, a, n, false, c, n) })
		})
	}
}
