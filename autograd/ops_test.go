package autograd

import (
	"math"
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

func zeros(s ...int) *Variable { return Constant(tensor.New(tensor.Float32, s...)) }

func TestMisuseIsExplained(t *testing.T) {
	ctx := &Context{}
	x := zeros(2, 3, 8, 8)
	stats := &RunningStats{Mean: tensor.New(tensor.Float32, 3), Var: tensor.New(tensor.Float32, 3)}
	u := tensor.New(tensor.Float32, 4)
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"conv channels":       {func() { Conv2d(ctx, x, zeros(4, 5, 3, 3), nil, Conv2dOptions{Stride: 1, Padding: 1}) }, "conv2d: x [2 3 8 8] has 3 channels, weight [4 5 3 3] wants 5"},
		"conv rank":           {func() { Conv2d(ctx, zeros(3, 8, 8), zeros(4, 3, 3, 3), nil, Conv2dOptions{}) }, "conv2d: x is [3 8 8], want [N C H W]"},
		"conv weight":         {func() { Conv2d(ctx, x, zeros(4, 27), nil, Conv2dOptions{}) }, "conv2d: weight is [4 27], want a contiguous [OC C KH KW]"},
		"conv bias":           {func() { Conv2d(ctx, x, zeros(4, 3, 3, 3), zeros(5), Conv2dOptions{}) }, "conv2d: bias is [5], want [4]"},
		"conv too small":      {func() { Conv2d(ctx, x, zeros(4, 3, 9, 9), nil, Conv2dOptions{}) }, "conv2d: x [2 3 8 8], weight [4 3 9 9]"},
		"element type":        {func() { Linear(ctx, Constant(tensor.New(tensor.Float64, 2, 3)), zeros(4, 3), nil) }, "linear: input 0 is float64, want float32"},
		"linear features":     {func() { Linear(ctx, zeros(2, 3), zeros(4, 5), nil) }, "linear: x [2 3] has 3 features, weight [4 5] wants 5"},
		"linear rank":         {func() { Linear(ctx, x, zeros(4, 5), nil) }, "linear: x is [2 3 8 8], want two dimensions"},
		"matmul":              {func() { MatMul(ctx, zeros(2, 3), zeros(4, 5)) }, "matmul: a [2 3] has 3 columns, b [4 5] has 4 rows"},
		"add":                 {func() { Add(ctx, zeros(2, 3), zeros(3, 2)) }, "add: shapes [2 3] and [3 2], want equal ones"},
		"batch norm weight":   {func() { BatchNorm2d(ctx, x, zeros(4), zeros(3), stats, BatchNormOptions{}, nil) }, "batch_norm2d: weight is [4], want [3]"},
		"batch norm residual": {func() { BatchNorm2d(ctx, x, zeros(3), zeros(3), stats, BatchNormOptions{}, zeros(2, 3, 4, 4)) }, "batch_norm2d: residual [2 3 4 4], want [2 3 8 8] like x"},
		"batch norm one value": {func() {
			BatchNorm2d(&Context{Training: true}, zeros(1, 3, 1, 1), zeros(3), zeros(3), stats, BatchNormOptions{}, nil)
		}, "one value per channel"},
		"pool":           {func() { AvgPool2d(ctx, x, 9, 9) }, "avg_pool2d: x [2 3 8 8]"},
		"pad":            {func() { PadChannels(ctx, x, -1) }, "pad_channels: -1 extra channels"},
		"dropout":        {func() { Dropout(ctx, x, 1, 0) }, "dropout: probability 1, want 0 ≤ p < 1"},
		"label":          {func() { CrossEntropy(ctx, zeros(2, 3), []int{0, 3}) }, "cross_entropy: label 3 of row 1, want 0 to 2"},
		"labels":         {func() { CrossEntropy(ctx, zeros(2, 3), []int{0}) }, "cross_entropy: 1 labels for logits [2 3]"},
		"loss":           {func() { NewTape().Backward(x) }, "the loss is float32[2 3 8 8], want a single number"},
		"not recorded":   {func() { NewTape().Backward(zeros()) }, "was not recorded on this tape"},
		"gradient shape": {func() { NewTape().BackwardFrom(x, u) }, "the gradient is float32[4], the result is float32[2 3 8 8]"},
		"parameter":      {func() { NewParameter(tensor.New(tensor.Float32, 2, 3).Permute(1, 0)) }, "must be contiguous or an image"},
		"spectral matrix": {func() { SpectralScale(ctx, zeros(5, 7), SpectralScaleOptions{Coeff: 1, U: u, V: u}) },
			"spectral_scale: U [4] and V [4] do not fit the weight [5 7] as a matrix"},
		"spectral conv": {func() {
			SpectralScale(ctx, zeros(5, 3, 3, 3), SpectralScaleOptions{Coeff: 1, U: tensor.New(tensor.Float32, 1, 5, 8, 8), V: tensor.New(tensor.Float32, 1, 3, 8, 8), Conv: &ConvOperator{Stride: 2, Padding: 1}})
		}, "spectral_scale: U [1 5 8 8] is not an output of weight [5 3 3 3] for V [1 3 8 8]"},
		"spectral NaN": {func() { SpectralScale(ctx, zeros(4, 4), SpectralScaleOptions{Sigma: math.NaN(), Coeff: 1, U: u, V: u}) }, "sigma is NaN"},
		"coeff":        {func() { SpectralScale(ctx, zeros(4, 4), SpectralScaleOptions{U: u, V: u}) }, "coeff is 0, want it positive"},
	} {
		t.Run(name, func(t *testing.T) { expectPanic(t, c.want, c.f) })
	}
}

