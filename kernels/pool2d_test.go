package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var poolShapes = []Pool2dShape{
	{2, 3, 4, 4, 2, 2}, {3, 5, 7, 6, 3, 2}, {1, 1, 5, 5, 5, 5}, {2, 17, 5, 7, 2, 1}, {2, 7, 6, 5, 1, 2}, {1, 33, 9, 8, 3, 3},
	{4, 6, 6, 5, 3, 1}, {2, 3, 7, 7, 2, 3}, {5, 70, 4, 4, 4, 4}, {3, 11, 3, 3, 1, 1}, {0, 3, 4, 4, 2, 2}, {700, 25, 2, 2, 2, 2},
}

// taps calls f for the elements of every window in PyTorch's order: out is the
// output's index, in the input's, position that in the window.
func (s Pool2dShape) taps(f func(out, in, position int)) {
	for o := range s.OutH() * s.OutW() {
		for e := range s.N * s.C {
			for p := range s.Kernel * s.Kernel {
				h, w := o/s.OutW()*s.Stride+p/s.Kernel, o%s.OutW()*s.Stride+p%s.Kernel
				f(o*s.N*s.C+e, (h*s.W+w)*s.N*s.C+e, p)
			}
		}
	}
}

func TestMaxPool2d(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		g := &guards{t: t}
		for _, s := range poolShapes {
			in, out := s.H*s.W*s.N*s.C, s.OutH()*s.OutW()*s.N*s.C
			x := make([]float32, in)
			for i := range x { // few values, so many ties; some NaN and infinities
				x[i] = float32(r.IntN(4) - 2)
				if r.IntN(12) == 0 {
					x[i] = special[r.IntN(len(special))]
				}
			}
			want, position, source := make([]float32, out), make([]int32, out), make([]int, out)
			s.taps(func(o, i, p int) {
				if v := x[i]; p == 0 || v > want[o] || v != v {
					want[o], position[o], source[o] = v, int32(p), i
				}
			})
			y, index := g.slice(out), make([]int32, out)
			MaxPool2dForward(y, index, g.slice(in, x...), s)
			name := fmt.Sprintf("%+v", s)
			checkExact(t, name, y, func(i int) float32 { return want[i] })
			if !slices.Equal(index, position) {
				t.Fatalf("%s: positions %v, want %v", name, index, position)
			}
			dy, old := g.slice(out, randomSlice[float32](r, out)...), randomSlice[float32](r, in)
			gradient, absolute := make([]float64, in), make([]float64, in)
			for o, i := range source {
				gradient[i] += float64(dy[o])
				absolute[i] += math.Abs(float64(dy[o]))
			}
			s.checkGradient(t, name, g, old, gradient, absolute, func(dx []float32, accumulate bool) { MaxPool2dBackward(dx, dy, index, s, accumulate) })
		}
	})
}

func (s Pool2dShape) checkGradient(t *testing.T, name string, g *guards, old []float32, gradient, absolute []float64, f func(dx []float32, accumulate bool)) {
	t.Helper()
	bound := func(i int) float64 {
		return float64(s.Kernel*s.Kernel+1) * unit * (absolute[i] + math.Abs(float64(old[i])))
	}
	dx := g.slice(len(old))
	f(dx, false)
	checkClose(t, name+" backward", dx, func(i int) float64 { return gradient[i] }, bound)
	copy(dx, old)
	f(dx, true)
	checkClose(t, name+" backward accumulate", dx, func(i int) float64 { return gradient[i] + float64(old[i]) }, bound)
	g.check(name)
	checkThreads(t, name, func() []float32 { f(dx, false); return dx })
}

func TestAvgPool2d(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 24))
		g := &guards{t: t}
		for _, s := range poolShapes {
			in, out := s.H*s.W*s.N*s.C, s.OutH()*s.OutW()*s.N*s.C
			x, dy := g.slice(in, randomSlice[float32](r, in)...), g.slice(out, randomSlice[float32](r, out)...)
			want, absolute := make([]float64, out), make([]float64, out)
			gradient, gradientAbsolute := make([]float64, in), make([]float64, in)
			size := float64(s.Kernel * s.Kernel)
			s.taps(func(o, i, _ int) {
				want[o] += float64(x[i]) / size
				absolute[o] += math.Abs(float64(x[i])) / size
				gradient[i] += float64(dy[o]) / size
				gradientAbsolute[i] += math.Abs(float64(dy[o])) / size
			})
			y := g.slice(out)
			name := fmt.Sprintf("%+v", s)
			AvgPool2dForward(y, x, s)
			checkClose(t, name, y, func(i int) float64 { return want[i] }, func(i int) float64 { return (size + 1) * unit * absolute[i] })
			s.checkGradient(t, name, g, randomSlice[float32](r, in), gradient, gradientAbsolute, func(dx []float32, accumulate bool) { AvgPool2dBackward(dx, dy, s, accumulate) })
		}
	})
}

func TestPool2dShape(t *testing.T) {
	for _, s := range []Pool2dShape{{-1, 1, 1, 1, 1, 1}, {1, 0, 1, 1, 1, 1}, {1, 1, 4, 4, 0, 1}, {1, 1, 4, 4, 2, 0}, {1, 1, 4, 2, 3, 1}} {
		if s.Check() == nil {
			t.Errorf("%+v passes", s)
		}
	}
	if s := (Pool2dShape{1, 1, 8, 9, 3, 2}); s.Check() != nil || s.OutH() != 3 || s.OutW() != 4 {
		t.Errorf("%+v: %v, %dx%d", s, s.Check(), s.OutH(), s.OutW())
	}
}
