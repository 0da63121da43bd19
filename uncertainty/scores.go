package uncertainty

import (
	"fmt"
	"math"
)

// Softmax returns exp(z_k) / sum_j exp(z_j) of every row of logits [N][C]. The
// logits may be log densities plus log priors: the result is the posterior. A
// row of -Inf only, whose classes are all equally impossible, is uniform.
func Softmax(logits Matrix) (Matrix, error) {
	if err := logits.checkLogs("logits"); err != nil {
		return Matrix{}, err
	}
	p := newDense(logits.rows, logits.cols)
	logits.eachBlock(func(_, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			softmaxRow(p.row(i, nil), logits.row(i, buffer))
		}
	})
	return p, nil
}

// SoftmaxEntropy returns the entropy in nats of the softmax of every row of
// logits [N][C]: DDU's aleatoric uncertainty. Higher is less certain.
func SoftmaxEntropy(logits Matrix) ([]float64, error) {
	if err := logits.checkLogs("logits"); err != nil {
		return nil, err
	}
	return logits.perRow(softmaxEntropyRow), nil
}

// MaxSoftmax returns the largest softmax probability of every row of logits
// [N][C] (Hendrycks and Gimpel, 2017). Higher is more certain.
func MaxSoftmax(logits Matrix) ([]float64, error) {
	if err := logits.checkLogs("logits"); err != nil {
		return nil, err
	}
	return logits.perRow(func(row []float64) float64 {
		largest, rest := sumExp(row)
		if math.IsInf(largest, -1) {
			return 1 / float64(len(row))
		}
		return 1 / (1 + rest)
	}), nil
}

// Energy returns logsumexp of every row of logits [N][C], the negative free
// energy of Liu et al. (2020) at temperature 1. Higher is more in-distribution.
func Energy(logits Matrix) ([]float64, error) { return LogSumExp(logits) }

// LogSumExp returns log sum_k exp(z_k) of every row without overflow.
func LogSumExp(m Matrix) ([]float64, error) {
	if err := m.checkLogs("logits"); err != nil {
		return nil, err
	}
	return m.perRow(logSumExpRow), nil
}

// ScaleLogits returns logits / temperature as float64.
func ScaleLogits(logits Matrix, temperature float64) (Matrix, error) {
	if err := logits.check("logits"); err != nil {
		return Matrix{}, err
	}
	if !(temperature > 0) || math.IsInf(temperature, 0) {
		return Matrix{}, fmt.Errorf("temperature %v: want a finite number above 0", temperature)
	}
	scaled := newDense(logits.rows, logits.cols)
	logits.eachBlock(func(_, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			dst := scaled.row(i, nil)
			for j, v := range logits.row(i, buffer) {
				dst[j] = v / temperature
			}
		}
	})
	return scaled, nil
}

// sumExp returns the largest element and the sum of exp(v - largest) over all
// elements but that one. Sums relative to the largest neither overflow nor lose
// digits to its size; leaving its own 1 out keeps the digits of a small rest.
func sumExp(row []float64) (largest, rest float64) {
	top, largest := argmax(row)
	if math.IsInf(largest, -1) {
		return largest, 0
	}
	for j, v := range row {
		if j != top {
			rest += math.Exp(v - largest)
		}
	}
	return largest, rest
}

func logSumExpRow(row []float64) float64 {
	largest, rest := sumExp(row)
	return largest + math.Log1p(rest)
}

func softmaxRow(dst, row []float64) {
	_, largest := argmax(row)
	if math.IsInf(largest, -1) {
		for j := range dst {
			dst[j] = 1 / float64(len(dst))
		}
		return
	}
	var sum float64
	for j, v := range row {
		dst[j] = math.Exp(v - largest)
		sum += dst[j]
	}
	for j := range dst {
		dst[j] /= sum
	}
}

// softmaxEntropyRow is -sum_k p_k log p_k = log Z - sum_k exp(d_k) d_k / Z, with
// d_k = z_k - max z and Z = sum_k exp(d_k). Both terms are positive: the entropy
// of a nearly certain row keeps its digits, and with them its rank.
func softmaxEntropyRow(row []float64) float64 {
	largest, rest := sumExp(row)
	if math.IsInf(largest, -1) {
		return math.Log(float64(len(row)))
	}
	var sum float64
	for _, v := range row {
		if d := v - largest; !math.IsInf(d, -1) {
			sum -= math.Exp(d) * d
		}
	}
	return math.Log1p(rest) + sum/(1+rest)
}

// argmax returns the first largest element.
func argmax(row []float64) (int, float64) {
	best, largest := 0, row[0]
	for j, v := range row {
		if v > largest {
			best, largest = j, v
		}
	}
	return best, largest
}
