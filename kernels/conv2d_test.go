package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// directConv2d visits every product of a convolution.
func directConv2d(s Conv2dShape, visit func(x, w, y int)) {
	for oh := range s.OutH() {
		for ow := range s.OutW() {
			for kh := range s.KH {
				for kw := range s.KW {
					ih, iw := oh*s.Stride-s.Padding+kh, ow*s.Stride-s.Padding+kw
					if ih < 0 || ih >= s.H || iw < 0 || iw >= s.W {
						continue
					}
					for n := range s.N {
						for oc := range s.OC {
							for c := range s.C {
								visit(((ih*s.W+iw)*s.N+n)*s.C+c, ((oc*s.C+c)*s.KH+kh)*s.KW+kw, ((oh*s.OutW()+ow)*s.N+n)*s.OC+oc)
							}
						}
					}
				}
			}
		}
	}
}

// failer is a *testing.T or *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// bound compares a sum of products in float32 with one in float64.
type bound struct{ want, size []float64 }

func newBound(n int) bound { return bound{make([]float64, n), make([]float64, n)} }

func (b bound) add(i int, v float64) {
	b.want[i] += v
	b.size[i] += math.Abs(v)
}

func (b bound) check(t failer, what string, got []float32, terms int) {
	t.Helper()
	for i, v := range got {
		if !(math.Abs(float64(v)-b.want[i]) <= float64(terms+4)*0x1p-24*b.size[i]) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, v, b.want[i])
		}
	}
}

const guard = 40

// guarded returns n elements of NaN between guards, and a check that the guards
// still are.
func guarded(t failer, n int) ([]float32, func(what string)) {
	all := make([]float32, n+2*guard)
	for i := range all {
		all[i] = float32(math.NaN())
	}
	return all[guard : guard+n : guard+n], func(what string) {
		t.Helper()
		for i, v := range all {
			if (i < guard || i >= guard+n) && !math.IsNaN(float64(v)) {
				t.Fatalf("%s: element %d outside the result was written", what, i-guard)
			}
		}
	}
}

func checkConv2dShape(t failer, r *rand.Rand, s Conv2dShape, accumulate bool) {
	t.Helper()
	what := fmt.Sprintf("%+v accumulate %v", s, accumulate)
	x, w, dy := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen())
	bias := randomSlice[float32](r, s.OC)
	by, bdx, bdw := newBound(len(dy)), newBound(len(x)), newBound(len(w))
	for i := range dy {
		by.add(i, float64(bias[i%s.OC]))
	}
	y, yGuard := guarded(t, len(dy))
	dx, dxGuard := guarded(t, len(x))
	dw, dwGuard := guarded(t, len(w))
	if accumulate {
		for i := range dx {
			dx[i] = float32(i%7) - 3
			bdx.add(i, float64(dx[i]))
		}
		for i := range dw {
			dw[i] = float32(i%5) - 2
			bdw.add(i, float64(dw[i]))
		}
	}
	directConv2d(s, func(xi, wi, yi int) {
		by.add(yi, float64(x[xi])*float64(w[wi]))
		bdx.add(xi, float64(dy[yi])*float64(w[wi]))
		bdw.add(wi, float64(dy[yi])*float64(x[xi]))
	})
	packed := make([]float32, PackedConv2dLen(s, ConvForward))
	PackConv2d(packed, w, s, ConvForward)
	Conv2dForward(y, x, packed, bias, s)
	by.check(t, what+" forward", y, s.C*s.KH*s.KW)
	yGuard(what + " forward")

	packed = make([]float32, PackedConv2dLen(s, ConvBackwardData))
	PackConv2d(packed, w, s, ConvBackwardData)
	Conv2dBackwardData(dx, dy, packed, s, accumulate)
	bdx.check(t, what+" backward data", dx, s.OC*s.KH*s.KW)
	dxGuard(what + " backward data")

	Conv2dBackwardWeights(dw, x, dy, s, accumulate)
	bdw.check(t, what+" backward weights", dw, s.N*s.OutH()*s.OutW())
	dwGuard(what + " backward weights")
}

