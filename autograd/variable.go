package autograd

import (
	"sync/atomic"

	"github.com/deepuncertainty/ddu/tensor"
)

// Variable is a tensor in a computation: a leaf (parameter or constant) or the
// result of an operation.
//
// A leaf may be used by many goroutines at once as long as none of them writes
// to it. A result belongs to the goroutine that made it.
type Variable struct {
	// Value holds the elements. Those of a result may come from a pool; see
	// Tape and Context.Release for how long they live.
	Value *tensor.Tensor

	requiresGrad bool
	param        *parameter // of leaves that require a gradient
	grad         gradient   // of results, while Backward runs
	memory       memory     // of results

	moments *tensor.Tensor // [2, C]: of a convolution's result, until a batch normalisation takes them
}

// parameter is what a trainable leaf has besides its value.
type parameter struct {
	version atomic.Uint64
	packed  [2]atomic.Pointer[packedWeights] // by kernels.ConvDirection
	grad    *tensor.Tensor                   // allocated by the first Backward, then reused
	hasGrad bool
}

// NewParameter returns a leaf that requires a gradient. Its value must be dense.
func NewParameter(value *tensor.Tensor) *Variable {
	if !value.Dense() {
		panic("autograd: the value of a parameter must be contiguous or an image, call ToContiguous first")
	}
	return &Variable{Value: value, requiresGrad: true, param: new(parameter)}
}

// Constant returns a leaf that takes no gradient, such as a batch of images.
func Constant(value *tensor.Tensor) *Variable { return &Variable{Value: value} }

// RequiresGrad tells whether Backward computes a gradient for v, or one that
// flows through v.
func (v *Variable) RequiresGrad() bool { return v.requiresGrad }

// IsParameter tells whether v was made by NewParameter.
func (v *Variable) IsParameter() bool { return v.param != nil }

// Grad returns the gradient of a parameter, in the layout of its value; nil
// before Backward reached it and after ZeroGrad. The tensor belongs to the
// parameter and is written again by the Backward after the next ZeroGrad.
func (v *Variable) Grad() *tensor.Tensor {
	if v.param == nil || !v.param.hasGrad {
		return nil
	}
	return v.param.grad
}

// ZeroGrad empties the gradient of a parameter: the next contribution
// overwrites it, further ones are added.
func (v *Variable) ZeroGrad() {
	if v.param != nil {
		v.param.hasGrad = false
	}
}

// Version counts the changes of a parameter's value.
func (v *Variable) Version() uint64 {
	if v.param == nil {
		return 0
	}
	return v.param.version.Load()
}

// BumpVersion must be called after the value of a parameter changed, so that
// copies derived from it, such as packed weights, are made anew.
func (v *Variable) BumpVersion() {
	if v.param != nil {
		v.param.version.Add(1)
	}
}

// Retain keeps the value of a result readable after Backward, until Tape.Reset.
// Backward itself does so for the loss and for the inputs of the operations that
// made it (the logits).
func (v *Variable) Retain() {
	if m := &v.root().memory; m.pool != nil {
		m.retained = true
	}
}