func TestTapeRunsBackwardOnce(t *testing.T) {
	tape := NewTape()
	ctx := &Context{Tape: tape}
	p := NewParameter(tensor.FromFloat32([]float32{1, 2}, 2))
	loss := Sum(ctx, p)
	tape.Backward(loss)
	expectPanic(t, "call Reset", func() { tape.Backward(loss) })
	expectPanic(t, "call Reset", func() { Sum(ctx, p) })
}

func TestGradientsAddUpUntilZeroGrad(t *testing.T) {
	tape := NewTape()
	p := NewParameter(tensor.FromFloat32([]float32{1, 2}, 2))
	for want := 1.0; want <= 3; want++ {
		tape.Reset()
		tape.Backward(Sum(&Context{Tape: tape}, p))
		if got := p.Grad().At(1); got != want {
			t.Errorf("gradient %v after %v backward passes", got, want)
		}
	}
	p.ZeroGrad()
	tape.Reset()
	tape.Backward(Sum(&Context{Tape: tape}, p))
	if got := p.Grad().At(1); got != 1 {
		t.Errorf("gradient %v after ZeroGrad, want 1", got)
	}
}

func TestDropout(t *testing.T) {
	x := Constant(tensor.New(tensor.Float32, 100, 100))
	x.Value.Fill(1)
	training := &Context{Training: true, Key: 7}
	y := Dropout(training, x, 0.3, 1).Value.Float32s()
	zeros := 0
	for _, v := range y {
		if v == 0 {
			zeros++
		} else if math.Abs(float64(v)-1/0.7) > 1e-6 {
			t.Fatalf("kept element is %v, want 1/0.7", v)
		}
	}
	if math.Abs(float64(zeros)-3000) > 200 {
		t.Errorf("%d of 10000 dropped, want about 3000", zeros)
	}
	differ := func(z *Variable) (n int) {
		for i, v := range z.Value.Float32s() {
			if v != y[i] {
				n++
			}
		}
		return n
	}
	if n := differ(Dropout(training, x, 0.3, 1)); n != 0 {
		t.Errorf("the same key and layer differ in %d elements", n)
	}
	if n := differ(Dropout(training, x, 0.3, 2)); n < 3000 {
		t.Errorf("another layer differs in %d elements only", n)
	}
	if n := differ(Dropout(&Context{Training: true, Key: 8}, x, 0.3, 1)); n < 3000 {
		t.Errorf("another key differs in %d elements only", n)
	}
	if z := Dropout(&Context{Key: 7}, x, 0.3, 1); &z.Value.Float32s()[0] != &x.Value.Float32s()[0] {
		t.Error("evaluation copies")
	}
}

