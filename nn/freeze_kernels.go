package nn

import (
	"fmt"
	"sync"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
)

// lowering turns an operation into a kernel, or says why it cannot be done.
var lowering = map[autograd.Op]func(g *graph, o *operation) (kernel, error){
	autograd.OpConv2d:       lowerConv2d,
	autograd.OpLinear:       lowerLinear,
	autograd.OpBatchNorm2d:  lowerAffine,
	autograd.OpMaxPool2d:    lowerMaxPool2d,
	autograd.OpAvgPool2d:    lowerAvgPool2d,
	autograd.OpPadChannels:  lowerPadChannels,
	autograd.OpAdd:          lowerAdd,
	autograd.OpMul:          lowerMul,
	autograd.OpScale:        lowerScale,
	autograd.OpActivate:     lowerActivate,
	autograd.OpReshape:      lowerToContiguous,
	autograd.OpToContiguous: lowerToContiguous,
	autograd.OpToImage:      lowerToImage,
	autograd.OpSoftmax:      lowerSoftmax,
	autograd.OpLogSoftmax:   lowerLogSoftmax,
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
	lowered, ok := lowering[o.op]
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

func lowerConv2d(g *graph, o *operation) (kernel, error) {
	weight, s := g.values[o.inputs[1]].constant, g.conv2dShape(o)
	weights := &frozenWeights{weight: weight.Float32s()}
	act := o.act
	bias, size, out := g.floats(o.inputs[2]), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		var residual []float32
		if len(x) > 1 {
			residual = x[1][:n*out]
		}
		kernels.Conv2dForwardFused(y[:n*out], x[0][:n*size], weights.packed(s), bias, residual, act, s)
	}, nil
}

// frozenWeights packs the weights of a convolution when an algorithm first wants
// them: which one computes it depends on the number of images.
type frozenWeights struct {
	weight []float32
	once   [kernels.NumConvAlgorithms]sync.Once
	forms  [kernels.NumConvAlgorithms][]float32
}

func (w *frozenWeights) packed(s kernels.Conv2dShape) []float32 {
	a := s.Algorithm(kernels.ConvForward)
	w.once[a].Do(func() {
		w.forms[a] = make([]float32, kernels.PackedConv2dLen(s, kernels.ConvForward))
		kernels.PackConv2d(w.forms[a], w.weight, s, kernels.ConvForward)
	})
	return w.forms[a]
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

func lowerAffine(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.output)
	a, size := *o.affine, c*h*w
	return func(_ *frame, n int, y []float32, x [][]float32) {
		var residual []float32
		if len(x) > 1 {
			residual = x[1][:n*size]
		}
		kernels.BatchNormForward(y[:n*size], x[0][:n*size], a.scale, a.shift, residual, a.act, n*h*w, c)
	}, nil
}

func (g *graph) pool2dShape(o *operation) kernels.Pool2dShape {
	c, h, w := g.image(o.inputs[0])
	attrs := o.attrs.(autograd.PoolOptions)
	return kernels.Pool2dShape{C: c, H: h, W: w, Kernel: attrs.Kernel, Stride: attrs.Stride}
}

func lowerMaxPool2d(g *graph, o *operation) (kernel, error) {
	s, size, out := g.pool2dShape(o), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(f *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		kernels.MaxPool2dForward(y[:n*out], f.indices[:n*out], x[0][:n*size], s)
	}, nil
}

func lowerAvgPool2d(g *graph, o *operation) (kernel, error) {
	s, size, out := g.pool2dShape(o), g.values[o.inputs[0]].size, g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) {
		s := s
		s.N = n
		kernels.AvgPool2dForward(y[:n*out], x[0][:n*size], s)
	}, nil
}

func lowerPadChannels(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	padded := g.values[o.output].shape[0]
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.PadChannels(y[:n*h*w*padded], x[0][:n*h*w*c], n*h*w, c, padded)
	}, nil
}

// lowerElementwise serves kernels on whole slices.
func lowerElementwise(f func(y []float32, x [][]float32)) func(g *graph, o *operation) (kernel, error) {
	return func(g *graph, o *operation) (kernel, error) {
		size := g.values[o.output].size
		return func(_ *frame, n int, y []float32, x [][]float32) {
			for i := range x {
				x[i] = x[i][:n*size]
			}
			f(y[:n*size], x)
		}, nil
	}
}

var (
	lowerAdd = lowerElementwise(func(y []float32, x [][]float32) { kernels.Add(y, x[0], x[1]) })
	lowerMul = lowerElementwise(func(y []float32, x [][]float32) { kernels.Mul(y, x[0], x[1]) })
)

func lowerScale(g *graph, o *operation) (kernel, error) {
	s := o.attrs.(float32)
	return lowerElementwise(func(y []float32, x [][]float32) { kernels.Scale(y, x[0], s) })(g, o)
}

func lowerActivate(g *graph, o *operation) (kernel, error) {
	act := o.attrs.(kernels.Activation)
	return lowerElementwise(func(y []float32, x [][]float32) { kernels.ActivationForward(y, x[0], act) })(g, o)
}

// lowerToContiguous is for images that do not lie row-major, such as what is
// flattened before a linear layer.
func lowerToContiguous(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.HWNCToNCHW(y[:n*c*h*w], x[0][:n*c*h*w], n, c, h, w)
	}, nil
}

func lowerToImage(g *graph, o *operation) (kernel, error) {
	c, h, w := g.image(o.inputs[0])
	return func(_ *frame, n int, y []float32, x [][]float32) {
		kernels.NCHWToHWNC(y[:n*c*h*w], x[0][:n*c*h*w], n, c, h, w)
	}, nil
}

func lowerSoftmax(g *graph, o *operation) (kernel, error) {
	c := g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) { kernels.Softmax(y[:n*c], x[0][:n*c], n, c) }, nil
}

func lowerLogSoftmax(g *graph, o *operation) (kernel, error) {
	c := g.values[o.output].size
	return func(_ *frame, n int, y []float32, x [][]float32) { kernels.LogSoftmax(y[:n*c], x[0][:n*c], n, c) }, nil
}
