package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// randomBF16 returns n bfloat16 in [-1, 1] and the same as float32.
func randomBF16(r *rand.Rand, n int) ([]uint16, []float32) {
	half, wide := make([]uint16, n), randomSlice[float32](r, n)
	Round(half, wide)
	Widen(wide, half)
	return half, wide
}

// checkConv2dBF16 compares every direction with sums in float64 of what bfloat16
// holds: the bound is that of the float32 sum, and for a rounded result half a unit
// of its last place.
func checkConv2dBF16(t failer, r *rand.Rand, s Conv2dShape, act Activation, accumulate bool) {
	t.Helper()
	what := fmt.Sprintf("%+v act %v accumulate %v", s, act, accumulate)
	x16, x := randomBF16(r, s.inputLen())
	dy16, dy := randomBF16(r, s.outputLen())
	residual16, residual := randomBF16(r, s.outputLen())
	dx16, dx := randomBF16(r, s.inputLen())
	weights := randomSlice[float32](r, s.weightLen())
	w := make([]float32, len(weights))
	roundScaled(w, weights, 1)
	bias := randomSlice[float32](r, s.OC)
	dw := randomSlice[float32](r, s.weightLen())

	plain, fused, bdx, bdw := newBound(len(dy)), newBound(len(dy)), newBound(len(x)), newBound(len(w))
	for i := range dy {
		plain.add(i, float64(bias[i%s.OC]))
		fused.add(i, float64(bias[i%s.OC]))
		fused.add(i, float64(residual[i]))
	}
	if accumulate {
		for i := range dx {
			bdx.add(i, float64(dx[i]))
		}
		for i := range dw {
			bdw.add(i, float64(dw[i]))
		}
	}
	directConv2d(s, func(xi, wi, yi int) {
		plain.add(yi, float64(x[xi])*float64(w[wi]))
		fused.add(yi, float64(x[xi])*float64(w[wi]))
		bdx.add(xi, float64(dy[yi])*float64(w[wi]))
		bdw.add(wi, float64(dy[yi])*float64(x[xi]))
	})

	forward, backward := PackConv2dBF16(weights, s, ConvForward), PackTemporaryBF16(weights, 1, s, ConvBackwardData)
	defer backward.Free()
	y16 := poisoned16(len(dy))
	Conv2dForwardBF16(y16, x16, forward, bias, s)
	plain.checkFinished(t, what+" forward", y16, s, ConvForward, ActNone)
	y16 = poisoned16(len(dy))
	Conv2dForwardFusedBF16(y16, x16, forward, bias, residual16, act, s)
	fused.checkFinished(t, what+" fused", y16, s, ConvForward, act)
	if !accumulate {
		dx16 = poisoned16(len(x))
	}
	Conv2dBackwardDataBF16(dx16, dy16, backward, s, accumulate)
	bdx.checkFinished(t, what+" backward data", dx16, s, ConvBackwardData, ActNone)
	Conv2dBackwardWeightsBF16(dw, x16, dy16, s, accumulate)
	terms := s.N * s.OutH() * s.OutW()
	if s.Algorithm(ConvBackwardWeights) == ConvWinograd {
		largest := slices.Max(bdw.size)
		for i := range bdw.size {
			bdw.size[i] = largest
		}
		terms = int(winogradBound(s, ConvBackwardWeights))
	}
	bdw.check(t, what+" backward weights", dw, terms)
}

// checkFinished is check for results that went through an activation and were rounded:
// the error of the float32 sum and half a unit of the last of eight bits. Winograd's
// sums have errors that follow the largest of all sums.
func (b bound) checkFinished(t failer, what string, got []uint16, s Conv2dShape, d ConvDirection, act Activation) {
	t.Helper()
	depth, _ := d.depthWidth(s)
	largest := slices.Max(append(b.size, 0))
	for i, v := range got {
		e := float64(depth*s.KH*s.KW+4) * 0x1p-24 * b.size[i]
		if s.Algorithm(d) == ConvWinograd {
			e = winogradBound(s, d) * 0x1p-24 * largest
		}
		want := activate(b.want[i], act)
		if e += 1e-7 * math.Abs(want); !(math.Abs(float64(Float32FromBFloat16(v))-want) <= e+0x1p-8*(math.Abs(want)+e)) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, Float32FromBFloat16(v), want)
		}
	}
}

