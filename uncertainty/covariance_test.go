package uncertainty

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// sampleCovariance is the unbiased covariance of n normal rows [n][d] with
// standard deviations 1, 1/2, 1/3 ...; rank min(n-1, d).
func sampleCovariance(n, d int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 11))
	var m moments
	row := make([]float64, d)
	for range n {
		for j := range row {
			row[j] = r.NormFloat64() / float64(j+1)
		}
		m.add(row)
	}
	m.fold()
	for i := range m.scatter {
		m.scatter[i] /= float64(n - 1)
	}
	return m.scatter
}

// covarianceFrom wraps an unbiased covariance as if of that many samples.
func covarianceFrom(s []float64, samples, d int) *covariance {
	scatter := slices.Clone(s)
	for i := range scatter {
		scatter[i] *= float64(samples - 1)
	}
	return newCovariance(0, samples, d, scatter)
}

// multiplied is L L^T of a factored covariance.
func multiplied(c *covariance) *mat.SymDense {
	l := mat.NewTriDense(c.dim, mat.Lower, slices.Clone(c.a))
	var s mat.SymDense
	s.SymOuterK(1, l)
	return &s
}

// The shrinkage is equation 23 of Chen et al. written with gonum's traces.
func TestOASAgainstTheFormula(t *testing.T) {
	for _, size := range [][2]int{{5, 3}, {4, 30}, {200, 40}, {2, 7}} {
		n, d := size[0], size[1]
		s := sampleCovariance(n, d, 1)
		var squared mat.Dense
		squared.Mul(mat.NewSymDense(d, s), mat.NewSymDense(d, s))
		p, dof, tr, tr2 := float64(d), float64(n-1), mat.Trace(mat.NewSymDense(d, s)), mat.Trace(&squared)
		want := math.Min(1, ((1-2/p)*tr2+tr*tr)/((dof+1-2/p)*(tr2-tr*tr/p)))
		c := covarianceFrom(s, n, d)
		if got := c.oas(); math.Abs(got-want) > 1e-12 {
			t.Errorf("n=%d, d=%d: rho %v, want %v", n, d, got, want)
		}
		if !c.factorRegularized(CovarianceOAS, 1) {
			t.Errorf("n=%d, d=%d: does not factorise", n, d)
			continue
		}
		product := multiplied(c)
		for i := range d {
			for j := range d {
				w := (1 - want) * s[i*d+j]
				if i == j {
					w += want * tr / p
				}
				if got := product.At(i, j); math.Abs(got-w) > 1e-12 {
					t.Fatalf("n=%d, d=%d: shrunk covariance (%d, %d) is %v, want %v", n, d, i, j, got, w)
				}
			}
		}
	}
}

// OAS needs no help from the scale of the features.
func TestOASIsScaleFree(t *testing.T) {
	s := sampleCovariance(5, 12, 2)
	want := covarianceFrom(s, 5, 12).oas()
	for _, scale := range []float64{0x1p-400, 0x1p400} {
		scaled := slices.Clone(s)
		for i := range scaled {
			scaled[i] *= scale
		}
		c := covarianceFrom(scaled, 5, 12)
		if got := c.oas(); got != want {
			t.Errorf("scale %v: rho %v, want %v", scale, got, want)
		}
		if !c.factorRegularized(CovarianceAuto, 1) {
			t.Errorf("scale %v: does not factorise", scale)
		}
	}
}

