package nn_test

import (
	"fmt"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

const tolerance = 1e-5

// Three training forwards of one spectrally normalised convolution, then its
// gradients.
func TestGoldenSN(t *testing.T) {
	for _, c := range golden.Ops(t, "sn_conv2d") {
		t.Run(fmt.Sprint("case ", c.Case), func(t *testing.T) {
			x, shape := c.Tensor(t, "x")
			w, weight := c.Tensor(t, "weight_orig")
			so := nn.SpectralOptions{Coeff: c.Coeff, Iterations: c.Iterations}
			var layer nn.Layer
			if c.Kernel == 1 {
				layer = nn.NewSNConv1x1(0, weight[1], weight[0], c.Stride, nil, so)
			} else {
				layer = nn.NewSNConv2d(0, weight[1], weight[0], c.Kernel, c.Size, nn.SNConv2dOptions{Stride: c.Stride, Padding: c.Padding, SpectralOptions: so})
			}
			state := []checkpoint.Entry{checkpoint.NewFloat32("weight_orig", w, weight...)}
			for _, name := range []string{"weight_u", "weight_v", "weight_sigma"} {
				v, s := c.Tensor(t, name)
				state = append(state, checkpoint.NewFloat32(name, v, s...))
			}
			if err := nn.LoadStateDict(layer, state); err != nil {
				t.Fatal(err)
			}
			input := autograd.NewParameter(tensor.FromFloat32(x, shape...))
			tape := autograd.NewTape()
			for step := range c.Forwards {
				tape.Reset()
				input.ZeroGrad()
				nn.ZeroGrad(layer)
				ctx := &autograd.Context{Tape: tape, Training: true}
				y := layer.Forward(ctx, input)
				if step == c.Forwards-1 {
					check(t, c, "y", y.Value)
				}
				dy, s := c.Tensor(t, "dy")
				tape.BackwardFrom(y, tensor.FromFloat32(dy, s...))
			}
			check(t, c, "dx", input.Grad())
			check(t, c, "dw", nn.Parameters(layer)[0].Parameter.Grad())
			for _, e := range nn.StateDict(layer)[1:] {
				v, err := e.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				check(t, c, e.Name+"_after", tensor.FromFloat32(v, e.Shape...))
			}
		})
	}
}

// check compares a tensor with the one of that name in the case.
func check(t *testing.T, c golden.Op, name string, got *tensor.Tensor) {
	t.Helper()
	want, _ := c.Tensor(t, name)
	t.Logf("%s: error %.1e", name, golden.Close(t, name, golden.Float64s(got.ToContiguous().Float32s()), golden.Float64s(want), tolerance))
}
