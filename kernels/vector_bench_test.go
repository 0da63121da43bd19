package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchBytes runs f and reports the bytes it has to read and write per second.
func benchBytes(b *testing.B, name string, bytes int, f func()) {
	b.Run(name, func(b *testing.B) {
		f()
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
		b.ReportMetric(float64(bytes)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
	})
}

func benchSlices(count, n int) [][]float32 {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	slices := make([][]float32, count)
	for i := range slices {
		slices[i] = randomSlice[float32](r, n)
	}
	return slices
}

// BenchmarkVectorFlat runs the loops over flat slices: once in cache, once in
// memory (the parameters of ResNet-18).
func BenchmarkVectorFlat(b *testing.B) {
	for _, n := range []int{1 << 15, 11 << 20} {
		s := benchSlices(4, n)
		x, y, z, w := s[0], s[1], s[2], s[3]
		for i := range w {
			w[i] *= w[i]
		}
		each := func(name string, streams int, f func()) {
			benchBytes(b, fmt.Sprintf("%s/n%d", name, n), 4*n*streams, f)
		}
		each("Copy", 2, func() { copy(y, x) })
		each("Fill", 1, func() { Fill(y, 1) })
		each("Add", 3, func() { Add(y, x, z) })
		each("Axpy", 3, func() { Axpy(y, 1e-9, x) })
		each("Scale", 2, func() { Scale(y, x, 0.5) })
		each("Dot", 2, func() { Dot(x, y) })
		each("SumSquares", 1, func() { SumSquares(x) })
		each("ReLU", 2, func() { ActivationForward(y, x, ActReLU) })
		each("ReLUBackward", 3, func() { ActivationBackward(z, x, y, ActReLU, false) })
		each("ELU", 2, func() { ActivationForward(y, x, ActELU) })
		each("Dropout", 2, func() { Dropout(y, x, 42, 0.3) })
		each("SGD", 5, func() { SGDStep(x, z, y, SGD{LR: 1e-9, Momentum: 0.9, WeightDecay: 5e-4}) })
		each("Adam", 7, func() {
			AdamStep(x, z, y, w, Adam{LR: 1e-9, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 5e-4, Step: 3})
		})
	}
}

// BenchmarkVectorRows runs the loops over rows of channels at the shapes of the
// networks, N = 128.
func BenchmarkVectorRows(b *testing.B) {
	for _, shape := range [][2]int{{24 * 24 * 128, 6}, {32 * 32 * 128, 16}, {32 * 32 * 128, 64}, {16 * 16 * 128, 128}, {8 * 8 * 128, 640}, {4 * 4 * 128, 512}} {
		rows, c := shape[0], shape[1]
		s := benchSlices(4, rows*c)
		x, y, dy, dx := s[0], s[1], s[2], s[3]
		p := benchSlices(6, c)
		each := func(name string, streams int, f func()) {
			benchBytes(b, fmt.Sprintf("%s/c%d", name, c), 4*rows*c*streams, f)
		}
		each("AddBiasRows", 2, func() { AddBiasRows(y, p[0], rows, c) })
		each("SumRows", 1, func() { SumRows(p[0], x, rows, c, false) })
		each("BatchNormStats", 1, func() { BatchNormStats(p[0], p[1], x, rows, c) })
		each("BatchNormForward", 2, func() { BatchNormForward(y, x, p[0], p[1], nil, ActReLU, rows, c) })
		each("BatchNormForwardResidual", 3, func() { BatchNormForward(y, x, p[0], p[1], dx, ActReLU, rows, c) })
		each("BatchNormBackwardReduce", 3, func() { BatchNormBackwardReduce(p[0], p[1], dy, y, x, p[2], p[3], ActReLU, rows, c) })
		each("BatchNormBackward", 4, func() {
			BatchNormBackward(dx, nil, dy, y, x, p[2], p[3], p[4], p[0], p[1], ActReLU, rows, c, true, false, false)
		})
		each("PadChannels", 3, func() { PadChannels(s[1][:rows*c], x[:rows/2*c], rows/2, c, 2*c) })
	}
}

func BenchmarkPool2d(b *testing.B) {
	for _, s := range []Pool2dShape{{128, 6, 24, 24, 2, 2}, {128, 64, 32, 32, 2, 2}, {128, 64, 32, 32, 3, 2}, {128, 64, 32, 32, 1, 2}, {128, 512, 4, 4, 4, 4}} {
		in, out := s.H*s.W*s.N*s.C, s.OutH()*s.OutW()*s.N*s.C
		v := benchSlices(2, in)
		x, y, index := v[0], v[1][:out], make([]int32, out)
		name := fmt.Sprintf("c%d_%dx%d_k%d_s%d", s.C, s.H, s.W, s.Kernel, s.Stride)
		benchBytes(b, "MaxForward/"+name, 4*(in+2*out), func() { MaxPool2dForward(y, index, x, s) })
		benchBytes(b, "MaxBackward/"+name, 4*(in+2*out), func() { MaxPool2dBackward(x, y, index, s, false) })
		benchBytes(b, "AvgForward/"+name, 4*(in+out), func() { AvgPool2dForward(y, x, s) })
		benchBytes(b, "AvgBackward/"+name, 4*(in+out), func() { AvgPool2dBackward(x, y, s, false) })
	}
}

func BenchmarkSoftmax(b *testing.B) {
	for _, shape := range [][2]int{{128, 10}, {10000, 10}, {128, 100}, {1000, 1000}} {
		rows, c := shape[0], shape[1]
		v := benchSlices(2, rows*c)
		x, y, loss, labels := v[0], v[1], make([]float32, rows), make([]int, rows)
		name := fmt.Sprintf("%dx%d", rows, c)
		benchBytes(b, "Softmax/"+name, 8*rows*c, func() { Softmax(y, x, rows, c) })
		benchBytes(b, "LogSumExp/"+name, 4*rows*c, func() { LogSumExp(loss, x, rows, c) })
		benchBytes(b, "CrossEntropy/"+name, 8*rows*c, func() { CrossEntropy(loss, y, x, labels, rows, c) })
		benchBytes(b, "CrossEntropyBackward/"+name, 8*rows*c, func() { CrossEntropyBackward(x, y, labels, 0.01, rows, c, false) })
	}
}

func BenchmarkLayout(b *testing.B) {
	for _, s := range [][4]int{{128, 3, 32, 32}, {128, 64, 32, 32}, {128, 512, 4, 4}} {
		n := s[0] * s[1] * s[2] * s[3]
		v := benchSlices(2, n)
		name := fmt.Sprintf("n%d_c%d_%dx%d", s[0], s[1], s[2], s[3])
		benchBytes(b, "NCHWToHWNC/"+name, 8*n, func() { NCHWToHWNC(v[0], v[1], s[0], s[1], s[2], s[3]) })
		benchBytes(b, "HWNCToNCHW/"+name, 8*n, func() { HWNCToNCHW(v[0], v[1], s[0], s[1], s[2], s[3]) })
	}
}
