package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// testedLevels are the levels this CPU has, or the one that $DDU_ISA names.
func testedLevels() []Level {
	if os.Getenv("DDU_ISA") != "" {
		return []Level{CurrentLevel()}
	}
	return Levels()
}

// eachLevel runs f at every level that is tested.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := CurrentLevel()
	defer SetLevel(old)
	for _, l := range testedLevels() {
		if err := SetLevel(l); err != nil {
			t.Fatal(err)
		}
		t.Run(l.String(), f)
	}
}

// randomSlice returns n numbers in [-1, 1).
func randomSlice[T float](r *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(2*r.Float64() - 1)
	}
	return s
}

// gemmSizes cover every remainder of the tiles of every level.
func gemmSizes() [][3]int {
	var sizes [][3]int
	for i := 1; i <= 35; i++ {
		sizes = append(sizes, [3]int{i, 1 + (i*7)%37, 1 + (i*5)%11}, [3]int{1 + (i*11)%31, i, 3}, [3]int{13, 29, i})
	}
	return append(sizes, [3]int{130, 10, 84}, [3]int{3, 120, 256}, [3]int{97, 65, 600}, [3]int{300, 33, 20}, [3]int{33, 290, 70}, [3]int{1, 50, 40}, [3]int{50, 1, 40}, [3]int{0, 3, 4}, [3]int{3, 4, 0})
}

func TestGemm(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", func(t *testing.T) { testGemm(t, Gemm, 0x1p-24) })
		t.Run("float64", func(t *testing.T) { testGemm(t, GemmFloat64, 0x1p-53) })
	})
}

type gemmFunc[T float] func(transA, transB bool, m, n, k int, a []T, lda int, b []T, ldb int, accumulate bool, c []T, ldc int)

func testGemm[T float](t *testing.T, gemm gemmFunc[T], unit float64) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range gemmSizes() {
		for variant := range 8 {
			transA, transB, accumulate := variant&1 != 0, variant&2 != 0, variant&4 != 0
			checkGemm(t, r, gemm, unit, size[0], size[1], size[2], transA, transB, accumulate)
		}
	}
}

func checkGemm[T float](t *testing.T, r *rand.Rand, gemm gemmFunc[T], unit float64, m, n, k int, transA, transB, accumulate bool) {
	t.Helper()
	pad := r.IntN(3)
	lda, ldb, ldc := k+pad, n+pad, n+pad
	if transA {
		lda = m + pad
	}
	if transB {
		ldb = k + pad
	}
	a, b := randomSlice[T](r, (m+k)*(lda+1)), randomSlice[T](r, (n+k)*(ldb+1))
	c := make([]T, m*ldc+64)
	for i := range c {
		c[i] = T(math.NaN())
	}
	at := func(i, p int) float64 {
		if transA {
			i, p = p, i
		}
		return float64(a[i*lda+p])
	}
	bt := func(p, j int) float64 {
		if transB {
			p, j = j, p
		}
		return float64(b[p*ldb+j])
	}
	if accumulate {
		for i := range m {
			for j := range n {
				c[i*ldc+j] = T(i - j)
			}
		}
	}
	gemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
	for i := range m {
		for j := range n {
			want, size := 0.0, 0.0
			if accumulate {
				want = float64(i - j)
				size = math.Abs(want)
			}
			for p := range k {
				want += at(i, p) * bt(p, j)
				size += math.Abs(at(i, p) * bt(p, j))
			}
			got := float64(c[i*ldc+j])
			if !(math.Abs(got-want) <= float64(k+2)*unit*size) {
				t.Fatalf("m %d n %d k %d transA %v transB %v accumulate %v: C[%d][%d] = %v, want %v", m, n, k, transA, transB, accumulate, i, j, got, want)
			}
		}
	}
	for i := range c {
		if row, col := i/max(ldc, 1), i%max(ldc, 1); (row >= m || col >= n) && !math.IsNaN(float64(c[i])) {
			t.Fatalf("m %d n %d k %d: element %d outside C was written", m, n, k, i)
		}
	}
}

