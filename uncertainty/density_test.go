package uncertainty_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/stat/distmv"
	"pgregory.net/rapid"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

func TestDensityAgainstGonumNormal(t *testing.T) {
	const n, d, classes = 1200, 45, 4
	features, labels := clusters(n, d, classes, 1)
	query, _ := clusters(70, d, 3, 2)
	atEveryLevel(t, func(t *testing.T) {
		density := must(fitOf(t, classes, d, features, labels, 128).Fit(FitOptions{}))(t)
		joint := must(density.ClassLogDensities(NewMatrix(70, d, query)))(t)
		for c := range classes {
			normal, ok := distmv.NewNormal(density.Means().Row(c), covarianceOf(density, c), nil)
			if !ok {
				t.Fatal("gonum finds the covariance singular")
			}
			for i := range 70 {
				want := normal.LogProb(query[i*d:(i+1)*d]) + density.LogPriors()[c]
				near(t, "class log density", joint.At(i, c), want, 1e-9*math.Abs(want))
			}
		}
	})
}

// In one dimension the density integrates to 1, priors included.
func TestDensityNormalises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes := rapid.IntRange(1, 4).Draw(t, "classes")
		n := rapid.IntRange(3*classes, 60).Draw(t, "n")
		features, labels := clusters(n, 1, classes, rapid.Uint64().Draw(t, "seed"))
		f, _ := NewGaussianFit(classes, 1)
		if err := f.Add(NewMatrix(n, 1, features), labels); err != nil {
			t.Fatal(err)
		}
		density, err := f.Fit(FitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// Grid around every class, fine against the narrowest.
		narrow, wide := math.Inf(1), 0.0
		for _, l := range density.Factors() {
			narrow, wide = min(narrow, l.At(0, 0)), max(wide, l.At(0, 0))
		}
		lo, hi := slices.Min(density.Means().Float64s())-9*wide, slices.Max(density.Means().Float64s())+9*wide
		steps := int((hi - lo) / narrow * 4)
		if steps > 300_000 {
			t.Skip("one class is thousands of times narrower than another")
		}
		grid := make([]float64, steps)
		for i := range grid {
			grid[i] = lo + (hi-lo)*float64(i)/float64(steps)
		}
		logs, err := density.LogDensity(NewMatrix(steps, 1, grid))
		if err != nil {
			t.Fatal(err)
		}
		var integral float64
		for _, l := range logs {
			integral += math.Exp(l) * (hi - lo) / float64(steps)
		}
		if math.Abs(integral-1) > 1e-6 {
			t.Fatalf("the density integrates to %v", integral)
		}
	})
}

// An affine change of the features moves every log density by the same amount.
func TestDensityIsAffineEquivariant(t *testing.T) {
	const n, d, classes = 300, 5, 2
	features, labels := clusters(n, d, classes, 3)
	query, _ := clusters(40, d, 1, 4)
	change := func(x []float64) []float64 { // z_j = 2 x_j + x_{j-1} + j
		y := slices.Clone(x)
		for i := range y {
			y[i] = 2*x[i] + float64(i%d)
			if i%d > 0 {
				y[i] += x[i-1]
			}
		}
		return y
	}
	before := must(must(fitOf(t, classes, d, features, labels, n).Fit(FitOptions{}))(t).LogDensity(NewMatrix(40, d, query)))(t)
	after := must(must(fitOf(t, classes, d, change(features), labels, n).Fit(FitOptions{}))(t).LogDensity(NewMatrix(40, d, change(query))))(t)
	for i := range before {
		near(t, "log density", after[i], before[i]-d*math.Ln2, 1e-10*math.Abs(before[i]))
	}
}

