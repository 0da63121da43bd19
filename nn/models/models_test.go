package models

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/tensor"
)

// The counts of the published PyTorch definitions.
func TestParameterCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("these networks are large, and no level of the kernels counts otherwise")
	}
	for _, c := range []struct {
		name string
		o    Options
		want int
	}{
		{"lenet", Options{}, 44426},
		{"resnet18", Options{}, 11173962},
		{"resnet50", Options{}, 23520842},
		{"resnet101", Options{}, 42512970},
		{"resnet152", Options{}, 58156618},
		// resnet101 and three more blocks of 1024 -> 256 -> 256 -> 1024.
		{"resnet110", Options{}, 42512970 + 3*(1024*256+256*256*9+256*1024+2*(256+256+1024))},
		{"vgg11", Options{}, 9228362},
		{"vgg13", Options{}, 9413066},
		{"vgg16", Options{}, 14724042},
		{"vgg19", Options{}, 20035018},
		{"wide_resnet", Options{}, 36479194},
		{"wide_resnet", Options{Depth: 16, Widen: 4}, 2748890},
	} {
		net := build(t, c.name, c.o)
		if got := nn.CountParameters(net); got != c.want {
			t.Errorf("%s %+v has %d parameters, want %d", c.name, c.o, got, c.want)
		}
		sn := c.o
		sn.SN = true
		if got := nn.CountParameters(build(t, c.name, sn)); got != c.want {
			t.Errorf("%s %+v has %d parameters, want %d", c.name, sn, got, c.want)
		}
	}
}

// Depth 10 by hand: per stage two 3x3 convolutions, and the shortcuts' 1x1.
func TestWideResNetCount(t *testing.T) {
	conv := 27*16 + 9*(16*16+16*16) + 9*(16*32+32*32) + 9*(32*64+64*64)
	shortcuts, norms, linear := 16*32+32*64, 2*(16+16+16+32+32+64+64), 64*7+7
	for _, c := range []struct {
		o    Options
		want int
	}{
		{Options{}, conv + shortcuts + norms + linear},
		{Options{Mod: true}, conv + norms + linear},
		{Options{Mod: true, Input: MNIST}, conv + norms + linear - 2*9*16},
	} {
		c.o.Depth, c.o.Widen, c.o.Classes = 10, 1, 7
		if got := nn.CountParameters(build(t, "wide_resnet", c.o)); got != c.want {
			t.Errorf("%+v: %d parameters, want %d", c.o, got, c.want)
		}
	}
}

// The names where the networks differ in structure, as PyTorch writes them.
func TestParameterNames(t *testing.T) {
	for _, c := range []struct {
		network string
		o       Options
		has     []string
		not     []string
	}{
		{"lenet", Options{SN: true, Mod: true}, []string{"conv1.weight", "conv1.bias", "fc3.bias"}, []string{"conv1.weight_orig"}},
		{"resnet18", Options{SN: true}, []string{"conv1.weight_orig", "layer1.0.conv2.weight_sigma", "layer2.0.shortcut.0.weight_orig", "layer2.0.shortcut.1.running_var", "fc.weight"}, []string{"layer1.0.shortcut.0.weight_orig", "layer1.0.conv1.weight"}},
		{"resnet50", Options{}, []string{"layer1.0.shortcut.0.weight", "layer4.2.bn3.num_batches_tracked"}, []string{"layer1.1.shortcut.0.weight"}},
		{"resnet18", Options{Mod: true}, []string{"layer2.0.conv1.weight"}, []string{"layer2.0.shortcut.0.weight"}},
		{"wide_resnet", Options{SN: true, Depth: 10, Widen: 1}, []string{"layer2.0.shortcut.weight_u", "bn1.weight", "linear.bias"}, []string{"layer1.0.shortcut.weight_u", "layer2.0.shortcut.0.weight_u"}},
		{"vgg16", Options{}, []string{"features.0.weight", "features.1.running_mean", "features.7.weight", "features.40.weight", "classifier.bias"}, []string{"features.2.weight", "features.6.weight"}},
		{"vgg16", Options{Input: MNIST}, []string{"features.6.weight", "features.39.weight"}, []string{"features.12.weight"}},
	} {
		var names []string
		for _, e := range nn.StateDict(build(t, c.network, c.o)) {
			names = append(names, e.Name)
		}
		for _, name := range c.has {
			if !slices.Contains(names, name) {
				t.Errorf("%s %+v has no %s", c.network, c.o, name)
			}
		}
		for _, name := range c.not {
			if slices.Contains(names, name) {
				t.Errorf("%s %+v has %s", c.network, c.o, name)
			}
		}
	}
}

func TestSeedDecidesTheWeights(t *testing.T) {
	o := Options{Depth: 10, Widen: 1, SN: true}
	state := func(o Options) []byte {
		var all []byte
		for _, e := range nn.StateDict(build(t, "wide_resnet", o)) {
			all = append(all, e.Data...)
		}
		return all
	}
	other := o
	other.Seed = 1
	if !bytes.Equal(state(o), state(o)) || bytes.Equal(state(o), state(other)) {
		t.Error("the initial weights are no function of the seed")
	}
}

