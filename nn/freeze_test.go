package nn_test

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

type freezeCase struct {
	name    string
	network string
	long    bool
	options models.Options
}

// The networks that together have every structure: batch norm with and without
// a convolution before it, residuals, both shortcuts, max pooling, bias.
var freezeCases = []freezeCase{
	{name: "lenet", network: "lenet"},
	{name: "wrn-10-1", network: "wide_resnet", options: models.Options{Depth: 10, Widen: 1, SN: true, Coeff: 0.5, Temp: 2}},
	{name: "wrn-10-1 28x28 mod", network: "wide_resnet", options: models.Options{Depth: 10, Widen: 1, SN: true, Mod: true, Input: models.MNIST}},
	{name: "resnet18 28x28", network: "resnet18", long: true, options: models.Options{SN: true, Input: models.MNIST}},
	{name: "resnet50 mod", network: "resnet50", long: true, options: models.Options{Mod: true}},
	{name: "vgg11", network: "vgg11", long: true, options: models.Options{SN: true, Act: "elu"}},
}

func (c freezeCase) build(t testing.TB) nn.Network {
	t.Helper()
	if c.long && testing.Short() {
		t.Skip("-short freezes the small networks")
	}
	net, err := models.Build(c.network, c.options)
	if err != nil {
		t.Fatal(err)
	}
	golden.FillState(t, net, c.name)
	return net
}

// images returns a batch of n formula images.
func images(net nn.Network, n int) *tensor.Tensor {
	shape := append([]int{n}, net.InputShape()...)
	size := n
	for _, d := range shape[1:] {
		size *= d
	}
	return tensor.FromFloat32(golden.Tensor("images", size, 1, 0), shape...)
}

func evaluate(t testing.TB, net nn.Network, x *tensor.Tensor) (logits, features []float64) {
	t.Helper()
	return evaluateAs(t, net, x, tensor.Float32)
}

func evaluateAs(t testing.TB, net nn.Network, x *tensor.Tensor, dt tensor.DType) (logits, features []float64) {
	t.Helper()
	l, f, err := net.Forward(&autograd.Context{DType: dt}, autograd.Constant(x))
	if err != nil {
		t.Fatal(err)
	}
	return golden.Float64s(l.Value.Float32s()), golden.Float64s(f.Value.Float32s())
}

func freeze(t testing.TB, net nn.Network) *nn.Predictor {
	t.Helper()
	return freezeAs(t, net, tensor.Float32)
}

