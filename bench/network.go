package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
)

// NetworkOptions say what to measure.
type NetworkOptions struct {
	Network string // as models.Build takes it
	Mode    string // "train" or "infer"
	DType   string // of activations, as nn.ParsePrecision takes it; empty: "fp32"
	Batch   int
	Seconds float64
	MNIST   bool // 1x28x28 input; always for lenet
	SN, Mod bool
	// Trace is given one step after warm-up, recorded before measuring begins,
	// when all is done; nil: no step is recorded.
	Trace func(*trace.Recorder)
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
	// Compared relates it to peers, where that was asked for.
	Compared []Comparison `json:"compared,omitempty"`
}

// Network measures the throughput of a network on synthetic images that are in
// memory already. A training step is forward, backward and SGD with momentum 0.9
// and weight decay 5e-4, power iteration included; an inference step is a
// forward pass of the frozen network in evaluation mode. One step warms up.
func Network(ctx context.Context, o NetworkOptions) (*NetworkResult, error) {
	o = o.resolve()
	dt, err := nn.ParsePrecision(o.DType)
	if err := errors.Join(err, checkBatch(o.Batch), checkSeconds(o.Seconds)); err != nil {
		return nil, err
	}
	before, input := peakResident(), inputShape(o.MNIST)
	network, err := models.Build(o.Network, models.Options{Input: input, SN: o.SN, Mod: o.Mod, Dropout: publishedDropout(o.Network)})
	if err != nil {
		return nil, err
	}
	images, labels := syntheticBatch(o.Batch, input)
	run, err := newStep(network, o.Mode, dt, images, labels)
	if err != nil {
		return nil, err
	}
	recorder, err := warmUp(run, o.Trace != nil)
	if err != nil {
		return nil, err
	}
	times, err := measure(ctx, run, o.Seconds)
	if err != nil {
		return nil, err
	}
	o.DType = nn.PrecisionName(dt)
	median, result := times[len(times)/2], o.header()
	result.StepSeconds, result.ImagesPerSecond = round(median, 5), round(float64(o.Batch)/median, 2)
	result.PeakMemoryMiB = (peakResident() - before) >> 20
	if o.Trace != nil {
		o.Trace(recorder)
	}
	return result, nil
}

// resolve fills in what follows from the network.
func (o NetworkOptions) resolve() NetworkOptions {
	if o.Network == "lenet" {
		o.MNIST, o.SN, o.Mod = true, false, false
	}
	o.DType = cmp.Or(o.DType, "fp32")
	return o
}

// header is the result without its measurements.
func (o NetworkOptions) header() *NetworkResult {
	return &NetworkResult{
		Network: o.Network, Mode: o.Mode, DType: o.DType, Batch: o.Batch, Threads: kernels.Threads(),
		SN: o.SN, MNIST: o.MNIST, ISA: kernels.CurrentLevel().String(),
	}
}

func publishedDropout(network string) float64 {
	if network == "wide_resnet" {
		return 0.3
	}
	return 0
}

func checkBatch(n int) error {
	if n < 1 {
		return fmt.Errorf("batch %d, want at least 1", n)
	}
	return nil
}

func checkSeconds(s float64) error {
	if !(s > 0) || math.IsInf(s, 0) {
		return fmt.Errorf("%v seconds, want a positive number", s)
	}
	return nil
}

// inputShape returns the shape [C H W] of an image.
func inputShape(mnist bool) [3]int {
	if mnist {
		return models.MNIST
	}
	return models.CIFAR
}

func round(v float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(v*scale) / scale
}
