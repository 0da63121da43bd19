package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// NetworkOptions say what to measure.
type NetworkOptions struct {
	Network string // as models.Build takes it
	Mode    string // "train" or "infer"
	Batch   int
	Seconds float64
	MNIST   bool // 1x28x28 input; always for lenet
	SN, Mod bool
}

// NetworkResult is one measurement. Its JSON has the keys that PyTorch's side of
// the comparison prints.
type NetworkResult struct {
	Peer            string  `json:"peer"`
	Network         string  `json:"network"`
	Mode            string  `json:"mode"`
	DType           string  `json:"dtype"`
	Batch           int     `json:"batch"`
	Threads         int     `json:"threads"`
	SN              bool    `json:"sn"`
	MNIST           bool    `json:"mnist"`
	ChannelsLast    bool    `json:"channels_last"`
	StepSeconds     float64 `json:"step_seconds"` // median
	ImagesPerSecond float64 `json:"images_per_second"`
	// PeakMemoryMiB is the peak resident memory beyond what the process had
	// before the network was built.
	PeakMemoryMiB int64  `json:"peak_memory_mib"`
	ISA           string `json:"isa"`
}

const (
	minSteps = 3
	maxSteps = 200
)

// Network measures the throughput of a network on synthetic images that are in
// memory already. A training step is forward, backward and SGD with momentum 0.9
// and weight decay 5e-4, power iteration included; an inference step is a
// forward pass of the frozen network in evaluation mode. One step warms up.
func Network(ctx context.Context, o NetworkOptions) (*NetworkResult, error) {
	if o.Batch < 1 {
		return nil, fmt.Errorf("batch %d, want at least 1", o.Batch)
	}
	if !(o.Seconds > 0) || math.IsInf(o.Seconds, 0) {
		return nil, fmt.Errorf("%v seconds, want a positive number", o.Seconds)
	}
	before := peakResident()
	if o.Network == "lenet" {
		o.MNIST, o.SN, o.Mod = true, false, false
	}
	input := models.CIFAR
	if o.MNIST {
		input = models.MNIST
	}
	network, err := models.Build(o.Network, models.Options{Input: input, SN: o.SN, Mod: o.Mod, Dropout: publishedDropout(o.Network)})
	if err != nil {
		return nil, err
	}
	images, labels := syntheticBatch(o.Batch, input)
	step, err := newStep(network, o.Mode, images, labels)
	if err != nil {
		return nil, err
	}
	times, err := measure(ctx, step, o.Seconds)
	if err != nil {
		return nil, err
	}
	median := times[len(times)/2]
	return &NetworkResult{
		Network: o.Network, Mode: o.Mode, DType: "fp32", Batch: o.Batch, Threads: kernels.Threads(), SN: o.SN, MNIST: o.MNIST,
		StepSeconds: round(median, 5), ImagesPerSecond: round(float64(o.Batch)/median, 2),
		PeakMemoryMiB: (peakResident() - before) >> 20, ISA: kernels.CurrentLevel().String(),
	}, nil
}

func publishedDropout(network string) float64 {
	if network == "wide_resnet" {
		return 0.3
	}
	return 0
}

func round(v float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(v*scale) / scale
}

func syntheticBatch(n int, shape [3]int) (*tensor.Tensor, []int) {
	images := tensor.NewImage(tensor.Float32, n, shape[0], shape[1], shape[2])
	key := random.NewKey(0, "images")
	for i, data := 0, images.Float32s(); i < len(data); i++ {
		data[i] = float32(key.Normal(uint64(i)))
	}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i % 10
	}
	return images, labels
}

// newStep returns one step of the mode.
func newStep(network nn.Network, mode string, images *tensor.Tensor, labels []int) (func(i int) error, error) {
	switch mode {
	case "train":
		return newTrainStep(network, images, labels)
	case "infer":
		predictor, err := nn.Freeze(network)
		if err != nil {
			return nil, err
		}
		return func(int) error {
			_, _, err := predictor.Predict(images)
			return err
		}, nil
	}
	return nil, fmt.Errorf("mode %q, want train or infer", mode)
}

func newTrainStep(network nn.Network, images *tensor.Tensor, labels []int) (func(i int) error, error) {
	optimizer, err := optim.NewSGD(nn.Parameters(network), optim.SGDOptions{Momentum: 0.9, WeightDecay: 5e-4})
	if err != nil {
		return nil, err
	}
	tape, pool, key := autograd.NewTape(), tensor.NewPool(), random.NewKey(0, "dropout")
	return func(i int) error {
		defer tape.Reset()
		ctx := &autograd.Context{Tape: tape, Training: true, Key: key.Fold(uint64(i)), Pool: pool}
		logits, _, err := network.Forward(ctx, autograd.Constant(images))
		if err != nil {
			return err
		}
		tape.Backward(autograd.CrossEntropy(ctx, logits, labels))
		optimizer.Step(0.01)
		nn.ZeroGrad(network)
		return nil
	}, nil
}

// measure returns the sorted seconds of steps, after one to warm up.
func measure(ctx context.Context, step func(i int) error, seconds float64) ([]float64, error) {
	if err := step(0); err != nil {
		return nil, err
	}
	var times []float64
	for start := time.Now(); len(times) < minSteps || time.Since(start).Seconds() < seconds && len(times) < maxSteps; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := step(len(times) + 1); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin).Seconds())
	}
	slices.Sort(times)
	return times, nil
}