func poisoned16(n int) []uint16 {
	s := make([]uint16, n)
	for i := range s {
		s[i] = 0x7fc0 // NaN
	}
	return s
}

func TestConv2dBF16(t *testing.T) {
	for _, a := range []ConvAlgorithm{ConvDirect, ConvAuto} {
		withAlgorithm(t, a)
		eachLevel(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(17, 18))
			for i, s := range convCases {
				checkConv2dBF16(t, r, s, Activation(i%int(numActivations)), i%2 == 0)
			}
		})
	}
}

func TestConv2dBF16OfAnyShape(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := Conv2dShape{
				N: rapid.IntRange(1, 40).Draw(t, "N"), C: rapid.IntRange(1, 40).Draw(t, "C"), OC: rapid.IntRange(1, 70).Draw(t, "OC"),
				H: rapid.IntRange(1, 6).Draw(t, "H"), W: rapid.IntRange(1, 6).Draw(t, "W"),
				KH: rapid.IntRange(1, 3).Draw(t, "KH"), KW: rapid.IntRange(1, 3).Draw(t, "KW"),
				Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Padding: rapid.IntRange(0, 2).Draw(t, "padding"),
			}
			if s.Check() != nil {
				t.Skip("the kernel is larger than the input")
			}
			checkConv2dBF16(t, rand.New(rand.NewPCG(19, 20)), s, Activation(rapid.IntRange(0, 3).Draw(t, "act")), rapid.Bool().Draw(t, "accumulate"))
		})
	})
}

func TestConv2dBF16OfNoImages(t *testing.T) {
	s := Conv2dShape{0, 3, 4, 4, 5, 3, 3, 1, 1}
	w := make([]float32, s.weightLen())
	dw := []float32{7}
	dw = append(dw, make([]float32, s.weightLen()-1)...)
	Conv2dForwardBF16(nil, nil, PackConv2dBF16(w, s, ConvForward), nil, s)
	Conv2dForwardFusedBF16(nil, nil, PackConv2dBF16(w, s, ConvForward), nil, nil, ActReLU, s)
	Conv2dBackwardDataBF16(nil, nil, PackConv2dBF16(w, s, ConvBackwardData), s, false)
	Conv2dBackwardWeightsBF16(dw, nil, nil, s, false)
	if dw[0] != 0 {
		t.Errorf("the gradient of no images is %v, want 0", dw[0])
	}
}

// What is freed twice must not be handed out twice, and what is freed is refused.
func TestFreedWeights(t *testing.T) {
	s := Conv2dShape{1, 5, 4, 4, 7, 3, 3, 1, 1}
	w := make([]float32, s.weightLen())
	x, y := make([]uint16, s.inputLen()), make([]uint16, s.outputLen())
	eachLevel(t, func(t *testing.T) {
		half, wide := PackTemporaryBF16(w, 1, s, ConvForward), PackTemporary(w, 1, s, ConvForward)
		for range 2 {
			half.Free()
			wide.Free()
		}
		a, b := PackTemporary(w, 1, s, ConvForward), PackTemporary(w, 1, s, ConvForward)
		if &a.Data[0] == &b.Data[0] {
			t.Error("weights freed twice lie in one memory twice")
		}
		a.Free()
		b.Free()
		defer func() {
			if err := fmt.Sprint(recover()); !strings.Contains(err, "Conv2dForwardBF16") || !strings.Contains(err, "the packed weights has 0 elements") {
				t.Errorf("freed weights: %s", err)
			}
		}()
		Conv2dForwardBF16(y, x, half, nil, s)
	})
}

