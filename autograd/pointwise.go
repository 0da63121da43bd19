package autograd

import (
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Add returns a + b, which have one shape. If their layouts differ, b is
// converted.
func Add(ctx *Context, a, b *Variable) *Variable {
	same := sameLayout(ctx, a, b)
	y := Apply(ctx, OpAdd, nil, a, same)
	converted(ctx, same, b)
	return y
}

// Mul returns the element-wise product of a and b, which have one shape. If
// their layouts differ, b is converted.
func Mul(ctx *Context, a, b *Variable) *Variable {
	same := sameLayout(ctx, a, b)
	y := Apply(ctx, OpMul, nil, a, same)
	converted(ctx, same, b)
	return y
}

// Scale returns factor·x.
func Scale(ctx *Context, x *Variable, factor float32) *Variable {
	return Apply(ctx, OpScale, factor, x)
}

// Activate returns the activation of every element.
func Activate(ctx *Context, x *Variable, act kernels.Activation) *Variable {
	return Apply(ctx, OpActivate, act, x)
}

// DropoutAttrs are the attributes of a recorded dropout.
type DropoutAttrs struct {
	P   float32 // probability that an element becomes zero
	Key uint64  // decides, with an element's place in memory, which do
}

// Dropout sets each element to zero with probability p, 0 ≤ p < 1, and divides
// the others by 1-p. Which ones is a function of ctx.Key and layer, a number
// that differs between the dropouts of a network. When ctx is not training the
// result is a view of x.
func Dropout(ctx *Context, x *Variable, p float32, layer uint64) *Variable {
	if !(p >= 0 && p < 1) {
		(&Node{Op: OpDropout}).fail("probability %v, want 0 ≤ p < 1", p)
	}
	if !ctx.Training || p == 0 {
		return Reshape(ctx, x, x.Value.Shape()...)
	}
	return Apply(ctx, OpDropout, DropoutAttrs{P: p, Key: uint64(ctx.Key.Fold(layer))}, x)
}

// sameLayout returns b in the layout of a.
func sameLayout(ctx *Context, a, b *Variable) *Variable {
	switch {
	case a.Value.SameLayout(b.Value):
		return b
	case a.Value.IsImage():
		return ToImage(ctx, b)
	}
	return ToContiguous(ctx, b)
}

func (n *Node) wantSameShape() {
	a, b := n.value(0), n.value(1)
	if !slices.Equal(a.Shape(), b.Shape()) {
		n.fail("shapes %v and %v, want equal ones", a.Shape(), b.Shape())
	}
	if !a.SameLayout(b) {
		n.fail("the layouts of the operands differ, convert one with ToImage or ToContiguous")
	}
}

func addForward(ctx *Context, n *Node) {
	n.wantSameShape()
	add(ctx.newLike(n, n.value(0)), n.value(0), n.value(1))
}

func addBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	// A gradient that exists already is added to before the buffer is shared.
	for _, in := range n.Inputs {
		t.pass(n, in, dy)
	}
}

func mulForward(ctx *Context, n *Node) {
	n.wantSameShape()
	mul(ctx.newLike(n, n.value(0)), n.value(0), n.value(1))
}

func mulBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	for i, in := range n.Inputs {
		g, accumulate := t.target(in)
		if g == nil {
			continue
		}
		if !accumulate {
			mul(g, dy, n.value(1-i))
			continue
		}
		product := t.Pool().GetLike(g)
		mul(product, dy, n.value(1-i))
		axpyInto(g, 1, product)
		t.Pool().Put(product)
	}
}

func scaleForward(ctx *Context, n *Node) {
	scale(ctx.newLike(n, n.value(0)), n.value(0), n.Attrs.(float32))
}

func scaleBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	factor := n.Attrs.(float32)
	if g, accumulate := t.targetInPlace(n, n.Inputs[0]); accumulate {
		axpyInto(g, factor, dy)
	} else if g != nil {
		scale(g, dy, factor)
	}
}

func activateForward(ctx *Context, n *Node) {
	activationForward(ctx.newLike(n, n.value(0)), n.value(0), n.Attrs.(kernels.Activation))
}

func activateBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	if g, accumulate := t.targetInPlace(n, n.Inputs[0]); g != nil {
		activationBackward(g, dy, n.Output.Value, n.Attrs.(kernels.Activation), accumulate)
	}
}

func dropoutForward(ctx *Context, n *Node) {
	a := n.Attrs.(DropoutAttrs)
	dropout(ctx.newLike(n, n.value(0)), n.value(0), a)
}

func dropoutBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	a := n.Attrs.(DropoutAttrs)
	if g, accumulate := t.targetInPlace(n, n.Inputs[0]); g != nil {
		dropoutGradient(g, dy, a, accumulate)
	}
}
