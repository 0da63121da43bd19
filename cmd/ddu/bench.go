package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deepuncertainty/ddu/bench"
)

// benchCommands are the measurements; without a name it is that of a network.
type benchCommands struct {
	Network  benchNetworkCommand  `cmd:"" default:"withargs" help:"Images/s and peak memory of one network; the word network may be left out. DDU_TRACE=1 shows what a step spends its time on."`
	Layers   benchLayersCommand   `cmd:"" help:"GFLOP/s of each convolution of a network in each direction, as a share of the FMA peak. Records and checks baselines."`
	Networks benchNetworksCommand `cmd:"" help:"Images/s and peak memory of several networks, one after the other."`
}

type benchNetworkCommand struct {
	Network string `arg:"" help:"lenet, resnet18, resnet50, resnet101, resnet110, resnet152, vgg11, vgg13, vgg16, vgg19 or wide_resnet (28-10)."`
	Mode    string `arg:"" enum:"train,infer" help:"train (forward, backward, SGD step) or infer (forward in eval mode)."`
	DType   string `arg:"" name:"dtype" enum:"fp32,bf16" help:"Element type of activations: fp32 or bf16."`

	Batch   int     `default:"128" help:"Images per step."`
	Seconds float64 `default:"15" help:"How long to measure; at least three steps are."`
	MNIST   bool    `name:"mnist" help:"1x28x28 input instead of 3x32x32 (lenet always)."`
	NoSN    bool    `name:"no-sn" help:"Without spectral normalisation."`
	NoMod   bool    `name:"no-mod" help:"Without the architectural modifications (leaky ReLU, average-pool shortcuts)."`
	Compare string  `type:"path" placeholder:"PEER.json" help:"Show the result beside those in a file: JSON lines of the PyTorch peer or of --json, of the same work."`
	JSON    bool    `name:"json" help:"Print one JSON line with the keys of the PyTorch peer."`
	engineFlags
}

func (c *benchNetworkCommand) Run(ctx context.Context, term terminal) error {
	if err := c.apply(); err != nil {
		return err
	}
	options, err := c.options(term)
	if err != nil {
		return err
	}
	var peers []bench.Peer
	if c.Compare != "" {
		if peers, err = bench.ReadPeers(c.Compare, options); err != nil {
			return err
		}
	}
	result, err := bench.Network(ctx, options)
	if err != nil {
		return err
	}
	result.Peer = "ddu " + version()
	result.Compare(peers)
	if c.JSON {
		return json.NewEncoder(term.out).Encode(result)
	}
	_, err = fmt.Fprint(term.out, networkText(result))
	return err
}

func (c *benchNetworkCommand) options(term terminal) (bench.NetworkOptions, error) {
	o := bench.NetworkOptions{
		Network: c.Network, Mode: c.Mode, DType: c.DType, Batch: c.Batch, Seconds: c.Seconds,
		MNIST: c.MNIST, SN: !c.NoSN, Mod: !c.NoMod,
	}
	wanted, err := traceWanted()
	if wanted {
		what := fmt.Sprintf("one step, %s %s %s, batch %d", c.Network, c.Mode, c.DType, c.Batch)
		o.Trace = bench.TracePrinter(what, func(text string) { fmt.Fprint(term.err, text) })
	}
	return o, err
}

func networkText(r *bench.NetworkResult) string {
	text := fmt.Sprintf("%s %s %s, batch %d, %d threads, %s: %.2f images/s (median step %.4g s, peak memory %d MiB)\n",
		r.Network, r.Mode, r.DType, r.Batch, r.Threads, r.ISA, r.ImagesPerSecond, r.StepSeconds, r.PeakMemoryMiB)
	if len(r.Compared) > 0 {
		text += "\n" + r.ComparisonText()
	}
	return text
}
