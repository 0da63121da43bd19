package uncertainty_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"github.com/deepuncertainty/ddu/kernels"
	. "github.com/deepuncertainty/ddu/uncertainty"
)

// clusters draws n features [n][d] around one centre per class, correlated.
func clusters(n, d, classes int, seed uint64) (features []float64, labels []int) {
	r := rand.New(rand.NewPCG(seed, 7))
	features, labels = make([]float64, n*d), make([]int, n)
	for i := range n {
		labels[i] = i % classes
		carry := 0.0
		for j := range d {
			carry = 0.5*carry + r.NormFloat64()
			features[i*d+j] = carry + 3*math.Sin(float64(labels[i]*d+j))
		}
	}
	return features, labels
}

func fitOf(t testing.TB, classes, d int, features []float64, labels []int, batch int) *GaussianFit {
	t.Helper()
	f := must(NewGaussianFit(classes, d))(t)
	for i := 0; i < len(labels); i += batch {
		end := min(i+batch, len(labels))
		if err := f.Add(NewMatrix(end-i, d, features[i*d:end*d]), labels[i:end]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// sameBits wants equal means and factors.
func sameBits(t testing.TB, what string, a, b *Density) {
	t.Helper()
	if !slices.Equal(a.Means().Float64s(), b.Means().Float64s()) {
		t.Errorf("%s: other means", what)
	}
	for c, l := range a.Factors() {
		if !slices.Equal(l.Float64s(), b.Factors()[c].Float64s()) {
			t.Errorf("%s: other factor of class %d", what, c)
		}
	}
}

// covarianceOf multiplies the factor of class c out.
func covarianceOf(d *Density, c int) *mat.SymDense {
	n := d.Dim()
	l := mat.NewTriDense(n, mat.Lower, slices.Clone(d.Factors()[c].Float64s()))
	var s mat.SymDense
	s.SymOuterK(1, l)
	return &s
}

func TestFitAgainstGonumCovariance(t *testing.T) {
	const n, d, classes = 900, 17, 3
	features, labels := clusters(n, d, classes, 1)
	density := must(fitOf(t, classes, d, features, labels, 100).Fit(FitOptions{}))(t)
	for c := range classes {
		var rows []float64
		for i, l := range labels {
			if l == c {
				rows = append(rows, features[i*d:(i+1)*d]...)
			}
		}
		data := mat.NewDense(len(rows)/d, d, rows)
		var want mat.SymDense
		stat.CovarianceMatrix(&want, data, nil)
		got := covarianceOf(density, c)
		for i := range d {
			near(t, "mean", density.Means().At(c, i), stat.Mean(mat.Col(nil, i, data), nil), 1e-13)
			for j := range d {
				near(t, "covariance", got.At(i, j), want.At(i, j), 1e-12)
			}
		}
		near(t, "log prior", density.LogPriors()[c], math.Log(1.0/3), 1e-15)
	}
}

func TestFitDoesNotDependOnBatchesOrThreads(t *testing.T) {
	const n, d, classes = 1000, 70, 3
	features, labels := clusters(n, d, classes, 2)
	atEveryLevel(t, func(t *testing.T) {
		whole := must(fitOf(t, classes, d, features, labels, n).Fit(FitOptions{}))(t)
		for _, threads := range []int{1, 2, 5} {
			withThreads(t, threads)
			for _, batch := range []int{1, 64, 333} {
				got := must(fitOf(t, classes, d, features, labels, batch).Fit(FitOptions{}))(t)
				sameBits(t, fmt.Sprintf("%d threads, batches of %d", threads, batch), got, whole)
			}
		}
	})
}

func TestFitTakesFloat32(t *testing.T) {
	features, labels := clusters(300, 5, 2, 3)
	narrow, wide := make([]float32, len(features)), make([]float64, len(features))
	for i, v := range features {
		narrow[i] = float32(v)
		wide[i] = float64(narrow[i])
	}
	f := must(NewGaussianFit(2, 5))(t)
	if err := f.Add(NewMatrix(300, 5, narrow), labels); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "float32", must(f.Fit(FitOptions{}))(t), must(fitOf(t, 2, 5, wide, labels, 300).Fit(FitOptions{}))(t))
}

// Fit neither ends nor disturbs the gathering, unless it consumes it.
func TestFitLeavesTheMomentsAlone(t *testing.T) {
	features, labels := clusters(500, 6, 2, 4)
	want := must(fitOf(t, 2, 6, features, labels, 500).Fit(FitOptions{}))(t)
	f := fitOf(t, 2, 6, features[:200*6], labels[:200], 50)
	must(f.Fit(FitOptions{}))(t)
	if err := f.Add(NewMatrix(300, 6, features[200*6:]), labels[200:]); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "fit between", must(f.Fit(FitOptions{}))(t), want)
	sameBits(t, "consuming", must(f.Fit(FitOptions{Consume: true}))(t), want)
	_, err := f.Fit(FitOptions{})
	wantError(t, err, "consumed")
	wantError(t, f.Add(NewMatrix(500, 6, features), labels), "consumed")
	wantError(t, f.Merge(f), "consumed")
}

func TestMergeEqualsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, classes := rapid.IntRange(1, 9).Draw(t, "d"), rapid.IntRange(1, 4).Draw(t, "classes")
		n := rapid.IntRange(classes*(d+3), 700+classes*(d+3)).Draw(t, "n")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		offset := rapid.SampledFrom([]float64{0, 1e3, -1e6}).Draw(t, "offset")
		features, labels := clusters(n, d, classes, rapid.Uint64().Draw(t, "seed"))
		for i := range features {
			features[i] += offset
		}
		add := func(from, to int) *GaussianFit {
			f, _ := NewGaussianFit(classes, d)
			if from < to {
				if err := f.Add(NewMatrix(to-from, d, features[from*d:to*d]), labels[from:to]); err != nil {
					t.Fatal(err)
				}
			}
			return f
		}
		left, right := add(0, cut), add(cut, n)
		before := right.Counts()
		if err := left.Merge(right); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(right.Counts(), before) {
			t.Fatalf("merging changed the counts of what was merged: %v, were %v", right.Counts(), before)
		}
		got, err := left.Fit(FitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := add(0, n).Fit(FitOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tolerance := 1e-12 * (1 + math.Abs(offset)*1e-3)
		for c := range classes {
			g, w := covarianceOf(got, c), covarianceOf(want, c)
			for i := range d {
				if x, y := got.Means().At(c, i), want.Means().At(c, i); math.Abs(x-y) > 1e-13*(10+math.Abs(offset)) {
					t.Fatalf("mean %d of class %d: %v, want %v", i, c, x, y)
				}
				for j := range d {
					if x, y := g.At(i, j), w.At(i, j); math.Abs(x-y) > tolerance*(1+math.Abs(y))*10 {
						t.Fatalf("covariance (%d, %d) of class %d: %v, want %v", i, j, c, x, y)
					}
				}
			}
		}
	})
}