// The published initialisation of WideResNet: normal with fan_out, the last
// layer's bias 0.
func TestWideResNetInit(t *testing.T) {
	net := build(t, "wide_resnet", Options{Depth: 10, Widen: 4}).(*wideResNet)
	sum, w := 0.0, net.stages[2][0].(*wideBlock).conv2.(*nn.Conv2d).Weight.Value
	for _, v := range w.Float32s() {
		sum += float64(v) * float64(v)
	}
	if got, want := sum/float64(w.Len()), 2.0/(256*9); got < 0.98*want || got > 1.02*want {
		t.Errorf("variance %v, want %v", got, want)
	}
	for _, v := range net.last.Bias.Value.Float32s() {
		if v != 0 {
			t.Fatalf("bias of the last layer is %v, want 0", v)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		network, want string
		o             Options
	}{
		{"resnet19", "resnet101, resnet110, resnet152, resnet18", Options{}},
		{"lenet", "lenet: input 3x32x32, want 1x28x28", Options{Input: CIFAR}},
		{"vgg11", "input 3x64x64, want 3x32x32 or 1x28x28", Options{Input: [3]int{3, 64, 64}}},
		{"vgg11", "-1 classes", Options{Classes: -1}},
		{"vgg11", "coeff -2", Options{Coeff: -2}},
		{"vgg11", "-1 power iterations", Options{PowerIterations: -1}},
		{"vgg11", "temp -1", Options{Temp: -1}},
		{"vgg11", `activation "gelu"`, Options{Act: "gelu"}},
		{"wide_resnet", "depth 12", Options{Depth: 12}},
		{"wide_resnet", "widen -1", Options{Widen: -1}},
		{"wide_resnet", "dropout 1", Options{Dropout: 1}},
	} {
		if _, err := Build(c.network, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: error %v, want %q", c.network, c.o, err, c.want)
		}
	}
}

func TestForwardRefuses(t *testing.T) {
	net := build(t, "wide_resnet", Options{Depth: 10, Widen: 1})
	for _, c := range []struct {
		want  string
		shape []int
	}{
		{"wide_resnet takes 3x32x32 (channels x height x width), the input is a batch of 1x28x28", []int{2, 1, 28, 28}},
		{"the input is a batch of 3x32x33", []int{2, 3, 32, 33}},
		{"the input has shape [3 32 32]", []int{3, 32, 32}},
		{"at least one", []int{0, 3, 32, 32}},
	} {
		_, _, err := net.Forward(new(autograd.Context), autograd.Constant(tensor.New(tensor.Float32, c.shape...)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.shape, err, c.want)
		}
	}
}

// Shapes, both input sizes and every network: the small ones run a forward
// pass, of the others the shapes are told.
func TestShapes(t *testing.T) {
	features := map[string]int{"lenet": 84, "resnet18": 512, "vgg11": 512, "vgg13": 512, "vgg16": 512, "vgg19": 512, "wide_resnet": 128}
	for _, name := range Names() {
		for _, input := range [][3]int{CIFAR, MNIST} {
			if name == "lenet" && input == CIFAR || testing.Short() && name != "wide_resnet" {
				continue
			}
			t.Run(fmt.Sprint(name, " ", dimensions(input)), func(t *testing.T) {
				net := build(t, name, Options{Classes: 3, Input: input, Depth: 10, Widen: 2, Mod: true, Temp: 2})
				want := features[name]
				if want == 0 {
					want = 2048
				}
				if net.FeatureDim() != want || net.Classes() != 3 || !slices.Equal(net.InputShape(), input[:]) {
					t.Errorf("%d features, %d classes, input %v", net.FeatureDim(), net.Classes(), net.InputShape())
				}
				x := tensor.New(tensor.Float32, 1, input[0], input[1], input[2])
				logits, f, err := net.Forward(new(autograd.Context), autograd.Constant(x))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(logits.Value.Shape(), []int{1, 3}) || !slices.Equal(f.Value.Shape(), []int{1, want}) {
					t.Errorf("logits %v, features %v", logits.Value.Shape(), f.Value.Shape())
				}
			})
		}
	}
}

// The temperature divides the logits.
func TestTemp(t *testing.T) {
	x := tensor.New(tensor.Float32, 1, 1, 28, 28)
	x.Fill(1)
	cold, _ := evaluate(t, build(t, "lenet", Options{}), x)
	warm, _ := evaluate(t, build(t, "lenet", Options{Temp: 4}), x)
	for i := range cold {
		if cold[i] != 4*warm[i] {
			t.Errorf("logit %d: %v and %v, want a ratio of 4", i, cold[i], warm[i])
		}
	}
}
