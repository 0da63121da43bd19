package optim

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

func parameters(sizes ...int) []nn.NamedParameter {
	p := make([]nn.NamedParameter, len(sizes))
	for i, n := range sizes {
		name := string(rune('a' + i))
		p[i] = nn.NamedParameter{Name: name, Parameter: autograd.NewParameter(tensor.FromFloat32(golden.Tensor(name, n, 1, 0), n))}
	}
	return p
}

func optimisers(t *testing.T, p []nn.NamedParameter) map[string]Optimizer {
	t.Helper()
	sgd, err := NewSGD(p, SGDOptions{Momentum: 0.9, WeightDecay: 5e-4})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := NewSGD(p, SGDOptions{})
	if err != nil {
		t.Fatal(err)
	}
	adam, err := NewAdam(p, AdamOptions{WeightDecay: 5e-4})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Optimizer{"sgd": sgd, "plain": plain, "adam": adam}
}

func gradients(p []nn.NamedParameter, step string) {
	for _, q := range p {
		withGradient(q.Parameter, golden.Tensor(q.Name+step, q.Parameter.Value.Len(), 1, 0))
	}
}

// What goes on from the state has the bits of what never stopped.
func TestResume(t *testing.T) {
	for name := range optimisers(t, nil) {
		p := parameters(5, 1)
		o := optimisers(t, p)[name]
		for _, step := range []string{"0", "1"} {
			gradients(p, step)
			o.Step(0.1)
		}
		q := parameters(5, 1)
		for i := range q {
			q[i].Parameter.Value.CopyFrom(p[i].Parameter.Value)
		}
		resumed := optimisers(t, q)[name]
		if err := resumed.LoadState(o.State()); err != nil {
			t.Fatal(err)
		}
		for _, step := range []string{"2", "3"} {
			gradients(p, step)
			gradients(q, step)
			o.Step(0.05)
			resumed.Step(0.05)
		}
		for i := range p {
			if !slices.Equal(p[i].Parameter.Value.Float32s(), q[i].Parameter.Value.Float32s()) {
				t.Errorf("%s: parameter %s differs after resuming", name, p[i].Name)
			}
		}
	}
}

// Parameters longer than a block, on any number of threads, are updated like
// short ones.
func TestBlocksAndThreads(t *testing.T) {
	n := 2*blockLen + 3
	defer func(old int) {
		if err := kernels.SetThreads(old); err != nil {
			t.Fatal(err)
		}
	}(kernels.Threads())
	for name := range optimisers(t, nil) {
		var want []float32
		for _, threads := range []int{1, 3} {
			if err := kernels.SetThreads(threads); err != nil {
				t.Fatal(err)
			}
			p := parameters(n)
			o := optimisers(t, p)[name]
			for _, step := range []string{"0", "1"} {
				gradients(p, step)
				o.Step(0.1)
			}
			got := p[0].Parameter.Value.Float32s()
			if want == nil {
				want = got
				short := parameters(1)
				last := n - 1
				short[0].Parameter.Value.Set(float64(golden.Tensor("a", n, 1, 0)[last]), 0)
				so := optimisers(t, short)[name]
				for _, step := range []string{"0", "1"} {
					withGradient(short[0].Parameter, golden.Tensor("a"+step, n, 1, 0)[last:])
					so.Step(0.1)
				}
				if v := short[0].Parameter.Value.Float32s()[0]; math.Abs(float64(v-got[last])) > 1e-6 {
					t.Errorf("%s: last element %v, alone it becomes %v", name, got[last], v)
				}
			} else if !slices.Equal(got, want) {
				t.Errorf("%s: %d threads give other bits", name, threads)
			}
		}
	}
}

func TestStepSkipsWithoutGradient(t *testing.T) {
	p := parameters(2, 2)
	o := optimisers(t, p)["sgd"]
	before, version := slices.Clone(p[1].Parameter.Value.Float32s()), p[1].Parameter.Version()
	gradients(p[:1], "0")
	o.Step(0.1)
	if !slices.Equal(p[1].Parameter.Value.Float32s(), before) || p[1].Parameter.Version() != version {
		t.Error("a parameter without gradient changed")
	}
	if p[0].Parameter.Version() == 0 {
		t.Error("the version of a changed parameter did not rise")
	}
	var names []string
	for _, e := range o.State() {
		names = append(names, e.Name)
	}
	if want := []string{"a.momentum_buffer", "a.step"}; !slices.Equal(names, want) {
		t.Errorf("state %v, want %v", names, want)
	}
}