// A textbook sum of squares loses everything at an offset of 1e9.
func TestFitSurvivesLargeMeans(t *testing.T) {
	const n, d = 1000, 4
	features, labels := clusters(n, d, 1, 5)
	want := covarianceOf(must(fitOf(t, 1, d, features, labels, n).Fit(FitOptions{}))(t), 0)
	shifted := slices.Clone(features)
	for i := range shifted {
		shifted[i] += 1e9 // rounds to 1.2e-7, so the covariance moves by about 1e-8
	}
	got := covarianceOf(must(fitOf(t, 1, d, shifted, labels, 90).Fit(FitOptions{}))(t), 0)
	for i := range d {
		for j := range d {
			near(t, "covariance", got.At(i, j), want.At(i, j), 1e-7)
		}
	}
}

// A feature that is 0.1 throughout has variance 0, not the square of a rounding
// error: the class must not pass as regular.
func TestConstantFeatureIsNotNoise(t *testing.T) {
	features, labels := clusters(600, 5, 2, 6)
	for i := range labels {
		features[i*5+2] = 0.1
	}
	half := 300
	whole := fitOf(t, 2, 5, features, labels, 37)
	merged := fitOf(t, 2, 5, features[:half*5], labels[:half], 37)
	if err := merged.Merge(fitOf(t, 2, 5, features[half*5:], labels[half:], 50)); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*GaussianFit{"whole": whole, "merged": merged} {
		for _, r := range must(f.Fit(FitOptions{}))(t).Report() {
			if r.Regularizer != RegularizerOAS {
				t.Errorf("%s: %v, want shrinkage", name, r)
			}
		}
		for _, r := range must(f.Fit(FitOptions{Covariance: CovarianceJitter}))(t).Report() {
			if r.Regularizer != RegularizerJitter || r.Amount != 0x1p-1022 {
				t.Errorf("%s: %v, want the smallest jitter", name, r)
			}
		}
	}
}

