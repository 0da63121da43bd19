package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// withAlgorithm sets the convolution algorithm for a test.
func withAlgorithm(t testing.TB, a ConvAlgorithm) {
	t.Helper()
	old := CurrentConvAlgorithm()
	t.Cleanup(func() { SetConvAlgorithm(old) })
	if err := SetConvAlgorithm(a); err != nil {
		t.Fatal(err)
	}
}

// eachAlgorithm runs f with each.
func eachAlgorithm(t *testing.T, f func(t *testing.T)) {
	for _, a := range []ConvAlgorithm{ConvDirect, ConvWinograd} {
		t.Run(a.String(), func(t *testing.T) {
			withAlgorithm(t, a)
			f(t)
		})
	}
}

// winogradBound is the error that F(4x4, 3x3) may make beside the largest sum of
// absolute products, in units of rounding: the transforms mix the values of a tile,
// so an error is not in proportion to the sum it lands in. Of many tiles added up, those
// of channels or of images, errors cancel and sums do not.
func winogradBound(s Conv2dShape, d ConvDirection) float64 {
	tiles := [...]int{ConvForward: s.C, ConvBackwardData: s.OC, ConvBackwardWeights: newWinogradTiles(s.H, s.W).count() * s.N}[d]
	return 8 + 24/math.Sqrt(float64(tiles))
}

func checkWinogradShape(t failer, r *rand.Rand, s Conv2dShape, accumulate bool) {
	t.Helper()
	x, w, dy := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen())
	bias := randomSlice[float32](r, s.OC)
	y, yGuard := guarded(t, len(dy))
	dx, dxGuard := guarded(t, len(x))
	dw, dwGuard := guarded(t, len(w))
	results := []struct {
		direction ConvDirection
		got       []float32
		exact     []float64
		absolute  []float64
	}{{direction: ConvForward, got: y}, {direction: ConvBackwardData, got: dx}, {direction: ConvBackwardWeights, got: dw}}
	for i := range results {
		results[i].exact, results[i].absolute = make([]float64, len(results[i].got)), make([]float64, len(results[i].got))
		for j := range results[i].got {
			if i == 0 {
				results[i].exact[j] = float64(bias[j%s.OC])
			} else if accumulate {
				results[i].got[j] = float32(j%7) - 3
				results[i].exact[j] = float64(results[i].got[j])
			}
		}
	}
	forward, data, weights := &results[0], &results[1], &results[2]
	directConv2d(s, func(xi, wi, yi int) {
		a, b, g := float64(x[xi]), float64(w[wi]), float64(dy[yi])
		forward.exact[yi] += a * b
		forward.absolute[yi] += math.Abs(a * b)
		data.exact[xi] += g * b
		data.absolute[xi] += math.Abs(g * b)
		weights.exact[wi] += g * a
		weights.absolute[wi] += math.Abs(g * a)
	})
	packed := make([]float32, PackedConv2dLen(s, ConvForward))
	PackConv2d(packed, w, s, ConvForward)
	Conv2dForward(y, x, packed, bias, s)
	packed = make([]float32, PackedConv2dLen(s, ConvBackwardData))
	PackConv2d(packed, w, s, ConvBackwardData)
	Conv2dBackwardData(dx, dy, packed, s, accumulate)
	Conv2dBackwardWeights(dw, x, dy, s, accumulate)
	for i, guard := range []func(string){yGuard, dxGuard, dwGuard} {
		result := results[i]
		guard(result.direction.String())
		largest := 4.0
		for _, v := range result.absolute {
			largest = max(largest, v)
		}
		for j, v := range result.got {
			if err := math.Abs(float64(v) - result.exact[j]); !(err <= winogradBound(s, result.direction)*unit*largest) {
				t.Fatalf("%+v accumulate %v %v: element %d is %v, want %v: off by %.3g units of the largest sum", s, accumulate, result.direction, j, v, result.exact[j], err/unit/largest)
			}
		}
	}
}

func TestWinograd(t *testing.T) {
	withAlgorithm(t, ConvWinograd)
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		for _, s := range []Conv2dShape{
			{1, 1, 1, 1, 1, 3, 3, 1, 1}, {2, 16, 8, 8, 33, 3, 3, 1, 1}, {9, 20, 7, 7, 40, 3, 3, 1, 1}, {3, 5, 4, 4, 7, 3, 3, 1, 1},
			{1, 300, 5, 3, 20, 3, 3, 1, 1}, {130, 4, 3, 9, 5, 3, 3, 1, 1}, {40, 33, 6, 12, 34, 3, 3, 1, 1},
			{40, 260, 1, 1, 290, 3, 3, 1, 1}, // packed at every level, in two runs
		} {
			checkWinogradShape(t, r, s, false)
			checkWinogradShape(t, r, s, true)
		}
	})
}

// What packing transformed rows gains depends on the level, on how many panels use them
// and on their distance.
func TestTransformedRowsArePackedWhereItPays(t *testing.T) {
	for _, c := range []struct {
		level        Level
		aRow, panels int
		want         bool
	}{
		{AVX512, 4 * 64, 2, false}, {AVX512, 4 * 160, 8, false}, {AVX512, 4 * 320, 9, true}, {AVX512, 4 * 1024, 1, true},
		{AVX2, 4 * 64, 1, true}, {NEON, 4 * 64, 8, false},
	} {
		kern := brgemmF32[c.level]
		if kern.mr == 0 {
			continue // of another architecture
		}
		if got := kern.packsTransformed(c.aRow, c.panels); got != c.want {
			t.Errorf("%v, rows %d bytes apart, %d panels: packed %v, want %v", c.level, c.aRow, c.panels, got, c.want)
		}
	}
}

func TestWinogradOfAnyShape(t *testing.T) {
	withAlgorithm(t, ConvWinograd)
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := Conv2dShape{
				N: rapid.IntRange(1, 9).Draw(t, "N"), C: rapid.IntRange(1, 20).Draw(t, "C"), OC: rapid.IntRange(1, 40).Draw(t, "OC"),
				H: rapid.IntRange(1, 9).Draw(t, "H"), W: rapid.IntRange(1, 9).Draw(t, "W"), KH: 3, KW: 3, Stride: 1, Padding: 1,
			}
			checkWinogradShape(t, rand.New(rand.NewPCG(33, 34)), s, rapid.Bool().Draw(t, "accumulate"))
		})
	})
}
