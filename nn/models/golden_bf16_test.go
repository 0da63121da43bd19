package models

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

// TestGoldenModelsBF16 compares networks whose activations are bfloat16 with
// PyTorch's float64.
//
// The tolerance: each convolution rounds its input, its weights and its result,
// relative to what is rounded by at most 2^-8 and independently of each other, and
// batch norm brings every layer's result back to one size, so that errors of layers
// add up in squares: 2^-8 √(3 convolutions) of the Euclidean norm, for features,
// logits and loss. Gradients go through as many roundings again. Max pooling has a
// kink: where the two largest of a window are one after rounding, the gradient goes
// to another pixel, and the norms of VGG's first layers differ by up to three times
// that.
//
// One form of each network and activation is enough: the forms differ in float32 parts.
func TestGoldenModelsBF16(t *testing.T) {
	if raceEnabled {
		t.Skip("TestGoldenModels goes through the same code above the kernels")
	}
	var cases []modelCase
	golden.JSON(t, "models.json", &cases)
	tag := golden.Tag(t)
	for _, c := range cases {
		deep := c.Model == "resnet50" || c.Model == "vgg16"
		if c.Model != "lenet" && (!c.SN || !c.Mod || c.Act != "" && c.Coeff != 0.5 && !deep) {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			if testing.Short() && !c.short() {
				t.Skip("-short runs the small networks")
			}
			c.runBF16(t, tag)
		})
	}
}

func (c *modelCase) runBF16(t *testing.T, tag string) {
	net, x := c.build(t, tag)
	convolutions := 0
	for _, p := range nn.Parameters(net) {
		if p.Parameter.Value.Rank() == 4 {
			convolutions++
		}
	}
	tolerance := 0x1p-8 * math.Sqrt(float64(3*convolutions))
	check := func(what string, got, want []float64, tolerance float64) {
		if e := relativeError(got, want); !(e <= tolerance) {
			t.Errorf("%s: relative error %.2e, want at most %.2e", what, e, tolerance)
		}
	}
	logits, features, err := net.Forward(&autograd.Context{Pool: tensor.NewPool(), DType: tensor.BFloat16}, autograd.Constant(x))
	if err != nil {
		t.Fatal(err)
	}
	check("logits", golden.Float64s(logits.Value.Float32s()), c.EvalLogits, tolerance)
	check("features", golden.Float64s(features.Value.Float32s())[:len(c.EvalFeature)], c.EvalFeature, tolerance)

	tape := autograd.NewTape()
	ctx := &autograd.Context{Tape: tape, Training: true, DType: tensor.BFloat16}
	if logits, _, err = net.Forward(ctx, autograd.Constant(x)); err != nil {
		t.Fatal(err)
	}
	loss := autograd.CrossEntropy(ctx, logits, c.Labels)
	check("loss", []float64{loss.Value.Item()}, c.TrainLoss[:1], tolerance)
	if c.Act == "" {
		return // ReLU's kinks make gradients of single elements a matter of chance
	}
	tolerance *= math.Sqrt2
	if c.Model == "vgg16" {
		tolerance *= 3
	}
	tape.Backward(loss)
	for _, p := range nn.Parameters(net) {
		norm := 0.0
		for _, v := range p.Parameter.Grad().Float32s() {
			norm += float64(v) * float64(v)
		}
		check(fmt.Sprint("norm of the gradient of ", p.Name), []float64{math.Sqrt(norm)}, []float64{c.GradNorm[p.Name]}, tolerance)
	}
}

// relativeError is the Euclidean norm of the error over that of what is wanted.
func relativeError(got, want []float64) float64 {
	e, n := 0.0, 0.0
	for i, w := range want {
		e += (got[i] - w) * (got[i] - w)
		n += w * w
	}
	return math.Sqrt(e / n)
}
