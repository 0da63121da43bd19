package autograd

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// gradCase is a function of some inputs whose last operation is under test.
type gradCase struct {
	name     string
	training bool
	inputs   []*tensor.Tensor
	f        func(ctx *Context, in []*Variable) *Variable
	linear   bool    // in each input alone: central differences are then exact with any step
	step     float64 // of the differences; 0: a default
}

// gradCases has at least one case per operation; TestEveryOpHasARuleAndACase
// fails otherwise.
var gradCases = map[Op][]gradCase{
	OpConv2d: {
		convCase("3x3", 2, 3, 5, 6, 4, 3, 1, 1, false),
		convCase("bias", 2, 3, 5, 6, 4, 3, 1, 1, true),
		convCase("stride 2 even", 2, 5, 6, 6, 3, 3, 2, 1, false),
		convCase("stride 2 odd", 1, 5, 7, 5, 17, 3, 2, 1, true),
		convCase("1x1 stride 2", 3, 4, 5, 5, 6, 1, 2, 0, false),
		convCase("5x5 one channel", 1, 1, 9, 8, 6, 5, 1, 0, true),
		convCase("one pixel", 3, 5, 1, 1, 7, 3, 1, 1, false),
		spectralConvCase("spectral", []int{6, 3, 3, 3}, Conv2dOptions{Stride: 2, Padding: 1}, 0.5),
		spectralConvCase("spectral, not rescaled", []int{6, 3, 3, 3}, Conv2dOptions{Stride: 1, Padding: 1}, 500),
		spectralConvCase("spectral matrix", []int{5, 3, 1, 1}, Conv2dOptions{Stride: 1}, 0.3),
	},
	OpLinear: {
		{name: "bias", linear: true, inputs: tensors(shape(5, 7), shape(3, 7), shape(3)),
			f: func(ctx *Context, in []*Variable) *Variable { return Linear(ctx, in[0], in[1], in[2]) }},
		{name: "no bias, N=1", linear: true, inputs: tensors(shape(1, 33), shape(17, 33)),
			f: func(ctx *Context, in []*Variable) *Variable { return Linear(ctx, in[0], in[1], nil) }},
	},
	OpMatMul: {
		{name: "odd", linear: true, inputs: tensors(shape(5, 7), shape(7, 3)),
			f: func(ctx *Context, in []*Variable) *Variable { return MatMul(ctx, in[0], in[1]) }},
	},
	OpBatchNorm2d: {
		batchNormCase("plain", true, kernels.ActNone, 0),
		batchNormCase("elu", true, kernels.ActELU, 0),
		batchNormCase("residual", true, kernels.ActNone, 1),
		batchNormCase("elu and residual", true, kernels.ActELU, 1),
		batchNormCase("x is its own residual", true, kernels.ActNone, 2),
		batchNormCase("elu, x is its own residual", true, kernels.ActELU, 2),
		batchNormCase("eval", false, kernels.ActNone, 0),
		batchNormCase("eval, elu and residual", false, kernels.ActELU, 1),
		batchNormCase("constant x, elu and residual", true, kernels.ActELU, 3),
	},
	OpMaxPool2d: {
		{name: "2", linear: true, step: 0.01, inputs: []*tensor.Tensor{distinct(2, 3, 5, 6)},
			f: func(ctx *Context, in []*Variable) *Variable { return MaxPool2d(ctx, in[0], 2, 2) }},
		{name: "overlapping", linear: true, step: 0.01, inputs: []*tensor.Tensor{distinct(1, 3, 6, 7)},
			f: func(ctx *Context, in []*Variable) *Variable { return MaxPool2d(ctx, in[0], 3, 2) }},
	},
	OpAvgPool2d: {
		{name: "2", linear: true, inputs: tensors(shape(2, 3, 5, 6)),
			f: func(ctx *Context, in []*Variable) *Variable { return AvgPool2d(ctx, in[0], 2, 2) }},
		{name: "kernel 1 stride 2", linear: true, inputs: tensors(shape(1, 3, 5, 7)),
			f: func(ctx *Context, in []*Variable) *Variable { return AvgPool2d(ctx, in[0], 1, 2) }},
		{name: "whole image", linear: true, inputs: tensors(shape(3, 17, 4, 4)),
			f: func(ctx *Context, in []*Variable) *Variable { return AvgPool2d(ctx, in[0], 4, 4) }},
	},
	OpPadChannels: {
		{name: "5", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return PadChannels(ctx, in[0], 5) }},
		{name: "0", linear: true, inputs: tensors(shape(1, 3, 2, 2)),
			f: func(ctx *Context, in []*Variable) *Variable { return PadChannels(ctx, in[0], 0) }},
	},
	OpAdd: {
		{name: "images", linear: true, inputs: tensors(shape(2, 3, 4, 5), shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Add(ctx, in[0], in[1]) }},
		{name: "layouts differ", linear: true, inputs: tensors(shape(2, 3, 4, 5), shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable {
				return Add(ctx, ToImage(ctx, in[0]), ToContiguous(ctx, in[1]))
			}},
		{name: "with itself", linear: true, inputs: tensors(shape(3, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Add(ctx, in[0], in[0]) }},
	},
	OpMul: {
		{name: "matrices", linear: true, inputs: tensors(shape(3, 5), shape(3, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Mul(ctx, in[0], in[1]) }},
		{name: "with itself", step: 0.1, inputs: tensors(shape(3, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Mul(ctx, in[0], in[0]) }},
	},
	OpCast: {
		{name: "to the same type", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable {
				return Apply(ctx, OpCast, tensor.Float32, ToImage(ctx, in[0]))
			}},
	},
	OpScale: {
		{name: "-2.5", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Scale(ctx, in[0], -2.5) }},
	},
	OpActivate: {
		activationCase(kernels.ActNone), activationCase(kernels.ActReLU), activationCase(kernels.ActLeakyReLU), activationCase(kernels.ActELU),
	},
	OpDropout: {
		{name: "0.3", training: true, linear: true, inputs: tensors(shape(2, 7, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Dropout(ctx, in[0], 0.3, 4) }},
	},
	OpReshape: {
		{name: "image", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Flatten(ctx, in[0]) }},
		{name: "single pixels", linear: true, inputs: tensors(shape(4, 6, 1, 1)),
			f: func(ctx *Context, in []*Variable) *Variable { return Flatten(ctx, in[0]) }},
		{name: "matrix", linear: true, inputs: tensors(shape(4, 6)),
			f: func(ctx *Context, in []*Variable) *Variable { return Reshape(ctx, in[0], 3, -1) }},
		{name: "image as it is", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return Reshape(ctx, in[0], 2, 3, 4, 5) }},
	},
	OpToImage: {
		{name: "contiguous", linear: true, inputs: tensors(shape(24, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return ToImage(ctx, Reshape(ctx, in[0], 2, 3, 4, 5)) }},
	},
	OpToContiguous: {
		{name: "image", linear: true, inputs: tensors(shape(2, 3, 4, 5)),
			f: func(ctx *Context, in []*Variable) *Variable { return ToContiguous(ctx, in[0]) }},
	},
	OpSoftmax: {
		{name: "odd", inputs: tensors(shape(3, 7)), f: func(ctx *Context, in []*Variable) *Variable { return Softmax(ctx, in[0]) }},
		{name: "one class", inputs: tensors(shape(3, 1)), f: func(ctx *Context, in []*Variable) *Variable { return Softmax(ctx, in[0]) }},
	},
	OpLogSoftmax: {
		{name: "odd", inputs: tensors(shape(3, 7)), f: func(ctx *Context, in []*Variable) *Variable { return LogSoftmax(ctx, in[0]) }},
	},
	OpLogSumExp: {
		{name: "odd", inputs: tensors(shape(3, 7)), f: func(ctx *Context, in []*Variable) *Variable { return LogSumExp(ctx, in[0]) }},
	},
	OpCrossEntropy: {
		{name: "odd", inputs: tensors(shape(3, 7)),
			f: func(ctx *Context, in []*Variable) *Variable { return CrossEntropy(ctx, in[0], []int{6, 0, 3}) }},
	},
	OpSum: {
		{name: "image", linear: true, inputs: tensors(shape(2, 3, 4, 5)), f: func(ctx *Context, in []*Variable) *Variable { return Sum(ctx, in[0]) }},
	},
	OpMean: {
		{name: "matrix", linear: true, inputs: tensors(shape(3, 5)), f: func(ctx *Context, in []*Variable) *Variable { return Mean(ctx, in[0]) }},
	},
	OpSpectralScale: {
		spectralCase("stride 1", []int{6, 3, 3, 3}, &ConvOperator{Stride: 1, Padding: 1}, 7, 5, 0.5),
		spectralCase("stride 2 even", []int{4, 5, 3, 3}, &ConvOperator{Stride: 2, Padding: 1}, 6, 6, 0.5),
		spectralCase("stride 2 odd", []int{4, 5, 3, 3}, &ConvOperator{Stride: 2, Padding: 1}, 5, 7, 0.7),
		spectralCase("not rescaled", []int{4, 5, 3, 3}, &ConvOperator{Stride: 1, Padding: 1}, 5, 5, 500),
		spectralCase("matrix", []int{5, 7}, nil, 0, 0, 0.3),
		spectralCase("1x1", []int{5, 3, 1, 1}, nil, 0, 0, 0.3),
		spectralCase("matrix, not rescaled", []int{5, 7}, nil, 0, 0, 500),
	},
}

func shape(s ...int) []int { return s }

// tensors returns tensors of normal numbers, the four-dimensional ones as
// images. No number is closer to zero than 0.1, where activations have a kink.
func tensors(shapes ...[]int) []*tensor.Tensor {
	var ts []*tensor.Tensor
	for i, s := range shapes {
		t := tensor.New(tensor.Float32, s...)
		random.NewKey(uint64(i), fmt.Sprint("gradcheck", s)).FillNormal(t.Float32s(), 0, 1)
		for k, v := range t.Float32s() {
			t.Float32s()[k] = v + float32(math.Copysign(0.1, float64(v)))
		}
		if len(s) == 4 {
			t = t.ToImage()
		}
		ts = append(ts, t)
	}
	return ts
}

// distinct returns an image whose elements differ by at least 0.1.
func distinct(n, c, h, w int) *tensor.Tensor {
	t := tensor.NewImage(tensor.Float32, n, c, h, w)
	for i, p := range random.NewKey(1, "distinct").Perm(t.Len()) {
		t.Float32s()[i] = 0.1 * float32(p-t.Len()/2)
	}
	return t
}

func convCase(name string, n, c, h, w, oc, k, stride, padding int, bias bool) gradCase {
	in := tensors(shape(n, c, h, w), shape(oc, c, k, k), shape(oc))
	in[1] = in[1].ToContiguous()
	if !bias {
		in = in[:2]
	}
	return gradCase{name: name, linear: true, inputs: in, f: func(ctx *Context, in []*Variable) *Variable {
		var b *Variable
		if bias {
			b = in[2]
		}
		return Conv2d(ctx, in[0], in[1], b, Conv2dOptions{Stride: stride, Padding: padding})
	}}
}

// batchNormCase: residual 0 is none, 1 another variable, 2 x itself, 3 another
// one beside a constant x.
func batchNormCase(name string, training bool, act kernels.Activation, residual int) gradCase {
	in := tensors(shape(3, 5, 3, 4), shape(5), shape(5), shape(3, 5, 3, 4))
	in[3].Fill(0)
	random.NewKey(9, "residual").FillNormal(in[3].Float32s(), 0, 1)
	// A small step, since the second derivative of ELU jumps at zero.
	c := gradCase{name: name, training: training, inputs: in, step: 0.01}
	constant := in[0].Clone()
	c.f = func(ctx *Context, in []*Variable) *Variable {
		running := &RunningStats{Mean: tensor.New(tensor.Float32, 5), Var: tensor.New(tensor.Float32, 5)}
		for i := range 5 {
			running.Mean.Set(0.1*float64(i), i)
			running.Var.Set(0.5+0.3*float64(i), i)
		}
		x, r := in[0], (*Variable)(nil)
		switch residual {
		case 1:
			r = in[3]
		case 2:
			r = x
		case 3:
			x, r = Cast(ctx, Constant(constant), in[3].Value.DType()), in[3]
		}
		return BatchNorm2d(ctx, x, in[1], in[2], running, BatchNormOptions{0.1, 1e-5, act}, r)
	}
	if residual == 0 || residual == 2 {
		c.inputs = in[:3]
	}
	return c
}

func activationCase(act kernels.Activation) gradCase {
	return gradCase{name: fmt.Sprint("activation ", int(act)), step: 0.02, inputs: tensors(shape(2, 3, 4, 5)),
		f: func(ctx *Context, in []*Variable) *Variable { return Activate(ctx, in[0], act) }}
}

// spectralConvCase is a convolution of 2 images of 5x7 that normalises its weight; a
// 1x1 kernel as a matrix.
func spectralConvCase(name string, weight []int, o Conv2dOptions, coeff float64) gradCase {
	conv := &ConvOperator{Stride: o.Stride, Padding: o.Padding}
	if weight[2] == 1 {
		conv = nil
	}
	in, use := spectralUse(weight, conv, 5, 7, coeff)
	return gradCase{name: name, step: 0.02, inputs: append(tensors(shape(2, weight[1], 5, 7)), in), f: func(ctx *Context, in []*Variable) *Variable {
		spectral := use(in[1].Value)
		o.Spectral = &spectral
		return Conv2d(ctx, in[0], in[1], nil, o)
	}}
}

func spectralCase(name string, weight []int, conv *ConvOperator, h, w int, coeff float64) gradCase {
	in, use := spectralUse(weight, conv, h, w, coeff)
	return gradCase{name: name, step: 0.02, inputs: []*tensor.Tensor{in}, f: func(ctx *Context, in []*Variable) *Variable {
		return SpectralScale(ctx, in[0], use(in[0].Value))
	}}
}

// spectralUse returns a weight and the options of a use, which computes sigma from the
// weight, as a layer does, so that the numerical gradient contains the path through it.
func spectralUse(shaped []int, conv *ConvOperator, h, w int, coeff float64) (weight *tensor.Tensor, use func(*tensor.Tensor) SpectralScaleOptions) {
	weight = tensors(shaped)[0].ToContiguous()
	o := SpectralScaleOptions{Coeff: coeff, Conv: conv}
	unit := func(t *tensor.Tensor) *tensor.Tensor {
		kernels.Scale(t.Float32s(), t.Float32s(), float32(1/math.Sqrt(kernels.Dot(t.Float32s(), t.Float32s()))))
		return t
	}
	forward := func(w *tensor.Tensor) *tensor.Tensor {
		if conv != nil {
			return Conv2d(&Context{}, Constant(o.V), Constant(w), nil, Conv2dOptions{Stride: conv.Stride, Padding: conv.Padding}).Value
		}
		return Linear(&Context{}, Constant(o.V.View(1, -1)), Constant(w.View(w.Dim(0), -1)), nil).Value
	}
	if conv != nil {
		o.Eps = 1e-5
		o.V = unit(tensors(shape(1, shaped[1], h, w))[0])
	} else {
		o.V = unit(tensors(shape(weight.Len() / shaped[0]))[0])
	}
	// u is computed when the case first runs, so that building the table of cases
	// runs no kernel.
	return weight, func(w *tensor.Tensor) SpectralScaleOptions {
		if o.U == nil {
			o.U = unit(forward(w.Clone()))
			if conv == nil {
				o.U = o.U.View(-1)
			}
		}
		use := o
		use.Sigma = kernels.Dot(o.U.Float32s(), forward(w).Float32s())
		return use
	}
}

func TestEveryOpHasARuleAndACase(t *testing.T) {
	names := map[string]Op{}
	for op := range numOps {
		r := rules[op]
		if r.name == "" || r.forward == nil || r.backward == nil || r.reads == nil {
			t.Errorf("operation %d (%q) has no complete rule", op, r.name)
		}
		if other, ok := names[r.name]; ok {
			t.Errorf("operations %d and %d are both named %q", op, other, r.name)
		}
		names[r.name] = op
		if len(gradCases[op]) == 0 {
			t.Errorf("operation %s has no gradient check", op)
		}
	}
}

// forEachCase runs f for every case at each level that is tested.
func forEachCase(t *testing.T, f func(t *testing.T, op Op, c gradCase)) {
	old := kernels.CurrentLevel()
	defer func() { _ = kernels.SetLevel(old) }()
	for _, l := range testedLevels() {
		if err := kernels.SetLevel(l); err != nil {
			t.Fatal(err)
		}
		for op := range numOps {
			for _, c := range gradCases[op] {
				t.Run(fmt.Sprintf("%s/%s/%s", l, op, c.name), func(t *testing.T) { f(t, op, c) })
			}
		}
	}
}

// leaves returns parameters with copies of the inputs.
func (c *gradCase) leaves() []*Variable {
	var vs []*Variable
	for _, in := range c.inputs {
		vs = append(vs, NewParameter(in.Clone()))
	}
	return vs
}

func (c *gradCase) context(tape *Tape) *Context {
	return &Context{Tape: tape, Training: c.training, Key: random.NewKey(3, "gradcheck")}
}

// outputGradient returns fixed random numbers shaped like y.
func outputGradient(y *tensor.Tensor, seed uint64) *tensor.Tensor {
	dy := tensor.NewLike(y)
	random.NewKey(seed, "dy").FillNormal(dy.Float32s(), 0, 1)
	return dy
}

// TestNumericalGradients compares backward with differences of forward.
func TestNumericalGradients(t *testing.T) {
	forEachCase(t, func(t *testing.T, op Op, c gradCase) {
		in := c.leaves()
		tape := NewTape()
		y := c.f(c.context(tape), in)
		y.Retain()
		if last := tape.Nodes()[len(tape.Nodes())-1].Op; last != op {
			t.Fatalf("the case ends with %s, want %s", last, op)
		}
		dy := outputGradient(y.Value, 1)
		tape.BackwardFrom(y, dy)
		loss := func() float64 {
			return kernels.Dot(c.f(c.context(nil), in).Value.Float32s(), dy.Float32s())
		}
		for i, v := range in {
			if v.Grad() == nil {
				// Only the constant x of a case has no gradient.
				if !(op == OpBatchNorm2d && i == 0) {
					t.Errorf("input %d has no gradient", i)
				}
				continue
			}
			checkNumerically(t, i, v, loss, &c)
		}
	})
}

func checkNumerically(t *testing.T, i int, v *Variable, loss func() float64, c *gradCase) {
	h, tolerance := c.step, 1e-3
	switch {
	case c.linear && h == 0:
		h, tolerance = 0.5, 1e-4
	case h == 0:
		h = 0.05
	}
	values, grad := v.Value.Float32s(), v.Grad().Float32s()
	at := func(k int, x float32) float64 {
		old := values[k]
		values[k] = x
		v.BumpVersion()
		l := loss()
		values[k] = old
		v.BumpVersion()
		return l
	}
	difference := func(k int, h float64) float64 {
		up, down := values[k]+float32(h), values[k]-float32(h)
		return (at(k, up) - at(k, down)) / (float64(up) - float64(down))
	}
	largest := 1e-3
	for _, g := range grad {
		largest = math.Max(largest, math.Abs(float64(g)))
	}
	for n := range min(len(values), 24) {
		k := n * 7919 % len(values)
		d := difference(k, h)
		if !c.linear { // Richardson: error of order h⁴
			d = (4*d - difference(k, 2*h)) / 3
		}
		if got := float64(grad[k]); !(math.Abs(got-d) <= tolerance*largest) {
			t.Errorf("input %d, element %d: gradient %v, differences give %v", i, k, got, d)
		}
	}
}

// TestAccumulation: when a result feeds two operations, its gradient is the sum
// of what each alone gives. Leaves are used twice too.
func TestAccumulation(t *testing.T) {
	forEachCase(t, func(t *testing.T, op Op, c gradCase) {
		// run gives the gradients of the leaves, reached by way of intermediate
		// results, for the chosen outputs.
		run := func(first, second bool) [][]float32 {
			in := c.leaves()
			tape := NewTape()
			ctx := c.context(tape)
			mid := make([]*Variable, len(in))
			for i, v := range in {
				mid[i] = Scale(ctx, v, 1)
			}
			y1, y2 := c.f(ctx, mid), c.f(ctx, mid)
			weigh := func(y *Variable, seed uint64, on bool) *Variable {
				dy := outputGradient(y.Value, seed)
				if !on {
					dy.Fill(0)
				}
				return Sum(ctx, Mul(ctx, y, Constant(dy)))
			}
			tape.Backward(Add(ctx, weigh(y1, 1, first), weigh(y2, 2, second)))
			var grads [][]float32
			for _, v := range in {
				if v.Grad() == nil {
					grads = append(grads, nil)
					continue
				}
				grads = append(grads, v.Grad().Float32s())
			}
			return grads
		}
		both, one, two := run(true, true), run(true, false), run(false, true)
		for i := range both {
			largest := 1e-6
			for k := range both[i] {
				largest = math.Max(largest, math.Abs(float64(one[i][k]))+math.Abs(float64(two[i][k])))
			}
			for k := range both[i] {
				want := float64(one[i][k]) + float64(two[i][k])
				if math.Abs(float64(both[i][k])-want) > 1e-5*largest {
					t.Fatalf("input %d, element %d: %v, the parts add up to %v", i, k, both[i][k], want)
				}
			}
		}
	})
}

// TestBackwardReadsWhatItDeclares: filling every value that the rule does not
// declare with NaN before Backward changes no gradient.
func TestBackwardReadsWhatItDeclares(t *testing.T) {
	forEachCase(t, func(t *testing.T, op Op, c gradCase) {
		run := func(poison bool) [][]float32 {
			in := c.leaves()
			tape := NewTape()
			ctx := c.context(tape)
			mid := make([]*Variable, len(in))
			for i, v := range in {
				mid[i] = Scale(ctx, v, 1)
			}
			y := c.f(ctx, mid)
			dy := outputGradient(y.Value, 1)
			n := &tape.nodes[len(tape.nodes)-1]
			read := map[*Variable]bool{}
			n.readers(rules[op].reads(n), func(root *Variable) { read[root] = true })
			if poison {
				for _, v := range append([]*Variable{y}, n.Inputs...) {
					if v != nil && v.root().memory.pool != nil && !v.root().memory.freed && !read[v.root()] {
						v.Value.Fill(math.NaN())
					}
				}
			}
			tape.BackwardFrom(y, dy)
			var grads [][]float32
			for _, v := range in {
				if v.Grad() != nil {
					grads = append(grads, v.Grad().Float32s())
				}
			}
			return grads
		}
		clean, poisoned := run(false), run(true)
		for i := range clean {
			for k := range clean[i] {
				if clean[i][k] != poisoned[i][k] {
					t.Fatalf("gradient %d, element %d is %v, with undeclared values destroyed %v", i, k, clean[i][k], poisoned[i][k])
				}
			}
		}
	})
}
