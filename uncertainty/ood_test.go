package uncertainty_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/integrate"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

// scores draws groups with many ties.
func scores(t *rapid.T, name string) []float64 {
	whole := rapid.SliceOfN(rapid.IntRange(-4, 4), 1, 40).Draw(t, name)
	s := make([]float64, len(whole))
	for i, v := range whole {
		s[i] = float64(v)
	}
	return s
}

func negated(s []float64) []float64 {
	n := slices.Clone(s)
	for i := range n {
		n[i] = -n[i]
	}
	return n
}

func value(t *rapid.T, v float64, err error) float64 {
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAUROCCountsPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, n := scores(t, "positives"), scores(t, "negatives")
		var want float64
		for _, a := range p {
			for _, b := range n {
				switch {
				case a > b:
					want++
				case a == b:
					want += 0.5
				}
			}
		}
		want /= float64(len(p) * len(n))
		got, err := AUROC(p, n)
		if value(t, got, err) != want {
			t.Fatalf("AUROC %v, want %v", got, want)
		}
		swapped, err := AUROC(n, p)
		if math.Abs(value(t, swapped, err)-(1-got)) > 1e-15 {
			t.Fatalf("AUROC %v, the other way %v: want a sum of 1", got, swapped)
		}
		reversed, err := AUROC(negated(n), negated(p))
		if value(t, reversed, err) != got {
			t.Fatalf("AUROC %v, of negated scores the other way %v", got, reversed)
		}
	})
}

// Average precision from its definition: every distinct score as a threshold.
func TestAveragePrecisionFromItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, n := scores(t, "positives"), scores(t, "negatives")
		thresholds := slices.Concat(p, n)
		slices.Sort(thresholds)
		thresholds = slices.Compact(thresholds)
		slices.Reverse(thresholds)
		atLeast := func(s []float64, threshold float64) float64 {
			count := 0.0
			for _, v := range s {
				if v >= threshold {
					count++
				}
			}
			return count
		}
		var want, recall float64
		for _, threshold := range thresholds {
			tp, fp := atLeast(p, threshold), atLeast(n, threshold)
			want += (tp/float64(len(p)) - recall) * tp / (tp + fp)
			recall = tp / float64(len(p))
		}
		got, err := AveragePrecision(p, n)
		if math.Abs(value(t, got, err)-want) > 1e-14 {
			t.Fatalf("average precision %v, want %v", got, want)
		}
	})
}

// The curve is gonum's, less the points in the middle of equal steps, and
// encloses the same area.
func TestROCAgainstGonum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, n := scores(t, "positives"), scores(t, "negatives")
		y := slices.Concat(p, n)
		classes := make([]bool, len(y))
		for i := range p {
			classes[i] = true
		}
		stat.SortWeightedLabeled(y, classes, nil)
		tpr, fpr, _ := stat.ROC(nil, y, classes, nil)
		points, err := ROC(p, n)
		if err != nil {
			t.Fatal(err)
		}
		var x, height []float64
		for _, point := range points {
			i := slices.IndexFunc(tpr, func(v float64) bool { return math.Abs(v-point.TPR) < 1e-12 })
			for ; i < len(tpr) && math.Abs(fpr[i]-point.FPR) > 1e-12; i++ {
			}
			if i < 0 || i == len(tpr) {
				t.Fatalf("point %+v is not one of gonum's", point)
			}
			x, height = append(x, point.FPR), append(height, point.TPR)
		}
		area, err := AUROC(p, n)
		if got := integrate.Trapezoidal(x, height); math.Abs(got-value(t, area, err)) > 1e-12 {
			t.Fatalf("area %v under the curve, AUROC %v", got, area)
		}
		first, last := points[0], points[len(points)-1]
		if first.FPR != 0 || first.TPR != 0 || !math.IsInf(first.Threshold, 1) || last.FPR != 1 || last.TPR != 1 {
			t.Fatalf("the curve goes from %+v to %+v", first, last)
		}
	})
}