// checkConv2dOnce checks products with weights that are not packed.
func checkConv2dOnce(t failer, r *rand.Rand, s Conv2dShape) {
	t.Helper()
	what := fmt.Sprintf("%+v once", s)
	x, w, dy := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen())
	by, bdx := newBound(len(dy)), newBound(len(x))
	y, yGuard := guarded(t, len(dy))
	dx, dxGuard := guarded(t, len(x))
	directConv2d(s, func(xi, wi, yi int) {
		by.add(yi, float64(x[xi])*float64(w[wi]))
		bdx.add(xi, float64(dy[yi])*float64(w[wi]))
	})
	Conv2dForwardOnce(y, x, w, s)
	by.check(t, what+" forward", y, s.C*s.KH*s.KW)
	yGuard(what + " forward")
	Conv2dBackwardDataOnce(dx, dy, w, s)
	bdx.check(t, what+" backward data", dx, s.OC*s.KH*s.KW)
	dxGuard(what + " backward data")
}

// convCases are shapes that networks use and shapes that catch edges.
var convCases = []Conv2dShape{
	{2, 1, 28, 28, 6, 5, 5, 1, 0}, {2, 6, 12, 12, 16, 5, 5, 1, 0}, {3, 3, 16, 16, 16, 3, 3, 1, 1},
	{1, 16, 9, 7, 24, 3, 3, 1, 1}, {2, 17, 8, 8, 33, 3, 3, 1, 1}, {9, 20, 7, 7, 40, 3, 3, 1, 1},
	{2, 32, 14, 14, 48, 3, 3, 2, 1}, {2, 32, 15, 15, 48, 3, 3, 2, 1}, {2, 64, 8, 8, 12, 1, 1, 2, 0},
	{2, 6, 7, 7, 32, 1, 1, 2, 0}, {2, 48, 5, 5, 80, 1, 1, 1, 0}, {1, 36, 8, 8, 96, 3, 3, 1, 1},
	{3, 5, 1, 1, 7, 3, 3, 1, 1}, {1, 128, 4, 4, 80, 3, 3, 1, 1}, {2, 4, 11, 13, 5, 7, 7, 3, 2},
	{17, 33, 6, 6, 65, 3, 3, 2, 1}, {1, 8, 7, 7, 8, 3, 3, 2, 1}, {130, 4, 3, 3, 5, 3, 3, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 0},
	{8, 2, 9, 9, 3, 2, 3, 4, 2}, {1, 3, 5, 5, 2, 1, 1, 3, 0}, {2, 3, 4, 4, 3, 3, 3, 1, 4},
	// Rows packed in column form, at least on two threads.
	{20, 8, 3, 3, 790, 1, 1, 1, 0},
	// Gathered rows.
	{1, 40, 4, 4, 70, 3, 3, 1, 1}, {1, 37, 4, 4, 41, 3, 3, 1, 1}, {2, 37, 3, 3, 41, 3, 3, 1, 1}, {2, 35, 5, 5, 33, 5, 5, 1, 2}, {3, 300, 2, 3, 33, 3, 3, 1, 1}, {1, 20, 9, 7, 35, 3, 3, 2, 1}, {2, 9, 3, 3, 50, 2, 2, 1, 2},
	// Read as planes.
	{17, 1, 9, 8, 6, 5, 5, 1, 0}, {20, 4, 6, 7, 16, 5, 5, 1, 0}, {33, 3, 7, 6, 70, 3, 3, 2, 1}, {16, 4, 9, 9, 7, 9, 9, 1, 3},
	// Turned: few channels of the result, images for whole vectors or not.
	{16, 6, 9, 8, 16, 5, 5, 1, 0}, {35, 5, 8, 7, 30, 3, 3, 2, 1}, {18, 30, 7, 6, 5, 3, 3, 1, 1}, {24, 300, 3, 4, 3, 3, 3, 1, 1},
	{32, 12, 5, 5, 20, 3, 2, 1, 2}, {40, 7, 6, 6, 10, 3, 3, 3, 0}, {16, 1, 4, 4, 1, 3, 3, 1, 4},
	// Read as planes, again.
	{300, 2, 3, 3, 9, 3, 3, 1, 2}, {24, 3, 4, 4, 3, 3, 3, 1, 4}, {18, 2, 8, 9, 4, 2, 3, 4, 2}, {19, 1, 5, 5, 8, 1, 1, 3, 0},
}

