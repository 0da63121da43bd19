package uncertainty

import (
	"fmt"
	"math"
	"sync"

	"github.com/deepuncertainty/ddu/kernels"
)

// Density is the feature density of DDU: one Gaussian per class,
//
//	q(z) = sum_c pi_c N(z; mu_c, L_c L_c^T).
//
// A low log density is epistemic uncertainty. A Density does not change; use it
// from any number of goroutines.
type Density struct {
	means     Matrix    // [C][D]
	factors   []Matrix  // [C] of [D][D], lower triangular
	logPriors []float64 // [C]
	logNorms  []float64 // [C], log pi_c - sum_j log L_jj - D/2 log 2 pi
	report    []ClassFit
	chunks    sync.Pool // *[]float64, up to chunkRows rows
}

// NewDensity builds a density from its parameters, such as those that Means,
// Factors and LogPriors returned before they were saved: means [C][D], one lower
// Cholesky factor [D][D] of the covariance per class, log priors [C] (all 0:
// none). Float64 numbers are not copied and must not change afterwards. What
// stands above the diagonals of the factors is never read.
func NewDensity(means Matrix, factors []Matrix, logPriors []float64) (*Density, error) {
	if err := means.checkFinite("means"); err != nil {
		return nil, err
	}
	if len(factors) != means.rows || len(logPriors) != means.rows {
		return nil, fmt.Errorf("density: %d means, %d factors, %d log priors: want one of each per class", means.rows, len(factors), len(logPriors))
	}
	for c, l := range factors {
		if err := checkFactor(l, c, means.cols); err != nil {
			return nil, err
		}
		if logPriors[c] > 0 || math.IsNaN(logPriors[c]) {
			return nil, fmt.Errorf("log prior of class %d is %v: want at most 0", c, logPriors[c])
		}
	}
	return newDensity(means, factors, logPriors), nil
}

func newDensity(means Matrix, factors []Matrix, logPriors []float64) *Density {
	d := &Density{means: asFloat64(means), factors: make([]Matrix, len(factors)), logPriors: logPriors, logNorms: make([]float64, len(factors))}
	for c, l := range factors {
		d.factors[c] = asFloat64(l)
		d.logNorms[c] = logPriors[c] - logDiagonal(l) - float64(means.cols)/2*math.Log(2*math.Pi)
	}
	return d
}

// Classes returns the number of Gaussians.
func (d *Density) Classes() int { return d.means.rows }

// Dim returns the number of features.
func (d *Density) Dim() int { return d.means.cols }

// Means returns the means [C][D].
func (d *Density) Means() Matrix { return d.means }

// Factors returns the lower Cholesky factor [D][D] of each class's covariance.
func (d *Density) Factors() []Matrix { return d.factors }

// LogPriors returns log pi_c [C], all 0 for [PriorsNone].
func (d *Density) LogPriors() []float64 { return d.logPriors }

// Report tells per class how the covariance was regularised and how well it is
// conditioned. It is nil for a density from [NewDensity].
func (d *Density) Report() []ClassFit { return d.report }

// ClassLogDensities returns log pi_c + log N(z; mu_c, Sigma_c) of features
// [N][D] as [N][C]. [LogSumExp] of it is LogDensity, [Softmax] the posterior and
// [SoftmaxEntropy] PosteriorEntropy: whoever needs several of these computes it
// once. Where a feature is so far away that the square of its distance
// overflows, it is -Inf.
func (d *Density) ClassLogDensities(features Matrix) (Matrix, error) {
	if err := checkFeatures(features, d.Dim()); err != nil {
		return Matrix{}, err
	}
	out := newDense(features.rows, d.Classes())
	chunks := (features.rows + chunkRows - 1) / chunkRows
	kernels.Parallel(chunks*d.Classes(), func(task int) {
		c, chunk := task/chunks, task%chunks // a factor stays in the cache for all chunks
		d.scoreChunk(out, features, c, chunk*chunkRows, min((chunk+1)*chunkRows, features.rows))
	})
	return out, nil
}

// LogDensity returns log q(z) of features [N][D] as [N]. Low values are
// epistemic uncertainty.
func (d *Density) LogDensity(features Matrix) ([]float64, error) {
	joint, err := d.ClassLogDensities(features)
	if err != nil {
		return nil, err
	}
	return LogSumExp(joint)
}

// Posterior returns p(c | z) of features [N][D] as [N][C]. Where every class's
// density is 0 in float64 it is uniform.
func (d *Density) Posterior(features Matrix) (Matrix, error) {
	joint, err := d.ClassLogDensities(features)
	if err != nil {
		return Matrix{}, err
	}
	return Softmax(joint)
}

// PosteriorEntropy returns the entropy in nats of p(c | z) of features [N][D]
// as [N].
func (d *Density) PosteriorEntropy(features Matrix) ([]float64, error) {
	joint, err := d.ClassLogDensities(features)
	if err != nil {
		return nil, err
	}
	return SoftmaxEntropy(joint)
}

// chunkRows is how many rows are solved at once: enough for GEMM to pay for
// packing the factor, while a chunk stays small (8 MB at 2,048 features).
const chunkRows = 512

// scoreChunk fills column c of rows lo to hi: with L y = z - mu,
// log N = -|y|^2/2 - sum log L_jj - D/2 log 2 pi.
func (d *Density) scoreChunk(out, features Matrix, c, lo, hi int) {
	n := d.Dim()
	ld := chunkStride(n)
	chunk, _ := d.chunks.Get().(*[]float64)
	if chunk == nil || len(*chunk) < (hi-lo)*ld {
		fresh := make([]float64, (hi-lo)*ld)
		chunk = &fresh
	}
	defer d.chunks.Put(chunk)
	y, mean := *chunk, d.means.row(c, nil)
	for i := lo; i < hi; i++ {
		dst := y[(i-lo)*ld : (i-lo)*ld+n]
		for j, v := range features.row(i, dst) {
			dst[j] = v - mean[j]
		}
	}
	solveNegated(d.factors[c].f64, n, n, y, hi-lo, ld)
	for i := lo; i < hi; i++ {
		var square float64
		for _, v := range y[(i-lo)*ld : (i-lo)*ld+n] {
			square += v * v
		}
		if math.IsNaN(square) { // Inf - Inf inside the solve: the features are finite
			square = math.Inf(1)
		}
		out.f64[i*out.cols+c] = d.logNorms[c] - square/2
	}
}

// chunkStride rounds a row up to an odd number of cache lines: rows a power of
// two apart would fall into the same few sets of the cache.
func chunkStride(n int) int { return ((n+7)/8 | 1) * 8 }

func checkFactor(l Matrix, class, dim int) error {
	what := fmt.Sprintf("factor of class %d", class)
	if err := l.check(what); err != nil {
		return err
	}
	if l.rows != dim || l.cols != dim {
		return fmt.Errorf("%s is [%d][%d]: the means want [%d][%d]", what, l.rows, l.cols, dim, dim)
	}
	for i := range dim {
		for j := range i + 1 {
			if v := l.At(i, j); !isFinite(v) || i == j && v <= 0 {
				return fmt.Errorf("%s: element (%d, %d) is %v, want finite numbers and a positive diagonal", what, i, j, v)
			}
		}
	}
	return nil
}

func logDiagonal(l Matrix) float64 {
	var sum float64
	for i := range l.rows {
		sum += math.Log(l.At(i, i))
	}
	return sum
}

func asFloat64(m Matrix) Matrix {
	return Matrix{rows: m.rows, cols: m.cols, f64: m.Float64s()}
}
