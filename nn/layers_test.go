package nn_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
)

// One key gives one weight; different keys give different ones; the spread is
// what the method says.
func TestInitializers(t *testing.T) {
	shape := []int{64, 32, 3, 3}
	for _, c := range []struct {
		name  string
		init  nn.Initializer
		std   float64
		bound float64
	}{
		{"kaiming uniform", nn.KaimingUniform, 1 / math.Sqrt(3*32*9), 1 / math.Sqrt(32*9)},
		{"kaiming normal fan_out", nn.KaimingNormalFanOut(math.Sqrt2), math.Sqrt(2.0 / (64 * 9)), 1},
	} {
		a, b, other := tensor.New(tensor.Float32, shape...), tensor.New(tensor.Float32, shape...), tensor.New(tensor.Float32, shape...)
		c.init(1, a)
		c.init(1, b)
		c.init(2, other)
		if !slices.Equal(a.Float32s(), b.Float32s()) || slices.Equal(a.Float32s(), other.Float32s()) {
			t.Errorf("%s does not depend on the key alone", c.name)
		}
		sum, squares := 0.0, 0.0
		for _, v := range golden.Float64s(a.Float32s()) {
			sum += v
			squares += v * v
			if math.Abs(v) > c.bound {
				t.Fatalf("%s: %v is beyond %v", c.name, v, c.bound)
			}
		}
		n := float64(a.Len())
		if std := math.Sqrt(squares / n); math.Abs(std/c.std-1) > 0.02 || math.Abs(sum/n) > 0.02*c.std {
			t.Errorf("%s: mean %v and standard deviation %v, want 0 and %v", c.name, sum/n, std, c.std)
		}
	}
}

func TestLinearBiasBound(t *testing.T) {
	l := nn.NewLinear(3, 100, 5000, nn.LinearOptions{})
	largest := 0.0
	for _, v := range golden.Float64s(l.Bias.Value.Float32s()) {
		largest = max(largest, math.Abs(v))
	}
	if largest > 0.1 || largest < 0.099 {
		t.Errorf("largest bias %v, want just below 1/√100", largest)
	}
	if nn.NewLinear(3, 2, 2, nn.LinearOptions{NoBias: true}).Bias != nil {
		t.Error("NoBias makes a bias")
	}
}

// The fused batch norm is batch norm, addition and activation one after the
// other, forward and backward.
func TestFusedBatchNorm(t *testing.T) {
	run := func(fused bool) (y, dx, dr, dw []float64) {
		bn := nn.NewBatchNorm2d(5, 0)
		golden.FillState(t, bn, "bn.")
		image := func(name string) *autograd.Variable {
			return autograd.NewParameter(tensor.FromFloat32(golden.Tensor(name, 2*5*9, 1, 0), 2, 5, 3, 3).ToImage())
		}
		x, r, dy := image("x"), image("r"), image("dy").Value
		ctx := &autograd.Context{Tape: autograd.NewTape(), Training: true}
		var out *autograd.Variable
		if fused {
			out = bn.ForwardFused(ctx, x, kernels.ActELU, r)
		} else {
			out = nn.Activation{Func: kernels.ActELU}.Forward(ctx, autograd.Add(ctx, bn.Forward(ctx, x), r))
		}
		y = golden.Float64s(out.Value.Float32s())
		ctx.Tape.BackwardFrom(out, dy)
		return y, golden.Float64s(x.Grad().Float32s()), golden.Float64s(r.Grad().Float32s()), golden.Float64s(bn.Weight.Grad().Float32s())
	}
	y, dx, dr, dw := run(true)
	wantY, wantDX, wantDR, wantDW := run(false)
	golden.Close(t, "y", y, wantY, 1e-6)
	golden.Close(t, "dx", dx, wantDX, 1e-5)
	golden.Close(t, "dr", dr, wantDR, 1e-6)
	golden.Close(t, "dw", dw, wantDW, 1e-5)
}

func TestSequentialLeavesItsInput(t *testing.T) {
	pool := tensor.NewPool()
	ctx := &autograd.Context{Pool: pool}
	x := autograd.Scale(ctx, autograd.Constant(tensor.FromFloat32(golden.Tensor("x", 32, 1, 0), 2, 1, 4, 4)), 1)
	if y := (nn.Sequential{}).Forward(ctx, x); y != x {
		t.Error("an empty Sequential is not the identity")
	}
	s := nn.Sequential{nn.Dropout{P: 0.5}, nn.Sequential{}, nn.MaxPool2d{Kernel: 2}, nn.AvgPool2d{Kernel: 2}, nn.Flatten{}}
	y := s.Forward(ctx, x)
	if !slices.Equal(y.Value.Shape(), []int{2, 1}) {
		t.Errorf("shape %v, want [2 1]", y.Value.Shape())
	}
	if x.Value.At(1, 0, 3, 3) != float64(golden.Tensor("x", 32, 1, 0)[31]) {
		t.Error("the input changed")
	}
}

func TestDropoutDependsOnKeyAndLayer(t *testing.T) {
	ones := tensor.New(tensor.Float32, 1000)
	ones.Fill(1)
	run := func(key uint64, layer uint64) []float32 {
		ctx := &autograd.Context{Training: true}
		ctx.Key = ctx.Key.Fold(key)
		return nn.Dropout{P: 0.3, Layer: layer}.Forward(ctx, autograd.Constant(ones)).Value.Float32s()
	}
	a := run(1, 1)
	if !slices.Equal(a, run(1, 1)) || slices.Equal(a, run(2, 1)) || slices.Equal(a, run(1, 2)) {
		t.Error("the mask is no function of key and layer")
	}
	zeros := 0
	for _, v := range a {
		if v == 0 {
			zeros++
		} else if math.Abs(float64(v)-1/0.7) > 1e-6 {
			t.Fatalf("kept element is %v, want 1/0.7", v)
		}
	}
	if zeros < 240 || zeros > 360 {
		t.Errorf("%d of 1000 dropped, want about 300", zeros)
	}
	x := autograd.Constant(ones)
	if (nn.Dropout{P: 0.3}).Forward(new(autograd.Context), x) != x {
		t.Error("dropout acts in evaluation")
	}
}

func TestParseActivation(t *testing.T) {
	for name, want := range map[string]kernels.Activation{"relu": kernels.ActReLU, "leaky_relu": kernels.ActLeakyReLU, "elu": kernels.ActELU} {
		if got, err := nn.ParseActivation(name); got != want || err != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := nn.ParseActivation("gelu"); err == nil || !strings.Contains(err.Error(), "leaky_relu") {
		t.Errorf("gelu: %v", err)
	}
}
