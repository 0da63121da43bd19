package optim

import (
	"fmt"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// SGDOptions are the settings of stochastic gradient descent.
type SGDOptions struct {
	Momentum    float64
	WeightDecay float64 // times the parameter is added to its gradient
	Nesterov    bool
}

// SGD is stochastic gradient descent with momentum as PyTorch computes it:
// with g the gradient plus decay·p, b = momentum·b + g, the first time b = g,
// then p -= lr·b, with Nesterov p -= lr·(g + momentum·b).
type SGD struct {
	slots
	options SGDOptions
	updates updates
}

// NewSGD returns an optimiser of these parameters.
func NewSGD(parameters []nn.NamedParameter, o SGDOptions) (*SGD, error) {
	switch {
	case !finite(o.Momentum):
		return nil, fmt.Errorf("sgd: momentum %v, want it at least 0", o.Momentum)
	case !finite(o.WeightDecay):
		return nil, fmt.Errorf("sgd: weight decay %v, want it at least 0", o.WeightDecay)
	case o.Nesterov && o.Momentum == 0:
		return nil, fmt.Errorf("sgd: nesterov wants a momentum above 0")
	}
	if err := checkParameters(parameters); err != nil {
		return nil, fmt.Errorf("sgd: %w", err)
	}
	return &SGD{slots: newSlots(parameters), options: o}, nil
}

// Step implements Optimizer.
func (s *SGD) Step(learningRate float64) {
	o := kernels.SGD{LR: float32(learningRate), Momentum: float32(s.options.Momentum), WeightDecay: float32(s.options.WeightDecay), Nesterov: s.options.Nesterov}
	s.updates.update(s.slots, len(s.moments()), func(b *block) {
		o := o
		o.First = b.first
		kernels.SGDStep(b.p, b.g, b.m[0], o)
	})
}

// moments names what is remembered: without momentum nothing.
func (s *SGD) moments() []string {
	if s.options.Momentum == 0 {
		return nil
	}
	return []string{"momentum_buffer"}
}

// State implements Optimizer.
func (s *SGD) State() []checkpoint.Entry { return state(s.slots, s.moments()) }

// LoadState implements Optimizer.
func (s *SGD) LoadState(entries []checkpoint.Entry) error {
	return loadState(s.slots, s.moments(), entries)
}
