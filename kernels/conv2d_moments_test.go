package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The moments have the bits of a pass over the result, whichever algorithm and however
// many threads complete its parts.
func TestConv2dForwardMoments(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T) { eachLevel(t, checkConv2dForwardMoments) })
}

func checkConv2dForwardMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(43, 44))
	for _, s := range []Conv2dShape{
		{2, 1, 9, 9, 6, 5, 5, 1, 0}, {36, 1, 9, 9, 6, 5, 5, 1, 0}, {3, 3, 8, 8, 16, 3, 3, 1, 1}, {40, 3, 8, 8, 20, 3, 3, 1, 1},
		{40, 33, 6, 12, 34, 3, 3, 1, 1}, {9, 20, 7, 7, 40, 3, 3, 2, 1}, {2, 48, 5, 5, 530, 1, 1, 1, 0}, {1, 36, 8, 8, 96, 3, 3, 1, 1},
		{2, 3, 4, 4, 3, 3, 3, 1, 4}, {1, 8, 1, 1, 8, 3, 3, 1, 1},
		// Pixels of padding alone, and some columns of several blocks.
		{20, 20, 15, 16, 5, 3, 3, 1, 3}, {3, 8, 40, 41, 34, 3, 3, 2, 4}, {1, 4, 13, 11, 700, 3, 3, 1, 1},
	} {
		x, w, bias := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.OC)
		packed := make([]float32, PackedConv2dLen(s, ConvForward))
		PackConv2d(packed, w, s, ConvForward)
		for _, b := range [][]float32{nil, bias} {
			want, mean, variance := make([]float32, s.outputLen()), make([]float32, s.OC), make([]float32, s.OC)
			Conv2dForward(want, x, packed, b, s)
			BatchNormStats(mean, variance, want, len(want)/s.OC, s.OC)
			for _, threads := range []int{1, 2, 5} {
				withThreads(t, threads)
				what := fmt.Sprintf("%+v bias %v threads %d", s, b != nil, threads)
				got, guard := guarded(t, len(want))
				gotMean, gotVariance := make([]float32, s.OC), make([]float32, s.OC)
				Conv2dForwardMoments(got, x, packed, b, gotMean, gotVariance, s)
				guard(what)
				if !sameBits(got, want) || !sameBits(gotMean, mean) || !sameBits(gotVariance, variance) {
					t.Fatalf("%s: not the bits of convolution, then statistics", what)
				}
			}
		}
	}
}
