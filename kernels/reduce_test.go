package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sumBound bounds the error of a sum of n terms in blocks of float32.
func sumBound(n int, absolute float64) float64 { return float64(min(n, 512)) * unit * absolute }

func TestFlatReductions(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range append(flatSizes(), 1<<20) {
			a, b := randomSlice[float32](r, n), randomSlice[float32](r, n)
			var sum, squares, dot, absSum, absDot float64
			for i := range a {
				x, y := float64(a[i]), float64(b[i])
				sum, squares, dot = sum+x, squares+x*x, dot+x*y
				absSum, absDot = absSum+math.Abs(x), absDot+math.Abs(x*y)
			}
			for _, test := range []struct {
				name                 string
				got, want, magnitude float64
			}{{"Sum", Sum(a), sum, absSum}, {"SumSquares", SumSquares(a), squares, squares}, {"Dot", Dot(a, b), dot, absDot}} {
				// float32 sums run over at most reduceDepth terms.
				if math.Abs(test.got-test.want) > (reduceDepth+1)*unit*test.magnitude {
					t.Fatalf("%s of %d: %v, want %v", test.name, n, test.got, test.want)
				}
			}
			dst := make([]float32, n)
			norm := Normalize(dst, a, 1e-12)
			if want := math.Sqrt(squares); math.Abs(norm-want) > reduceDepth*unit*want {
				t.Fatalf("Normalize of %d: norm %v, want %v", n, norm, want)
			}
			checkClose(t, "Normalize", dst, func(i int) float64 { return float64(a[i]) / norm }, func(i int) float64 { return 3 * unit * math.Abs(float64(dst[i])) })
		}
		if norm := Normalize(make([]float32, 3), make([]float32, 3), 1e-12); norm != 0 {
			t.Errorf("the norm of zeros is %v", norm)
		}
		x := randomSlice[float32](r, 10*flatBlock+3)
		checkThreads(t, "Dot, Sum, SumSquares", func() []float32 { return []float32{float32(Dot(x, x)), float32(Sum(x)), float32(SumSquares(x))} })
	})
}

func TestSumRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		g := &guards{t: t}
		for _, shape := range rowShapes() {
			rows, c := shape[0], shape[1]
			x := g.slice(rows*c, randomSlice[float32](r, rows*c)...)
			old := randomSlice[float32](r, c)
			want, absolute := make([]float64, c), make([]float64, c)
			for i, v := range x {
				want[i%c] += float64(v)
				absolute[i%c] += math.Abs(float64(v))
			}
			dst := g.slice(c)
			SumRows(dst, x, rows, c, false)
			name := fmt.Sprintf("SumRows %dx%d", rows, c)
			bound := func(j int) float64 { return sumBound(rows, absolute[j]) + unit*(math.Abs(want[j])+1) }
			checkClose(t, name, dst, func(j int) float64 { return want[j] }, bound)
			copy(dst, old)
			SumRows(dst, x, rows, c, true)
			checkClose(t, name+" accumulate", dst, func(j int) float64 { return want[j] + float64(old[j]) }, bound)
			g.check(name)
		}
		for _, c := range []int{6, 64, 100} {
			x := randomSlice[float32](r, 3000*c)
			checkThreads(t, "SumRows", func() []float32 {
				dst := make([]float32, c)
				SumRows(dst, x, 3000, c, false)
				return dst
			})
		}
	})
}
