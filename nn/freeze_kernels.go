package nn

import (
	"fmt"
	"sync"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
)

// lowering turns an operation into a kernel, or says why it cannot be done.
type lowering func(g *graph, o *operation) (kernel, error)

var lowerings = map[autograd.Op]lowering{
	autograd.OpConv2d:       lowerConv2d,
	autograd.OpLinear:       lowerLinear,
	autograd.OpBatchNorm2d:  byType(lowerAffine[float32], lowerAffine[uint16]),
	autograd.OpMaxPool2d:    byType(lowerMaxPool2d[float32], lowerMaxPool2d[uint16]),
	autograd.OpAvgPool2d:    byType(lowerAvgPool2d[float32], lowerAvgPool2d[uint16]),
	autograd.OpPadChannels:  byType(lowerPadChannels[float32], lowerPadChannels[uint16]),
	autograd.OpAdd:          byType(lowerAdd[float32], lowerAdd[uint16]),
	autograd.OpMul:          byType(lowerMul[float32], lowerMul[uint16]),
	autograd.OpScale:        byType(lowerScale[float32], lowerScale[uint16]),
	autograd.OpActivate:     byType(lowerActivate[float32], lowerActivate[uint16]),
	autograd.OpReshape:      lowerToContiguous,
	autograd.OpToContiguous: lowerToContiguous,
	autograd.OpToImage:      lowerToImage,
	autograd.OpSoftmax:      lowerSoftmax,
	autograd.OpLogSoftmax:   lowerLogSoftmax,
	autograd.OpCast:         lowerCast,
}

// inPlace are the operations whose result may lie over their first input.
var inPlace = map[autograd.Op]bool{
	autograd.OpBatchNorm2d: true, autograd.OpAdd: true, autograd.OpMul: true, autograd.OpScale: true, autograd.OpActivate: true,
}

// dataInputs is how many leading inputs an operation wants from the input's
// side; the others are constants. It is 1 where nothing is said.
var dataInputs = map[autograd.Op]int{autograd.OpAdd: 2, autograd.OpMul: 2}

func (g *graph) lower(o *operation) (loweredOp, error) {
	l := loweredOp{write: o.output, inPlace: inPlace[o.op]}
	lowered, ok := lowerings[o.op]
	if !ok {
		return l, fmt.Errorf("%v cannot be frozen", o.op)
	}
	data := max(dataInputs[o.op], 1)
	for i, id := range o.inputs {
		if id == none {
			continue
		}
		isData := i < data || (o.op == autograd.OpBatchNorm2d || o.op == autograd.OpConv2d) && i == 3 // its residual
		switch computed := g.values[id].constant == nil; {
		case computed && isData:
			l.reads = append(l.reads, id)
		case computed:
			return l, fmt.Errorf("%v cannot be frozen: input %d depends on the network's input, want a constant", o.op, i)
		case isData:
			return l, fmt.Errorf("%v cannot be frozen: input %d is a constant, want it computed from the network's input", o.op, i)
		}
	}
	var err error
	l.kernel, err = lowered(g, o)
	return l, err
}

// floats returns the elements of a constant input, nil if it was left out.
func (g *graph) floats(id int) []float32 {
	if id == none {
		return nil
	}
	return g.values[id].constant.Float32s()
}

// image returns channels, height and width of a value.
func (g *graph) image(id int) (c, h, w int) {
	s := g.values[id].shape
	return s[0], s[1], s[2]
}

func copyKernel(_ *frame, n int, y []float32, x [][]float32) { copy(y, x[0][:len(y)]) }

// byType returns the lowering for the type of an operation's result.
func byType(f32, bf16 lowering) lowering {
	return func(g *graph, o *operation) (kernel, error) {
		if g.values[o.output].half {
			return bf16(g, o)
		}
		return f32(g, o)
	}
}

func lowerConv2d(g *graph, o *operation) (kernel, error) {
	weight, s := g.values[o.inputs[1]].constant, g.conv2dShape(o)
	weights := &frozenWeights{weight: weight.Float32s()}
	act, half := o.act, g.values[o.output].half
	bias, size, out := g.floats(o.inputs[2]), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		if half {
			kernels.Conv2dForwardFusedBF16(of[uint16](y, n*out), of[uint16](x[0], n*size), weights.bf16(s), bias, residual[uint16](x, n*out), act, s)
		} else {
			kernels.Conv2dForwardFused(y[:n*out], x[0][:n*size], weights.fp32(s), bias, residual[float32](x, n*out), act, s)
		}
	}, nil
}

// residual returns the second of x, if there is one.
func residual[E kernels.Element](x [][]float32, n int) []E {
	if len(x) < 2 {
		return nil
	}
	return of[E](x[1], n)
}

// frozenWeights packs the weights of a convolution when a kernel first wants them in
// a form: which one depends on the number of images.
type frozenWeights struct {
	weight []float32
	once   [kernels.NumWeightForms]sync.Once
	f32    [kernels.NumWeightForms][]float32
	half   [kernels.NumWeightForms]kernels.BF16Weights
}

func (w *frozenWeights) fp32(s kernels.Conv2dShape) []float32 {
	form := s.WeightForm(kernels.ConvForward)
	w.once[form].Do(func() {
		w.f32[form] = make([]float32, kernels.PackedConv2dLen(s, kernels.ConvForward))
		kernels.PackConv2d(w.f32[form], w.weight, s, kernels.ConvForward)
	})
	return w.f32[form]
}