// TestLayoutsAreConverted: an operation gives the same result whatever dense
// layout its input has, and the gradient comes back in the input's layout.
func TestLayoutsAreConverted(t *testing.T) {
	image := tensors(shape(2, 3, 6, 4))[0]
	w := tensors(shape(5, 3, 3, 3))[0].ToContiguous()
	run := func(x *tensor.Tensor) (y, dx *tensor.Tensor) {
		tape := NewTape()
		ctx := &Context{Tape: tape, Training: true}
		p := NewParameter(x)
		h := Conv2d(ctx, p, Constant(w), nil, Conv2dOptions{Stride: 1, Padding: 1})
		loss := Sum(ctx, Mul(ctx, h, h))
		y = h.Value.Clone()
		tape.Backward(loss)
		return y, p.Grad()
	}
	y1, dx1 := run(image.Clone())
	y2, dx2 := run(image.ToContiguous())
	if !dx1.IsImage() || !dx2.Contiguous() {
		t.Error("the gradient is not in the layout of its value")
	}
	for i, pair := range [][2]*tensor.Tensor{{y1, y2}, {dx1, dx2}} {
		for n := range 2 {
			for h := range 6 {
				if pair[0].At(n, 1, h, 3) != pair[1].At(n, 1, h, 3) {
					t.Fatalf("result %d differs at (%d, 1, %d, 3)", i, n, h)
				}
			}
		}
	}
}

// TestUnusedGradientsAreNotComputed: no rule runs for what needs no gradient.
func TestUnusedGradientsAreNotComputed(t *testing.T) {
	tape := NewTape()
	ctx := &Context{Tape: tape}
	x, w := Constant(tensors(shape(2, 3, 6, 6))[0]), NewParameter(tensors(shape(4, 3, 3, 3))[0].ToContiguous())
	y := Conv2d(ctx, AvgPool2d(ctx, x, 2, 2), w, nil, Conv2dOptions{Stride: 1, Padding: 1})
	if tape.Nodes()[0].Output.RequiresGrad() || !y.RequiresGrad() {
		t.Error("a gradient is wanted for a constant or not for a parameter")
	}
	tape.BackwardFrom(y, outputGradient(y.Value, 1))
	if x.Grad() != nil || w.Grad() == nil {
		t.Error("the constant has a gradient or the parameter has none")
	}
	if got := Activate(&Context{}, Scale(&Context{}, w, 1), kernels.ActReLU); got.RequiresGrad() {
		t.Error("without a tape a result wants a gradient")
	}
}

// spectralCaseOf returns options for a weight [10, 6, k, k], by the operator or for k = 1
// as a matrix, with vectors that need not be singular.
func spectralCaseOf(k int, sigma float64) SpectralScaleOptions {
	if k == 1 {
		return SpectralScaleOptions{Sigma: sigma, Coeff: 1, U: tensors(shape(10))[0], V: tensors(shape(6))[0]}
	}
	return SpectralScaleOptions{Sigma: sigma, Coeff: 1, Eps: 1e-5, Conv: &ConvOperator{Stride: 1, Padding: 1},
		U: tensors(shape(1, 10, 8, 8))[0], V: tensors(shape(1, 6, 8, 8))[0]}
}

