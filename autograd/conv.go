package autograd

import (
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Conv2dOptions are the stride (0 means 1) and zero padding of a convolution,
// the same for both dimensions.
type Conv2dOptions struct {
	Stride, Padding int

	// Moments has the moments of each channel gathered along with the result in
	// training, for the batch normalisation that reads it next; its value must not
	// be changed before.
	Moments bool

	// Spectral has the weight normalised as SpectralScale does it, while it is packed;
	// nil: it is taken as it is. The options are copied.
	Spectral *SpectralScaleOptions
}

// scale is what the weight is multiplied with.
func (o *Conv2dOptions) scale() float32 {
	if o.Spectral == nil {
		return 1
	}
	return float32(o.Spectral.factor())
}

// Conv2d returns the cross-correlation of x [N, C, H, W] with weight
// [OC, C, KH, KW] plus bias [OC], which may be nil: [N, OC, OH, OW].
func Conv2d(ctx *Context, x, weight, bias *Variable, o Conv2dOptions) *Variable {
	if o.Stride == 0 {
		o.Stride = 1
	}
	if o.Spectral != nil {
		own := *o.Spectral
		o.Spectral = &own
	}
	image := ToImage(ctx, x)
	y := Apply(ctx, OpConv2d, o, image, weight, bias)
	converted(ctx, image, x)
	return y
}

func (n *Node) conv2dShape() kernels.Conv2dShape {
	o := n.Attrs.(Conv2dOptions)
	x, w := n.Inputs[0].Value.Shape(), n.Inputs[1].Value.Shape()
	return kernels.Conv2dShape{N: x[0], C: x[1], H: x[2], W: x[3], OC: w[0], KH: w[2], KW: w[3], Stride: o.Stride, Padding: o.Padding}
}

func conv2dForward(ctx *Context, n *Node) {
	_, c, _, _ := n.wantImage(0, "x")
	if w := n.value(1); w.Rank() != 4 || !w.Contiguous() {
		n.fail("weight is %v, want a contiguous [OC C KH KW]", w.Shape())
	} else if w.Dim(1) != c {
		n.fail("x %v has %d channels, weight %v wants %d", n.value(0).Shape(), c, w.Shape(), w.Dim(1))
	}
	s := n.conv2dShape()
	if err := s.Check(); err != nil {
		n.fail("x %v, weight %v: %v", n.value(0).Shape(), n.value(1).Shape(), err)
	}
	if n.value(2) != nil {
		n.wantVector(2, "bias", s.OC)
	}
	o := n.Attrs.(Conv2dOptions)
	if o.Spectral != nil {
		o.Spectral.prepare(ctx, n, n.Inputs[1])
	}
	y := ctx.newImage(n, s.N, s.OC, s.OutH(), s.OutW())
	r := ctx.Trace()
	start := r.Start()
	packed := packWeights(n.Inputs[1], o.scale(), s, kernels.ConvForward, y.DType(), !ctx.Training)
	start = n.part(r, start, trace.Pack)
	if o.Moments && ctx.Training && y.DType() == tensor.Float32 {
		n.Output.moments = ctx.pool().Get(tensor.Float32, 2, s.OC)
		mean, variance := splitMoments(n.Output.moments)
		kernels.Conv2dForwardMoments(y.Float32s(), n.floats(0), packed.f32, n.floats(2), mean, variance, s)
	} else {
		packed.forward(y, n.value(0), n.floats(2), s)
	}
	n.part(r, start, trace.Forward)
	packed.free()
}

// conv2dReads: the gradient of a weight that is normalised needs the weight too.
func conv2dReads(n *Node) reads {
	r := productReads(n)
	if n.Attrs.(Conv2dOptions).Spectral != nil && n.Inputs[1].requiresGrad {
		r |= 2
	}
	return r
}

// splitMoments returns the two rows of moments.
func splitMoments(m *tensor.Tensor) (mean, variance []float32) {
	c := m.Dim(1)
	return m.Float32s()[:c], m.Float32s()[c:]
}

func conv2dBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	s, o := n.conv2dShape(), n.Attrs.(Conv2dOptions)
	switch g, accumulate := t.target(n.Inputs[1]); {
	case g == nil:
	case o.Spectral == nil:
		start := t.Trace.Start()
		convWeightsGradient(g, n.value(0), dy, s, accumulate)
		n.part(t.Trace, start, trace.BackwardWeights)
	default:
		spectralWeightsGradient(t, n, g, dy, s, accumulate)
	}
	if start := t.Trace.Start(); n.Inputs[2] != nil {
		biasBackward(t, n, dy, s.N*s.OutH()*s.OutW(), s.OC)
		n.part(t.Trace, start, trace.BackwardBias)
	}
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		start := t.Trace.Start()
		packed := packWeights(n.Inputs[1], o.scale(), s, kernels.ConvBackwardData, dy.DType(), false)
		start = n.part(t.Trace, start, trace.Pack)
		packed.backwardData(g, dy, s, accumulate)
		n.part(t.Trace, start, trace.BackwardData)
		packed.free()
	}
}

// spectralWeightsGradient sets g to the gradient of a weight that is normalised, or adds
// it.
func spectralWeightsGradient(t *Tape, n *Node, g, dy *tensor.Tensor, s kernels.Conv2dShape, accumulate bool) {
	normalised := g // the gradient of the normalised weight
	if accumulate {
		normalised = t.Pool().GetLike(g)
		defer t.Pool().Put(normalised)
	}
	start := t.Trace.Start()
	convWeightsGradient(normalised, n.value(0), dy, s, false)
	start = n.part(t.Trace, start, trace.BackwardWeights)
	n.Attrs.(Conv2dOptions).Spectral.addGradient(n, g, accumulate, normalised, n.value(1))
	n.part(t.Trace, start, trace.BackwardSigma)
}

// biasBackward adds the column sums of dy to the gradient of input 2.
func biasBackward(t *Tape, n *Node, dy *tensor.Tensor, rows, columns int) {
	if g, accumulate := t.target(n.Inputs[2]); g != nil {
		sumRows(g.Float32s(), dy, rows, columns, accumulate)
	}
}
