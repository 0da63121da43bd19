package kernels

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// tilePeak is the peak at the AMX level, at which the benchmark then runs; without
// AMX it is skipped.
func tilePeak(b *testing.B) float64 {
	b.Helper()
	old := CurrentLevel()
	if err := SetLevel(AMX); err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { SetLevel(old) })
	return PeakBF16(Threads())
}

// BenchmarkAMXConv2d runs the convolutions of ResNet-18 (batch 128, 32x32), some of
// WRN-28-10 (batch 32) and others in three directions, as a share of the tile peak.
// fused is forward with bias, residual and ReLU.
func BenchmarkAMXConv2d(b *testing.B) {
	peak := tilePeak(b)
	for _, s := range []Conv2dShape{
		{128, 3, 32, 32, 64, 3, 3, 1, 1},
		{128, 64, 32, 32, 64, 3, 3, 1, 1},
		{128, 64, 32, 32, 128, 3, 3, 2, 1},
		{128, 64, 32, 32, 128, 1, 1, 2, 0},
		{128, 128, 16, 16, 128, 3, 3, 1, 1},
		{128, 128, 16, 16, 256, 3, 3, 2, 1},
		{128, 256, 8, 8, 256, 3, 3, 1, 1},
		{128, 256, 8, 8, 512, 3, 3, 2, 1},
		{128, 512, 4, 4, 512, 3, 3, 1, 1},
		{32, 160, 32, 32, 160, 3, 3, 1, 1},
		{32, 320, 16, 16, 320, 3, 3, 1, 1},
		{32, 640, 8, 8, 640, 3, 3, 1, 1},
		{1, 512, 4, 4, 512, 3, 3, 1, 1},
		{128, 6, 14, 14, 16, 5, 5, 1, 0},
	} {
		benchAMXConv2d(b, s, peak)
	}
}

func benchAMXConv2d(b *testing.B, s Conv2dShape, peak float64) {
	r := rand.New(rand.NewPCG(1, 2))
	x, y, residual := halvesOf(randomSlice[float32](r, s.inputLen())), halvesOf(randomSlice[float32](r, s.outputLen())), make([]uint16, s.outputLen())
	w, bias := randomSlice[float32](r, s.weightLen()), make([]float32, s.OC)
	forward, backward := make([]uint16, amxPackedLen(s, ConvForward)), make([]uint16, amxPackedLen(s, ConvBackwardData))
	amxPack(forward, w, 1, s, ConvForward)
	amxPack(backward, w, 1, s, ConvBackwardData)
	flops := 2 * float64(s.outputLen()) * float64(s.C*s.KH*s.KW)
	run := func(direction string, f func()) {
		name := fmt.Sprintf("n%d_c%d_%dx%d_oc%d_k%d_s%d/%s", s.N, s.C, s.H, s.W, s.OC, s.KH, s.Stride, direction)
		b.Run(name, func(b *testing.B) { benchFlops(b, peak, flops, f) })
	}
	run("forward", func() { amxForward(y, x, forward, nil, nil, ActNone, s) })
	run("fused", func() { amxForward(y, x, forward, bias, residual, ActReLU, s) })
	run("backwardData", func() { amxBackwardData(x, y, backward, s, false) })
	run("backwardWeights", func() { amxBackwardWeights(w, x, y, s, false) })
}

// BenchmarkAMXPack packs the weights of the largest convolution of ResNet-18.
func BenchmarkAMXPack(b *testing.B) {
	tilePeak(b)
	s := Conv2dShape{1, 512, 4, 4, 512, 3, 3, 1, 1}
	w := make([]float32, s.weightLen())
	for _, d := range []ConvDirection{ConvForward, ConvBackwardData} {
		packed := make([]uint16, amxPackedLen(s, d))
		benchBytes(b, strings.ReplaceAll(d.String(), " ", "_"), 6*len(w), func() { amxPack(packed, w, 1, s, d) })
	}
}

// BenchmarkAMXRows measures the loops that bring rows into the form of tiles.
func BenchmarkAMXRows(b *testing.B) {
	tilePeak(b)
	const rows, cols = 128, 128
	h, v := make([]uint16, rows*cols), make([]float32, rows*cols)
	out := make([]uint16, rows*cols)
	benchBytes(b, "pair", 4*len(h), func() { pairRows(out, panelLayout(rows*amxPanel, 1), h, cols, rows, cols) })
	benchBytes(b, "roundPair", 6*len(h), func() { pairRows(out, panelLayout(rows*amxPanel, 1), v, cols, rows, cols) })
	benchBytes(b, "turn", 4*len(h), func() { turnHalves(out, rows, h, cols, rows, cols) })
}

// onesOf returns n times 1.
func onesOf(n int) []uint16 {
	ones := make([]uint16, n)
	for i := range ones {
		ones[i] = amxRound(1)
	}
	return ones
}

// BenchmarkGemmBF16 multiplies the matrices of linear layers and square ones.
func BenchmarkGemmBF16(b *testing.B) {
	peak := tilePeak(b)
	for _, size := range [][3]int{{128, 10, 512}, {128, 512, 512}, {1024, 1024, 1024}, {4096, 4096, 4096}} {
		for _, form := range []string{"NN", "NT", "TN"} {
			m, n, k := size[0], size[1], size[2]
			// Written to: memory that is not would be one page of zeros, in cache.
			x, y, c := onesOf(m*k), onesOf(k*n), make([]float32, m*n)
			lda, ldb := k, n
			if form == "TN" {
				lda = m
			}
			if form == "NT" {
				ldb = k
			}
			b.Run(fmt.Sprintf("m%d_n%d_k%d_%s", m, n, k, form), func(b *testing.B) {
				benchFlops(b, peak, 2*float64(m)*float64(n)*float64(k), func() {
					GemmBF16(form[0] == 'T', form[1] == 'T', m, n, k, x, lda, y, ldb, false, c, n)
				})
			})
		}
	}
}