func TestConv2d(t *testing.T) {
	withAlgorithm(t, ConvDirect)
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, s := range convCases {
			checkConv2dShape(t, r, s, false)
			checkConv2dShape(t, r, s, true)
			checkConv2dOnce(t, r, s)
		}
	})
}

func TestConv2dOfAnyShape(t *testing.T) {
	withAlgorithm(t, ConvDirect)
	eachLevel(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := Conv2dShape{
				N: rapid.IntRange(1, 11).Draw(t, "N"), C: rapid.IntRange(1, 20).Draw(t, "C"), OC: rapid.IntRange(1, 40).Draw(t, "OC"),
				H: rapid.IntRange(1, 9).Draw(t, "H"), W: rapid.IntRange(1, 9).Draw(t, "W"),
				KH: rapid.IntRange(1, 4).Draw(t, "KH"), KW: rapid.IntRange(1, 4).Draw(t, "KW"),
				Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Padding: rapid.IntRange(0, 3).Draw(t, "padding"),
			}
			if s.Check() != nil {
				t.Skip("the kernel is larger than the input")
			}
			checkConv2dShape(t, rand.New(rand.NewPCG(9, 10)), s, rapid.Bool().Draw(t, "accumulate"))
			checkConv2dOnce(t, rand.New(rand.NewPCG(9, 10)), s)
		})
	})
}

// Gathering is for blocks of few rows: it must neither vanish, which costs a third of
// the speed at batch 1 and of power iteration, nor spread to shapes where it copies for
// nothing. Tiles of the portable level are small anyhow.
func TestRowsAreGatheredWhereBlocksAreSmall(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, c := range []struct {
			s    Conv2dShape
			d    ConvDirection
			want bool
		}{
			{Conv2dShape{1, 64, 4, 4, 64, 3, 3, 1, 1}, ConvForward, true},
			{Conv2dShape{1, 64, 4, 4, 64, 3, 3, 1, 1}, ConvBackwardData, true},
			{Conv2dShape{1, 640, 8, 8, 640, 3, 3, 1, 1}, ConvForward, true},
			{Conv2dShape{1, 640, 8, 8, 640, 3, 3, 1, 1}, ConvBackwardData, true},
			{Conv2dShape{2, 37, 3, 3, 41, 3, 3, 1, 1}, ConvBackwardData, true},
			{Conv2dShape{1, 3, 4, 4, 64, 3, 3, 1, 1}, ConvForward, false},      // unfolded
			{Conv2dShape{1, 160, 32, 32, 160, 3, 3, 1, 1}, ConvForward, false}, // Winograd's
			{Conv2dShape{1, 64, 16, 16, 64, 3, 3, 2, 1}, ConvForward, true},
			{Conv2dShape{1, 64, 16, 16, 64, 3, 3, 2, 1}, ConvBackwardData, false},
			{Conv2dShape{1, 64, 64, 64, 64, 3, 3, 1, 1}, ConvForward, false},
			{Conv2dShape{1, 64, 4, 4, 64, 1, 1, 1, 0}, ConvForward, false},
			{Conv2dShape{128, 64, 4, 4, 64, 3, 3, 1, 1}, ConvForward, false},
		} {
			want := c.want && CurrentLevel() != Portable
			if got := c.s.gathered(c.d, brgemmOf[float32]()) != nil; got != want {
				t.Errorf("%+v %v: gathered %v, want %v", c.s, c.d, got, want)
			}
		}
	})
}

// Turning is for results of few channels, where it saves up to two thirds of LeNet's
// products. The portable level has tiles of two rows only.
func TestFewChannelsAreTurned(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		kern, vectors := brgemmOf[float32](), CurrentLevel() != Portable
		for _, c := range []struct {
			s    Conv2dShape
			d    ConvDirection
			want bool
		}{
			{Conv2dShape{128, 6, 12, 12, 16, 5, 5, 1, 0}, ConvBackwardData, vectors},
			{Conv2dShape{128, 1, 28, 28, 6, 5, 5, 1, 0}, ConvForward, vectors},
			{Conv2dShape{8, 6, 12, 12, 16, 5, 5, 1, 0}, ConvBackwardData, false},
			{Conv2dShape{128, 6, 12, 12, 16, 5, 5, 1, 0}, ConvForward, false},
		} {
			if got := c.s.turns(c.d, kern); got != c.want {
				t.Errorf("%+v %v: turned %v, want %v", c.s, c.d, got, c.want)
			}
		}
	})
}

