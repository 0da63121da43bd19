package autograd

import (
	"slices"

	"github.com/deepuncertainty/ddu/tensor"
)

// Reshape returns x, in row-major order of its logical index, with another
// shape of as many elements; one size may be -1. The result shares the memory
// of x unless x is an image with several pixels and channels.
func Reshape(ctx *Context, x *Variable, shape ...int) *Variable {
	return Apply(ctx, OpReshape, slices.Clone(shape), x)
}

// Flatten returns [N, C*H*W] for x [N, C, H, W], in the order C, H, W.
func Flatten(ctx *Context, x *Variable) *Variable {
	if x.Value.Rank() < 2 {
		panic("autograd: flatten: x is " + x.Value.String() + ", want at least two dimensions")
	}
	n := x.Value.Dim(0)
	return Reshape(ctx, x, n, x.Value.Len()/max(n, 1))
}

// ToImage returns x [N, C, H, W] in image layout: x itself if it has it already.
func ToImage(ctx *Context, x *Variable) *Variable {
	if x.Value.Rank() != 4 || x.Value.IsImage() {
		return x
	}
	return Apply(ctx, OpToImage, nil, x)
}

// ToContiguous returns x in row-major layout: x itself if it has it already.
func ToContiguous(ctx *Context, x *Variable) *Variable {
	if x.Value.Contiguous() {
		return x
	}
	return Apply(ctx, OpToContiguous, nil, x)
}

// converted releases what ToImage or ToContiguous made of x for one operation.
func converted(ctx *Context, made, x *Variable) {
	if made != x {
		ctx.Release(made)
	}
}

func reshapeForward(ctx *Context, n *Node) {
	x, shape := n.Inputs[0], n.Attrs.([]int)
	if x.Value.Dense() && (x.Value.Contiguous() || slices.Equal(x.Value.Shape(), shape)) {
		ctx.share(n, x, x.Value.View(shape...))
		return
	}
	y := ctx.own(n, ctx.pool().Get(x.Value.DType(), x.Value.Shape()...))
	y.CopyFrom(x.Value)
	// The buffer is owned by the result under its new shape.
	n.Output.Value = y.View(shape...)
	y.Invalidate()
}

func reshapeBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	x := n.Inputs[0]
	if x.Value.Contiguous() || slices.Equal(x.Value.Shape(), dy.Shape()) {
		t.pass(n, x, dy.View(x.Value.Shape()...))
		return
	}
	addGradient(t, x, dy.View(x.Value.Shape()...))
}

func toImageForward(ctx *Context, n *Node) {
	x := n.Inputs[0].Value
	if x.Rank() != 4 {
		n.fail("x is %v, want [N C H W]", x.Shape())
	}
	s := x.Shape()
	ctx.newImage(n, s[0], s[1], s[2], s[3]).CopyFrom(x)
}

func toContiguousForward(ctx *Context, n *Node) {
	x := n.Inputs[0].Value
	ctx.own(n, ctx.pool().Get(x.DType(), x.Shape()...)).CopyFrom(x)
}

func layoutBackward(t *Tape, n *Node, dy *tensor.Tensor) { addGradient(t, n.Inputs[0], dy) }

// addGradient adds dx, in whatever layout, to the gradient of v.
func addGradient(t *Tape, v *Variable, dx *tensor.Tensor) {
	g, accumulate := t.target(v)
	switch {
	case g == nil:
	case !accumulate:
		g.CopyFrom(dx)
	default:
		same := t.Pool().GetLike(g)
		same.CopyFrom(dx)
		axpyInto(g, 1, same)
		t.Pool().Put(same)
	}
}
