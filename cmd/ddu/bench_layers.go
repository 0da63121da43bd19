package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deepuncertainty/ddu/bench"
)

type benchLayersCommand struct {
	Network string `arg:"" help:"Network whose convolutions to measure, as in ddu bench NETWORK."`

	DType     string  `name:"dtype" default:"fp32" enum:"fp32,bf16" help:"Element type of activations: fp32 or bf16."`
	Batch     int     `default:"0" placeholder:"N" help:"Images (default: 128 for resnet18 and lenet, 32 for wide_resnet, else 64)."`
	Seconds   float64 `default:"0.5" help:"How long to measure each shape and direction, in five rounds."`
	MNIST     bool    `name:"mnist" help:"1x28x28 input instead of 3x32x32 (lenet always)."`
	NoMod     bool    `name:"no-mod" help:"Without the architectural modifications: shortcuts are convolutions."`
	Record    string  `placeholder:"FILE" xor:"baseline" help:"Record the result as a baseline."`
	Baseline  string  `placeholder:"FILE" xor:"baseline" help:"Report what fell below a recorded baseline, and fail if anything did."`
	Tolerance float64 `default:"10" help:"By how many per cent of the baseline's share of the FMA peak a row may fall."`
	JSON      bool    `name:"json" help:"Print one JSON line."`
	engineFlags
}

func (c *benchLayersCommand) Run(ctx context.Context, term terminal) error {
	if err := c.apply(); err != nil {
		return err
	}
	o := bench.LayersOptions{Network: c.Network, Batch: c.Batch, Seconds: c.Seconds, MNIST: c.MNIST, Mod: !c.NoMod, DType: c.DType}
	if c.Baseline != "" {
		return c.against(ctx, term, o)
	}
	result, err := bench.Layers(ctx, o)
	if err != nil {
		return err
	}
	noteDisturbance(term, "measured", result)
	if err := c.print(term, result, nil); err != nil || c.Record == "" {
		return err
	}
	return result.Write(c.Record)
}

// against compares with the baseline.
func (c *benchLayersCommand) against(ctx context.Context, term terminal, o bench.LayersOptions) error {
	baseline, err := bench.ReadBaseline(c.Baseline)
	if err != nil {
		return err
	}
	result, falls, err := bench.LayersAgainst(ctx, o, baseline, c.Tolerance)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Baseline, err)
	}
	noteDisturbance(term, "the baseline was recorded", baseline)
	noteDisturbance(term, "measured", result)
	if result.CPU != baseline.CPU {
		fmt.Fprintf(term.err, "note: the baseline is of another CPU, %s\n", baseline.CPU)
	}
	if err := c.print(term, result, falls); err != nil || len(falls) == 0 {
		return err
	}
	return fmt.Errorf("%d of %d fell by more than %g %% below the baseline", len(falls), len(result.Rows), c.Tolerance)
}

// noteDisturbance tells that other programs ran beside a measurement.
func noteDisturbance(term terminal, what string, r *bench.LayersResult) {
	if r.Disturbed() {
		fmt.Fprintf(term.err, "note: %s beside other programs, with %.0f %% of the processors: shares of the peak are not to be trusted\n", what, r.ProcessorPercent)
	}
}

func (c *benchLayersCommand) print(term terminal, r *bench.LayersResult, falls []bench.Fall) error {
	if c.JSON {
		return json.NewEncoder(term.out).Encode(struct {
			*bench.LayersResult
			Fallen []bench.Fall `json:"fallen,omitempty"`
		}{r, falls})
	}
	text := r.Text()
	switch {
	case len(falls) > 0:
		text += fmt.Sprintf("\nbelow the baseline by more than %g %%:\n", c.Tolerance) + bench.FallsText(falls)
	case c.Baseline != "":
		text += fmt.Sprintf("\nnothing is below the baseline by more than %g %%\n", c.Tolerance)
	}
	_, err := fmt.Fprint(term.out, text)
	return err
}