// The bits must not depend on the number of threads.
func TestConv2dBitsDoNotDependOnThreads(t *testing.T) {
	eachAlgorithm(t, checkConv2dThreads)
}

func checkConv2dThreads(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		shapes := []Conv2dShape{{40, 16, 16, 16, 24, 3, 3, 1, 1}, {40, 3, 9, 9, 20, 3, 3, 1, 1}, {1, 40, 16, 20, 24, 3, 3, 1, 1}, {3, 40, 4, 4, 70, 3, 3, 2, 1}, {150, 40, 5, 9, 70, 3, 3, 1, 1}, {40, 6, 7, 7, 16, 5, 5, 1, 0}}
		if testing.Short() { // an emulator takes a minute for those
			shapes = []Conv2dShape{{40, 8, 8, 8, 24, 3, 3, 1, 1}, {40, 3, 5, 5, 20, 3, 3, 1, 1}, {1, 40, 16, 20, 24, 3, 3, 1, 1}, {3, 40, 4, 4, 70, 3, 3, 2, 1}, {150, 20, 3, 5, 35, 3, 3, 1, 1}, {40, 6, 7, 7, 16, 5, 5, 1, 0}}
		}
		for _, s := range shapes {
			x, w, dy := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen())
			var first []float32
			for _, threads := range []int{1, 2, 7} {
				withThreads(t, threads)
				forward, backward := make([]float32, PackedConv2dLen(s, ConvForward)), make([]float32, PackedConv2dLen(s, ConvBackwardData))
				PackConv2d(forward, w, s, ConvForward)
				PackConv2d(backward, w, s, ConvBackwardData)
				y, dx, dw := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w))
				Conv2dForward(y, x, forward, nil, s)
				Conv2dBackwardData(dx, dy, backward, s, false)
				Conv2dBackwardWeights(dw, x, dy, s, false)
				all := append(append(y, dx...), dw...)
				if first == nil {
					first = all
				}
				for i := range all {
					if all[i] != first[i] {
						t.Fatalf("%+v: %d threads: element %d is %v, with one %v", s, threads, i, all[i], first[i])
					}
				}
			}
		}
	})
}

func TestConv2dOfNoImages(t *testing.T) {
	s := Conv2dShape{0, 3, 4, 4, 5, 3, 3, 1, 1}
	packed, dw := make([]float32, PackedConv2dLen(s, ConvForward)), []float32{7}
	Conv2dForward(nil, nil, packed, nil, s)
	Conv2dBackwardData(nil, nil, make([]float32, PackedConv2dLen(s, ConvBackwardData)), s, false)
	dw = append(dw, make([]float32, s.weightLen()-1)...)
	Conv2dBackwardWeights(dw, nil, nil, s, false)
	if dw[0] != 0 {
		t.Errorf("the gradient of no images is %v, want 0", dw[0])
	}
}

func TestConv2dRefusesBadShapes(t *testing.T) {
	good := Conv2dShape{1, 1, 4, 4, 1, 3, 3, 1, 0}
	for want, change := range map[string]func(*Conv2dShape){
		"C is 0":                       func(s *Conv2dShape) { s.C = 0 },
		"stride is 0":                  func(s *Conv2dShape) { s.Stride = 0 },
		"padding is -1":                func(s *Conv2dShape) { s.Padding = -1 },
		"larger than the input":        func(s *Conv2dShape) { s.KH = 5 },
		"x has 16 elements, want 32":   func(s *Conv2dShape) { s.N = 2 },
		"input of shape [1 1048576 10": func(s *Conv2dShape) { s.C, s.H, s.W = 1<<20, 1<<20, 1<<20 },
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) || strings.Contains(got, "\n") {
					t.Errorf("panic %q, want one line with %q", got, want)
				}
			}()
			s := good
			change(&s)
			Conv2dForward(make([]float32, s.N*4), make([]float32, 16), make([]float32, 64*9), nil, s)
		})
	}
}