// As scikit-learn's roc_curve: the first and the last threshold stay, a
// threshold between equal steps goes, and FPR95 reads the curve that is left.
func TestROCLeavesEqualStepsOut(t *testing.T) {
	p, n := []float64{5, 4, 3, 2, 1}, []float64{5, 4, 3, 2, 0}
	want := []ROCPoint{{0, 0, math.Inf(1)}, {0.2, 0.2, 5}, {0.8, 0.8, 2}, {0.8, 1, 1}, {1, 1, 0}}
	if got := must(ROC(p, n))(t); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	near(t, "FPR at TPR 0.5", must(FPRAtTPR(p, n, 0.5))(t), 0.8, 0)
	near(t, "FPR at TPR 0.9", must(FPRAtTPR(p, n, 0.9))(t), 0.8, 0)
	near(t, "FPR at TPR 0", must(FPRAtTPR(p, n, 0))(t), 0, 0)
}

func TestOODMetricsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, ood := scores(t, "id"), scores(t, "ood")
		m, err := OODMetrics(id, ood, HigherIsOOD)
		if err != nil {
			t.Fatal(err)
		}
		// A score and its negative say the same.
		if other, err := OODMetrics(negated(id), negated(ood), HigherIsID); err != nil || other != m {
			t.Fatalf("%+v, with negated scores %+v", m, other)
		}
		// Only the order counts, and the order of samples does not.
		monotone := func(s []float64) []float64 {
			out := slices.Clone(s)
			for i, v := range out {
				out[i] = math.Exp(v) - 3
			}
			rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return out
		}
		if other, err := OODMetrics(monotone(id), monotone(ood), HigherIsOOD); err != nil || other != m {
			t.Fatalf("%+v, after a monotone map %+v", m, other)
		}
		in, _ := AveragePrecision(negated(id), negated(ood))
		out, _ := AveragePrecision(ood, id)
		area, _ := AUROC(ood, id)
		fpr, _ := FPRAtTPR(ood, id, 0.95)
		if (OOD{AUROC: area, AUPRIn: in, AUPROut: out, FPR95: fpr}) != m {
			t.Fatalf("%+v, single metrics %v %v %v %v", m, area, in, out, fpr)
		}
		for _, v := range []float64{m.AUROC, m.AUPRIn, m.AUPROut, m.FPR95} {
			if !(v >= 0 && v <= 1+1e-15) {
				t.Fatalf("%+v", m)
			}
		}
	})
}

func TestOODMetricsAtTheEnds(t *testing.T) {
	low, high := []float64{1, 2, 3}, []float64{4, 5, math.Inf(1)}
	if got := must(OODMetrics(low, high, HigherIsOOD))(t); got != (OOD{1, 1, 1, 0}) {
		t.Errorf("perfect: %+v", got)
	}
	worst := must(OODMetrics(low, high, HigherIsID))(t)
	if worst.AUROC != 0 || worst.FPR95 != 1 {
		t.Errorf("always wrong: %+v", worst)
	}
	same := must(OODMetrics([]float64{7, 7, 7}, []float64{7}, HigherIsOOD))(t)
	if same != (OOD{0.5, 0.75, 0.25, 1}) {
		t.Errorf("all tied: %+v", same)
	}
	// A log density may be -Inf: the most out-of-distribution of all.
	got := must(OODMetrics([]float64{-3, -2}, []float64{math.Inf(-1), math.Inf(-1)}, HigherIsID))(t)
	if got != (OOD{1, 1, 1, 0}) {
		t.Errorf("densities of 0: %+v", got)
	}
}

func TestOODMetricsRefuse(t *testing.T) {
	ok, nan := []float64{1, 2}, []float64{1, math.NaN()}
	_, err := OODMetrics(nan, ok, HigherIsID)
	wantError(t, err, "in-distribution score 1 is NaN")
	_, err = OODMetrics(ok, nil, HigherIsID)
	wantError(t, err, "no out-of-distribution scores")
	_, err = OODMetrics(ok, ok, Direction(7))
	wantError(t, err, "direction 7")
	_, err = AUROC(ok, nan)
	wantError(t, err, "negative score 1 is NaN")
	_, err = AveragePrecision(nil, ok)
	wantError(t, err, "no positive scores")
	_, err = FPRAtTPR(ok, ok, 1.5)
	wantError(t, err, "true positive rate 1.5: want 0 to 1")
	_, err = ROC(nan, ok)
	wantError(t, err, "positive score 1 is NaN")
}

func BenchmarkOODMetrics(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	id, ood := make([]float64, 10_000), make([]float64, 26_032)
	for i := range id {
		id[i] = r.NormFloat64()
	}
	for i := range ood {
		ood[i] = r.NormFloat64() + 1
	}
	for b.Loop() {
		must(OODMetrics(id, ood, HigherIsOOD))(b)
	}
}
