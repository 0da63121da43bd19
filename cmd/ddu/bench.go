package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deepuncertainty/ddu/bench"
)

type benchCommand struct {
	Network string `arg:"" help:"lenet, resnet18, resnet50, resnet101, resnet110, resnet152, vgg11, vgg13, vgg16, vgg19 or wide_resnet (28-10)."`
	Mode    string `arg:"" enum:"train,infer" help:"train (forward, backward, SGD step) or infer (forward in eval mode)."`
	DType   string `arg:"" name:"dtype" enum:"fp32" help:"fp32."`

	Batch   int     `default:"128" help:"Images per step."`
	Seconds float64 `default:"15" help:"How long to measure; at least three steps are."`
	MNIST   bool    `name:"mnist" help:"1x28x28 input instead of 3x32x32 (lenet always)."`
	NoSN    bool    `name:"no-sn" help:"Without spectral normalisation."`
	NoMod   bool    `name:"no-mod" help:"Without the architectural modifications (leaky ReLU, average-pool shortcuts)."`
	JSON    bool    `name:"json" help:"Print one JSON line with the keys of the PyTorch peer."`
	engineFlags
}

func (c *benchCommand) Run(ctx context.Context, term terminal) error {
	if err := c.apply(); err != nil {
		return err
	}
	result, err := bench.Network(ctx, bench.NetworkOptions{
		Network: c.Network, Mode: c.Mode, Batch: c.Batch, Seconds: c.Seconds,
		MNIST: c.MNIST, SN: !c.NoSN, Mod: !c.NoMod,
	})
	if err != nil {
		return err
	}
	result.Peer = "ddu " + version()
	if c.JSON {
		return json.NewEncoder(term.out).Encode(result)
	}
	_, err = fmt.Fprintf(term.out, "%s %s %s, batch %d, %d threads, %s: %.2f images/s (median step %.4g s, peak memory %d MiB)\n",
		result.Network, result.Mode, result.DType, result.Batch, result.Threads, result.ISA,
		result.ImagesPerSecond, result.StepSeconds, result.PeakMemoryMiB)
	return err
}