// TestSpectralConv2d: a weight normalised while it is packed gives the bits of one that
// SpectralScale made, also where its gradient is added to one, and no memory is lost.
func TestSpectralConv2d(t *testing.T) {
	for _, c := range []struct {
		kernel int
		sigma  float64
		dt     tensor.DType
	}{{3, 3, tensor.Float32}, {3, 3, tensor.BFloat16}, {3, 0.5, tensor.Float32}, {1, 3, tensor.Float32}, {1, 0.5, tensor.BFloat16}} {
		run := func(fused bool) (results []*tensor.Tensor) {
			x, w := NewParameter(tensors(shape(3, 6, 8, 8))[0]), NewParameter(tensors(shape(10, 6, c.kernel, c.kernel))[0].ToContiguous())
			tape := NewTape()
			for range 2 { // the second time gradients are added
				tape.Reset()
				ctx := &Context{Tape: tape, Training: true}
				spectral := spectralCaseOf(c.kernel, c.sigma)
				o, weight := Conv2dOptions{Padding: c.kernel / 2}, w
				if fused {
					o.Spectral = &spectral
				} else {
					weight = SpectralScale(ctx, w, spectral)
				}
				y := Cast(ctx, Conv2d(ctx, Cast(ctx, x, c.dt), weight, nil, o), tensor.Float32)
				y.Retain()
				// Backward must not see what becomes of the options and vectors.
				spectral.U.Fill(0)
				spectral.V.Fill(0)
				spectral.Sigma, spectral.Coeff = 7, 2
				tape.BackwardFrom(y, outputGradient(y.Value, 1))
				results = append(results, y.Value.Clone(), x.Grad().Clone(), w.Grad().Clone())
			}
			tape.Reset()
			if s := tape.Pool().Stats(); s.FreeBytes != s.Bytes {
				t.Errorf("%+v: %d of the pool's %d bytes came back", c, s.FreeBytes, s.Bytes)
			}
			return results
		}
		want, got := run(false), run(true)
		for i := range want {
			if !slices.Equal(got[i].Float32s(), want[i].Float32s()) {
				t.Errorf("%+v: result %d differs from that of a scaled weight", c, i)
			}
		}
	}
}

// TestSpectralConv2dReadsItsWeight: also one that is a result and was released, with an x
// that takes no gradient.
func TestSpectralConv2dReadsItsWeight(t *testing.T) {
	tape := NewTape()
	ctx := &Context{Tape: tape, Training: true}
	w := NewParameter(tensors(shape(10, 6, 3, 3))[0].ToContiguous())
	twice, spectral := Scale(ctx, w, 2), spectralCaseOf(3, 3)
	y := Conv2d(ctx, Constant(tensors(shape(3, 6, 8, 8))[0]), twice, nil, Conv2dOptions{Padding: 1, Spectral: &spectral})
	ctx.Release(twice)
	tape.BackwardFrom(y, outputGradient(y.Value, 1))
	if w.Grad() == nil {
		t.Error("the weight has no gradient")
	}
}

// TestSpectralConv2dTakesNoKeptWeights: evaluation keeps a packed copy of the weight as
// it is.
func TestSpectralConv2dTakesNoKeptWeights(t *testing.T) {
	x, w := Constant(tensors(shape(3, 6, 8, 8))[0]), NewParameter(tensors(shape(10, 6, 3, 3))[0].ToContiguous())
	spectral := spectralCaseOf(3, 3)
	normalised := func() []float32 {
		return Conv2d(&Context{Training: true}, x, w, nil, Conv2dOptions{Padding: 1, Spectral: &spectral}).Value.Float32s()
	}
	before := normalised()
	Conv2d(&Context{}, x, w, nil, Conv2dOptions{Padding: 1})
	if !slices.Equal(normalised(), before) {
		t.Error("the result is another once a packed copy of the weight is kept")
	}
}

// TestSpectralVectorsMayChange: the next power iteration writes U and V before
// this step's Backward runs.
func TestSpectralVectorsMayChange(t *testing.T) {
	run := func(change bool) *tensor.Tensor {
		w := NewParameter(tensors(shape(4, 6))[0])
		u, v := tensors(shape(4))[0], tensors(shape(6))[0]
		tape := NewTape()
		y := SpectralScale(&Context{Tape: tape}, w, SpectralScaleOptions{Sigma: 3, Coeff: 1, U: u, V: v})
		if change {
			u.Fill(0)
			v.Fill(0)
		}
		tape.BackwardFrom(y, outputGradient(y.Value, 1))
		return w.Grad()
	}
	a, b := run(false), run(true)
	for i := range 4 {
		if a.At(i, 2) != b.At(i, 2) {
			t.Fatal("the gradient follows the changed vectors")
		}
	}
}
