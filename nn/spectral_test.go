package nn_test

import (
	"math"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

// entry returns the values of one entry of the state dict.
func entry(t testing.TB, m nn.Module, name string) []float32 {
	t.Helper()
	for _, e := range nn.StateDict(m) {
		if e.Name == name {
			v, err := e.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no entry %s", name)
	return nil
}

func set(t testing.TB, m nn.Module, name string, values []float32) {
	t.Helper()
	state := nn.StateDict(m)
	for i, e := range state {
		if e.Name == name {
			state[i] = checkpoint.NewFloat32(name, values, e.Shape...)
		}
	}
	if err := nn.LoadStateDict(m, state); err != nil {
		t.Fatal(err)
	}
}

// Many iterations find the largest singular value of a matrix whose values are
// known.
func TestMatrixNorm(t *testing.T) {
	layer := nn.NewSNLinear(5, 3, 2, nn.LinearOptions{NoBias: true}, nn.SpectralOptions{Coeff: 2, Iterations: 60})
	set(t, layer, "weight_orig", []float32{3, 0, 0, 0, 0, 5})
	y := layer.Forward(&autograd.Context{Training: true}, autograd.Constant(tensor.FromFloat32([]float32{1, 1, 1}, 1, 3)))
	if sigma := entry(t, layer, "weight_sigma")[0]; math.Abs(float64(sigma)-5) > 1e-5 {
		t.Errorf("sigma %v, want 5", sigma)
	}
	golden.Close(t, "y", golden.Float64s(y.Value.Float32s()), []float64{3 / 2.5, 5 / 2.5}, 1e-5)
}

// A convolution whose weight is a centred delta times a is a times the identity,
// whatever the size: sigma is |a| from the first iteration on.
func TestOperatorNorm(t *testing.T) {
	for _, a := range []float32{-4, 0.5} {
		layer := nn.NewSNConv2d(5, 1, 1, 3, 6, nn.SNConv2dOptions{Padding: 1, SpectralOptions: nn.SpectralOptions{Coeff: 2}})
		set(t, layer, "weight_orig", []float32{0, 0, 0, 0, a, 0, 0, 0, 0})
		x := tensor.New(tensor.Float32, 1, 1, 6, 6)
		x.Fill(1)
		y := layer.Forward(&autograd.Context{Training: true}, autograd.Constant(x))
		size := math.Abs(float64(a))
		if sigma := float64(entry(t, layer, "weight_sigma")[0]); math.Abs(sigma-size) > 1e-5 {
			t.Errorf("sigma %v, want %v", sigma, size)
		}
		want := float64(a) / (max(1, size/2) + 1e-5)
		golden.Close(t, "y", []float64{y.Value.At(0, 0, 3, 3)}, []float64{want}, 1e-6)
	}
}

// Evaluation changes nothing, and follows changes of weight, u and v.
func TestSpectralNormInEvaluation(t *testing.T) {
	layer := nn.NewSNConv2d(5, 2, 3, 3, 5, nn.SNConv2dOptions{Padding: 1, SpectralOptions: nn.SpectralOptions{Coeff: 0.1}})
	x := autograd.Constant(tensor.FromFloat32(golden.Tensor("x", 2*25, 1, 0), 1, 2, 5, 5))
	evaluate := func() []float32 { return layer.Forward(new(autograd.Context), x).Value.ToContiguous().Float32s() }
	layer.Forward(&autograd.Context{Training: true}, x) // so that sigma is above coeff
	before := nn.StateDict(layer)
	first := evaluate()
	if !same(before, nn.StateDict(layer)) {
		t.Error("evaluation changed the layer")
	}
	// With a tape the weight is scaled on the tape: the same values.
	taped := layer.Forward(&autograd.Context{Tape: autograd.NewTape()}, x).Value.ToContiguous().Float32s()
	golden.Close(t, "on a tape", golden.Float64s(taped), golden.Float64s(first), 1e-6)
	for _, name := range []string{"weight_orig", "weight_u", "weight_v"} {
		old := evaluate()
		v := entry(t, layer, name)
		for i := range v {
			v[i] *= 1 + float32(i%3)
		}
		set(t, layer, name, v)
		if now := evaluate(); math.Abs(float64(now[7]-old[7])) < 1e-6 {
			t.Errorf("evaluation did not follow a change of %s", name)
		}
	}
	stale := evaluate()
	layer.Forward(&autograd.Context{Training: true}, x)
	if now := evaluate(); math.Abs(float64(now[7]-stale[7])) < 1e-7 {
		t.Error("evaluation did not follow a training forward")
	}
}

// Two forwards before one backward: the first must see its own u and v.
func TestSpectralGradientKeepsItsVectors(t *testing.T) {
	x := autograd.Constant(tensor.FromFloat32(golden.Tensor("x", 2*25, 1, 0), 1, 2, 5, 5))
	gradient := func(twice bool) []float64 {
		layer := nn.NewSNConv2d(5, 2, 3, 3, 5, nn.SNConv2dOptions{Padding: 1, SpectralOptions: nn.SpectralOptions{Coeff: 0.1}})
		ctx := &autograd.Context{Tape: autograd.NewTape(), Training: true}
		loss := autograd.Sum(ctx, layer.Forward(ctx, x))
		if twice {
			for range 3 {
				layer.Forward(&autograd.Context{Training: true}, x)
			}
		}
		ctx.Tape.Backward(loss)
		return golden.Float64s(layer.WeightOrig.Grad().Float32s())
	}
	golden.Close(t, "gradient", gradient(true), gradient(false), 0)
}

// Iterating ahead for all layers gives what each would do, once.
func TestIterateAll(t *testing.T) {
	layers := func() (a, b *nn.SNMatrix) {
		o := nn.SpectralOptions{}
		return nn.NewSNLinear(1, 8, 6, nn.LinearOptions{}, o), nn.NewSNLinear(2, 6, 8, nn.LinearOptions{}, o)
	}
	a, b := layers()
	c, d := layers()
	ctx := &autograd.Context{Training: true}
	x := autograd.Constant(tensor.FromFloat32(golden.Tensor("x", 16, 1, 0), 2, 8))
	if err := nn.IterateAll(ctx, nn.SpectralNorms(nn.Sequential{a, b})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Forward(ctx, a.Forward(ctx, x))
		d.Forward(ctx, c.Forward(ctx, x))
		if !same(nn.StateDict(nn.Sequential{a, b}), nn.StateDict(nn.Sequential{c, d})) {
			t.Fatal("vectors differ from those of layers that iterate on their own")
		}
	}
	a.WeightOrig.Value.Fill(math.NaN())
	for _, training := range []bool{true, false} {
		a.WeightOrig.BumpVersion()
		err := nn.IterateAll(&autograd.Context{Training: training}, nn.SpectralNorms(nn.Sequential{b, a}))
		if err == nil || !strings.Contains(err.Error(), "norm of 1 is NaN") {
			t.Errorf("weights of NaN: error %v", err)
		}
	}
}
