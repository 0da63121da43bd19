package autograd

import (
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Sum returns the sum of all elements, added up in float64: a scalar.
func Sum(ctx *Context, x *Variable) *Variable { return Apply(ctx, OpSum, nil, x) }

// Mean returns the mean of all elements, added up in float64: a scalar.
func Mean(ctx *Context, x *Variable) *Variable { return Apply(ctx, OpMean, nil, x) }

func sumForward(ctx *Context, n *Node) {
	ctx.newValue(n).Float32s()[0] = float32(kernels.Sum(n.floats(0)))
}

func meanForward(ctx *Context, n *Node) {
	x := n.floats(0)
	if len(x) == 0 {
		n.fail("x is %v, want at least one element", n.value(0).Shape())
	}
	ctx.newValue(n).Float32s()[0] = float32(kernels.Sum(x) / float64(len(x)))
}

func sumBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	addEverywhere(t, n.Inputs[0], float32(dy.Item()))
}

func meanBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	addEverywhere(t, n.Inputs[0], float32(dy.Item()/float64(n.value(0).Len())))
}

// addEverywhere adds s to every element of the gradient of v.
func addEverywhere(t *Tape, v *Variable, s float32) {
	g, accumulate := t.target(v)
	switch {
	case g == nil:
	case !accumulate:
		g.Fill(float64(s))
	default:
		constant := t.Pool().GetLike(g)
		constant.Fill(float64(s))
		axpyInto(g, 1, constant)
		t.Pool().Put(constant)
	}
}
