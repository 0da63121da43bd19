// Package optim holds the optimisers SGD and Adam and the schedules of their
// learning rate. Their arithmetic is PyTorch's.
package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/tensor"
)

// Optimizer changes the parameters of a network by their gradients.
type Optimizer interface {
	// Step updates every parameter that has a gradient and leaves the gradients
	// as they are.
	Step(learningRate float64)
	// ZeroGrad empties the gradients of all parameters.
	ZeroGrad()
	// State returns a copy of what the optimiser remembers, under the names of
	// the parameters: with it and the parameters a run goes on to the same bits.
	State() []checkpoint.Entry
	// LoadState takes up what State returned for the same parameters. What is
	// missing, unexpected or of the wrong shape is named in the error, and then
	// nothing is changed.
	LoadState(entries []checkpoint.Entry) error
}

// slot is one parameter and what is remembered about it.
type slot struct {
	name      string
	parameter *autograd.Variable
	moments   [][]float32 // nil before the first step
	steps     int64
}

// slots are the parameters of an optimiser.
type slots []slot

// newSlots gives each parameter its place.
func newSlots(parameters []nn.NamedParameter) slots {
	s := make(slots, len(parameters))
	for i, p := range parameters {
		s[i] = slot{name: p.Name, parameter: p.Parameter}
	}
	return s
}

// ZeroGrad implements Optimizer.
func (s slots) ZeroGrad() {
	for i := range s {
		s[i].parameter.ZeroGrad()
	}
}

// blockLen is how many elements one task updates: a size that divides the work
// well among threads. Updates are element-wise, so it does not affect results.
const blockLen = 1 << 16

// block is a part of one parameter: the slices of its value, gradient and moments.
// first tells that the moments were just made.
type block struct {
	slot  *slot
	first bool
	p, g  []float32
	m     [2][]float32
}

// updates is the memory of update, used again by each step.
type updates struct {
	blocks []block
	step   func(b *block) // of the optimiser, for a block
	run    func(i int)
}

// update calls step for every block of every parameter that has a gradient, on all
// threads, in one pass over memory.
func (u *updates) update(slots slots, moments int, step func(b *block)) {
	u.step = step
	if u.run == nil {
		u.run = func(i int) { u.step(&u.blocks[i]) }
	}
	u.blocks = u.blocks[:0]
	for i := range slots {
		s := &slots[i]
		g := s.parameter.Grad()
		if g == nil {
			continue
		}
		first := s.moments == nil
		if first {
			s.moments = make([][]float32, moments)
			for j := range s.moments {
				s.moments[j] = make([]float32, g.Len())
			}
		}
		s.steps++
		for from := 0; from < g.Len(); from += blockLen {
			to := min(from+blockLen, g.Len())
			b := block{slot: s, first: first, p: s.parameter.Value.Float32s()[from:to], g: g.Float32s()[from:to]}
			for j, m := range s.moments {
				b.m[j] = m[from:to]
			}
			u.blocks = append(u.blocks, b)
		}
	}
	kernels.Parallel(len(u.blocks), u.run)
	for i := range slots {
		if slots[i].parameter.Grad() != nil {
			slots[i].parameter.BumpVersion()
		}
	}
}

// state exports the moments under their names, and the steps.
func state(slots slots, names []string) []checkpoint.Entry {
	var entries []checkpoint.Entry
	for i := range slots {
		s := &slots[i]
		if s.steps == 0 {
			continue
		}
		for j, name := range names {
			entries = append(entries, s.entry(name, s.moments[j]))
		}
		entries = append(entries, checkpoint.NewInt64(s.name+".step", []int64{s.steps}))
	}
	return entries
}

// entry shows a moment in the order of the parameter's state dict.
func (s *slot) entry(name string, moment []float32) checkpoint.Entry {
	return checkpoint.NewFloat32(s.name+"."+name, moment, s.parameter.Value.Shape()...)
}

// loadState is the inverse of state. A parameter without any entry starts anew.
func loadState(slots slots, names []string, entries []checkpoint.Entry) error {
	given := map[string]checkpoint.Entry{}
	var wrong []string
	for _, e := range entries {
		if _, twice := given[e.Name]; twice {
			wrong = append(wrong, e.Name+" appears twice")
		}
		given[e.Name] = e
	}
	loaded := make([]slot, len(slots))
	for i, s := range slots {
		var problems []string
		loaded[i], problems = s.load(names, given)
		wrong = append(wrong, problems...)
	}
	for _, e := range entries {
		if _, left := given[e.Name]; left {
			wrong = append(wrong, "unexpected "+e.Name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("optimiser state does not fit the parameters: %s", strings.Join(wrong, "; "))
	}
	copy(slots, loaded)
	return nil
}

// load takes the entries of one parameter out of given.
func (s slot) load(names []string, given map[string]checkpoint.Entry) (loaded slot, problems []string) {
	loaded = slot{name: s.name, parameter: s.parameter}
	all := append(slices.Clone(names), "step")
	if !slices.ContainsFunc(all, func(n string) bool { _, ok := given[s.name+"."+n]; return ok }) {
		return loaded, nil
	}
	for _, n := range all {
		full := s.name + "." + n
		e, ok := given[full]
		delete(given, full)
		want := s.parameter.Value.Shape()
		if n == "step" {
			want = nil
		}
		if !ok {
			problems = append(problems, "missing "+full)
			continue
		}
		if !slices.Equal(e.Shape, want) {
			problems = append(problems, fmt.Sprintf("%s is %v, want %v", full, e.Shape, want))
			continue
		}
		if err := loaded.set(n, e); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return loaded, problems
}

func (s *slot) set(name string, e checkpoint.Entry) error {
	if name == "step" {
		steps, err := e.Int64s()
		if err != nil {
			return err
		}
		if steps[0] < 1 || steps[0] > math.MaxInt32 {
			return fmt.Errorf("%s is %d, want 1 to %d", e.Name, steps[0], math.MaxInt32)
		}
		s.steps = steps[0]
		return nil
	}
	moment, err := e.Float32s()
	if err != nil {
		return err
	}
	s.moments = append(s.moments, moment)
	return nil
}

// checkParameters refuses what no optimiser can update.
func checkParameters(parameters []nn.NamedParameter) error {
	seen := map[string]bool{}
	for _, p := range parameters {
		switch {
		case !p.Parameter.IsParameter() || p.Parameter.Value.DType() != tensor.Float32 || !p.Parameter.Value.Contiguous():
			return fmt.Errorf("%s is no contiguous float32 parameter", p.Name)
		case seen[p.Name]:
			return fmt.Errorf("two parameters are named %s", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// finite tells whether v is at least 0 and finite.
func finite(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
