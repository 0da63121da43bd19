package nn

import (
	"fmt"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// SNConv2d is a convolution whose operator norm at one input size is softly
// bounded. The bound holds for maps of that size; others may be put in.
type SNConv2d struct {
	*SpectralNorm
	Stride, Padding int
}

// SNConv2dOptions are the settings of a spectrally normalised convolution.
type SNConv2dOptions struct {
	Stride, Padding int         // Stride 0 means 1
	Init            Initializer // nil: KaimingUniform
	SpectralOptions
}

// NewSNConv2d returns a convolution without bias that is normalised for maps of
// size x size.
func NewSNConv2d(key random.Key, in, out, kernel, size int, o SNConv2dOptions) *SNConv2d {
	shape := kernels.Conv2dShape{N: 1, C: in, H: size, W: size, OC: out, KH: kernel, KW: kernel, Stride: max(o.Stride, 1), Padding: o.Padding}
	if err := shape.Check(); err != nil {
		panic("nn: SNConv2d: " + err.Error())
	}
	weight := newWeight(key, o.Init, out, in, kernel, kernel)
	return &SNConv2d{newOperatorNorm(key, weight, shape, o.SpectralOptions), shape.Stride, o.Padding}
}

// Members implements Module.
func (c *SNConv2d) Members() []Member { return c.members() }

// Forward implements Layer.
func (c *SNConv2d) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return c.forward(ctx, x, false)
}

func (c *SNConv2d) forward(ctx *autograd.Context, x *autograd.Variable, moments bool) *autograd.Variable {
	return c.conv2d(ctx, x, nil, autograd.Conv2dOptions{Stride: c.Stride, Padding: c.Padding, Moments: moments})
}

// SNMatrix is a linear layer or a 1x1 convolution with the spectral norm of its
// weight matrix softly bounded.
type SNMatrix struct {
	*SpectralNorm
	Bias *autograd.Variable // [out] or nil

	stride int // of the convolution; 0: a linear layer
}

// NewSNLinear returns a spectrally normalised linear layer.
func NewSNLinear(key random.Key, in, out int, o LinearOptions, so SpectralOptions) *SNMatrix {
	weight := newWeight(key, o.Init, out, in)
	m := &SNMatrix{SpectralNorm: newMatrixNorm(key, weight, so)}
	if !o.NoBias {
		m.Bias = autograd.NewParameter(newBias(key.Fold(keyBias), weight))
	}
	return m
}

// NewSNConv1x1 returns a spectrally normalised 1x1 convolution without bias.
func NewSNConv1x1(key random.Key, in, out, stride int, init Initializer, o SpectralOptions) *SNMatrix {
	if stride < 1 {
		panic(fmt.Sprintf("nn: SNConv1x1: stride %d, want at least 1", stride))
	}
	return &SNMatrix{SpectralNorm: newMatrixNorm(key, newWeight(key, init, out, in, 1, 1), o), stride: stride}
}

// Members implements Module.
func (m *SNMatrix) Members() []Member {
	return append([]Member{{Name: "bias", Parameter: m.Bias}}, m.members()...)
}

// Forward implements Layer.
func (m *SNMatrix) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return m.forward(ctx, x, false)
}

func (m *SNMatrix) forward(ctx *autograd.Context, x *autograd.Variable, moments bool) *autograd.Variable {
	if m.stride > 0 {
		return m.conv2d(ctx, x, m.Bias, autograd.Conv2dOptions{Stride: m.stride, Moments: moments})
	}
	w := m.weight(ctx)
	y := autograd.Linear(ctx, x, w, m.Bias)
	ctx.Release(w)
	return y
}
