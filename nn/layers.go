package nn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Activation applies one function to every element.
type Activation struct{ Func kernels.Activation }

// ParseActivation knows relu, leaky_relu (slope 0.01) and elu.
func ParseActivation(name string) (kernels.Activation, error) {
	names := []string{"relu", "leaky_relu", "elu"}
	i := slices.Index(names, name)
	if i < 0 {
		return kernels.ActNone, fmt.Errorf("activation %q, want one of %s", name, strings.Join(names, ", "))
	}
	return []kernels.Activation{kernels.ActReLU, kernels.ActLeakyReLU, kernels.ActELU}[i], nil
}

// Members implements Module.
func (Activation) Members() []Member { return nil }

// Forward implements Layer.
func (a Activation) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return autograd.Activate(ctx, x, a.Func)
}

// Dropout sets elements to zero with probability P in training and divides the
// others by 1-P. Which ones is a function of the context's key and of Layer, a
// number that differs between the dropouts of a network.
type Dropout struct {
	P     float64
	Layer uint64
}

// Members implements Module.
func (Dropout) Members() []Member { return nil }

// Forward implements Layer.
func (d Dropout) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	if !ctx.Training || d.P == 0 {
		return x
	}
	return autograd.Dropout(ctx, x, float32(d.P), d.Layer)
}

// MaxPool2d takes the largest element of each window; Stride 0 means Kernel.
type MaxPool2d struct{ Kernel, Stride int }

// Members implements Module.
func (MaxPool2d) Members() []Member { return nil }

// Forward implements Layer.
func (p MaxPool2d) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return autograd.MaxPool2d(ctx, x, p.Kernel, stride(p.Stride, p.Kernel))
}

// AvgPool2d takes the mean of each window; Stride 0 means Kernel.
type AvgPool2d struct{ Kernel, Stride int }

// Members implements Module.
func (AvgPool2d) Members() []Member { return nil }

// Forward implements Layer.
func (p AvgPool2d) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return autograd.AvgPool2d(ctx, x, p.Kernel, stride(p.Stride, p.Kernel))
}

func stride(stride, kernel int) int {
	if stride == 0 {
		return kernel
	}
	return stride
}

// Flatten turns [N, C, H, W] into [N, C·H·W] in that order, as float32: linear layers
// and features are float32 whatever the activations before them are.
type Flatten struct{}

// Members implements Module.
func (Flatten) Members() []Member { return nil }

// Forward implements Layer.
func (Flatten) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	exact := autograd.Cast(ctx, x, tensor.Float32)
	return Then(ctx, x, exact, autograd.Flatten(ctx, exact))
}

// Sequential applies layers one after the other; empty it is the identity. Its
// modules are named "0", "1" and so on.
type Sequential []Layer

// Members implements Module.
func (s Sequential) Members() []Member {
	members := make([]Member, len(s))
	for i, l := range s {
		members[i] = Member{Name: strconv.Itoa(i), Module: l}
	}
	return members
}

// Forward implements Layer. It gives intermediate results back as soon as
// nothing needs them.
func (s Sequential) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := x
	for _, l := range s {
		y = Then(ctx, x, y, l.Forward(ctx, y))
	}
	return y
}

// Then returns next, computed from y, and releases y unless it is next itself or
// x, which belongs to somebody else.
func Then(ctx *autograd.Context, x, y, next *autograd.Variable) *autograd.Variable {
	if y != x && y != next {
		ctx.Release(y)
	}
	return next
}
