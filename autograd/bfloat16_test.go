package autograd

import (
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Every operation that takes bfloat16 gives, of the same numbers, the result and
// gradients of float32, but for roundings. Its inputs are used twice, so that
// gradients of bfloat16 are added up too; each number goes through at most six
// roundings of 2^-8.
func TestBFloat16Gradients(t *testing.T) {
	const tolerance = 6 * 0x1p-8
	for op, cases := range gradCases {
		if rules[op].half == 0 {
			continue
		}
		for _, c := range cases {
			t.Run(op.String()+"/"+c.name, func(t *testing.T) {
				got, want := c.usedTwice(op, tensor.BFloat16), c.usedTwice(op, tensor.Float32)
				for i := range want {
					var e, n float64
					g, w := got[i].ToContiguous().Float32s(), want[i].ToContiguous().Float32s()
					for j := range w {
						e, n = e+math.Pow(float64(g[j]-w[j]), 2), n+math.Pow(float64(w[j]), 2)
					}
					if !(math.Sqrt(e) <= tolerance*math.Sqrt(n)) {
						t.Errorf("result %d of %d: relative error %.2e, want at most %.2e", i, len(want), math.Sqrt(e/n), tolerance)
					}
				}
			})
		}
	}
}

// usedTwice returns f + f and its gradients where the inputs of op that may be
// bfloat16 are dt, with numbers that are exact in it.
func (c *gradCase) usedTwice(op Op, dt tensor.DType) []*tensor.Tensor {
	var parameters, inputs []*Variable
	tape := NewTape()
	ctx := &Context{Tape: tape, Training: c.training, Key: 5}
	for i, x := range c.inputs {
		x = x.To(tensor.BFloat16).To(tensor.Float32)
		parameters = append(parameters, NewParameter(x))
		inputs = append(inputs, parameters[i])
		if rules[op].half>>i&1 == 1 {
			inputs[i] = Cast(ctx, parameters[i], dt)
		}
	}
	y := Cast(ctx, Add(ctx, c.f(ctx, inputs), c.f(ctx, inputs)), tensor.Float32)
	y.Retain()
	dy := tensor.NewLike(y.Value)
	random.NewKey(3, "dy").FillNormal(dy.Float32s(), 0, 1)
	tape.BackwardFrom(y, dy)
	results := []*tensor.Tensor{y.Value.Clone()}
	for _, p := range parameters {
		if p.Grad() != nil { // some cases leave an input out
			results = append(results, p.Grad())
		}
	}
	return results
}

// A parameter that goroutines use in both precisions gives each the bits it gets
// alone.
func TestWeightsInBothPrecisions(t *testing.T) {
	weight := NewParameter(tensors(shape(33, 8, 3, 3))[0].ToContiguous())
	evaluate := func(w *Variable, i int) []float32 {
		x := Constant(tensors(shape(1+i%3, 8, 6, 6))[0])
		ctx := &Context{DType: []tensor.DType{tensor.Float32, tensor.BFloat16}[i%2]}
		y := Conv2d(ctx, Cast(ctx, x, ctx.DType), w, nil, Conv2dOptions{Stride: 1, Padding: 1})
		return Cast(ctx, y, tensor.Float32).Value.Float32s()
	}
	var wait sync.WaitGroup
	for i := range 8 {
		want := evaluate(Constant(weight.Value.Clone()), i)
		wait.Go(func() {
			for range 5 {
				if !slices.Equal(evaluate(weight, i), want) {
					t.Errorf("goroutine %d got other bits", i)
				}
			}
		})
	}
	wait.Wait()
}

// Views of every kind give a convolution of bfloat16 the bits of their copies.
func TestBFloat16Views(t *testing.T) {
	base := tensors(shape(5, 20, 12, 14))[0].To(tensor.BFloat16)
	weight := NewParameter(tensors(shape(33, 20, 3, 3))[0].ToContiguous())
	for name, view := range map[string]*tensor.Tensor{
		"some images": base.Slice(0, 1, 4), "a part": base.Slice(2, 1, 11).Slice(3, 3, 14), "exchanged sides": base.Permute(0, 1, 3, 2),
		"contiguous": base.ToContiguous(), "from the middle": base.ToContiguous().Slice(0, 1, 3), "repeated": base.Slice(0, 2, 3).Expand(6, 20, 12, 14),
		"no images": base.Slice(0, 2, 2),
	} {
		result := func(x *tensor.Tensor) []uint16 {
			y := Conv2d(&Context{}, Constant(x), weight, nil, Conv2dOptions{Stride: 1, Padding: 1})
			return Activate(&Context{}, y, kernels.ActReLU).Value.BFloat16s()
		}
		if !slices.Equal(result(view), result(view.Clone())) {
			t.Errorf("%s: other bits than of a copy", name)
		}
	}
}
