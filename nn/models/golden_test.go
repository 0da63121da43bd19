package models

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
)

// modelCase is one entry of models.json; the values are float64.
type modelCase struct {
	Model       string
	MNIST       bool
	Classes     int
	SN, Mod     bool
	Coeff       float64
	Depth       int
	Widen       int
	Act         string
	Batch       int
	Labels      []int
	LR          float64 `json:"lr"`
	Momentum    float64
	WeightDecay float64 `json:"weight_decay"`

	EvalLogits          []float64            `json:"eval_logits"`
	EvalFeature         []float64            `json:"eval_feature"`
	EvalFeatureNorm     []float64            `json:"eval_feature_norm"`
	TrainLoss           []float64            `json:"train_loss"`
	Sigma               map[string]float64   `json:"sigma"`
	GradNorm            map[string]float64   `json:"grad_norm"`
	GradFirst           map[string][]float64 `json:"grad_first"`
	FinalEvalLogits     []float64            `json:"final_eval_logits"`
	FinalRunningVarNorm map[string]float64   `json:"final_running_var_norm"`
	Spread              map[string]float64   `json:"float32_spread"`
}

func (c *modelCase) name() string {
	s := c.Model
	if c.Depth > 0 {
		s += fmt.Sprintf("-%d-%d", c.Depth, c.Widen)
	}
	if c.MNIST {
		s += " 28x28"
	}
	if c.SN {
		s += fmt.Sprintf(" sn %v", c.Coeff)
	}
	if c.Mod {
		s += " mod"
	}
	return strings.TrimSpace(s + " " + c.Act)
}

// short tells whether -short runs the case.
func (c *modelCase) short() bool {
	return c.Model == "lenet" || c.Model == "resnet18" && c.MNIST || c.Model == "wide_resnet" && c.Depth <= 16
}

// The README of the golden vectors gives the tolerances: the first values are
// compared at 1e-5 of the largest, what follows the first step at 1e-4 or ten
// times what rounding alone moves in PyTorch.
const first, later = 1e-5, 1e-4

func (c *modelCase) tolerance(key string) float64 { return math.Max(later, 10*c.Spread[key]) }

// TestGoldenModels holds direct convolutions to the README's tolerances.
func TestGoldenModels(t *testing.T) {
	runGoldenModels(t, kernels.ConvDirect, func(c *modelCase) bool { return true })
}

// TestGoldenModelsWinograd holds Winograd's algorithm to the same: it is well
// within them, though its error is a few times that of direct sums. Max pooling has
// a kink as ReLU has: with that error a near tie of a VGG case goes to another
// pixel, whose gradient then differs, so of the VGGs ReLU's cases, which judge the
// forward pass alone, have to do. One form of each network is enough: that which
// rescales every layer where there is one.
func TestGoldenModelsWinograd(t *testing.T) {
	if raceEnabled {
		t.Skip("TestGoldenModels goes through the same code above the kernels")
	}
	runGoldenModels(t, kernels.ConvWinograd, func(c *modelCase) bool {
		return c.SN && c.Mod && c.Model != "lenet" && c.Widen != 10 && (c.Act == "elu") != (c.Model == "vgg16") && c.short() == (c.Coeff == 0.5)
	})
}

func runGoldenModels(t *testing.T, algorithm kernels.ConvAlgorithm, wants func(c *modelCase) bool) {
	old := kernels.CurrentConvAlgorithm()
	t.Cleanup(func() { kernels.SetConvAlgorithm(old) })
	if err := kernels.SetConvAlgorithm(algorithm); err != nil {
		t.Fatal(err)
	}
	var cases []modelCase
	golden.JSON(t, "models.json", &cases)
	tag := golden.Tag(t)
	for _, c := range cases {
		if !wants(&c) {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			if testing.Short() && !c.short() {
				t.Skip("-short runs the small networks")
			}
			if raceEnabled && c.Model != "lenet" && c.Coeff != 0.5 {
				t.Skip("under the race detector one of each network, with every term of its gradient, is enough")
			}
			if c.Widen != 10 { // two of those at once would take 2 GB
				t.Parallel() // building and filling a network is the work of one thread
			}
			c.run(t, tag)
		})
	}
}

func (c *modelCase) run(t *testing.T, tag string) {
	net, x := c.build(t, tag)
	c.firstForward(t, net, x)
	c.train(t, net, x)
}

// build makes the network and its input by the formula of the README.
func (c *modelCase) build(t *testing.T, tag string) (nn.Network, *tensor.Tensor) {
	input := CIFAR
	if c.MNIST {
		input = MNIST
	}
	net, err := Build(c.Model, Options{Classes: c.Classes, Input: input, Depth: c.Depth, Widen: c.Widen, SN: c.SN, Coeff: c.Coeff, Mod: c.Mod, Act: c.Act})
	if err != nil {
		t.Fatal(err)
	}
	golden.FillState(t, net, tag)
	shape := []int{c.Batch, input[0], input[1], input[2]}
	return net, tensor.FromFloat32(golden.Tensor(tag+"input", c.Batch*input[0]*input[1]*input[2], 1, 0), shape...)
}

