package uncertainty

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// RiskCoverageCurve tells what a classifier gets wrong when it answers only
// where it is certain: element k-1 is the risk, the fraction of errors, among
// the k least uncertain of n samples (Geifman and El-Yaniv, 2017).
type RiskCoverageCurve []float64

// RiskCoverage returns the curve for one uncertainty per sample, higher less
// certain, and whether its prediction is correct. Samples of equal uncertainty
// cannot be told apart: the curve is its mean over all their orders.
func RiskCoverage(uncertainty []float64, correct []bool) (RiskCoverageCurve, error) {
	if len(correct) != len(uncertainty) {
		return nil, fmt.Errorf("%d uncertainties for %d predictions", len(uncertainty), len(correct))
	}
	if err := checkScores("uncertainty", uncertainty); err != nil {
		return nil, err
	}
	order := make([]int, len(uncertainty))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(uncertainty[a], uncertainty[b]) })
	curve := make(RiskCoverageCurve, len(order))
	wrong := 0
	for start := 0; start < len(order); {
		end, tiedWrong := start, 0
		for ; end < len(order) && uncertainty[order[end]] == uncertainty[order[start]]; end++ {
			if !correct[order[end]] {
				tiedWrong++
			}
		}
		rate := float64(tiedWrong) / float64(end-start)
		for k := start + 1; k <= end; k++ {
			curve[k-1] = (float64(wrong) + rate*float64(k-start)) / float64(k)
		}
		wrong, start = wrong+tiedWrong, end
	}
	return curve, nil
}

// AURC returns the area under the curve: the mean risk over all coverages.
// Lower is better.
func (c RiskCoverageCurve) AURC() float64 {
	var sum float64
	for _, r := range c {
		sum += r
	}
	return sum / float64(len(c))
}

// EAURC returns AURC minus that of a perfect order, which puts every error
// last: what the uncertainty, not the classifier, is to blame for.
func (c RiskCoverageCurve) EAURC() float64 {
	n := len(c)
	wrong := int(math.Round(c[n-1] * float64(n)))
	var best float64
	for k := n - wrong + 1; k <= n; k++ {
		best += float64(k-(n-wrong)) / float64(k)
	}
	return c.AURC() - best/float64(n)
}

// AccuracyAt returns the accuracy among the least uncertain samples that make
// up at least the given coverage, a fraction above 0 and at most 1.
func (c RiskCoverageCurve) AccuracyAt(coverage float64) (float64, error) {
	if !(coverage > 0 && coverage <= 1) {
		return 0, fmt.Errorf("coverage %v: want above 0, at most 1", coverage)
	}
	n := len(c)
	if n == 0 {
		return 0, fmt.Errorf("empty risk-coverage curve")
	}
	// A coverage such as 0.7 of 10 samples is meant to be 7, not 8 by rounding.
	k := int(math.Ceil(coverage*float64(n) - 1e-9))
	return 1 - c[max(k, 1)-1], nil
}
