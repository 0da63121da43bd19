package autograd_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	. "github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// goldenTolerance is relative to the largest element of the expected tensor.
const goldenTolerance = 1e-5

func goldenPath(name string) string {
	if dir := os.Getenv("DDU_GOLDEN"); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join("..", "testdata", "golden", name)
}

// goldenCase is one operation of ops.json; which fields are set depends on it.
type goldenCase struct {
	Case       int     `json:"case"`
	Op         string  `json:"op"`
	Stride     int     `json:"stride"`
	Padding    int     `json:"padding"`
	Kernel     int     `json:"kernel"`
	Training   bool    `json:"training"`
	Momentum   float64 `json:"momentum"`
	Eps        float64 `json:"eps"`
	Coeff      float64 `json:"coeff"`
	Size       int     `json:"size"`
	Iterations int     `json:"iterations"`
	Forwards   int     `json:"forwards"`

	tensors map[string]*tensor.Tensor
}

// TestGoldenOps compares every operation with PyTorch, forward and backward, at
// every instruction-set level. Optimisers are tested where they live.
func TestGoldenOps(t *testing.T) {
	raw, err := os.ReadFile(goldenPath("ops.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	tensors, err := readSafetensors(goldenPath("ops.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	atEveryLevel(t, func(t *testing.T) {
		for _, c := range cases {
			if c.Op == "optimizer" {
				continue
			}
			c.tensors = tensors
			t.Run(fmt.Sprintf("%d_%s", c.Case, c.Op), func(t *testing.T) { c.run(t) })
		}
	})
}

// tensor returns a tensor of the case; nil if the case has none of that name.
func (c *goldenCase) tensor(name string) *tensor.Tensor {
	return c.tensors[fmt.Sprintf("%d.%s", c.Case, name)]
}

func (c *goldenCase) parameter(name string) *Variable {
	t := c.tensor(name)
	if t == nil {
		return nil
	}
	return NewParameter(t.Clone())
}

func (c *goldenCase) run(t *testing.T) {
	if c.Op == "sn_conv2d" {
		c.runSpectral(t)
		return
	}
	ctx := &Context{Tape: NewTape(), Training: c.Training}
	x, w, b := c.parameter("x"), c.parameter("w"), c.parameter("b")
	var y *Variable
	switch c.Op {
	case "conv2d":
		y = Conv2d(ctx, x, w, b, Conv2dOptions{Stride: c.Stride, Padding: c.Padding})
	case "linear":
		y = Linear(ctx, x, w, b)
	case "batch_norm":
		batches := int64(0)
		running := &RunningStats{Mean: c.tensor("running_mean").Clone(), Var: c.tensor("running_var").Clone(), Batches: &batches}
		y = BatchNorm2d(ctx, x, w, b, running, BatchNormOptions{Momentum: c.Momentum, Eps: c.Eps}, nil)
		c.compare(t, "running_mean_after", running.Mean)
		c.compare(t, "running_var_after", running.Var)
		if (batches == 1) != c.Training {
			t.Errorf("%d batches counted", batches)
		}
	case "max_pool2d":
		y = MaxPool2d(ctx, x, c.Kernel, c.Stride)
	case "avg_pool2d":
		y = AvgPool2d(ctx, x, c.Kernel, c.Stride)
	case "relu":
		y = Activate(ctx, x, kernels.ActReLU)
	case "leaky_relu":
		y = Activate(ctx, x, kernels.ActLeakyReLU)
	case "elu":
		y = Activate(ctx, x, kernels.ActELU)
	case "log_softmax":
		y = LogSoftmax(ctx, x)
	case "logsumexp":
		y = LogSumExp(ctx, x)
	case "cross_entropy":
		labels := make([]int, c.tensor("labels").Len())
		for i := range labels {
			labels[i] = int(c.tensor("labels").At(i))
		}
		y = CrossEntropy(ctx, x, labels)
	default:
		t.Fatalf("no test for operation %q", c.Op)
	}
	c.compare(t, "y", y.Value)
	ctx.Tape.BackwardFrom(y, c.tensor("dy"))
	for name, v := range map[string]*Variable{"dx": x, "dw": w, "db": b} {
		if v != nil {
			c.compare(t, name, v.Grad())
		}
	}
}

// runSpectral does training forwards with power iteration, then compares the
// last one and its gradient.
func (c *goldenCase) runSpectral(t *testing.T) {
	x, w := c.parameter("x"), c.parameter("weight_orig")
	u, v := c.tensor("weight_u").Clone(), c.tensor("weight_v").Clone()
	o := Conv2dOptions{Stride: c.Stride, Padding: c.Padding}
	scale := SpectralScaleOptions{Coeff: c.Coeff, U: u, V: v}
	oc, ic := w.Value.Dim(0), w.Value.Dim(1)
	outSize := (c.Size+2*c.Padding-c.Kernel)/c.Stride + 1
	if c.Kernel > 1 {
		scale.Eps, scale.Conv = 1e-5, &ConvOperator{Stride: c.Stride, Padding: c.Padding}
		scale.U, scale.V = u.View(1, oc, outSize, outSize).ToImage(), v.View(1, ic, c.Size, c.Size).ToImage()
	}
	var y *Variable
	tape := NewTape()
	for range c.Forwards {
		tape.Reset()
		w.ZeroGrad()
		x.ZeroGrad()
		for range c.Iterations {
			scale.Sigma = powerIterate(w, &scale)
		}
		ctx := &Context{Tape: tape, Training: true}
		o.Spectral = &scale
		y = Conv2d(ctx, x, w, nil, o)
		y.Retain()
		tape.BackwardFrom(y, c.tensor("dy"))
	}
	c.compare(t, "weight_u_after", scale.U.Reshape(u.Len()))
	c.compare(t, "weight_v_after", scale.V.Reshape(v.Len()))
	c.compare(t, "weight_sigma_after", tensor.FromFloat64([]float64{scale.Sigma}, 1))
	c.compare(t, "y", y.Value)
	c.compare(t, "dx", x.Grad())
	c.compare(t, "dw", w.Grad())
}

// powerIterate does one step on o.U and o.V with operations of this package and
// returns sigma: Wᵀu is the gradient of <u, W v> for v, and sigma the norm of
// W v since u is that vector normalised.
func powerIterate(w *Variable, o *SpectralScaleOptions) float64 {
	apply := func(ctx *Context, v *Variable) *Variable {
		if o.Conv != nil {
			return Conv2d(ctx, v, Constant(w.Value), nil, Conv2dOptions{Stride: o.Conv.Stride, Padding: o.Conv.Padding})
		}
		return Linear(ctx, Reshape(ctx, v, 1, -1), Constant(w.Value.View(w.Value.Dim(0), -1)), nil)
	}
	v, tape := NewParameter(o.V), NewTape()
	y := apply(&Context{Tape: tape}, v)
	tape.BackwardFrom(y, o.U.Reshape(y.Value.Shape()...))
	normalize(o.V, v.Grad())
	return normalize(o.U, apply(&Context{}, Constant(o.V)).Value)
}

func normalize(dst, x *tensor.Tensor) (norm float64) {
	for _, e := range x.Float32s() {
		norm += float64(e) * float64(e)
	}
	norm = math.Sqrt(norm)
	for i, e := range x.Float32s() {
		dst.Float32s()[i] = float32(float64(e) / norm)
	}
	return norm
}

func (c *goldenCase) compare(t *testing.T, name string, got *tensor.Tensor) {
	t.Helper()
	want := c.tensor(name)
	if want == nil {
		t.Errorf("the golden set has no %s", name)
		return
	}
	checkClose(t, name, got, want, goldenTolerance)
}

// checkClose compares to tolerance times the largest element of want.
func checkClose(t *testing.T, name string, got, want *tensor.Tensor, tolerance float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: missing", name)
		return
	}
	if fmt.Sprint(got.Shape()) != fmt.Sprint(want.Shape()) {
		t.Errorf("%s: shape %v, want %v", name, got.Shape(), want.Shape())
		return
	}
	g, w := got.To(tensor.Float64).ToContiguous().Float64s(), want.To(tensor.Float64).ToContiguous().Float64s()
	largest, worst, at := 0.0, -1.0, 0
	for i := range w {
		largest = math.Max(largest, math.Abs(w[i]))
		if d := math.Abs(g[i] - w[i]); d > worst || math.IsNaN(d) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance*largest) {
		t.Errorf("%s: element %d is %v, want %v; off by %.2g of the largest element, allowed %.2g", name, at, g[at], w[at], worst/largest, tolerance)
	}
}

// atEveryLevel runs f at each instruction-set level of this CPU, or at the one
// that $DDU_ISA names.
func atEveryLevel(t *testing.T, f func(t *testing.T)) {
	old := kernels.CurrentLevel()
	defer func() { _ = kernels.SetLevel(old) }()
	levels := kernels.Levels()
	if os.Getenv("DDU_ISA") != "" {
		levels = []kernels.Level{old}
	}
	for _, l := range levels {
		t.Run(l.String(), func(t *testing.T) {
			if err := kernels.SetLevel(l); err != nil {
				t.Fatal(err)
			}
			f(t)
		})
	}
}

// readSafetensors reads all tensors of a file of F32, F64 and I64 tensors; I64
// becomes float64.
func readSafetensors(path string) (map[string]*tensor.Tensor, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint64(raw)
	var entries map[string]struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(raw[8:8+size], &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	all := map[string]*tensor.Tensor{}
	for name, e := range entries {
		bytes := raw[8+size:][e.Offsets[0]:e.Offsets[1]]
		dt := tensor.Float64
		if e.DType == "F32" {
			dt = tensor.Float32
		}
		t := tensor.New(dt, e.Shape...)
		for i := range t.Len() {
			switch e.DType {
			case "F32":
				t.Float32s()[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
			case "F64":
				t.Float64s()[i] = math.Float64frombits(binary.LittleEndian.Uint64(bytes[8*i:]))
			case "I64":
				t.Float64s()[i] = float64(int64(binary.LittleEndian.Uint64(bytes[8*i:])))
			default:
				return nil, fmt.Errorf("%s: tensor %s is %s, want F32, F64 or I64", path, name, e.DType)
			}
		}
		all[name] = t
	}
	return all, nil
}
