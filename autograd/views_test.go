package autograd

import (
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Views of every kind give a convolution the bits of their copies, forward and in
// both directions backward, by each algorithm; a batch may be empty.
func TestConv2dOfViews(t *testing.T) {
	old := kernels.CurrentConvAlgorithm()
	defer kernels.SetConvAlgorithm(old)
	base := tensors(shape(5, 20, 12, 14))[0]
	weight := tensors(shape(33, 20, 3, 3))[0].ToContiguous()
	for name, view := range map[string]*tensor.Tensor{
		"some images":       base.Slice(0, 1, 4),
		"some channels":     tensors(shape(5, 50, 12, 14))[0].Slice(1, 7, 27),
		"a part":            base.Slice(2, 1, 11).Slice(3, 3, 14),
		"exchanged sides":   base.Permute(0, 1, 3, 2),
		"contiguous":        base.ToContiguous(),
		"from the middle":   base.ToContiguous().Slice(0, 1, 3),
		"repeated":          base.Slice(0, 2, 3).Expand(6, 20, 12, 14),
		"no images":         base.Slice(0, 2, 2),
		"images and a side": base.Permute(2, 1, 0, 3),
	} {
		for _, a := range []kernels.ConvAlgorithm{kernels.ConvDirect, kernels.ConvWinograd} {
			t.Run(name+"/"+a.String(), func(t *testing.T) {
				if err := kernels.SetConvAlgorithm(a); err != nil {
					t.Fatal(err)
				}
				got, want := convGradients(view, weight), convGradients(view.Clone(), weight)
				for i := range want {
					if !slices.Equal(got[i].ToContiguous().Float32s(), want[i].ToContiguous().Float32s()) {
						t.Errorf("%v: result %d of %d differs from that of a copy", view, i, len(want))
					}
				}
			})
		}
	}
}

// convGradients returns the result of a convolution of x, which takes a gradient by
// way of a product with ones, and the gradients of the weight and that product.
func convGradients(x, weight *tensor.Tensor) []*tensor.Tensor {
	ones := tensor.New(tensor.Float32, x.Shape()...)
	ones.Fill(1)
	w, factor := NewParameter(weight), NewParameter(ones)
	tape := NewTape()
	ctx := &Context{Tape: tape, Training: true}
	y := Conv2d(ctx, Mul(ctx, factor, Constant(x)), w, nil, Conv2dOptions{Stride: 1, Padding: 1})
	direct := Conv2d(&Context{}, Constant(x), w, nil, Conv2dOptions{Stride: 1, Padding: 1}) // reads the view itself
	y.Retain()
	tape.Backward(Sum(ctx, y))
	return []*tensor.Tensor{direct.Value, y.Value.Clone(), w.Grad(), factor.Grad()}
}