func (w *frozenWeights) bf16(s kernels.Conv2dShape) kernels.BF16Weights {
	form := s.WeightFormBF16(kernels.ConvForward)
	w.once[form].Do(func() { w.half[form] = kernels.PackConv2dBF16(w.weight, s, kernels.ConvForward) })
	return w.half[form]
}

func lowerLinear(g *graph, o *operation) (kernel, error) {
	weight, bias := g.floats(o.inputs[1]), g.floats(o.inputs[2])
	in, out := g.values[o.inputs[0]].size, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.Gemm(false, true, n, out, in, x[0][:n*in], in, weight, in, false, y[:n*out], out)
		if bias != nil {
			kernels.AddBiasRows(y[:n*out], bias, n, out)
		}
	}, nil
}

func lowerAffine[E kernels.Element](g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.output)
	a, size := *o.affine, c*h*w
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.BatchNormForward(of[E](y, n*size), of[E](x[0], n*size), a.scale, a.shift, residual[E](x, n*size), a.act, n*h*w, c)
	}, nil
}

func (g *graph) pool2dShape(o *operation) kernels.Pool2dShape {
	c, h, w := g.image(o.inputs[0])
	attrs := o.attrs.(autograd.PoolOptions)
	return kernels.Pool2dShape{C: c, H: h, W: w, Kernel: attrs.Kernel, Stride: attrs.Stride}
}

func lowerMaxPool2d[E kernels.Element](g *graph, o *operation) (kernel, error) {
	s, size, out := g.pool2dShape(o), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(f *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		kernels.MaxPool2dForward(of[E](y, n*out), f.indices[:n*out], of[E](x[0], n*size), s)
	}, nil
}

func lowerAvgPool2d[E kernels.Element](g *graph, o *operation) (kernel, error) {
	s, size, out := g.pool2dShape(o), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		kernels.AvgPool2dForward(of[E](y, n*out), of[E](x[0], n*size), s)
	}, nil
}

func lowerPadChannels[E kernels.Element](g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	padded := g.values[o.output].shape[0]
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.PadChannels(of[E](y, n*h*w*padded), of[E](x[0], n*h*w*c), n*h*w, c, padded)
	}, nil
}

// elementwise serves kernels on whole slices.
func elementwise[E kernels.Element](g *graph, o *operation, f func(y []E, x [2][]E)) (kernel, error) {
	size := g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		var operands [2][]E
		for i := range x {
			operands[i] = of[E](x[i], n*size)
		}
		f(of[E](y, n*size), operands)
	}, nil
}

func lowerAdd[E kernels.Element](g *graph, o *operation) (kernel, error) {
	return elementwise(g, o, func(y []E, x [2][]E) { kernels.Add(y, x[0], x[1]) })
}

func lowerMul[E kernels.Element](g *graph, o *operation) (kernel, error) {
	return elementwise(g, o, func(y []E, x [2][]E) { kernels.Mul(y, x[0], x[1]) })
}

func lowerScale[E kernels.Element](g *graph, o *operation) (kernel, error) {
	s := o.attrs.(float32)
	return elementwise(g, o, func(y []E, x [2][]E) { kernels.Scale(y, x[0], s) })
}

func lowerActivate[E kernels.Element](g *graph, o *operation) (kernel, error) {
	act := o.attrs.(kernels.Activation)
	return elementwise(g, o, func(y []E, x [2][]E) { kernels.ActivationForward(y, x[0], act) })
}

// lowerCast copies where nothing is to be converted.
func lowerCast(g *graph, o *operation) (kernel, error) {
	from, to, size := g.values[o.inputs[0]].half, g.values[o.output].half, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		switch {
		case from == to && to:
			copy(of[uint16](y, n*size), of[uint16](x[0], n*size))
		case from == to:
			copy(y[:n*size], x[0])
		case to:
			kernels.Round(of[uint16](y, n*size), x[0][:n*size])
		default:
			kernels.Widen(y[:n*size], of[uint16](x[0], n*size))
		}
	}, nil
}

// lowerToContiguous is for images that do not lie row-major, such as what is
// flattened before a linear layer.
func lowerToContiguous(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	return g.wantFloat32(o, func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.HWNCToNCHW(y[:n*c*h*w], x[0][:n*c*h*w], n, c, h, w)
	})
}

func lowerToImage(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	return g.wantFloat32(o, func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.NCHWToHWNC(y[:n*c*h*w], x[0][:n*c*h*w], n, c, h, w)
	})
}

// wantFloat32 refuses bfloat16 where the layout changes.
func (g *graph) wantFloat32(o *operation, k kernel) (kernel, error) {
	if g.values[o.output].half {
		return nil, fmt.Errorf("%v of bfloat16 cannot be frozen: Cast to float32 first", o.op)
	}
	return k, nil
}

func lowerSoftmax(g *graph, o *operation) (kernel, error) {
	c := g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) { kernels.Softmax(y[:n*c], x[0][:n*c], n, c) }, nil
}

func lowerLogSoftmax(g *graph, o *operation) (kernel, error) {
	c := g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) { kernels.LogSoftmax(y[:n*c], x[0][:n*c], n, c) }, nil
}