func TestSyrkFloat64(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, n := range []int{1, 2, 5, 15, 16, 17, 33, 70, 131} {
			for _, k := range []int{1, 3, 64, 530} {
				for _, accumulate := range []bool{false, true} {
					a := randomSlice[float64](r, k*(n+1))
					c, want := make([]float64, n*(n+2)), make([]float64, n*n)
					for i := range c {
						c[i] = math.NaN()
					}
					if accumulate {
						for i := range n {
							for j := range n {
								c[i*(n+2)+j], want[i*n+j] = float64(i+j), float64(i+j)
							}
						}
					}
					SyrkFloat64(n, k, a, n+1, accumulate, c, n+2)
					for i := range n {
						for j := range n {
							for p := range k {
								want[i*n+j] += a[p*(n+1)+i] * a[p*(n+1)+j]
							}
							if got := c[i*(n+2)+j]; !(math.Abs(got-want[i*n+j]) < 1e-12*float64(k+2*n)) {
								t.Fatalf("n %d k %d accumulate %v: C[%d][%d] = %v, want %v", n, k, accumulate, i, j, got, want[i*n+j])
							}
						}
					}
				}
			}
		}
	})
}

// The number of threads must not change a bit.
func TestGemmBitsDoNotDependOnThreads(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		const m, n, k = 700, 70, 130
		a, b := randomSlice[float32](r, m*k), randomSlice[float32](r, k*n)
		var first []float32
		for _, threads := range []int{1, 2, 5} {
			withThreads(t, threads)
			c := make([]float32, m*n)
			Gemm(false, false, m, n, k, a, k, b, n, false, c, n)
			if first == nil {
				first = c
			}
			for i := range c {
				if c[i] != first[i] {
					t.Fatalf("%d threads: element %d is %v, with one %v", threads, i, c[i], first[i])
				}
			}
		}
	})
}

func TestGemmRefusesWrongSizes(t *testing.T) {
	for name, call := range map[string]func(){
		"kernels: Gemm: A has 5 elements, want 6 for 2 x 3 with row stride 3": func() {
			Gemm(false, false, 2, 1, 3, make([]float32, 5), 3, make([]float32, 3), 1, false, make([]float32, 2), 1)
		},
		"kernels: Gemm: row stride of B is 1, want at least 2": func() {
			Gemm(false, false, 2, 2, 3, make([]float32, 6), 3, make([]float32, 6), 1, false, make([]float32, 4), 2)
		},
		"kernels: GemmFloat64: A is -1 x 0, want sizes of at least 0": func() {
			GemmFloat64(false, false, -1, 2, 0, nil, 1, nil, 2, false, nil, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); got != name {
					t.Errorf("panic %q", got)
				}
			}()
			call()
		})
	}
}

// Cut at whole runs of k, each element is summed in the same order.
func TestGemmBitsDoNotDependOnCutsAtRuns(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(25, 26))
		const m, n, k = 31, 45, 1100
		a, b, c := randomSlice[float32](r, m*k), randomSlice[float32](r, k*n), randomSlice[float32](r, m*n)
		whole := slices.Clone(c)
		Gemm(false, false, m, n, k, a, k, b, n, true, whole, n)
		for _, cut := range []int{maxRun, 3 * maxRun} {
			parts := slices.Clone(c)
			Gemm(false, false, m, n, cut, a, k, b, n, true, parts, n)
			Gemm(false, false, m, n, k-cut, a[cut:], k, b[cut*n:], n, true, parts, n)
			if !slices.Equal(parts, whole) {
				t.Errorf("cut at %d: not the same bits", cut)
			}
		}
	})
}

// Rows that fall into one set of the cache take smaller tiles, and the bits stay.
func TestGemmBitsDoNotDependOnStrides(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(27, 28))
		const m, n, k, wide = 40, 20, 33, conflictStride / 4
		a, b := randomSlice[float32](r, m*k), randomSlice[float32](r, k*n)
		apart := make([]float32, m*wide)
		for i := range m {
			copy(apart[i*wide:], a[i*k:(i+1)*k])
		}
		want, got := make([]float32, m*n), make([]float32, m*n)
		Gemm(false, false, m, n, k, a, k, b, n, false, want, n)
		Gemm(false, false, m, n, k, apart, wide, b, n, false, got, n)
		if !slices.Equal(got, want) {
			t.Error("not the same bits")
		}
	})
}
