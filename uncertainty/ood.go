package uncertainty

import (
	"fmt"
	"math"
	"slices"
)

// Direction says which samples a high score speaks for.
type Direction int

const (
	// HigherIsOOD: entropies, mutual information.
	HigherIsOOD Direction = iota
	// HigherIsID: log density, energy, maximum softmax probability.
	HigherIsID
)

// OOD tells how well a score separates in-distribution from out-of-distribution
// samples. All are fractions; ties count as in scikit-learn.
type OOD struct {
	AUROC   float64 // area under the ROC curve, the same whichever is positive
	AUPRIn  float64 // average precision, in-distribution samples positive
	AUPROut float64 // average precision, out-of-distribution samples positive
	FPR95   float64 // in-distribution samples rejected where 95 % of the others are, see FPRAtTPR
}

// OODMetrics compares the scores of in-distribution and out-of-distribution
// samples. Infinite scores are in order; NaN is an error.
func OODMetrics(id, ood []float64, higher Direction) (OOD, error) {
	if higher != HigherIsOOD && higher != HigherIsID {
		return OOD{}, fmt.Errorf("direction %d: want HigherIsOOD or HigherIsID", higher)
	}
	if err := checkScores("in-distribution", id); err != nil {
		return OOD{}, err
	}
	if err := checkScores("out-of-distribution", ood); err != nil {
		return OOD{}, err
	}
	out := sweep(ood, id)
	if higher == HigherIsID {
		out = out.reversed()
	}
	return OOD{
		AUROC:   out.auroc(),
		AUPRIn:  out.reversed().swapped().averagePrecision(),
		AUPROut: out.averagePrecision(),
		FPR95:   out.fprAtTPR(0.95),
	}, nil
}

// AUROC returns the area under the ROC curve of scores that should be higher
// for positives: the chance that a positive scores above a negative, ties
// counting half. It is exact up to one rounding.
func AUROC(positives, negatives []float64) (float64, error) {
	t, err := checkedSweep(positives, negatives)
	if err != nil {
		return 0, err
	}
	return t.auroc(), nil
}

// AveragePrecision returns sum_n (R_n - R_{n-1}) P_n over the distinct scores
// from high to low, R recall and P precision of positives.
func AveragePrecision(positives, negatives []float64) (float64, error) {
	t, err := checkedSweep(positives, negatives)
	if err != nil {
		return 0, err
	}
	return t.averagePrecision(), nil
}

// FPRAtTPR returns the false positive rate at the first point of [ROC] whose
// true positive rate is at least tpr.
func FPRAtTPR(positives, negatives []float64, tpr float64) (float64, error) {
	if !(tpr >= 0 && tpr <= 1) {
		return 0, fmt.Errorf("true positive rate %v: want 0 to 1", tpr)
	}
	t, err := checkedSweep(positives, negatives)
	if err != nil {
		return 0, err
	}
	return t.fprAtTPR(tpr), nil
}

// ROCPoint is one point of a ROC curve: the rates of positives and negatives
// that score at least Threshold.
type ROCPoint struct {
	FPR, TPR, Threshold float64
}

// ROC returns the ROC curve from (0, 0), at threshold +Inf, to (1, 1). As in
// scikit-learn's roc_curve, a threshold is left out where the curve goes on by
// exactly the same step, so long straight runs cost no points.
func ROC(positives, negatives []float64) ([]ROCPoint, error) {
	t, err := checkedSweep(positives, negatives)
	if err != nil {
		return nil, err
	}
	return t.roc(), nil
}

func checkedSweep(positives, negatives []float64) (tally, error) {
	if err := checkScores("positive", positives); err != nil {
		return nil, err
	}
	if err := checkScores("negative", negatives); err != nil {
		return nil, err
	}
	return sweep(positives, negatives), nil
}

func checkScores(what string, scores []float64) error {
	if len(scores) == 0 {
		return fmt.Errorf("no %s scores", what)
	}
	if i := slices.IndexFunc(scores, math.IsNaN); i >= 0 {
		return fmt.Errorf("%s score %d is NaN", what, i)
	}
	return nil
}

// tally counts positives and negatives at each distinct score, highest first.
type tally []tied

type tied struct {
	score      float64
	positives  int
	negatives  int
	cumulative [2]int // positives and negatives so far, this score included
}

// sweep sorts both groups and walks them together.
func sweep(positives, negatives []float64) tally {
	p, n := sortedDown(positives), sortedDown(negatives)
	var t tally
	for i, j := 0, 0; i < len(p) || j < len(n); {
		var g tied
		if j == len(n) || i < len(p) && p[i] > n[j] {
			g.score = p[i]
		} else {
			g.score = n[j]
		}
		for ; i < len(p) && p[i] == g.score; i++ {
			g.positives++
		}
		for ; j < len(n) && n[j] == g.score; j++ {
			g.negatives++
		}
		t = append(t, g)
	}
	return t.count()
}

func sortedDown(scores []float64) []float64 {
	s := slices.Clone(scores)
	slices.Sort(s)
	slices.Reverse(s)
	return s
}

func (t tally) count() tally {
	var sum [2]int
	for i := range t {
		sum[0] += t[i].positives
		sum[1] += t[i].negatives
		t[i].cumulative = sum
	}
	return t
}

// reversed is the tally of the negated scores.
func (t tally) reversed() tally {
	r := slices.Clone(t)
	slices.Reverse(r)
	for i := range r {
		r[i].score = -r[i].score
	}
	return r.count()
}

// swapped exchanges positives and negatives.
func (t tally) swapped() tally {
	r := slices.Clone(t)
	for i, g := range r {
		r[i].positives, r[i].negatives = g.negatives, g.positives
	}
	return r.count()
}

func (t tally) totals() (positives, negatives float64) {
	last := t[len(t)-1].cumulative
	return float64(last[0]), float64(last[1])
}

// auroc counts pairs twice over, in integers: a negative beats nothing, ties
// once, loses to each positive before it twice.
func (t tally) auroc() float64 {
	var twice int
	for _, g := range t {
		twice += g.negatives * (2*g.cumulative[0] - g.positives)
	}
	p, n := t.totals()
	return float64(twice) / (2 * p * n)
}

func (t tally) averagePrecision() float64 {
	p, _ := t.totals()
	var sum float64
	for _, g := range t {
		if g.positives > 0 {
			precision := float64(g.cumulative[0]) / float64(g.cumulative[0]+g.cumulative[1])
			sum += float64(g.positives) / p * precision
		}
	}
	return sum
}

func (t tally) fprAtTPR(tpr float64) float64 {
	for _, point := range t.roc() {
		if point.TPR >= tpr {
			return point.FPR
		}
	}
	return 1
}

func (t tally) roc() []ROCPoint {
	p, n := t.totals()
	points := []ROCPoint{{Threshold: math.Inf(1)}}
	for i, g := range t {
		if i > 0 && i+1 < len(t) && t[i+1].positives == g.positives && t[i+1].negatives == g.negatives {
			continue
		}
		points = append(points, ROCPoint{FPR: float64(g.cumulative[1]) / n, TPR: float64(g.cumulative[0]) / p, Threshold: g.score})
	}
	return points
}