func freezeAs(t testing.TB, net nn.Network, dt tensor.DType) *nn.Predictor {
	t.Helper()
	p, err := nn.FreezeAs(net, dt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFreezeComputesTheSame(t *testing.T) {
	for _, c := range freezeCases {
		t.Run(c.name, func(t *testing.T) {
			net := c.build(t)
			p := freeze(t, net)
			for _, n := range []int{3, 1, 4} {
				x := images(net, n)
				before := slices.Clone(x.Float32s())
				logits, features, err := p.Predict(x)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(logits.Shape(), []int{n, p.Classes()}) || !slices.Equal(features.Shape(), []int{n, p.FeatureDim()}) {
					t.Errorf("shapes %v and %v", logits.Shape(), features.Shape())
				}
				wantLogits, wantFeatures := evaluate(t, net, x)
				golden.Close(t, "logits", golden.Float64s(logits.Float32s()), wantLogits, 2e-5)
				golden.Close(t, "features", golden.Float64s(features.Float32s()), wantFeatures, 2e-5)
				if !slices.Equal(x.Float32s(), before) {
					t.Error("Predict changed its input")
				}
			}
		})
	}
}

// A frozen network reads views of any strides.
func TestPredictOfViews(t *testing.T) {
	net := freezeCases[1].build(t)
	p, x := freeze(t, net), images(net, 6)
	wide := tensor.New(tensor.Float32, 6, 3, 32, 40)
	wide.Slice(3, 5, 37).CopyFrom(x)
	for name, view := range map[string]*tensor.Tensor{
		"some images": x.Slice(0, 1, 5), "exchanged sides": x.Permute(0, 1, 3, 2), "a part": wide.Slice(3, 5, 37), "repeated": x.Slice(0, 2, 3).Expand(4, 3, 32, 32),
	} {
		got, _, err := p.Predict(view)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := p.Predict(view.Clone())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Float32s(), want.Float32s()) {
			t.Errorf("%s: other logits than of a copy", name)
		}
	}
}

// In bfloat16 the frozen network rounds less often than the network: both are as far
// from float32 as the roundings of a convolution's input, weights and result make it,
// layer by layer.
func TestFreezeAsBFloat16(t *testing.T) {
	for _, c := range freezeCases {
		t.Run(c.name, func(t *testing.T) {
			net := c.build(t)
			p := freezeAs(t, net, tensor.BFloat16)
			layers := 0
			for _, parameter := range nn.Parameters(net) {
				if parameter.Parameter.Value.Rank() > 1 {
					layers++
				}
			}
			tolerance := 0x1p-8 * math.Sqrt(float64(3*layers))
			for _, n := range []int{3, 1, 4} {
				x := images(net, n)
				logits, features, err := p.Predict(x)
				if err != nil {
					t.Fatal(err)
				}
				wantLogits, wantFeatures := evaluate(t, net, x)
				golden.Close(t, "logits", golden.Float64s(logits.Float32s()), wantLogits, tolerance)
				golden.Close(t, "features", golden.Float64s(features.Float32s()), wantFeatures, tolerance)
			}
		})
	}
}

var precisions = []tensor.DType{tensor.Float32, tensor.BFloat16}

// What cannot be frozen for activations of bfloat16 is told, not computed wrongly.
func TestFreezeAsRefuses(t *testing.T) {
	cast := func(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
		return autograd.Scale(ctx, autograd.Cast(ctx, x, ctx.DType), 2)
	}
	type forward = func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable)
	for want, c := range map[string]struct {
		dt tensor.DType
		forward
	}{
		"want float32 results: Cast them": {tensor.BFloat16, func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return autograd.Cast(ctx, cast(ctx, x), tensor.Float32), cast(ctx, x)
		}},
		"activations of float64, want float32 or bfloat16": {tensor.Float64, func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return cast(ctx, x), x
		}},
	} {
		if _, err := nn.FreezeAs(small{[]int{2}, c.forward}, c.dt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Many goroutines with batches of different sizes get the bits that one gets, also
// where they are the first to want the weights.
func TestFreezeFromManyGoroutines(t *testing.T) {
	const goroutines, rounds = 8, 3
	for _, c := range freezeCases[:3] {
		for _, dt := range precisions {
			t.Run(c.name+" "+dt.String(), func(t *testing.T) {
				net := c.build(t)
				alone, shared := freezeAs(t, net, dt), freezeAs(t, net, dt)
				want := make([][]uint32, goroutines)
				for i := range want {
					want[i] = bits(t, alone, images(net, 1+i%3))
				}
				var wait sync.WaitGroup
				for i := range goroutines {
					wait.Go(func() {
						for range rounds {
							if got := bits(t, shared, images(net, 1+i%3)); !slices.Equal(got, want[i]) {
								t.Errorf("goroutine %d got other bits", i)
							}
						}
					})
				}
				wait.Wait()
			})
		}
	}
}

func bits(t testing.TB, p *nn.Predictor, x *tensor.Tensor) []uint32 {
	logits, features, err := p.Predict(x)
	if err != nil {
		t.Error(err)
		return nil
	}
	var b []uint32
	for _, v := range slices.Concat(logits.Float32s(), features.Float32s()) {
		b = append(b, math.Float32bits(v))
	}
	return b
}

// One network, not frozen, may evaluate from many goroutines at once as well.
func TestEvaluateFromManyGoroutines(t *testing.T) {
	net := freezeCases[1].build(t)
	x := images(net, 2)
	for _, dt := range precisions {
		var wait sync.WaitGroup
		results := make([][]float64, 6)
		for i := range results {
			wait.Go(func() { results[i], _ = evaluateAs(t, net, x, dt) })
		}
		wait.Wait()
		for i := range results {
			if !slices.Equal(results[i], results[0]) {
				t.Errorf("%v: goroutine %d got other logits", dt, i)
			}
		}
	}
}

func TestFrozenIsASnapshot(t *testing.T) {
	net := freezeCases[1].build(t)
	x := images(net, 2)
	p := freeze(t, net)
	want := bits(t, p, x)
	golden.FillState(t, net, "other")
	ctx := &autograd.Context{Tape: autograd.NewTape(), Training: true}
	if _, _, err := net.Forward(ctx, autograd.Constant(x)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(bits(t, p, x), want) {
		t.Error("changing the network changed its frozen copy")
	}
	if slices.Equal(bits(t, freeze(t, net), x), want) {
		t.Error("freezing again did not take the new weights")
	}
}

func TestPredictRefuses(t *testing.T) {
	p := freeze(t, freezeCases[0].build(t))
	for want, x := range map[string]*tensor.Tensor{
		"1x28x28 (channels x height x width), the input is a batch of 3x32x32": tensor.New(tensor.Float32, 1, 3, 32, 32),
		"has shape [28 28]": tensor.New(tensor.Float32, 28, 28),
		"at least one":      tensor.New(tensor.Float32, 0, 1, 28, 28),
		"float64":           tensor.New(tensor.Float64, 1, 1, 28, 28),
	} {
		if _, _, err := p.Predict(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", x, err, want)
		}
	}
}

func TestPredictAfterAnotherLevel(t *testing.T) {
	old := kernels.CurrentLevel()
	if old == kernels.Portable {
		t.Skip("there is no lower level")
	}
	p := freeze(t, freezeCases[0].build(t))
	if err := kernels.SetLevel(kernels.Portable); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := kernels.SetLevel(old); err != nil {
			t.Fatal(err)
		}
	}()
	if _, _, err := p.Predict(tensor.New(tensor.Float32, 1, 1, 28, 28)); err == nil || !strings.Contains(err.Error(), "freeze it again") {
		t.Errorf("error %v", err)
	}
}

// small is a network whose forward pass a test chooses.
type small struct {
	input   []int
	forward func(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable)
}

func (small) Members() []nn.Member { return nil }
func (s small) InputShape() []int  { return s.input }
func (small) Classes() int         { return 2 }
func (small) FeatureDim() int      { return 2 }
func (s small) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	logits, features = s.forward(ctx, x)
	return logits, features, nil
}

// Everything that a network of vectors may use, results that are the same
// variable or the input itself, and what cannot be frozen.
func TestFreezeOperations(t *testing.T) {
	v := tensor.FromFloat32([]float32{1, -2, 0.5, 3}, 2, 2)
	w := autograd.NewParameter(tensor.FromFloat32([]float32{1, 2, 3, 4}, 2, 2))
	type forward = func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable)
	for name, f := range map[string]forward{
		"softmax": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			h := autograd.Linear(ctx, x, w, nil)
			return autograd.Softmax(ctx, h), autograd.LogSoftmax(ctx, h)
		},
		"residual": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			h := autograd.Add(ctx, x, autograd.Activate(ctx, autograd.Linear(ctx, x, w, nil), kernels.ActReLU))
			return autograd.Scale(ctx, h, 3), autograd.Mul(ctx, h, h)
		},
		"one result": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			h := autograd.Scale(ctx, x, 2)
			return h, h
		},
		"the input": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return autograd.Scale(ctx, x, 2), autograd.Reshape(ctx, x, -1, 2)
		},
		"constant weight": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return autograd.Linear(ctx, x, autograd.Scale(ctx, w, 0.5), nil), autograd.Scale(ctx, x, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			net := small{[]int{2}, f}
			logits, features, err := freeze(t, net).Predict(v)
			if err != nil {
				t.Fatal(err)
			}
			wantLogits, wantFeatures := evaluate(t, net, v)
			golden.Close(t, "logits", golden.Float64s(logits.Float32s()), wantLogits, 1e-6)
			golden.Close(t, "features", golden.Float64s(features.Float32s()), wantFeatures, 1e-6)
			features.Fill(7)
			if logits.At(0, 0) == 7 || v.At(0, 0) == 7 {
				t.Error("results share memory")
			}
		})
	}
	for want, f := range map[string]forward{
		"mean has shape []": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return x, autograd.Mean(ctx, x)
		},
		"matmul cannot be frozen": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return autograd.MatMul(ctx, x, w), x
		},
		"input 1 is a constant": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) {
			return autograd.Add(ctx, x, autograd.Constant(tensor.New(tensor.Float32, 2, 2))), x
		},
		"depends on the input": func(ctx *autograd.Context, x *autograd.Variable) (a, b *autograd.Variable) { return w, x },
	} {
		if _, err := nn.Freeze(small{[]int{2}, f}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
