package autograd

import "github.com/deepuncertainty/ddu/tensor"

// Cast returns x with its elements converted to dt, Float32 or BFloat16 (rounded to
// nearest even), in its layout: x itself if they are that already. The gradient is
// converted back.
func Cast(ctx *Context, x *Variable, dt tensor.DType) *Variable {
	if x.Value.DType() == dt {
		return x
	}
	return Apply(ctx, OpCast, dt, x)
}

func castForward(ctx *Context, n *Node) {
	dt, x := n.Attrs.(tensor.DType), n.value(0)
	switch {
	case dt != tensor.Float32 && dt != tensor.BFloat16:
		n.fail("to %v, want float32 or bfloat16", dt)
	case !x.Dense():
		n.fail("x of shape %v is neither contiguous nor an image, apply ToContiguous or ToImage first", x.Shape())
	}
	ctx.own(n, ctx.pool().GetLikeAs(x, dt)).CopyFrom(x)
}

func castBackward(t *Tape, n *Node, dy *tensor.Tensor) { addGradient(t, n.Inputs[0], dy) }
