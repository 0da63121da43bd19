package autograd

import (
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// packedWeights is a copy of convolution weights in the form in which the kernels of
// one element type and level want them. One that a parameter keeps is immutable.
type packedWeights struct {
	version uint64
	dtype   tensor.DType
	level   kernels.Level
	form    kernels.WeightForm
	f32     []float32
	bf16    kernels.BF16Weights

	temporary kernels.TemporaryWeights // that f32 is of
	kept      bool
}

// packWeights returns the weights scale·w packed for direction d and activations of
// type dt. With a scale of 1 a parameter keeps the packed copy of its current version,
// which any number of goroutines may use; keep tells whether to make such a copy if
// there is none. Any other copy is temporary. The caller frees what it gets.
func packWeights(w *Variable, scale float32, s kernels.Conv2dShape, d kernels.ConvDirection, dt tensor.DType, keep bool) packedWeights {
	p := packedWeights{dtype: dt, level: kernels.CurrentLevel(), form: s.WeightForm(d)}
	p.kept = keep && w.param != nil && scale == 1
	if dt == tensor.BFloat16 {
		p.form = s.WeightFormBF16(d)
	}
	if w.param != nil && scale == 1 {
		// The version is read before the value: a copy made while the value
		// changes is never taken for one of the new version.
		p.version = w.param.version.Load()
		if q := w.param.packed[d].Load(); q != nil && q.version == p.version && q.dtype == dt && q.level == p.level && q.form == p.form {
			return *q
		}
	}
	values := w.Value.Float32s()
	switch {
	case dt == tensor.BFloat16 && p.kept:
		p.bf16 = kernels.PackConv2dBF16(values, s, d)
	case dt == tensor.BFloat16:
		p.bf16 = kernels.PackTemporaryBF16(values, scale, s, d)
	case p.kept:
		p.f32 = make([]float32, kernels.PackedConv2dLen(s, d))
		kernels.PackConv2d(p.f32, values, s, d)
	default:
		p.temporary = kernels.PackTemporary(values, scale, s, d)
		p.f32 = p.temporary.Data
	}
	if p.kept {
		stays := p // a temporary copy is not to be moved to the heap
		w.param.packed[d].Store(&stays)
	}
	return p
}

func (p *packedWeights) free() {
	if !p.kept {
		p.temporary.Free()
		p.bf16.Free()
	}
}

func (p *packedWeights) forward(y, x *tensor.Tensor, bias []float32, s kernels.Conv2dShape) {
	if p.dtype == tensor.BFloat16 {
		kernels.Conv2dForwardBF16(y.BFloat16s(), x.BFloat16s(), p.bf16, bias, s)
		return
	}
	kernels.Conv2dForward(y.Float32s(), x.Float32s(), p.f32, bias, s)
}

func (p *packedWeights) backwardData(dx, dy *tensor.Tensor, s kernels.Conv2dShape, accumulate bool) {
	if p.dtype == tensor.BFloat16 {
		kernels.Conv2dBackwardDataBF16(dx.BFloat16s(), dy.BFloat16s(), p.bf16, s, accumulate)
		return
	}
	kernels.Conv2dBackwardData(dx.Float32s(), dy.Float32s(), p.f32, s, accumulate)
}

// convWeightsGradient computes the gradient of the weights, which is float32.
func convWeightsGradient(dw, x, dy *tensor.Tensor, s kernels.Conv2dShape, accumulate bool) {
	if x.DType() == tensor.BFloat16 {
		kernels.Conv2dBackwardWeightsBF16(dw.Float32s(), x.BFloat16s(), dy.BFloat16s(), s, accumulate)
		return
	}
	kernels.Conv2dBackwardWeights(dw.Float32s(), x.Float32s(), dy.Float32s(), s, accumulate)
}
