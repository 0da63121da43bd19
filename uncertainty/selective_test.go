package uncertainty_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

func TestRiskCoverageByHand(t *testing.T) {
	c := must(RiskCoverage([]float64{0.1, 0.9, 0.3, 0.5}, []bool{true, false, false, true}))(t)
	if want := (RiskCoverageCurve{0, 1.0 / 2, 1.0 / 3, 2.0 / 4}); !slices.Equal(c, want) {
		t.Errorf("curve %v, want %v", c, want)
	}
	near(t, "AURC", c.AURC(), (0.5+1.0/3+0.5)/4, 1e-15)
	near(t, "E-AURC", c.EAURC(), c.AURC()-(1.0/3+2.0/4)/4, 1e-15)
	near(t, "accuracy at 0.25", must(c.AccuracyAt(0.25))(t), 1, 0)
	near(t, "accuracy at 0.3", must(c.AccuracyAt(0.3))(t), 0.5, 0)
	near(t, "accuracy at 1", must(c.AccuracyAt(1))(t), 0.5, 0)
	ten := must(RiskCoverage([]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []bool{true, true, true, true, true, true, true, false, false, false}))(t)
	near(t, "accuracy at 0.7", must(ten.AccuracyAt(0.7))(t), 1, 0)
	near(t, "E-AURC of a perfect order", ten.EAURC(), 0, 1e-15)
}

// Ties stand for all their orders: the curve is the mean over many of them, and
// does not depend on the order of the samples.
func TestRiskCoverageOfTies(t *testing.T) {
	u := []float64{1, 1, 1, 2, 2}
	correct := []bool{true, false, false, true, false}
	got := must(RiskCoverage(u, correct))(t)
	want := make([]float64, 5)
	const rounds = 20_000
	r := rand.New(rand.NewPCG(9, 9))
	for range rounds {
		jittered := slices.Clone(u)
		for i := range jittered {
			jittered[i] += 1e-3 * r.Float64()
		}
		for k, v := range must(RiskCoverage(jittered, correct))(t) {
			want[k] += v / rounds
		}
	}
	for k := range want {
		near(t, "risk", got[k], want[k], 0.02)
	}
	near(t, "risk of the first", got[0], 2.0/3, 1e-15)
}

func TestRiskCoverageProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := scores(t, "uncertainty")
		correct := rapid.SliceOfN(rapid.Bool(), len(u), len(u)).Draw(t, "correct")
		c, err := RiskCoverage(u, correct)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0.0
		for _, ok := range correct {
			if !ok {
				wrong++
			}
		}
		if last := c[len(c)-1]; math.Abs(last-wrong/float64(len(u))) > 1e-15 {
			t.Fatalf("risk %v at full coverage, error rate %v", last, wrong/float64(len(u)))
		}
		if c.EAURC() < -1e-12 {
			t.Fatalf("E-AURC %v is better than perfect", c.EAURC())
		}
		order := rand.Perm(len(u))
		v, other := make([]float64, len(u)), make([]bool, len(u))
		for i, o := range order {
			v[i], other[i] = u[o], correct[o]
		}
		shuffled, _ := RiskCoverage(v, other)
		if !slices.Equal(c, shuffled) {
			t.Fatalf("curve %v, of shuffled samples %v", c, shuffled)
		}
	})
}

func TestRiskCoverageRefuses(t *testing.T) {
	_, err := RiskCoverage([]float64{1}, nil)
	wantError(t, err, "1 uncertainties for 0 predictions")
	_, err = RiskCoverage(nil, nil)
	wantError(t, err, "no uncertainty scores")
	_, err = RiskCoverage([]float64{math.NaN()}, []bool{true})
	wantError(t, err, "uncertainty score 0 is NaN")
	_, err = RiskCoverageCurve{0}.AccuracyAt(0)
	wantError(t, err, "coverage 0: want above 0, at most 1")
}