func TestLoadStateRefuses(t *testing.T) {
	p := parameters(2)
	o := optimisers(t, p)["adam"]
	gradients(p, "0")
	o.Step(0.1)
	good := o.State()
	for want, bad := range map[string][]checkpoint.Entry{
		"missing a.exp_avg_sq":          {good[0], good[2]},
		"unexpected b.step":             append(slices.Clone(good), checkpoint.NewInt64("b.step", []int64{1})),
		"a.exp_avg is [3], want [2]":    {checkpoint.NewFloat32("a.exp_avg", make([]float32, 3), 3), good[1], good[2]},
		"a.step is 0":                   {good[0], good[1], checkpoint.NewInt64("a.step", []int64{0})},
		"a.step appears twice":          append(slices.Clone(good), good[2]),
		"unexpected a.momentum_buffer":  {checkpoint.NewFloat32("a.momentum_buffer", make([]float32, 2), 2)},
		`"a.exp_avg": elements are I64`: {checkpoint.NewInt64("a.exp_avg", make([]int64, 2), 2), good[1], good[2]},
	} {
		if err := o.LoadState(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		for i, e := range o.State() {
			if !slices.Equal(e.Data, good[i].Data) {
				t.Errorf("%q: the state changed", want)
			}
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []SGDOptions{{Momentum: -1}, {WeightDecay: math.NaN()}, {Nesterov: true}} {
		if _, err := NewSGD(nil, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	for _, o := range []AdamOptions{{Beta1: 1}, {Beta2: -1}, {Eps: math.Inf(1)}, {WeightDecay: -1}} {
		if _, err := NewAdam(nil, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	p := parameters(1)
	if _, err := NewSGD(append(p, p...), SGDOptions{}); err == nil {
		t.Error("one name twice is accepted")
	}
	if _, err := NewSGD([]nn.NamedParameter{{Name: "x", Parameter: autograd.Constant(tensor.New(tensor.Float32, 1))}}, SGDOptions{}); err == nil {
		t.Error("a constant is accepted")
	}
}

// PyTorch's MultiStepLR, CosineAnnealingLR(T_max=10) and OneCycleLR at 0.1.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		o    ScheduleOptions
		want map[int]float64
	}{
		{ScheduleOptions{Name: "constant", Steps: 10}, map[int]float64{0: 0.1, 9: 0.1}},
		{ScheduleOptions{Name: "constant", Steps: 10, Warmup: 4}, map[int]float64{0: 0.025, 3: 0.1, 4: 0.1}},
		{ScheduleOptions{Name: "step", Steps: 100, Milestones: []int{50, 80}}, map[int]float64{0: 0.1, 49: 0.1, 50: 0.01, 80: 0.001, 1000: 0.001}},
		{ScheduleOptions{Name: "step", Steps: 9, Milestones: []int{2}, Gamma: 0.5, Warmup: 4}, map[int]float64{1: 0.05, 2: 0.0375, 5: 0.05}},
		{ScheduleOptions{Name: "cosine", Steps: 10}, map[int]float64{0: 0.1, 1: 0.09755282581475769, 5: 0.05, 9: 0.002447174185242324}},
		{ScheduleOptions{Name: "cosine", Steps: 12, Warmup: 2}, map[int]float64{0: 0.05, 1: 0.1, 2: 0.1, 3: 0.09755282581475769, 11: 0.002447174185242324}},
		{ScheduleOptions{Name: "onecycle", Steps: 10}, map[int]float64{0: 0.004, 1: 0.052, 2: 0.1, 3: 0.09504846320134738, 5: 0.06112620219362893, 9: 4e-7}},
		{ScheduleOptions{Name: "onecycle", Steps: 100}, map[int]float64{1: 0.004281378056590748, 29: 0.1, 30: 0.09994965352845243, 99: 4e-7}},
		{ScheduleOptions{Name: "onecycle", Steps: 1}, map[int]float64{0: 4e-7}},
		{ScheduleOptions{Name: "onecycle", Steps: 4}, map[int]float64{0: 0.004, 1: 0.0811745653949763, 2: 0.028306099820869922, 3: 4e-7}},
		{ScheduleOptions{Name: "onecycle", Steps: 3}, map[int]float64{0: 0.09944154354509119, 2: 4e-7}},
	} {
		c.o.LearningRate = 0.1
		s, err := NewSchedule(c.o)
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range c.want {
			if got := s.LearningRate(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%+v: step %d has rate %v, want %v", c.o, step, got, want)
			}
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	for want, o := range map[string]ScheduleOptions{
		"step, cosine, onecycle, constant": {Name: "linear", LearningRate: 1, Steps: 1},
		"learning rate 0":                  {Name: "cosine", Steps: 1},
		"0 steps":                          {Name: "cosine", LearningRate: 1},
		"milestones [2 1]":                 {Name: "step", LearningRate: 1, Steps: 9, Milestones: []int{2, 1}},
		"gamma -1":                         {Name: "step", LearningRate: 1, Steps: 9, Gamma: -1},
		"warmup of 9":                      {Name: "cosine", LearningRate: 1, Steps: 9, Warmup: 9},
		"onecycle has its own":             {Name: "onecycle", LearningRate: 1, Steps: 9, Warmup: 2},
	} {
		if _, err := NewSchedule(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
}
