package autograd

import (
	"math"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// SpectralScaleOptions describe one use of a spectrally normalised weight. U and
// V may change afterwards: what Backward will need is copied.
type SpectralScaleOptions struct {
	// Sigma is the spectral norm that U and V estimate, Coeff its bound.
	Sigma, Coeff float64
	// Eps is added to the divisor: 1e-5 for the convolution operator, 0 for a
	// matrix.
	Eps float64
	// U and V are the left and right singular vectors, held constant. For the
	// operator norm of a convolution they are maps [1, OC, OH, OW] and
	// [1, C, H, W]; for a matrix vectors of OC and C·KH·KW elements.
	U, V *tensor.Tensor
	// Conv tells that Sigma is the norm of the convolution operator with this
	// stride and padding at the input size of V; nil: that of the weight as a matrix
	// [OC, C·KH·KW].
	Conv *ConvOperator
}

// ConvOperator is a convolution as a linear map; Stride 0 means 1.
type ConvOperator struct{ Stride, Padding int }

// SpectralScale returns weight/(max(1, sigma/coeff) + eps): the soft spectral
// normalisation, which only scales down. The gradient also flows through
// sigma = <u, W v>, where sigma > coeff.
func SpectralScale(ctx *Context, weight *Variable, o SpectralScaleOptions) *Variable {
	return Apply(ctx, OpSpectralScale, o, weight)
}

func (o *SpectralScaleOptions) factor() float64 {
	return 1 / (math.Max(1, o.Sigma/o.Coeff) + o.Eps)
}

func (o *SpectralScaleOptions) check(n *Node, w *tensor.Tensor) {
	switch {
	case w.Rank() < 2 || !w.Contiguous():
		n.fail("weight is %v, want a contiguous matrix or [OC C KH KW]", w.Shape())
	case !(o.Coeff > 0):
		n.fail("coeff is %v, want it positive", o.Coeff)
	case math.IsNaN(o.Sigma):
		n.fail("sigma is NaN: the weight or a singular vector is not finite")
	case o.U == nil || o.V == nil:
		n.fail("U and V are missing")
	case o.Conv == nil:
		if oc := w.Dim(0); o.U.Len() != oc || o.V.Len() != w.Len()/max(oc, 1) {
			n.fail("U %v and V %v do not fit the weight %v as a matrix", o.U.Shape(), o.V.Shape(), w.Shape())
		}
	default:
		if w.Rank() != 4 || o.V.Rank() != 4 || o.U.Rank() != 4 || o.V.Dim(0) != 1 || o.V.Dim(1) != w.Dim(1) {
			n.fail("V %v and U %v do not fit a convolution with weight %v, want [1 C H W] and [1 OC OH OW]", o.V.Shape(), o.U.Shape(), w.Shape())
		}
		if s := o.shape(w); s.Check() != nil || o.U.Dim(0) != 1 || o.U.Dim(1) != s.OC || o.U.Dim(2) != s.OutH() || o.U.Dim(3) != s.OutW() {
			n.fail("U %v is not an output of weight %v for V %v", o.U.Shape(), w.Shape(), o.V.Shape())
		}
	}
}

func (o *SpectralScaleOptions) shape(w *tensor.Tensor) kernels.Conv2dShape {
	return kernels.Conv2dShape{N: 1, C: w.Dim(1), H: o.V.Dim(2), W: o.V.Dim(3), OC: w.Dim(0), KH: w.Dim(2), KW: w.Dim(3),
		Stride: max(o.Conv.Stride, 1), Padding: o.Conv.Padding}
}

// prepare checks the options and keeps what the gradient of the weight will need.
func (o *SpectralScaleOptions) prepare(ctx *Context, n *Node, w *Variable) {
	o.check(n, w.Value)
	if ctx.Tape != nil && w.requiresGrad && o.Sigma > o.Coeff {
		for _, singular := range []*tensor.Tensor{o.U, o.V} {
			kept := ctx.pool().GetLike(singular)
			kept.CopyFrom(singular)
			n.keep(kept)
		}
	}
}

func spectralScaleForward(ctx *Context, n *Node) {
	o := n.Attrs.(SpectralScaleOptions)
	o.prepare(ctx, n, n.Inputs[0])
	w := n.value(0)
	f := o.factor()
	if f == 1 {
		ctx.share(n, n.Inputs[0], w.View(w.Shape()...))
		return
	}
	kernels.Scale(ctx.newLike(n, w).Float32s(), w.Float32s(), float32(f))
	n.repeatable = n.Inputs[0].IsParameter()
}

func spectralScaleAgain(n *Node, y *tensor.Tensor) {
	o := n.Attrs.(SpectralScaleOptions)
	kernels.Scale(y.Float32s(), n.floats(0), float32(o.factor()))
}

func spectralScaleBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	o := n.Attrs.(SpectralScaleOptions)
	g, accumulate := t.targetInPlace(n, n.Inputs[0])
	o.addGradient(n, g, accumulate, dy, n.value(0))
}

// addGradient sets g to the gradient of the weight w, or adds it, for dy, that of the
// normalised weight, which may be g. With f = 1/(sigma/coeff + eps) and G the gradient of
// f·W, the gradient of W is f·G - f²/coeff·<G, W>·dsigma/dW, and dsigma/dW is
// the gradient of <u, conv(v, W)>, or u·vᵀ for a matrix. Where sigma ≤ coeff f
// is constant.
func (o *SpectralScaleOptions) addGradient(n *Node, g *tensor.Tensor, accumulate bool, dy, w *tensor.Tensor) {
	f := o.factor()
	inner := 0.0
	if o.Sigma > o.Coeff {
		inner = kernels.Dot(dy.Float32s(), w.Float32s())
	}
	if accumulate {
		axpyInto(g, float32(f), dy)
	} else {
		kernels.Scale(g.Float32s(), dy.Float32s(), float32(f))
	}
	if o.Sigma > o.Coeff {
		o.addSigmaGradient(g, n.saved[0], n.saved[1], float32(-f*f/o.Coeff*inner))
	}
}

// addSigmaGradient adds c·dsigma/dW to g. It overwrites u.
func (o *SpectralScaleOptions) addSigmaGradient(g, u, v *tensor.Tensor, c float32) {
	kernels.Scale(u.Float32s(), u.Float32s(), c)
	if o.Conv == nil {
		rows, columns := u.Len(), v.Len()
		kernels.Gemm(false, false, rows, columns, 1, u.Float32s(), 1, v.Float32s(), columns, true, g.Float32s(), columns)
		return
	}
	kernels.Conv2dBackwardWeights(g.Float32s(), v.ToImage().Float32s(), u.ToImage().Float32s(), o.shape(g), true)
}
