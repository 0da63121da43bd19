package uncertainty

import (
	"fmt"
	"math"

	"github.com/deepuncertainty/ddu/kernels"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// Covariance says what is done about covariances that cannot be inverted.
type Covariance string

const (
	// CovarianceAuto keeps a class's covariance where it has more samples than
	// features and factorises, no pivot being rounding noise (D * 2^-52 of its
	// variance); other classes are shrunk as by CovarianceOAS. A class whose
	// samples are all equal, so that it has no scale of its own, gets the mean
	// variance of the other classes.
	CovarianceAuto Covariance = "auto"
	// CovarianceOAS shrinks every class towards a sphere,
	// (1-rho) S + rho tr(S)/D I, with the oracle approximating rho of Chen,
	// Wiesel, Eldar and Hero (2010), equation 23, at n-1 degrees of freedom.
	CovarianceOAS Covariance = "oas"
	// CovarianceJitter follows the published code: the first of 0, 2.2e-308,
	// 1e-308, 1e-307, ... 1e-1 that, added to the diagonals, lets the covariances
	// of all classes factorise.
	CovarianceJitter Covariance = "jitter"
)

func (c Covariance) check() error {
	switch c {
	case CovarianceAuto, CovarianceOAS, CovarianceJitter:
		return nil
	}
	return fmt.Errorf("covariance %q: want %q, %q or %q", c, CovarianceAuto, CovarianceOAS, CovarianceJitter)
}

// Regularizer is what was done to the covariance of a class.
type Regularizer string

// The regularizers and what ClassFit.Amount then is: nothing was done (0);
// shrinkage (rho, 0 to 1); the variance of other classes (that variance);
// absolute jitter (what was added to the diagonal).
const (
	RegularizerNone   Regularizer = "none"
	RegularizerOAS    Regularizer = "oas"
	RegularizerPooled Regularizer = "pooled"
	RegularizerJitter Regularizer = "jitter"
)

// ClassFit reports how the Gaussian of one class was fitted.
type ClassFit struct {
	Class       int         `json:"class"`
	Samples     int         `json:"samples"`
	Regularizer Regularizer `json:"regularizer"`
	Amount      float64     `json:"amount"`
	// ReciprocalCondition estimates 1/(|S| |S^-1|) in the 1-norm of the
	// covariance as used, 0 to 1.
	ReciprocalCondition float64 `json:"reciprocal_condition"`
}

// IllConditioned tells that the covariance as used is so close to singular,
// condition above 1e12, that its weakest directions carry fewer than four
// correct digits.
func (c ClassFit) IllConditioned() bool { return c.ReciprocalCondition < 1e-12 }

func (c ClassFit) String() string {
	s := fmt.Sprintf("class %d: %d samples, regularizer %s", c.Class, c.Samples, c.Regularizer)
	if c.Regularizer != RegularizerNone {
		s += fmt.Sprintf(" %.3g", c.Amount)
	}
	s += fmt.Sprintf(", condition %.1e", 1/c.ReciprocalCondition)
	if c.IllConditioned() {
		s += " (ill-conditioned)"
	}
	return s
}

// covariance is the unbiased covariance S of one class on its way to a factor.
// The strict upper triangle of a and diagonal keep S; the lower triangle of a,
// diagonal included, is where factors are tried. So retries need no copy.
type covariance struct {
	class, samples, dim int

	a        []float64 // [dim*dim]
	diagonal []float64 // [dim]
	variance float64   // tr(S)/dim

	regularizer Regularizer
	amount      float64
	shrink, add float64 // the factored matrix is (1-shrink) S + add I
}

// newCovariance takes over scatter.
func newCovariance(class, samples, dim int, scatter []float64) *covariance {
	c := &covariance{class: class, samples: samples, dim: dim, a: scatter, diagonal: make([]float64, dim)}
	for i := range scatter {
		scatter[i] /= float64(samples - 1)
	}
	for j := range c.diagonal {
		c.diagonal[j] = scatter[j*dim+j]
		c.variance += c.diagonal[j] / float64(dim)
	}
	return c
}

// factorAll leaves a factor in every covariance or returns the error of the
// first class that has none.
func factorAll(all []*covariance, mode Covariance) error {
	for _, c := range all {
		if !isFinite(c.variance) {
			return fmt.Errorf("class %d: the features are so large that their variance overflows", c.class)
		}
	}
	if mode == CovarianceJitter {
		return factorWithJitter(all)
	}
	pooled := pooledVariance(all)
	if pooled == 0 {
		return fmt.Errorf("the features are constant within every class: there is no covariance to fit")
	}
	ok := make([]bool, len(all))
	kernels.Parallel(len(all), func(i int) { ok[i] = all[i].factorRegularized(mode, pooled) })
	for i, c := range all {
		if !ok[i] {
			return fmt.Errorf("class %d: the covariance of %d samples does not factorise even when shrunk (mean variance %.3g)", c.class, c.samples, c.variance)
		}
	}
	return nil
}

// pooledVariance is the mean of tr(S)/D over the classes where it is not 0.
func pooledVariance(all []*covariance) float64 {
	var sum, n float64
	for _, c := range all {
		if c.variance > 0 {
			sum, n = sum+c.variance, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

func (c *covariance) factorRegularized(mode Covariance, pooled float64) bool {
	if c.variance == 0 {
		return c.factor(RegularizerPooled, pooled, 0, pooled, true)
	}
	if mode == CovarianceAuto && c.samples > c.dim && c.factor(RegularizerNone, 0, 0, 0, true) {
		return true
	}
	rho := c.oas()
	return c.factor(RegularizerOAS, rho, rho, rho*c.variance, true)
}

// oas is the shrinkage of Chen et al. (2010), equation 23, computed on S over
// its mean variance so that nothing overflows:
//
//	rho = ((1-2/p) tr(S^2) + tr(S)^2) / ((n+1-2/p) (tr(S^2) - tr(S)^2/p))
func (c *covariance) oas() float64 {
	p, n := float64(c.dim), float64(c.samples-1)
	var squares float64
	for i, d := range c.diagonal {
		d /= c.variance
		squares += d * d
		for _, v := range c.a[i*c.dim+i+1 : (i+1)*c.dim] {
			v /= c.variance
			squares += 2 * v * v
		}
	}
	over := (n + 1 - 2/p) * (squares - p)
	if !(over > 0) {
		return 1
	}
	return min(1, ((1-2/p)*squares+p*p)/over)
}

// factor tries (1-shrink) S + add I. With strict, a pivot must exceed what
// rounding alone can leave of its diagonal element.
func (c *covariance) factor(r Regularizer, amount, shrink, add float64, strict bool) bool {
	c.regularizer, c.amount, c.shrink, c.add = r, amount, shrink, add
	lowerFromUpper(c.a, c.dim, 1-shrink)
	var smallest []float64
	if strict {
		smallest = make([]float64, c.dim)
	}
	for j, v := range c.diagonal {
		v = (1-shrink)*v + add
		c.a[j*c.dim+j] = v
		if strict {
			smallest[j] = v * float64(c.dim) * epsilon
		}
	}
	_, ok := cholesky(c.a, c.dim, smallest)
	return ok
}

// epsilon is the distance from 1 to the next float64.
const epsilon = 0x1p-52

// lowerFromUpper sets a[j][i] = s * a[i][j] for i < j, tile by tile to stay in
// the cache.
func lowerFromUpper(a []float64, n int, s float64) {
	const tile = 32
	for i0 := 0; i0 < n; i0 += tile {
		for j0 := i0; j0 < n; j0 += tile {
			for j := j0; j < min(j0+tile, n); j++ {
				for i := i0; i < min(i0+tile, j); i++ {
					a[j*n+i] = s * a[i*n+j]
				}
			}
		}
	}
}

// report estimates the condition of the factored matrix; takeFactor comes after.
func (c *covariance) report() ClassFit {
	n := c.dim
	rows := make([]float64, n)
	for i := range n {
		rows[i] += math.Abs((1-c.shrink)*c.diagonal[i] + c.add)
		for k, v := range c.a[i*n+i+1 : (i+1)*n] {
			v = math.Abs((1 - c.shrink) * v)
			rows[i] += v
			rows[i+1+k] += v
		}
	}
	norm := 0.0
	for _, r := range rows {
		norm = max(norm, r)
	}
	factor := blas64.Symmetric{N: n, Data: c.a, Stride: n, Uplo: blas.Lower}
	rcond := lapack64.Pocon(factor, norm, make([]float64, 3*n), make([]int, n))
	return ClassFit{Class: c.class, Samples: c.samples, Regularizer: c.regularizer, Amount: c.amount, ReciprocalCondition: rcond}
}

// takeFactor clears the upper triangle and gives the factor away.
func (c *covariance) takeFactor() Matrix {
	for i := range c.dim {
		clear(c.a[i*c.dim+i+1 : (i+1)*c.dim])
	}
	return Matrix{rows: c.dim, cols: c.dim, f64: c.a}
}
