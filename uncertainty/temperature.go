package uncertainty

import (
	"fmt"
	"math"
)

// The range in which FitTemperature looks.
const (
	MinTemperature = 0.01
	MaxTemperature = 100
)

// Temperature is the result of temperature scaling: logits/T have the mean
// negative log likelihood NLL, in nats.
type Temperature struct {
	T, NLL float64
	// AtLimit tells that the likelihood still improves where the range ends: at
	// MinTemperature the logits separate the labels perfectly, at MaxTemperature
	// they say nothing about them.
	AtLimit bool
}

// TemperatureNLL returns the mean negative log likelihood in nats of the labels
// under softmax(logits / temperature), logits [N][C].
func TemperatureNLL(logits Matrix, labels []int, temperature float64) (float64, error) {
	if err := checkScaling(logits, labels); err != nil {
		return 0, err
	}
	if !(temperature > 0) || math.IsInf(temperature, 0) {
		return 0, fmt.Errorf("temperature %v: want a finite number above 0", temperature)
	}
	return scaledNLL(logits, labels, temperature), nil
}

// GridTemperature returns the first best of the temperatures 0.1, 0.2, ... 10.0,
// as the published evaluation does.
func GridTemperature(logits Matrix, labels []int) (Temperature, error) {
	if err := checkScaling(logits, labels); err != nil {
		return Temperature{}, err
	}
	const steps = 100
	best := Temperature{NLL: math.Inf(1)}
	for k := 1; k <= steps; k++ {
		t := float64(k) / 10
		if nll := scaledNLL(logits, labels, t); nll < best.NLL {
			best = Temperature{T: t, NLL: nll, AtLimit: k == 1 || k == steps}
		}
	}
	return best, nil
}

// FitTemperature returns the temperature that minimises the negative log
// likelihood of the labels (Guo et al., 2017). In b = 1/T the NLL is convex, with
//
//	dNLL/db = mean(E_p[z] - z_label), d2NLL/db2 = mean(Var_p[z]), p = softmax(b z).
//
// The root of the derivative over s = log T is found by Newton's method, with
// bisection wherever a step would leave the bracket.
func FitTemperature(logits Matrix, labels []int) (Temperature, error) {
	if err := checkScaling(logits, labels); err != nil {
		return Temperature{}, err
	}
	lo, hi := math.Log(MinTemperature), math.Log(MaxTemperature)
	at := func(t float64) Temperature { return Temperature{T: t, NLL: scaledNLL(logits, labels, t)} }
	for _, limit := range []struct{ t, sign float64 }{{MinTemperature, 1}, {MaxTemperature, -1}} {
		if slope, _ := scaledSlope(logits, labels, math.Log(limit.t)); slope*limit.sign >= 0 {
			best := at(limit.t)
			best.AtLimit = true
			return best, nil
		}
	}
	s := 0.0
	for range 100 { // bisection alone would need 50
		slope, curvature := scaledSlope(logits, labels, s)
		if slope < 0 {
			lo = s
		} else {
			hi = s
		}
		step := -slope / curvature
		switch inside := curvature > 0 && lo < s+step && s+step < hi; {
		case curvature > 0 && math.Abs(step) <= 1e-12: // the minimum, to rounding
			return at(math.Exp(s)), nil
		case inside:
			s += step
		default:
			s = lo + (hi-lo)/2
		}
	}
	return at(math.Exp(s)), nil
}

// checkScaling wants finite logits: 0 * Inf has no value.
func checkScaling(logits Matrix, labels []int) error {
	if err := logits.checkFinite("logits"); err != nil {
		return err
	}
	return logits.checkLabels(labels)
}

func scaledNLL(logits Matrix, labels []int, t float64) float64 {
	sum := logits.sumRows(func(i int, row []float64) float64 {
		top, largest := argmax(row)
		var rest float64
		for k, v := range row {
			if k != top {
				rest += math.Exp((v - largest) / t)
			}
		}
		return math.Log1p(rest) + (largest-row[labels[i]])/t
	})
	return sum / float64(logits.rows)
}

// scaledSlope returns the first and second derivative of the NLL over s = log T:
// with b = e^-s, g = dNLL/db and h = d2NLL/db2 they are -b g and b g + b^2 h.
func scaledSlope(logits Matrix, labels []int, s float64) (slope, curvature float64) {
	b := math.Exp(-s)
	parts := make([][2]float64, blocks(logits.rows))
	logits.eachBlock(func(block, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			mean, variance := scaledMoments(logits.row(i, buffer), labels[i], b)
			parts[block][0] += mean
			parts[block][1] += variance
		}
	})
	var g, h float64
	for _, p := range parts {
		g, h = g+p[0], h+p[1]
	}
	n := float64(logits.rows)
	return -b * g / n, (b*g + b*b*h) / n
}

// scaledMoments returns E_p[z] - z_label and Var_p[z] for p = softmax(b z).
func scaledMoments(z []float64, label int, b float64) (mean, variance float64) {
	_, largest := argmax(z)
	var total, first, second float64
	for _, v := range z {
		d := v - largest
		e := math.Exp(b * d)
		total += e
		first += e * d
		second += e * d * d
	}
	first /= total
	return first - (z[label] - largest), max(0, second/total-first*first)
}
