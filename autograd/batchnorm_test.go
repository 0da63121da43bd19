package autograd

import (
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Statistics that a convolution gathered change no bit, whether one batch norm or two
// read its result, or in evaluation none wants them.
func TestMomentsOfAConvolution(t *testing.T) {
	x, _ := tinyBatch(6)
	weight := NewParameter(tensors(shape(20, 3, 3, 3))[0].ToContiguous())
	gamma, beta := NewParameter(tensor.New(tensor.Float32, 20)), NewParameter(tensor.New(tensor.Float32, 20))
	kernels.Fill(gamma.Value.Float32s(), 1.5)
	for _, training := range []bool{true, false} {
		var want []float32
		for _, moments := range []bool{false, true} {
			running := &RunningStats{Mean: tensor.New(tensor.Float32, 20), Var: tensor.New(tensor.Float32, 20)}
			kernels.Fill(running.Var.Float32s(), 1)
			ctx := &Context{Tape: NewTape(), Training: training}
			h := Conv2d(ctx, x, weight, nil, Conv2dOptions{Padding: 1, Moments: moments})
			if got := h.moments != nil; got != (moments && training) {
				t.Errorf("training %v: moments gathered %v, asked for %v", training, got, moments)
			}
			var got []float32
			for range 2 {
				y := BatchNorm2d(ctx, h, gamma, beta, running, BatchNormOptions{Momentum: 0.1, Eps: 1e-5}, nil)
				got = append(got, y.Value.Float32s()...)
			}
			got = slices.Concat(got, running.Mean.Float32s(), running.Var.Float32s())
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("training %v: the moments change the result", training)
			}
			if h.moments != nil {
				t.Errorf("training %v: nobody took the moments", training)
			}
		}
	}
}
