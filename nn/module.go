// Package nn holds the parts that networks are made of: modules under PyTorch's
// names, their initialisation and state dicts, soft spectral normalisation, and
// Freeze, which turns a trained network into an immutable predictor.
//
// No module stores a mode. The context of a forward pass says whether it trains;
// a forward pass that does not writes nothing to a module, so one network
// serves many goroutines at once.
package nn

import (
	"sync/atomic"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/tensor"
)

// Module is something with named parameters, buffers and modules.
type Module interface {
	// Members lists what is registered, in PyTorch's order of registration.
	Members() []Member
}

// Layer is a module that maps one variable to another. Inputs of a wrong shape
// are programming errors and panic with a message that names both shapes;
// networks check what users give them and return errors.
type Layer interface {
	Module
	Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable
}

// Member is one named part of a module. One of the three is set; a member with
// none, such as the bias of a layer without one, does not count.
type Member struct {
	Name      string
	Parameter *autograd.Variable
	Buffer    *Buffer
	Module    Module
}

// Buffer is state that no optimiser changes. Whoever changes its value says so
// with BumpVersion.
type Buffer struct {
	Value *tensor.Tensor // float32
	Count *int64         // in place of Value: a counter
	// Flat tells that a state dict shows the elements as one vector, in
	// row-major order.
	Flat bool

	version atomic.Uint64
}

// Version counts the changes of the buffer's value.
func (b *Buffer) Version() uint64 { return b.version.Load() }

// BumpVersion tells that the value changed, so that what was derived from it is
// made anew.
func (b *Buffer) BumpVersion() { b.version.Add(1) }

// NamedParameter is a parameter under its full name, such as
// "layer1.0.conv1.weight".
type NamedParameter struct {
	Name      string
	Parameter *autograd.Variable
}

// Parameters returns the parameters of m in the order of its state dict, each
// once.
func Parameters(m Module) []NamedParameter {
	var all []NamedParameter
	seen := map[*autograd.Variable]bool{}
	walk(m, "", func(name string, member Member) {
		if p := member.Parameter; p != nil && !seen[p] {
			seen[p] = true
			all = append(all, NamedParameter{name, p})
		}
	})
	return all
}

// CountParameters returns the number of trainable numbers in m.
func CountParameters(m Module) int {
	n := 0
	for _, p := range Parameters(m) {
		n += p.Parameter.Value.Len()
	}
	return n
}

// ZeroGrad empties the gradients of all parameters of m.
func ZeroGrad(m Module) {
	for _, member := range m.Members() {
		switch {
		case member.Parameter != nil:
			member.Parameter.ZeroGrad()
		case member.Module != nil:
			ZeroGrad(member.Module)
		}
	}
}

// walk visits the parameters and buffers of m and its modules, in the order of
// PyTorch's state dict: a module's parameters, its buffers, then the modules in
// it. Modules themselves are visited before what they hold.
func walk(m Module, prefix string, visit func(name string, member Member)) {
	members := m.Members()
	for _, member := range members {
		if member.Parameter != nil {
			visit(prefix+member.Name, member)
		}
	}
	for _, member := range members {
		if member.Buffer != nil {
			visit(prefix+member.Name, member)
		}
	}
	for _, member := range members {
		if member.Module != nil {
			visit(prefix+member.Name, member)
			walk(member.Module, prefix+member.Name+".", visit)
		}
	}
}