func TestAutoRegularizesWhereNeeded(t *testing.T) {
	duplicate := sampleCovariance(100, 6, 3) // feature 5 repeats feature 1
	for i := range 6 {
		duplicate[i*6+5] = duplicate[i*6+1]
	}
	copy(duplicate[30:36], duplicate[6:12])
	cases := map[string]struct {
		c    *covariance
		want Regularizer
	}{
		"enough samples":   {covarianceFrom(sampleCovariance(50, 6, 3), 50, 6), RegularizerNone},
		"too few samples":  {covarianceFrom(sampleCovariance(6, 6, 3), 6, 6), RegularizerOAS},
		"repeated feature": {covarianceFrom(duplicate, 100, 6), RegularizerOAS},
		"equal samples":    {covarianceFrom(make([]float64, 36), 100, 6), RegularizerPooled},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := factorAll([]*covariance{c.c, covarianceFrom(sampleCovariance(50, 6, 4), 50, 6)}, CovarianceAuto); err != nil {
				t.Fatal(err)
			}
			if got := c.c.report(); got.Regularizer != c.want || got.IllConditioned() {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
}

// Scales of features as far apart as 1e-9 and 1e9 are no reason to shrink, but
// are reported.
func TestBadScalingIsReportedNotShrunk(t *testing.T) {
	s := sampleCovariance(60, 5, 5)
	for i := range 5 {
		s[i*5+2] *= 1e-9
		s[2*5+i] *= 1e-9
	}
	c := covarianceFrom(s, 60, 5)
	if err := factorAll([]*covariance{c}, CovarianceAuto); err != nil {
		t.Fatal(err)
	}
	r := c.report()
	if r.Regularizer != RegularizerNone || !r.IllConditioned() || !strings.Contains(r.String(), "ill-conditioned") {
		t.Errorf("%v, want no regularizer and an ill-conditioned class", r)
	}
}

func TestFactorAllRefuses(t *testing.T) {
	zero := func() *covariance { return covarianceFrom(make([]float64, 9), 5, 3) }
	infinite := covarianceFrom([]float64{math.Inf(1), 0, 0, 1}, 5, 2)
	negative := covarianceFrom([]float64{1, 2, 2, 1}, 5, 2) // no covariance at all
	for name, c := range map[string]struct {
		all  []*covariance
		mode Covariance
		want string
	}{
		"constant features": {[]*covariance{zero(), zero()}, CovarianceAuto, "constant within every class"},
		"overflow":          {[]*covariance{infinite}, CovarianceAuto, "class 0: the features are so large"},
		"jitter too small":  {[]*covariance{negative}, CovarianceJitter, "class 0: the covariance of 5 samples does not factorise with a jitter of up to 0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := factorAll(c.all, c.mode); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestReportedConditionAgainstGonum(t *testing.T) {
	for _, d := range []int{1, 2, 20, 90} {
		s := randomSPD(d, 6)
		var want mat.Cholesky
		want.Factorize(mat.NewSymDense(d, s))
		c := covarianceFrom(s, 3*d+3, d)
		if !c.factorRegularized(CovarianceAuto, 1) {
			t.Fatalf("d=%d: does not factorise", d)
		}
		if got := 1 / c.report().ReciprocalCondition; math.Abs(got/want.Cond()-1) > 1e-9 {
			t.Errorf("d=%d: condition %v, want %v", d, got, want.Cond())
		}
	}
}

// The search must end where trying every rung for all classes in turn ends.
func TestJitterIsTheFirstThatSuitsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, again []*covariance
		for range rapid.IntRange(1, 4).Draw(t, "classes") {
			d := 6
			s := sampleCovariance(rapid.IntRange(3, 10).Draw(t, "samples"), d, rapid.Uint64Range(0, 50).Draw(t, "seed"))
			if dead := rapid.IntRange(-3, d-1).Draw(t, "dead"); dead >= 0 {
				for i := range d {
					s[i*d+dead], s[dead*d+i] = 0, 0
				}
			}
			all = append(all, covarianceFrom(s, 10, d))
			again = append(again, covarianceFrom(s, 10, d))
		}
		if err := factorAll(all, CovarianceJitter); err != nil {
			t.Fatal(err)
		}
		want := 0
		for !allFactorWith(again, jitter(want)) {
			want++
		}
		for i, c := range all {
			if c.amount != jitter(want) {
				t.Fatalf("class %d: jitter %v, want %v", i, c.amount, jitter(want))
			}
		}
	})
}

func allFactorWith(all []*covariance, add float64) bool {
	for _, c := range all {
		if !c.factor(RegularizerJitter, add, 0, add, false) {
			return false
		}
	}
	return true
}

func TestJitterLadder(t *testing.T) {
	for rung, want := range map[int]float64{0: 0, 1: 2.2250738585072014e-308, 2: 1e-308, 3: 1e-307, 308: 1e-2, jitterSteps - 1: 1e-1} {
		if got := jitter(rung); got != want {
			t.Errorf("rung %d: %v, want %v", rung, got, want)
		}
	}
}
