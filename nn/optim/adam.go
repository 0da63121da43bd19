package optim

import (
	"fmt"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// AdamOptions are the settings of Adam; a zero Beta1, Beta2 or Eps means
// PyTorch's 0.9, 0.999 or 1e-8.
type AdamOptions struct {
	Beta1, Beta2, Eps float64
	WeightDecay       float64 // times the parameter is added to its gradient
}

// Adam is the method of Kingma and Ba (2015) with bias correction, as PyTorch
// computes it; weight decay is an L2 penalty, not decoupled.
type Adam struct {
	slots
	options AdamOptions
	updates updates
}

var adamMoments = []string{"exp_avg", "exp_avg_sq"}

// NewAdam returns an optimiser of these parameters.
func NewAdam(parameters []nn.NamedParameter, o AdamOptions) (*Adam, error) {
	if o.Beta1 == 0 {
		o.Beta1 = 0.9
	}
	if o.Beta2 == 0 {
		o.Beta2 = 0.999
	}
	if o.Eps == 0 {
		o.Eps = 1e-8
	}
	switch {
	case !(o.Beta1 > 0 && o.Beta1 < 1) || !(o.Beta2 > 0 && o.Beta2 < 1):
		return nil, fmt.Errorf("adam: betas %v and %v, want them between 0 and 1", o.Beta1, o.Beta2)
	case !finite(o.Eps):
		return nil, fmt.Errorf("adam: eps %v, want it above 0", o.Eps)
	case !finite(o.WeightDecay):
		return nil, fmt.Errorf("adam: weight decay %v, want it at least 0", o.WeightDecay)
	}
	if err := checkParameters(parameters); err != nil {
		return nil, fmt.Errorf("adam: %w", err)
	}
	return &Adam{slots: newSlots(parameters), options: o}, nil
}

// Step implements Optimizer.
func (a *Adam) Step(learningRate float64) {
	o := kernels.Adam{LR: learningRate, Beta1: a.options.Beta1, Beta2: a.options.Beta2, Eps: a.options.Eps, WeightDecay: a.options.WeightDecay}
	a.updates.update(a.slots, len(adamMoments), func(b *block) {
		o := o
		o.Step = int(b.slot.steps)
		kernels.AdamStep(b.p, b.g, b.m[0], b.m[1], o)
	})
}

// State implements Optimizer.
func (a *Adam) State() []checkpoint.Entry { return state(a.slots, adamMoments) }

// LoadState implements Optimizer.
func (a *Adam) LoadState(entries []checkpoint.Entry) error {
	return loadState(a.slots, adamMoments, entries)
}
