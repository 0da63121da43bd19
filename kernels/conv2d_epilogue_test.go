package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The fused form has the bits of its parts one after the other.
func TestConv2dForwardFused(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T) { eachLevel(t, checkConv2dForwardFused) })
}

func checkConv2dForwardFused(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for _, s := range []Conv2dShape{
		{2, 1, 9, 9, 6, 5, 5, 1, 0}, {3, 3, 8, 8, 16, 3, 3, 1, 1}, {40, 33, 6, 12, 34, 3, 3, 1, 1}, {9, 20, 7, 7, 40, 3, 3, 2, 1},
		{2, 48, 5, 5, 530, 1, 1, 1, 0}, {1, 36, 8, 8, 96, 3, 3, 1, 1}, {2, 3, 4, 4, 3, 3, 3, 1, 4}, {20, 3, 4, 4, 3, 3, 3, 1, 4}, {36, 1, 9, 9, 6, 5, 5, 1, 0},
	} {
		x, w, residual, bias := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen()), randomSlice[float32](r, s.OC)
		packed := make([]float32, PackedConv2dLen(s, ConvForward))
		PackConv2d(packed, w, s, ConvForward)
		plain, scale := make([]float32, s.outputLen()), make([]float32, s.OC)
		Conv2dForward(plain, x, packed, nil, s)
		Fill(scale, 1)
		for act := range numActivations {
			for variant := range 4 {
				b, res := bias, residual
				if variant&1 != 0 {
					b = nil
				}
				if variant&2 != 0 {
					res = nil
				}
				if act == ActNone && res == nil {
					continue // the same as Conv2dForward
				}
				shift := make([]float32, s.OC)
				copy(shift, b)
				want, what := make([]float32, len(plain)), fmt.Sprintf("%+v activation %v variant %d", s, act, variant)
				BatchNormForward(want, plain, scale, shift, res, act, len(plain)/s.OC, s.OC)
				got, guard := guarded(t, len(plain))
				Conv2dForwardFused(got, x, packed, b, res, act, s)
				guard(what)
				if !sameBits(got, want) {
					t.Fatalf("%s: not the bits of convolution, then batch norm", what)
				}
			}
		}
	}
}
