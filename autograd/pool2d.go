package autograd

import (
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// PoolOptions are the window and stride of a pooling, the same for both
// dimensions; there is no padding.
type PoolOptions struct{ Kernel, Stride int }

// MaxPool2d returns the largest element of each window of x [N, C, H, W]. The
// gradient goes to the first one in the window's row-major order; NaN counts as
// largest.
func MaxPool2d(ctx *Context, x *Variable, kernel, stride int) *Variable {
	return pool2d(ctx, OpMaxPool2d, x, kernel, stride)
}

// AvgPool2d returns the mean of each window of x [N, C, H, W].
func AvgPool2d(ctx *Context, x *Variable, kernel, stride int) *Variable {
	return pool2d(ctx, OpAvgPool2d, x, kernel, stride)
}

func pool2d(ctx *Context, op Op, x *Variable, kernel, stride int) *Variable {
	image := ToImage(ctx, x)
	y := Apply(ctx, op, PoolOptions{kernel, stride}, image)
	converted(ctx, image, x)
	return y
}

// PadChannels appends extra channels of zeros to x [N, C, H, W].
func PadChannels(ctx *Context, x *Variable, extra int) *Variable {
	image := ToImage(ctx, x)
	y := Apply(ctx, OpPadChannels, extra, image)
	converted(ctx, image, x)
	return y
}

func (n *Node) pool2dShape() kernels.Pool2dShape {
	o, x := n.Attrs.(PoolOptions), n.value(0).Shape()
	return kernels.Pool2dShape{N: x[0], C: x[1], H: x[2], W: x[3], Kernel: o.Kernel, Stride: o.Stride}
}

// newPooled checks the input and gives the output its value.
func (n *Node) newPooled(ctx *Context) (y *tensor.Tensor, s kernels.Pool2dShape) {
	n.wantImage(0, "x")
	s = n.pool2dShape()
	if err := s.Check(); err != nil {
		n.fail("x %v: %v", n.value(0).Shape(), err)
	}
	return ctx.newImage(n, s.N, s.C, s.OutH(), s.OutW()), s
}

func maxPoolForward(ctx *Context, n *Node) {
	y, s := n.newPooled(ctx)
	index := ctx.save(n, tensor.Int32, y.Len())
	maxPool(y, index, n.value(0), s)
}

func maxPoolBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		maxPoolGradient(g, dy, n.saved[0], n.pool2dShape(), accumulate)
	}
}

func avgPoolForward(ctx *Context, n *Node) {
	y, s := n.newPooled(ctx)
	avgPool(y, n.value(0), s)
}

func avgPoolBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		avgPoolGradient(g, dy, n.pool2dShape(), accumulate)
	}
}

func padChannelsForward(ctx *Context, n *Node) {
	batch, c, h, w := n.wantImage(0, "x")
	extra := n.Attrs.(int)
	if extra < 0 {
		n.fail("%d extra channels, want at least 0", extra)
	}
	y := ctx.newImage(n, batch, c+extra, h, w)
	padChannels(y, n.value(0), h*w*batch, c, c+extra)
}

func padChannelsBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		s := dy.Shape()
		padChannelsGradient(g, dy, s[0]*s[2]*s[3], g.Dim(1), s[1], accumulate)
	}
}
