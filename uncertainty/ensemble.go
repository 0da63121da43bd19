package uncertainty

import (
	"fmt"
	"math"
)

// entropyEpsilon is added to probabilities inside the logarithm, as published
// results of ensembles are computed.
const entropyEpsilon = 1e-12

// MeanProbabilities returns the mean of the members' class probabilities, each
// [N][C]: the prediction of a deep ensemble.
func MeanProbabilities(members []Matrix) (Matrix, error) {
	if err := checkMembers(members); err != nil {
		return Matrix{}, err
	}
	mean := newDense(members[0].rows, members[0].cols)
	mean.eachBlock(func(_, lo, hi int, _ []float64) {
		for i := lo; i < hi; i++ {
			meanRow(mean.row(i, nil), members, i)
		}
	})
	return mean, nil
}

// PredictiveEntropy returns the entropy in nats of the mean of the members'
// class probabilities, each [N][C]: total uncertainty. The logarithm is of
// p + 1e-12.
func PredictiveEntropy(members []Matrix) ([]float64, error) {
	total, _, err := ensembleEntropies(members)
	return total, err
}

// MutualInformation returns, in nats, the predictive entropy minus the mean of
// the members' entropies: the epistemic part, which vanishes where the members
// agree. The logarithm is of p + 1e-12.
func MutualInformation(members []Matrix) ([]float64, error) {
	total, expected, err := ensembleEntropies(members)
	for i := range total {
		total[i] -= expected[i]
	}
	return total, err
}

// ensembleEntropies returns the entropy of the mean and the mean of the
// entropies of every row.
func ensembleEntropies(members []Matrix) (total, expected []float64, err error) {
	mean, err := MeanProbabilities(members)
	if err != nil {
		return nil, nil, err
	}
	total = mean.perRow(probabilityEntropy)
	expected = make([]float64, mean.rows)
	for _, m := range members {
		for i, h := range m.perRow(probabilityEntropy) {
			expected[i] += h / float64(len(members))
		}
	}
	return total, expected, nil
}

func probabilityEntropy(p []float64) float64 {
	var h float64
	for _, v := range p {
		h -= v * math.Log(v+entropyEpsilon)
	}
	return h
}

func meanRow(dst []float64, members []Matrix, i int) {
	for _, m := range members {
		for j := range dst {
			dst[j] += m.At(i, j)
		}
	}
	for j := range dst {
		dst[j] /= float64(len(members))
	}
}

func checkMembers(members []Matrix) error {
	if len(members) == 0 {
		return fmt.Errorf("ensemble without members")
	}
	for k, m := range members {
		if err := m.checkProbabilities(fmt.Sprintf("probabilities of ensemble member %d", k)); err != nil {
			return err
		}
		if m.rows != members[0].rows || m.cols != members[0].cols {
			return fmt.Errorf("ensemble member %d is [%d][%d], member 0 is [%d][%d]", k, m.rows, m.cols, members[0].rows, members[0].cols)
		}
	}
	return nil
}