func TestFitRefuses(t *testing.T) {
	add := func(features Matrix, labels []int) error {
		return must(NewGaussianFit(3, 2))(t).Add(features, labels)
	}
	two := []float64{1, 2, 3, 4}
	cases := map[string]struct {
		err  error
		want string
	}{
		"NaN":              {add(NewMatrix(2, 2, []float64{1, 2, math.NaN(), 4}), []int{0, 1}), "features: row 1, column 0 is NaN"},
		"infinity":         {add(NewMatrix(2, 2, []float32{1, 2, 3, float32(math.Inf(-1))}), []int{0, 1}), "features: row 1, column 1 is -Inf"},
		"large label":      {add(NewMatrix(2, 2, two), []int{0, 3}), "label 3 of row 1: want 0 to 2"},
		"negative label":   {add(NewMatrix(2, 2, two), []int{-1, 0}), "label -1 of row 0: want 0 to 2"},
		"number of labels": {add(NewMatrix(2, 2, two), []int{0}), "1 labels for 2 rows"},
		"columns":          {add(NewMatrix(1, 4, two), []int{0}), "features: 4 columns, want 2"},
		"length":           {add(NewMatrix(3, 2, two), []int{0, 0, 0}), "features: 4 numbers for a matrix of 3 rows and 2 columns"},
		"ragged":           {add(MatrixFromRows([][]float64{{1, 2}, {3}}), []int{0, 0}), "features: row 1 has 1 numbers, row 0 has 2"},
		"nothing":          {add(NewMatrix(0, 2, []float64{}), nil), "features: empty matrix"},
	}
	_, err := NewGaussianFit(0, 3)
	cases["no classes"] = struct {
		err  error
		want string
	}{err, "0 classes with 3 features"}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { wantError(t, c.err, c.want) })
	}
}

func TestRefusedBatchChangesNothing(t *testing.T) {
	features, labels := clusters(100, 3, 2, 8)
	f := fitOf(t, 2, 3, features, labels, 100)
	bad := slices.Clone(features)
	bad[len(bad)-1] = math.NaN()
	wantError(t, f.Add(NewMatrix(100, 3, bad), labels), "NaN")
	wrong := slices.Clone(labels)
	wrong[99] = 2
	wantError(t, f.Add(NewMatrix(100, 3, features), wrong), "label 2 of row 99")
	sameBits(t, "after refused batches", must(f.Fit(FitOptions{}))(t), must(fitOf(t, 2, 3, features, labels, 100).Fit(FitOptions{}))(t))
}

func TestFitNamesClassesWithoutSamples(t *testing.T) {
	features, _ := clusters(8, 2, 1, 9)
	f := fitOf(t, 4, 2, features, []int{0, 0, 0, 0, 2, 3, 3, 3}, 8)
	_, err := f.Fit(FitOptions{})
	wantError(t, err, "class 1 has no sample, class 2 has 1 sample: a covariance needs at least 2")
	_, err = must(NewGaussianFit(1, 2))(t).Fit(FitOptions{})
	wantError(t, err, "class 0 has no sample")
}

func TestFitRefusesUnknownOptions(t *testing.T) {
	features, labels := clusters(40, 2, 2, 10)
	f := fitOf(t, 2, 2, features, labels, 40)
	_, err := f.Fit(FitOptions{Priors: "uniform"})
	wantError(t, err, `priors "uniform": want "empirical" or "none"`)
	_, err = f.Fit(FitOptions{Covariance: "diagonal"})
	wantError(t, err, `covariance "diagonal"`)
	wantError(t, f.Merge(must(NewGaussianFit(2, 3))(t)), "2 classes of 2 features with 2 classes of 3 features")
	wantError(t, f.Merge(f), "with itself")
}

func withThreads(t testing.TB, n int) {
	t.Helper()
	old := kernels.Threads()
	if err := kernels.SetThreads(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kernels.SetThreads(old) })
}

func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
}