func (c *modelCase) firstForward(t *testing.T, net nn.Network, x *tensor.Tensor) {
	logits, features := evaluate(t, net, x)
	norms := make([]float64, c.Batch)
	d := net.FeatureDim()
	for i := range norms {
		for _, v := range features[i*d : (i+1)*d] {
			norms[i] += v * v
		}
		norms[i] = math.Sqrt(norms[i])
	}
	worst := golden.Close(t, "eval logits", logits, c.EvalLogits, first)
	worst = max(worst, golden.Close(t, "eval feature", features[:len(c.EvalFeature)], c.EvalFeature, first))
	worst = max(worst, golden.Close(t, "eval feature norms", norms, c.EvalFeatureNorm, first))
	t.Logf("worst error in eval mode: %.1e", worst)
}

// train follows the steps of the case, which has gradients only with ELU.
func (c *modelCase) train(t *testing.T, net nn.Network, x *tensor.Tensor) {
	o, err := optim.NewSGD(nn.Parameters(net), optim.SGDOptions{Momentum: c.Momentum, WeightDecay: c.WeightDecay})
	if err != nil {
		t.Fatal(err)
	}
	tape := autograd.NewTape()
	for step, want := range c.TrainLoss {
		ctx := &autograd.Context{Tape: tape, Training: true}
		logits, _, err := net.Forward(ctx, autograd.Constant(x))
		if err != nil {
			t.Fatal(err)
		}
		loss := autograd.CrossEntropy(ctx, logits, c.Labels)
		tolerance := c.tolerance("train_loss")
		if step == 0 {
			tolerance = first
			c.checkSigmas(t, net)
		}
		t.Logf("loss %d: error %.1e", step, golden.Close(t, fmt.Sprint("loss of step ", step), []float64{loss.Value.Item()}, []float64{want}, tolerance))
		if c.Act == "" {
			return
		}
		nn.ZeroGrad(net)
		tape.Backward(loss)
		if step == 0 {
			c.checkGradients(t, net)
		}
		tape.Reset()
		if raceEnabled && c.Model == "resnet18" {
			return // another step goes the same ways
		}
		o.Step(c.LR)
	}
	final, _ := evaluate(t, net, x)
	t.Logf("final logits: error %.1e", golden.Close(t, "final eval logits", final, c.FinalEvalLogits, c.tolerance("final_eval_logits")))
	c.checkRunningVar(t, net)
}

func (c *modelCase) checkSigmas(t *testing.T, net nn.Network) {
	got := map[string]float64{}
	for _, e := range nn.StateDict(net) {
		if strings.HasSuffix(e.Name, "weight_sigma") {
			v, err := e.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			got[e.Name] = v[0]
		}
	}
	t.Logf("sigmas: error %.1e", compareByName(t, "sigma", got, c.Sigma, first))
}

func (c *modelCase) checkGradients(t *testing.T, net nn.Network) {
	norms := map[string]float64{}
	worst := 0.0
	for _, p := range nn.Parameters(net) {
		g := p.Parameter.Grad()
		if g == nil {
			t.Errorf("%s has no gradient", p.Name)
			continue
		}
		values := golden.Float64s(g.Float32s())
		norm, largest := 0.0, 0.0
		for _, v := range values {
			norm += v * v
			largest = math.Max(largest, math.Abs(v))
		}
		norms[p.Name] = math.Sqrt(norm)
		// The first elements are judged by the largest of the whole gradient.
		want := c.GradFirst[p.Name]
		worst = max(worst, golden.Close(t, "first gradients of "+p.Name, append(slices.Clone(values[:len(want)]), largest), append(slices.Clone(want), largest), c.tolerance("grad_norm")))
	}
	worst = max(worst, compareByName(t, "gradient norm", norms, c.GradNorm, c.tolerance("grad_norm")))
	t.Logf("gradients: error %.1e", worst)
}

func (c *modelCase) checkRunningVar(t *testing.T, net nn.Network) {
	got := map[string]float64{}
	for _, e := range nn.StateDict(net) {
		if strings.HasSuffix(e.Name, "running_var") {
			v, err := e.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range v {
				got[e.Name] += x * x
			}
			got[e.Name] = math.Sqrt(got[e.Name])
		}
	}
	t.Logf("running variances: error %.1e", compareByName(t, "norm of", got, c.FinalRunningVarNorm, c.tolerance("final_running_var_norm")))
}

// compareByName wants the same names and each number within tolerance of its
// own size.
func compareByName(t *testing.T, what string, got, want map[string]float64, tolerance float64) (worst float64) {
	t.Helper()
	names := slices.Sorted(maps.Keys(want))
	if len(got) != len(want) {
		t.Errorf("%s: %d names, want %d", what, len(got), len(want))
	}
	for _, name := range names {
		v, ok := got[name]
		if !ok {
			t.Errorf("%s %s is missing", what, name)
			continue
		}
		worst = max(worst, golden.Close(t, what+" "+name, []float64{v}, []float64{want[name]}, tolerance))
	}
	return worst
}

func evaluate(t testing.TB, net nn.Network, x *tensor.Tensor) (logits, features []float64) {
	t.Helper()
	l, f, err := net.Forward(&autograd.Context{Pool: tensor.NewPool()}, autograd.Constant(x))
	if err != nil {
		t.Fatal(err)
	}
	return golden.Float64s(l.Value.Float32s()), golden.Float64s(f.Value.Float32s())
}
