package uncertainty

import (
	"fmt"
	"math"
)

// DefaultBins is the number of bins of the expected calibration error that
// publications use.
const DefaultBins = 15

// Accuracy returns the fraction of rows of scores [N][C], logits or
// probabilities, whose first largest element is the label.
func Accuracy(scores Matrix, labels []int) (float64, error) {
	correct, err := Correct(scores, labels)
	if err != nil {
		return 0, err
	}
	right := 0
	for _, c := range correct {
		if c {
			right++
		}
	}
	return float64(right) / float64(len(correct)), nil
}

// Correct tells of each row of scores [N][C] whether its first largest element
// is the label.
func Correct(scores Matrix, labels []int) ([]bool, error) {
	if err := scores.checkLogs("scores"); err != nil {
		return nil, err
	}
	if err := scores.checkLabels(labels); err != nil {
		return nil, err
	}
	correct := make([]bool, scores.rows)
	scores.eachBlock(func(_, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			predicted, _ := argmax(scores.row(i, buffer))
			correct[i] = predicted == labels[i]
		}
	})
	return correct, nil
}

// NLL returns the mean negative log likelihood in nats, the cross-entropy, of
// the labels under the softmax of logits [N][C]. Log probabilities are logits
// too.
func NLL(logits Matrix, labels []int) (float64, error) {
	return TemperatureNLL(logits, labels, 1)
}

// Brier returns the mean over rows of sum_k (p_k - [k = label])^2 for
// probabilities [N][C], 0 to 2.
func Brier(probabilities Matrix, labels []int) (float64, error) {
	if err := probabilities.checkProbabilities("probabilities"); err != nil {
		return 0, err
	}
	if err := probabilities.checkLabels(labels); err != nil {
		return 0, err
	}
	sum := probabilities.sumRows(func(i int, p []float64) float64 {
		var s float64
		for k, v := range p {
			if k == labels[i] {
				v--
			}
			s += v * v
		}
		return s
	})
	return sum / float64(probabilities.rows), nil
}

// ECE returns the expected calibration error of probabilities [N][C] over bins
// equal-width bins of confidence, [DefaultBins] where bins is 0.
func ECE(probabilities Matrix, labels []int, bins int) (float64, error) {
	r, err := Reliability(probabilities, labels, bins)
	if err != nil {
		return 0, err
	}
	return r.ECE(), nil
}

// Bin is one bin (Low, High] of a reliability diagram. Accuracy and Confidence
// are means over its samples, 0 where it has none.
type Bin struct {
	Low, High            float64
	Count                int
	Accuracy, Confidence float64
}

// ReliabilityDiagram holds accuracy against confidence in equal-width bins over
// (0, 1].
type ReliabilityDiagram []Bin

// Reliability bins the rows of probabilities [N][C] by confidence, their largest
// probability: sample i falls into bin ceil(bins * confidence) (Guo et al.,
// 2017). 0 bins means [DefaultBins].
func Reliability(probabilities Matrix, labels []int, bins int) (ReliabilityDiagram, error) {
	if bins == 0 {
		bins = DefaultBins
	}
	if bins < 0 {
		return nil, fmt.Errorf("%d bins: want at least 1", bins)
	}
	if err := probabilities.checkProbabilities("probabilities"); err != nil {
		return nil, err
	}
	correct, err := Correct(probabilities, labels)
	if err != nil {
		return nil, err
	}
	confidence := probabilities.perRow(func(p []float64) float64 {
		_, largest := argmax(p)
		return largest
	})
	r := make(ReliabilityDiagram, bins)
	for b := range r {
		r[b].Low, r[b].High = float64(b)/float64(bins), float64(b+1)/float64(bins)
	}
	for i, c := range confidence {
		bin := &r[min(max(int(math.Ceil(float64(bins)*c))-1, 0), bins-1)]
		bin.Count++
		bin.Confidence += c
		if correct[i] {
			bin.Accuracy++
		}
	}
	for b := range r {
		if n := float64(r[b].Count); n > 0 {
			r[b].Confidence /= n
			r[b].Accuracy /= n
		}
	}
	return r, nil
}

// ECE returns the expected calibration error: the mean of |accuracy -
// confidence| over bins, weighted by their samples.
func (r ReliabilityDiagram) ECE() float64 {
	var sum, n float64
	for _, b := range r {
		sum += float64(b.Count) * math.Abs(b.Accuracy-b.Confidence)
		n += float64(b.Count)
	}
	return sum / n
}

// MCE returns the maximum calibration error: the largest |accuracy -
// confidence| of a bin with samples.
func (r ReliabilityDiagram) MCE() float64 {
	var worst float64
	for _, b := range r {
		worst = max(worst, math.Abs(b.Accuracy-b.Confidence))
	}
	return worst
}