func TestPriorsShiftClasses(t *testing.T) {
	features, _ := clusters(90, 3, 1, 5)
	labels := make([]int, 90) // 60 of class 0, 30 of class 1
	for i := 60; i < 90; i++ {
		labels[i] = 1
	}
	f := fitOf(t, 2, 3, features, labels, 90)
	query := NewMatrix(90, 3, features)
	with := must(must(f.Fit(FitOptions{Priors: PriorsEmpirical}))(t).ClassLogDensities(query))(t)
	without := must(must(f.Fit(FitOptions{Priors: PriorsNone}))(t).ClassLogDensities(query))(t)
	for i := range 90 {
		near(t, "class 0", with.At(i, 0)-without.At(i, 0), math.Log(2.0/3), 1e-12)
		near(t, "class 1", with.At(i, 1)-without.At(i, 1), math.Log(1.0/3), 1e-12)
	}
}

// One frozen density, many goroutines, any number of threads, rows alone or
// together: the same bits.
func TestScoringHasTheSameBits(t *testing.T) {
	const n, d, classes, queries = 400, 80, 3, 1300
	features, labels := clusters(n, d, classes, 6)
	query, _ := clusters(queries, d, 5, 7)
	atEveryLevel(t, func(t *testing.T) {
		density := must(fitOf(t, classes, d, features, labels, n).Fit(FitOptions{}))(t)
		want := must(density.LogDensity(NewMatrix(queries, d, query)))(t)
		withThreads(t, 3)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := g; i < queries; i += 97 {
					end := min(i+g+1, queries)
					got, err := density.LogDensity(NewMatrix(end-i, d, query[i*d:end*d]))
					if err != nil {
						t.Error(err)
						return
					}
					if !slices.Equal(got, want[i:end]) {
						t.Errorf("rows %d to %d alone: %v, want %v", i, end, got, want[i:end])
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestDensityFromItsParts(t *testing.T) {
	features, labels := clusters(200, 7, 2, 8)
	a := must(fitOf(t, 2, 7, features, labels, 200).Fit(FitOptions{}))(t)
	b := must(NewDensity(a.Means(), a.Factors(), a.LogPriors()))(t)
	q := NewMatrix(200, 7, features)
	if !slices.Equal(must(a.LogDensity(q))(t), must(b.LogDensity(q))(t)) {
		t.Error("other log densities")
	}
	if b.Classes() != 2 || b.Dim() != 7 || b.Report() != nil {
		t.Errorf("%d classes, %d features, report %v", b.Classes(), b.Dim(), b.Report())
	}
}

func TestNewDensityRefuses(t *testing.T) {
	means := NewMatrix(1, 2, []float64{0, 0})
	unit := NewMatrix(2, 2, []float64{1, 0, 0, 1})
	for name, c := range map[string]struct {
		means   Matrix
		factors []Matrix
		priors  []float64
		want    string
	}{
		"NaN mean":        {NewMatrix(1, 2, []float64{0, math.NaN()}), []Matrix{unit}, []float64{0}, "means: row 0, column 1 is NaN"},
		"no factor":       {means, nil, []float64{0}, "1 means, 0 factors, 1 log priors"},
		"factor size":     {means, []Matrix{NewMatrix(1, 2, []float64{1, 1})}, []float64{0}, "factor of class 0 is [1][2]: the means want [2][2]"},
		"zero diagonal":   {means, []Matrix{NewMatrix(2, 2, []float64{1, 0, 0, 0})}, []float64{0}, "element (1, 1) is 0"},
		"infinite factor": {means, []Matrix{NewMatrix(2, 2, []float64{1, 0, math.Inf(1), 1})}, []float64{0}, "element (1, 0) is +Inf"},
		"prior":           {means, []Matrix{unit}, []float64{0.5}, "log prior of class 0 is 0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewDensity(c.means, c.factors, c.priors)
			wantError(t, err, c.want)
		})
	}
}

// Far away, and in a direction that never varied, the density is the smallest
// there is: never NaN, never an error.
func TestDensityOfFarFeatures(t *testing.T) {
	features, labels := clusters(100, 3, 2, 9)
	for i := range labels {
		features[i*3] = 0
	}
	f := fitOf(t, 2, 3, features, labels, 100)
	far := NewMatrix(2, 3, []float64{1e200, -1e200, 1e200, 1, 1, 1})
	for _, covariance := range []Covariance{CovarianceAuto, CovarianceJitter} {
		density := must(f.Fit(FitOptions{Covariance: covariance}))(t)
		logs := must(density.LogDensity(far))(t)
		if !math.IsInf(logs[0], -1) || math.IsNaN(logs[1]) {
			t.Errorf("%s: log densities %v", covariance, logs)
		}
		near(t, "entropy of the posterior", must(density.PosteriorEntropy(far))(t)[0], math.Ln2, 1e-15)
		near(t, "posterior", must(density.Posterior(far))(t).At(0, 1), 0.5, 0)
	}
}

func TestDensityRefusesFeatures(t *testing.T) {
	features, labels := clusters(100, 3, 2, 10)
	density := must(fitOf(t, 2, 3, features, labels, 100).Fit(FitOptions{}))(t)
	_, err := density.LogDensity(NewMatrix(1, 2, []float64{0, 0}))
	wantError(t, err, "features: 2 columns, want 3")
	_, err = density.Posterior(NewMatrix(1, 3, []float64{0, math.NaN(), 0}))
	wantError(t, err, "features: row 0, column 1 is NaN")
	_, err = density.PosteriorEntropy(Matrix{})
	wantError(t, err, "features: empty matrix")
}

func TestPosteriorIsSoftmaxOfClassLogDensities(t *testing.T) {
	features, labels := clusters(100, 3, 2, 11)
	density := must(fitOf(t, 2, 3, features, labels, 100).Fit(FitOptions{}))(t)
	q := NewMatrix(100, 3, features)
	p, h := must(density.Posterior(q))(t), must(density.PosteriorEntropy(q))(t)
	for i := range 100 {
		a, b := p.At(i, 0), p.At(i, 1)
		near(t, "sum of the posterior", a+b, 1, 1e-15)
		var want float64
		for _, v := range []float64{a, b} {
			if v > 0 {
				want -= v * math.Log(v)
			}
		}
		near(t, "entropy of the posterior", h[i], want, 1e-12)
	}
}

func benchmarkFit(b *testing.B, n, d, classes int) {
	features, labels := clusters(n, d, classes, 1)
	narrow := make([]float32, len(features))
	for i, v := range features {
		narrow[i] = float32(v)
	}
	const batch = 128
	gather := func() *GaussianFit {
		f := must(NewGaussianFit(classes, d))(b)
		for i := 0; i < n; i += batch {
			end := min(i+batch, n)
			if err := f.Add(NewMatrix(end-i, d, narrow[i*d:end*d]), labels[i:end]); err != nil {
				b.Fatal(err)
			}
		}
		return f
	}
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			gather()
		}
		report(b, float64(n)*float64(d)*float64(d), n)
	})
	fit := gather()
	b.Run("fit", func(b *testing.B) {
		for b.Loop() {
			must(fit.Fit(FitOptions{}))(b)
		}
		report(b, float64(classes)*math.Pow(float64(d), 3)/3, classes)
	})
	density := must(fit.Fit(FitOptions{Consume: true}))(b)
	b.Run("score", func(b *testing.B) {
		queries := min(n, 4096)
		q := NewMatrix(queries, d, narrow[:queries*d])
		for b.Loop() {
			must(density.LogDensity(q))(b)
		}
		report(b, float64(classes)*float64(queries)*float64(d)*float64(d), queries)
	})
}

// report gives useful GFLOP/s, symmetry and triangles counted once, and items/s.
func report(b *testing.B, flops float64, items int) {
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(flops/seconds/1e9, "GFLOP/s")
	b.ReportMetric(float64(items)/seconds, "items/s")
}

func BenchmarkDensity(b *testing.B) {
	for _, s := range []struct{ n, d, classes int }{{5000, 64, 10}, {8000, 640, 10}, {5000, 2048, 2}} {
		b.Run(fmt.Sprintf("d=%d", s.d), func(b *testing.B) { benchmarkFit(b, s.n, s.d, s.classes) })
	}
}
