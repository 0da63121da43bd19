package uncertainty

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/deepuncertainty/ddu/kernels"
)

// jitterSteps is the length of the published ladder.
const jitterSteps = 310

// jitter is rung i of 0, tiny, 1e-308, 1e-307, ... 1e-1; tiny is the smallest
// normal float64.
func jitter(i int) float64 {
	switch i {
	case 0:
		return 0
	case 1:
		return 0x1p-1022
	}
	v, _ := strconv.ParseFloat("1e"+strconv.Itoa(i-2-308), 64) // exact; math.Pow10 is not
	return v
}

// factorWithJitter finds the first rung at which all classes factorise. Each
// class looks for its own first rung in parallel; the highest of these is tried
// for all, until it is the first for each.
func factorWithJitter(all []*covariance) error {
	rungs := make([]int, len(all))
	for i := range rungs {
		rungs[i] = -1
	}
	for rung := 0; ; {
		kernels.Parallel(len(all), func(i int) {
			if rungs[i] != rung {
				rungs[i] = all[i].firstRung(rung)
			}
		})
		if i := slices.Index(rungs, jitterSteps); i >= 0 {
			return fmt.Errorf("class %d: the covariance of %d samples does not factorise with a jitter of up to %.0g (mean variance %.3g)",
				all[i].class, all[i].samples, jitter(jitterSteps-1), all[i].variance)
		}
		if highest := slices.Max(rungs); highest > rung {
			rung = highest
			continue
		}
		return nil
	}
}

// firstRung returns the first rung from start on at which the class factorises,
// jitterSteps if there is none. A rung that rounds away on the whole diagonal
// gives the matrix that has just failed, and is passed over.
func (c *covariance) firstRung(start int) int {
	last := math.NaN()
	for rung := start; rung < jitterSteps; rung++ {
		add := jitter(rung)
		if rung > start && c.sameDiagonal(last, add) {
			continue
		}
		last = add
		r := RegularizerJitter
		if rung == 0 {
			r = RegularizerNone
		}
		if c.factor(r, add, 0, add, false) {
			return rung
		}
	}
	return jitterSteps
}

func (c *covariance) sameDiagonal(a, b float64) bool {
	for _, v := range c.diagonal {
		if v+a != v+b {
			return false
		}
	}
	return true
}
