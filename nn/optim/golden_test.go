package optim

import (
	"fmt"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

// withGradient makes g the gradient of p through the tape: that of sum(p·g).
func withGradient(p *autograd.Variable, g []float32) {
	p.ZeroGrad()
	ctx := &autograd.Context{Tape: autograd.NewTape()}
	ctx.Tape.Backward(autograd.Sum(ctx, autograd.Mul(ctx, p, autograd.Constant(tensor.FromFloat32(g, len(g))))))
}

func TestGoldenOptimisers(t *testing.T) {
	build := map[string]func(p []nn.NamedParameter) (Optimizer, float64, error){
		"sgd": func(p []nn.NamedParameter) (Optimizer, float64, error) {
			o, err := NewSGD(p, SGDOptions{Momentum: 0.9, WeightDecay: 5e-4})
			return o, 0.1, err
		},
		"sgd_nesterov": func(p []nn.NamedParameter) (Optimizer, float64, error) {
			o, err := NewSGD(p, SGDOptions{Momentum: 0.9, WeightDecay: 5e-4, Nesterov: true})
			return o, 0.1, err
		},
		"sgd_plain": func(p []nn.NamedParameter) (Optimizer, float64, error) {
			o, err := NewSGD(p, SGDOptions{})
			return o, 0.1, err
		},
		"adam": func(p []nn.NamedParameter) (Optimizer, float64, error) {
			o, err := NewAdam(p, AdamOptions{WeightDecay: 5e-4})
			return o, 1e-3, err
		},
	}
	cases := golden.Ops(t, "optimizer")
	if len(cases) != len(build) {
		t.Errorf("%d cases, want %d", len(cases), len(build))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			values, shape := c.Tensor(t, "p")
			p := autograd.NewParameter(tensor.FromFloat32(values, shape...))
			o, lr, err := build[c.Name]([]nn.NamedParameter{{Name: "p", Parameter: p}})
			if err != nil {
				t.Fatal(err)
			}
			for step := range c.Steps {
				g, _ := c.Tensor(t, fmt.Sprint("g", step))
				withGradient(p, g)
				o.Step(lr)
			}
			want, _ := c.Tensor(t, "p_after")
			t.Logf("error %.1e", golden.Close(t, "p_after", golden.Float64s(p.Value.Float32s()), golden.Float64s(want), 1e-5))
		})
	}
}
