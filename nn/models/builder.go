package models

import (
	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// builder makes the layers of one network.
type builder struct {
	Options
	name     string
	act      kernels.Activation
	init     nn.Initializer // of convolutions and the last layer; nil: PyTorch's default
	dropouts uint64         // made so far
}

// key belongs to the layer of that name, so what a layer draws depends on
// nothing else in the network.
func (b *builder) key(layer string) random.Key {
	return random.NewKey(b.Seed, "weights of "+layer)
}

// conv makes a convolution without bias for maps of size x size; padding keeps
// the size at stride 1.
func (b *builder) conv(layer string, size, in, out, kernel, stride int) nn.Layer {
	sn := nn.SpectralOptions{Coeff: b.Coeff, Iterations: b.PowerIterations}
	switch {
	case b.SN && kernel > 1:
		return nn.NewSNConv2d(b.key(layer), in, out, kernel, size, nn.SNConv2dOptions{Stride: stride, Padding: kernel / 2, Init: b.init, SpectralOptions: sn})
	case b.SN:
		return nn.NewSNConv1x1(b.key(layer), in, out, stride, b.init, sn)
	}
	return nn.NewConv2d(b.key(layer), in, out, kernel, nn.Conv2dOptions{Stride: stride, Padding: kernel / 2, Init: b.init})
}

// dropout makes a dropout with a number of its own.
func (b *builder) dropout(p float64) nn.Dropout {
	b.dropouts++
	return nn.Dropout{P: p, Layer: b.dropouts}
}

// poolShortcut is the shortcut of mod: it averages by the stride, or takes every
// stride-th pixel where the side is odd, and appends channels of zeros.
type poolShortcut struct{ stride, extra int }

func (poolShortcut) Members() []nn.Member { return nil }

func (s poolShortcut) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := x
	if s.stride > 1 {
		kernel := 1
		if x.Value.Dim(2)%2 == 0 {
			kernel = s.stride
		}
		y = autograd.AvgPool2d(ctx, x, kernel, s.stride)
	}
	if s.extra > 0 {
		y = nn.Then(ctx, x, y, autograd.PadChannels(ctx, y, s.extra))
	}
	return y
}

// classifier is what all networks share: the shapes at both ends, the last
// layer, and the normalisations to run ahead of a forward pass.
type classifier struct {
	name       string
	input      [3]int
	features   int
	classes    int
	temp       float64
	last       *nn.Linear
	normalized []nn.NamedSpectralNorm
}

// newClassifier makes the last layer under the name that the network gives it.
func (b *builder) newClassifier(last string, features int) classifier {
	return classifier{
		name: b.name, input: b.Input, features: features, classes: b.Classes, temp: b.Temp,
		last: nn.NewLinear(b.key(last), features, b.Classes, nn.LinearOptions{Init: b.init}),
	}
}

// InputShape implements nn.Network.
func (c *classifier) InputShape() []int { return c.input[:] }

// Classes implements nn.Network.
func (c *classifier) Classes() int { return c.classes }

// FeatureDim implements nn.Network.
func (c *classifier) FeatureDim() int { return c.features }

// forward checks x, runs body to the features and the last layer to the logits.
func (c *classifier) forward(ctx *autograd.Context, x *autograd.Variable, body func(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable) (logits, features *autograd.Variable, err error) {
	if err := nn.CheckInput(c.name, x.Value, c.input[:]); err != nil {
		return nil, nil, err
	}
	if err := nn.IterateAll(ctx, c.normalized); err != nil {
		return nil, nil, err
	}
	image := autograd.ToImage(ctx, x)
	image = nn.Then(ctx, x, image, autograd.Cast(ctx, image, ctx.DType))
	features = nn.Then(ctx, x, image, body(ctx, image))
	logits = c.last.Forward(ctx, features)
	if c.temp != 1 {
		logits = nn.Then(ctx, x, logits, autograd.Scale(ctx, logits, float32(1/c.temp)))
	}
	return logits, features, nil
}

// halved returns the side of a map after a stride: half of it, rounded up.
func halved(size, stride int) int { return (size + stride - 1) / stride }
