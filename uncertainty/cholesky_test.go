package uncertainty

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/deepuncertainty/ddu/kernels"
)

// randomSPD returns A^T A / n + I/10 with A [n][n] standard normal.
func randomSPD(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	a := make([]float64, n*n)
	for i := range a {
		a[i] = r.NormFloat64() / math.Sqrt(float64(n))
	}
	s := make([]float64, n*n)
	kernels.SyrkFloat64(n, n, a, n, false, s, n)
	for i := range n {
		s[i*n+i] += 0.1
	}
	return s
}

// TestCholeskyAgainstGonum factors and solves every size up to 300, past two
// levels of the recursion.
func TestCholeskyAgainstGonum(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := 1; n <= 300; n++ {
			if testing.Short() && n > 70 && n%29 != 0 {
				continue
			}
			s := randomSPD(n, 1)
			var want mat.Cholesky
			if !want.Factorize(mat.NewSymDense(n, slices.Clone(s))) {
				t.Fatalf("n=%d: gonum does not factorise", n)
			}
			var lower mat.TriDense
			want.LTo(&lower)
			got := slices.Clone(s)
			if at, ok := cholesky(got, n, nil); !ok {
				t.Fatalf("n=%d: pivot %d", n, at)
			}
			for i := range n {
				for j := range n {
					w, tolerance := s[i*n+j], 0.0
					if j <= i {
						w, tolerance = lower.At(i, j), 1e-13
					}
					if math.Abs(got[i*n+j]-w) > tolerance {
						t.Fatalf("n=%d: element (%d, %d) is %v, want %v", n, i, j, got[i*n+j], w)
					}
				}
			}
			checkSolve(t, got, &lower, n)
		}
	})
}

// checkSolve compares -L^-1 x for odd numbers of rows with gonum's solve.
func checkSolve(t *testing.T, l []float64, lower *mat.TriDense, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(2, uint64(n)))
	for _, m := range []int{1, 7} {
		x := make([]float64, m*n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		var want mat.Dense
		if err := want.Solve(lower, mat.NewDense(m, n, slices.Clone(x)).T()); err != nil {
			t.Fatal(err)
		}
		solveNegated(l, n, n, x, m, n)
		for i := range m {
			for j := range n {
				if w := -want.At(j, i); math.Abs(x[i*n+j]-w) > 1e-12*(1+math.Abs(w)) {
					t.Fatalf("n=%d, m=%d: element (%d, %d) of the solution is %v, want %v", n, m, i, j, x[i*n+j], w)
				}
			}
		}
	}
}

// A matrix that is singular in one direction stops at exactly that pivot.
func TestCholeskyNamesTheFailingPivot(t *testing.T) {
	for _, n := range []int{1, 5, 33, 100, 200} {
		for _, at := range []int{0, n / 2, n - 1} {
			t.Run(fmt.Sprintf("n=%d/at=%d", n, at), func(t *testing.T) {
				s := randomSPD(n, 3)
				for j := range n {
					s[at*n+j], s[j*n+at] = 0, 0
				}
				if got, ok := cholesky(s, n, nil); ok || got != at {
					t.Errorf("pivot %d, ok %v: want %d, false", got, ok, at)
				}
			})
		}
	}
}

func TestCholeskyRefusesPivotsBelowTheSmallest(t *testing.T) {
	const n = 40
	s := make([]float64, n*n)
	smallest := make([]float64, n)
	for j := range n {
		s[j*n+j], smallest[j] = 1, 0.5
	}
	if at, ok := cholesky(slices.Clone(s), n, smallest); !ok {
		t.Errorf("pivot %d of the identity was refused", at)
	}
	smallest[37] = 1
	if at, ok := cholesky(s, n, smallest); ok || at != 37 {
		t.Errorf("pivot %d, ok %v: want 37, false", at, ok)
	}
}

// Not a number in, failure out: never a factor of NaN.
func TestCholeskyRefusesNaN(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), -1} {
		s := randomSPD(50, 4)
		s[45*50+45] = bad
		if at, ok := cholesky(s, 50, nil); ok || at != 45 {
			t.Errorf("%v: pivot %d, ok %v: want 45, false", bad, at, ok)
		}
	}
}

// The factor is backward stable: even at condition 1e13, L L^T differs from
// the matrix by rounding of its largest elements only.
func TestCholeskyIsBackwardStable(t *testing.T) {
	const n = 150
	s := randomSPD(n, 5)
	for i := range n {
		for j := range n {
			s[i*n+j] *= math.Pow(10, -6.0*float64((i*7)%n+(j*7)%n)/n)
		}
	}
	l := slices.Clone(s)
	if at, ok := cholesky(l, n, nil); !ok {
		t.Fatalf("pivot %d", at)
	}
	for i := range n {
		for j := range i + 1 {
			var got float64
			for k := range j + 1 {
				got += l[i*n+k] * l[j*n+k]
			}
			if scale := math.Sqrt(s[i*n+i] * s[j*n+j]); math.Abs(got-s[i*n+j]) > 1e-14*scale {
				t.Fatalf("element (%d, %d) of L L^T is %v, want %v", i, j, got, s[i*n+j])
			}
		}
	}
}

// eachLevel runs body once per instruction-set level of this CPU, or at the one
// that $DDU_ISA names.
func eachLevel(t *testing.T, body func(t *testing.T)) {
	old := kernels.CurrentLevel()
	defer kernels.SetLevel(old)
	levels := kernels.Levels()
	if os.Getenv("DDU_ISA") != "" {
		levels = []kernels.Level{old}
	}
	for _, level := range levels {
		if err := kernels.SetLevel(level); err != nil {
			t.Fatal(err)
		}
		t.Run(level.String(), body)
	}
}

func BenchmarkCholesky(b *testing.B) {
	for _, n := range []int{64, 640, 2048} {
		s := randomSPD(n, 1)
		work := make([]float64, n*n)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				copy(work, s)
				cholesky(work, n, nil)
			}
			b.ReportMetric(math.Pow(float64(n), 3)/3*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
		b.Run(fmt.Sprintf("n=%d/gonum", n), func(b *testing.B) {
			var c mat.Cholesky
			for b.Loop() {
				c.Factorize(mat.NewSymDense(n, s))
			}
			b.ReportMetric(math.Pow(float64(n), 3)/3*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
