package uncertainty

import (
	"math"

	"github.com/deepuncertainty/ddu/kernels"
)

// choleskyBase is the size below which factor and solve run unblocked. All
// larger work is GEMM.
const choleskyBase = 32

// cholesky overwrites the lower triangle, diagonal included, of the symmetric
// a [n][n] with L of a = L L^T, and leaves the strict upper triangle alone. It
// is recursive: halves meet in a triangular solve and a symmetric update, both
// GEMM on blocks as square as possible. Pivot j must be greater than
// minPivot[j] (0 where minPivot is nil); the first that is not is returned as
// ok = false, at once.
func cholesky(a []float64, n int, minPivot []float64) (failed int, ok bool) {
	h := choleskySplit(n)
	f := factorization{ld: n, minPivot: minPivot, panel: make([]float64, (n-h)*h), tile: make([]float64, choleskyBase*choleskyBase)}
	return f.factor(a, n, 0)
}

type factorization struct {
	ld       int
	minPivot []float64
	panel    []float64 // L21, while -L21 is in its place
	tile     []float64 // a diagonal block of an update
}

// factor works on the n x n block a whose first column is the matrix's column j0.
func (f *factorization) factor(a []float64, n, j0 int) (failed int, ok bool) {
	if n <= choleskyBase {
		return f.factorBase(a, n, j0)
	}
	h := choleskySplit(n)
	if failed, ok := f.factor(a, h, j0); !ok {
		return failed, false
	}
	m, a21, a22 := n-h, a[h*f.ld:], a[h*f.ld+h:]
	solveNegated(a, h, f.ld, a21, m, f.ld)
	panel := f.panel[:m*h]
	for i := range m {
		for j, v := range a21[i*f.ld : i*f.ld+h] {
			panel[i*h+j] = -v
		}
	}
	f.update(a22, a21, panel, m, h)
	for i := range m {
		copy(a21[i*f.ld:], panel[i*h:(i+1)*h])
	}
	return f.factor(a22, m, j0+h)
}

// update adds x y^T to the lower triangle of c [m][m]; x is [m][k] with the
// matrix's leading dimension, y [m][k] with k.
func (f *factorization) update(c, x, y []float64, m, k int) {
	if m <= choleskyBase {
		tile := f.tile[:m*m]
		kernels.GemmFloat64(false, true, m, m, k, x, f.ld, y, k, false, tile, m)
		for i := range m {
			for j, v := range tile[i*m : i*m+i+1] {
				c[i*f.ld+j] += v
			}
		}
		return
	}
	h := choleskySplit(m)
	f.update(c, x, y, h, k)
	kernels.GemmFloat64(false, true, m-h, h, k, x[h*f.ld:], f.ld, y, k, true, c[h*f.ld:], f.ld)
	f.update(c[h*f.ld+h:], x[h*f.ld:], y[h*k:], m-h, k)
}

func (f *factorization) factorBase(a []float64, n, j0 int) (failed int, ok bool) {
	for j := range n {
		row := a[j*f.ld : j*f.ld+j+1]
		pivot := row[j]
		for _, v := range row[:j] {
			pivot -= v * v
		}
		smallest := 0.0
		if f.minPivot != nil {
			smallest = f.minPivot[j0+j]
		}
		if !(pivot > smallest) || !isFinite(pivot) {
			return j0 + j, false
		}
		row[j] = math.Sqrt(pivot)
		for i := j + 1; i < n; i++ {
			other := a[i*f.ld : i*f.ld+j+1]
			s := other[j]
			for k, v := range row[:j] {
				s -= v * other[k]
			}
			other[j] = s / row[j]
		}
	}
	return 0, true
}

// solveNegated overwrites the m rows x with -L^-1 x, each row n long. The sign
// makes every inner step an accumulating GEMM; densities need only squares. Of
// l, with leading dimension ldl, only the lower triangle is read. Diagonal
// blocks are solved by substitution, not by their inverses: it stays backward
// stable for ill-conditioned covariances.
func solveNegated(l []float64, n, ldl int, x []float64, m, ldx int) {
	if n <= choleskyBase {
		solveBase(l, n, ldl, x, m, ldx)
		return
	}
	h := choleskySplit(n)
	solveNegated(l, h, ldl, x, m, ldx)
	kernels.GemmFloat64(false, true, m, n-h, h, x, ldx, l[h*ldl:], ldl, true, x[h:], ldx)
	solveNegated(l[h*ldl+h:], n-h, ldl, x[h:], m, ldx)
}

// solveBase takes four rows at a time: four independent sums hide the latency
// of each.
func solveBase(l []float64, n, ldl int, x []float64, m, ldx int) {
	i := 0
	for ; i+4 <= m; i += 4 {
		x0, x1 := x[i*ldx:i*ldx+n], x[(i+1)*ldx:(i+1)*ldx+n]
		x2, x3 := x[(i+2)*ldx:(i+2)*ldx+n], x[(i+3)*ldx:(i+3)*ldx+n]
		for j := range n {
			row := l[j*ldl : j*ldl+j+1]
			s0, s1, s2, s3 := x0[j], x1[j], x2[j], x3[j]
			y0, y1, y2, y3 := x0[:j], x1[:j], x2[:j], x3[:j]
			for k, v := range row[:j] {
				s0 += v * y0[k]
				s1 += v * y1[k]
				s2 += v * y2[k]
				s3 += v * y3[k]
			}
			d := -row[j]
			x0[j], x1[j], x2[j], x3[j] = s0/d, s1/d, s2/d, s3/d
		}
	}
	for ; i < m; i++ {
		y := x[i*ldx : i*ldx+n]
		for j := range n {
			row := l[j*ldl : j*ldl+j+1]
			s := y[j]
			for k, v := range row[:j] {
				s += v * y[k]
			}
			y[j] = s / -row[j]
		}
	}
}

// choleskySplit is where n is halved: at a multiple of the base size.
func choleskySplit(n int) int {
	if n <= choleskyBase {
		return n
	}
	return (n/choleskyBase + 1) / 2 * choleskyBase
}
