package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Schedule gives the learning rate of each step. It is a pure function: a run
// that goes on from a checkpoint gets the same rates.
type Schedule struct{ o ScheduleOptions }

// ScheduleOptions say how the learning rate changes. Steps count batches from 0.
type ScheduleOptions struct {
	Name         string  // step, cosine, onecycle or constant
	LearningRate float64 // the base rate; of onecycle the largest
	Steps        int     // of the whole run
	Milestones   []int   // of step, rising: steps from which the rate is multiplied by Gamma once more
	Gamma        float64 // of step; 0: 0.1
	Warmup       int     // first steps, over which the rate rises linearly from base/Warmup; not for onecycle
}

// rates are the schedules without their warm-up, by name.
var rates = map[string]func(o *ScheduleOptions, step int) float64{
	"step":     stepRate,
	"cosine":   cosineRate,
	"onecycle": oneCycleRate,
	"constant": func(o *ScheduleOptions, _ int) float64 { return o.LearningRate },
}

// NewSchedule returns the schedule that o describes.
func NewSchedule(o ScheduleOptions) (Schedule, error) {
	if _, ok := rates[o.Name]; !ok {
		return Schedule{}, fmt.Errorf("schedule %q, want one of step, cosine, onecycle, constant", o.Name)
	}
	if o.Gamma == 0 {
		o.Gamma = 0.1
	}
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	check(o.LearningRate > 0 && !math.IsInf(o.LearningRate, 0), "learning rate %v, want it positive", o.LearningRate)
	check(o.Steps >= 1, "%d steps, want at least 1", o.Steps)
	check(slices.IsSorted(o.Milestones) && (len(o.Milestones) == 0 || o.Milestones[0] >= 0), "milestones %v, want them rising from 0", o.Milestones)
	check(o.Gamma > 0 && !math.IsInf(o.Gamma, 0), "gamma %v, want it positive", o.Gamma)
	check(o.Warmup >= 0 && (o.Warmup == 0 || o.Warmup < o.Steps), "warmup of %d steps, want at least 0 and less than the run's %d", o.Warmup, o.Steps)
	check(o.Warmup == 0 || o.Name != "onecycle", "warmup of %d steps, want 0: onecycle has its own", o.Warmup)
	if len(wrong) > 0 {
		return Schedule{}, fmt.Errorf("schedule %s: %s", o.Name, strings.Join(wrong, "; "))
	}
	o.Milestones = slices.Clone(o.Milestones)
	return Schedule{o}, nil
}

// LearningRate returns the rate of one step, counted from 0. Steps past the end
// get the rate of the last.
func (s Schedule) LearningRate(step int) float64 {
	step = min(max(step, 0), s.o.Steps-1)
	rate := rates[s.o.Name](&s.o, step)
	if step < s.o.Warmup {
		rate *= float64(step+1) / float64(s.o.Warmup)
	}
	return rate
}

// stepRate is PyTorch's MultiStepLR.
func stepRate(o *ScheduleOptions, step int) float64 {
	rate := o.LearningRate
	for _, m := range o.Milestones {
		if step >= m {
			rate *= o.Gamma
		}
	}
	return rate
}

// cosineRate is the half cosine from the base rate to 0 (Loshchilov and Hutter
// 2017) over the steps after the warm-up; PyTorch's CosineAnnealingLR.
func cosineRate(o *ScheduleOptions, step int) float64 {
	done := float64(max(step-o.Warmup, 0)) / float64(o.Steps-o.Warmup)
	return o.LearningRate * (1 + math.Cos(math.Pi*done)) / 2
}

// oneCycleRate is PyTorch's OneCycleLR with its defaults: half cosines from 1/25
// of the largest rate up to it over the first 30 % of the steps, then down to
// 1/250000 of it (Smith and Topin 2018).
func oneCycleRate(o *ScheduleOptions, step int) float64 {
	const rise, initialDivisor, finalDivisor = 0.3, 25, 1e4
	initial := o.LearningRate / initialDivisor
	top, last := rise*float64(o.Steps)-1, float64(o.Steps-1)
	anneal := func(from, to, done float64) float64 { return to + (from-to)*(1+math.Cos(math.Pi*done))/2 }
	at := float64(step)
	if top > 0 && at <= top {
		return anneal(initial, o.LearningRate, at/top)
	}
	return anneal(o.LearningRate, initial/finalDivisor, (at-top)/(last-top))
}
