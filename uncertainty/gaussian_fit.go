package uncertainty

import (
	"fmt"
	"math"
	"strings"

	"github.com/deepuncertainty/ddu/kernels"
)

// GaussianFit gathers, in one pass over features, what a Gaussian per class
// needs: count, mean and scatter matrix, in float64. Memory is bounded by
// classes * dim * (dim + 129) * 8 bytes, whatever the number of samples.
//
// The result depends on the order of each class's samples but, to the bit, not
// on how they were cut into batches nor on the number of threads. Use one
// GaussianFit from one goroutine at a time; [GaussianFit.Merge] joins fits of
// parts of the data.
type GaussianFit struct {
	dim     int
	classes []moments // nil once consumed
}

// NewGaussianFit returns an empty fit of features [N][dim] with labels 0 to
// classes-1.
func NewGaussianFit(classes, dim int) (*GaussianFit, error) {
	if classes < 1 || dim < 1 {
		return nil, fmt.Errorf("a Gaussian fit of %d classes with %d features: want at least 1 of each", classes, dim)
	}
	return &GaussianFit{dim: dim, classes: make([]moments, classes)}, nil
}

// Add takes a batch of features [N][dim] and their labels. It fails, and leaves
// the fit as it was, when a feature is NaN or infinite, a label out of range, or
// the sizes do not fit.
func (f *GaussianFit) Add(features Matrix, labels []int) error {
	if f.classes == nil {
		return errConsumed
	}
	if err := checkFeatures(features, f.dim); err != nil {
		return err
	}
	if len(labels) != features.rows {
		return fmt.Errorf("%d labels for %d rows of features", len(labels), features.rows)
	}
	if err := checkClasses(labels, len(f.classes)); err != nil {
		return err
	}
	buffer := make([]float64, f.dim)
	for i, l := range labels {
		f.classes[l].add(features.row(i, buffer))
	}
	return nil
}

// Merge adds the samples that other has seen, as if they came after those of f;
// other does not change. The result equals one fit of all samples up to
// rounding.
func (f *GaussianFit) Merge(other *GaussianFit) error {
	if f.classes == nil || other.classes == nil {
		return errConsumed
	}
	if f == other {
		return fmt.Errorf("merge of a Gaussian fit with itself would count its samples twice")
	}
	if f.dim != other.dim || len(f.classes) != len(other.classes) {
		return fmt.Errorf("merge of Gaussian fits: %d classes of %d features with %d classes of %d features",
			len(f.classes), f.dim, len(other.classes), other.dim)
	}
	for c := range f.classes {
		f.classes[c].merge(&other.classes[c])
	}
	return nil
}

// Counts returns how many samples of each class were added.
func (f *GaussianFit) Counts() []int {
	counts := make([]int, len(f.classes))
	for c := range f.classes {
		counts[c] = f.classes[c].total()
	}
	return counts
}

// Priors says how a density weighs its classes.
type Priors string

// The weights: the classes' shares of the samples, or log pi_c = 0 for all,
// which the published evaluation uses.
const (
	PriorsEmpirical Priors = "empirical"
	PriorsNone      Priors = "none"
)

// FitOptions say how moments become a density. The zero value is
// {PriorsEmpirical, CovarianceAuto}.
type FitOptions struct {
	Priors     Priors
	Covariance Covariance
	// Consume lets the density take over the memory of the fit, which is then of
	// no further use. It halves the peak: at 2,048 features and 100 classes the
	// moments are 3.4 GB.
	Consume bool
}

// Fit returns the density: per class the mean and the Cholesky factor of the
// unbiased covariance scatter/(n-1), regularised as [FitOptions] say where that
// is needed; [Density.Report] tells what was done. A class with fewer than two
// samples is an error.
func (f *GaussianFit) Fit(o FitOptions) (*Density, error) {
	if f.classes == nil {
		return nil, errConsumed
	}
	if o.Priors == "" {
		o.Priors = PriorsEmpirical
	}
	if o.Covariance == "" {
		o.Covariance = CovarianceAuto
	}
	counts := f.Counts()
	if err := o.Covariance.check(); err != nil {
		return nil, err
	}
	if err := checkCounts(counts); err != nil {
		return nil, err
	}
	priors, err := logPriors(counts, o.Priors)
	if err != nil {
		return nil, err
	}
	means, covariances := f.covariances(o.Consume)
	if err := factorAll(covariances, o.Covariance); err != nil {
		return nil, err
	}
	factors := make([]Matrix, len(covariances))
	report := make([]ClassFit, len(covariances))
	kernels.Parallel(len(covariances), func(c int) {
		report[c] = covariances[c].report()
		factors[c] = covariances[c].takeFactor()
	})
	d := newDensity(means, factors, priors)
	d.report = report
	return d, nil
}

var errConsumed = fmt.Errorf("this Gaussian fit was consumed by Fit with Consume set")

// covariances returns the means [classes][dim] and the unbiased covariances.
func (f *GaussianFit) covariances(consume bool) (Matrix, []*covariance) {
	means := newDense(len(f.classes), f.dim)
	all := make([]*covariance, len(f.classes))
	kernels.Parallel(len(f.classes), func(c int) {
		m := &f.classes[c]
		if !consume {
			m = m.clone()
		}
		m.fold()
		m.center(means.row(c, nil))
		all[c] = newCovariance(c, m.count, f.dim, m.scatter)
	})
	if consume {
		f.classes = nil
	}
	return means, all
}

func logPriors(counts []int, p Priors) ([]float64, error) {
	logs := make([]float64, len(counts))
	switch p {
	case PriorsNone:
		return logs, nil
	case PriorsEmpirical:
		total := 0
		for _, n := range counts {
			total += n
		}
		for c, n := range counts {
			logs[c] = math.Log(float64(n) / float64(total))
		}
		return logs, nil
	}
	return nil, fmt.Errorf("priors %q: want %q or %q", p, PriorsEmpirical, PriorsNone)
}

// checkCounts names every class that has too few samples for a covariance.
func checkCounts(counts []int) error {
	var few []string
	for c, n := range counts {
		switch n {
		case 0:
			few = append(few, fmt.Sprintf("class %d has no sample", c))
		case 1:
			few = append(few, fmt.Sprintf("class %d has 1 sample", c))
		}
	}
	if few == nil {
		return nil
	}
	return fmt.Errorf("%s: a covariance needs at least 2 of each class", strings.Join(few, ", "))
}

func checkFeatures(features Matrix, dim int) error {
	if err := features.check("features"); err != nil {
		return err
	}
	if features.cols != dim {
		return fmt.Errorf("features: %d columns, want %d", features.cols, dim)
	}
	return features.checkFinite("features")
}
