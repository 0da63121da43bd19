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
		_, largest := argmax(row)
		if math.IsInf(largest, -1) {
			return 1 / float64(len(row))
		}
		return math.Exp(largest - logSumExpRow(row))
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

// logSumExpRow subtracts the largest element first; all -Inf gives -Inf.
func logSumExpRow(row []float64) float64 {
	_, largest := argmax(row)
	if math.IsInf(largest, -1) {
		return largest
	}
	var sum float64
	for _, v := range row {
		sum += math.Exp(v - largest)
	}
	return largest + math.Log(sum)
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

// softmaxEntropyRow is -sum_k p_k log p_k with log p from the logits, which
// stays exact where p underflows.
func softmaxEntropyRow(row []float64) float64 {
	lse := logSumExpRow(row)
	if math.IsInf(lse, -1) {
		return math.Log(float64(len(row)))
	}
	var h float64
	for _, v := range row {
		if logp := v - lse; !math.IsInf(logp, -1) {
			h -= math.Exp(logp) * logp
		}
	}
	return math.Max(h, 0) // rounding of log p can leave a tiny negative
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
