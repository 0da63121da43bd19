package nn

import (
	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Linear maps x [N, in] to x·weightᵀ + bias [N, out].
type Linear struct {
	Weight, Bias *autograd.Variable // [out, in]; [out] or nil
}

// LinearOptions are the optional settings of a linear layer.
type LinearOptions struct {
	NoBias bool
	Init   Initializer // nil: KaimingUniform
}

// NewLinear returns a linear layer whose weights are drawn with key.
func NewLinear(key random.Key, in, out int, o LinearOptions) *Linear {
	weight := newWeight(key, o.Init, out, in)
	l := &Linear{Weight: autograd.NewParameter(weight)}
	if !o.NoBias {
		l.Bias = autograd.NewParameter(newBias(key.Fold(keyBias), weight))
	}
	return l
}

// Members implements Module.
func (l *Linear) Members() []Member {
	return []Member{{Name: "weight", Parameter: l.Weight}, {Name: "bias", Parameter: l.Bias}}
}

// Forward implements Layer.
func (l *Linear) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return autograd.Linear(ctx, x, l.Weight, l.Bias)
}
