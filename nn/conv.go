package nn

import (
	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Conv2d is a convolution (cross-correlation) with square kernel, stride and
// zero padding: x [N, C, H, W] to [N, OC, OH, OW].
type Conv2d struct {
	Weight, Bias *autograd.Variable // [OC, C, K, K]; [OC] or nil
	Stride       int
	Padding      int
}

// Conv2dOptions are the optional settings of a convolution; Stride 0 means 1.
type Conv2dOptions struct {
	Stride, Padding int
	Bias            bool
	Init            Initializer // nil: KaimingUniform
}

// NewConv2d returns a convolution from in to out channels whose weights are
// drawn with key.
func NewConv2d(key random.Key, in, out, kernel int, o Conv2dOptions) *Conv2d {
	weight := newWeight(key, o.Init, out, in, kernel, kernel)
	c := &Conv2d{Weight: autograd.NewParameter(weight), Stride: max(o.Stride, 1), Padding: o.Padding}
	if o.Bias {
		c.Bias = autograd.NewParameter(newBias(key.Fold(keyBias), weight))
	}
	return c
}

// Members implements Module.
func (c *Conv2d) Members() []Member {
	return []Member{{Name: "weight", Parameter: c.Weight}, {Name: "bias", Parameter: c.Bias}}
}

// Forward implements Layer.
func (c *Conv2d) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return c.forward(ctx, x, false)
}

func (c *Conv2d) forward(ctx *autograd.Context, x *autograd.Variable, moments bool) *autograd.Variable {
	return autograd.Conv2d(ctx, x, c.Weight, c.Bias, autograd.Conv2dOptions{Stride: c.Stride, Padding: c.Padding, Moments: moments})
}

// ConvNormAct returns act(bn(conv(x)) + residual), residual may be nil. In training the
// convolutions of this package gather the batch's statistics with their result.
func ConvNormAct(ctx *autograd.Context, x *autograd.Variable, conv Layer, bn *BatchNorm2d, act kernels.Activation, residual *autograd.Variable) *autograd.Variable {
	var h *autograd.Variable
	switch c := conv.(type) {
	case *Conv2d:
		h = c.forward(ctx, x, true)
	case *SNConv2d:
		h = c.forward(ctx, x, true)
	case *SNMatrix:
		h = c.forward(ctx, x, true)
	default:
		h = conv.Forward(ctx, x)
	}
	return Then(ctx, x, h, bn.ForwardFused(ctx, h, act, residual))
}