// Weights scaled as they are packed have the bits of scaled weights.
func TestPackTemporaryScales(t *testing.T) {
	const scale = 0.7
	same := func(t *testing.T, s Conv2dShape, d ConvDirection, what string, equal bool) {
		t.Helper()
		if !equal {
			t.Errorf("%+v %v: %s differ from scaled ones", s, d, what)
		}
	}
	for _, s := range []Conv2dShape{
		{1, 5, 4, 4, 7, 3, 3, 1, 1}, {2, 34, 4, 4, 40, 3, 3, 2, 1}, {2, 40, 4, 4, 34, 1, 1, 1, 0}, {1, 18, 6, 6, 20, 5, 5, 1, 0}, {2, 3, 6, 6, 34, 3, 3, 1, 1}, {128, 64, 8, 8, 70, 3, 3, 1, 1},
	} {
		w := randomSlice[float32](rand.New(rand.NewPCG(2, 2)), s.weightLen())
		scaled := make([]float32, len(w))
		Scale(scaled, w, scale)
		for d := ConvForward; d <= ConvBackwardData; d++ {
			eachLevel(t, func(t *testing.T) {
				got, want := PackTemporary(w, scale, s, d), PackTemporary(scaled, 1, s, d)
				same(t, s, d, "float32 weights", slices.Equal(got.Data, want.Data))
				half, wantHalf := PackTemporaryBF16(w, scale, s, d), PackTemporaryBF16(scaled, 1, s, d)
				same(t, s, d, "bfloat16 weights", slices.Equal(half.tiles, wantHalf.tiles) && slices.Equal(half.wide, wantHalf.wide))
				got.Free()
				want.Free()
				half.Free()
				wantHalf.Free()
			})
			eachAMX(t, func(t *testing.T) {
				if !amxShapeFits(s, d) {
					return
				}
				got, want := make([]uint16, amxPackedLen(s, d)), make([]uint16, amxPackedLen(s, d))
				amxPack(got, w, scale, s, d)
				amxPack(want, scaled, 1, s, d)
				same(t, s, d, "tiles", slices.Equal(got, want))
			})
		}
	}
}

// Kept weights are found by their form: equal forms must be the same weights, and
// tiles must not be packed once for each algorithm that they are not read by.
func TestPackedWeightsFollowTheirForm(t *testing.T) {
	shape := func(n int) Conv2dShape {
		return Conv2dShape{N: n, C: 160, H: 8, W: 8, OC: 160, KH: 3, KW: 3, Stride: 1, Padding: 1}
	}
	few, many := shape(1), shape(128)
	w := randomSlice[float32](rand.New(rand.NewPCG(1, 1)), few.weightLen())
	eachLevel(t, func(t *testing.T) {
		for d := ConvForward; d <= ConvBackwardData; d++ {
			if few.WeightForm(d) != DirectForm || many.WeightForm(d) != WinogradForm {
				t.Errorf("direction %v: float32 forms %d of 1 image and %d of 128, want direct and Winograd", d, few.WeightForm(d), many.WeightForm(d))
			}
			a, b := PackConv2dBF16(w, few, d), PackConv2dBF16(w, many, d)
			same := slices.Equal(a.tiles, b.tiles) && slices.Equal(a.wide, b.wide)
			if equal := few.WeightFormBF16(d) == many.WeightFormBF16(d); equal != same {
				t.Errorf("direction %v: forms of 1 and of 128 images equal: %v, their weights: %v", d, equal, same)
			}
			for n, p := range map[int]BF16Weights{1: a, 128: b} {
				want := map[int]WeightForm{1: TileForm, 128: LineForm}[n]
				if got := shape(n).WeightFormBF16(d); p.tiles != nil && got != want || p.tiles == nil && got != shape(n).WeightForm(d) {
					t.Errorf("direction %v, %d images: form %d of weights in tiles: %v", d, n, got, p.tiles != nil)
				}
			}
		}
	})
}
