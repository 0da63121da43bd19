package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/bench"
)

type benchNetworksCommand struct {
	Networks []string `arg:"" optional:"" help:"Networks to measure (default: resnet18, resnet50, vgg16, wide_resnet and lenet)."`

	DType   string  `name:"dtype" default:"fp32" enum:"fp32,bf16" help:"Element type of activations: fp32 or bf16."`
	Mode    string  `default:"both" enum:"train,infer,both" help:"train, infer or both."`
	Batch   int     `default:"0" placeholder:"N" help:"Images per step (default: 128 for resnet18 and lenet, 32 for wide_resnet, else 64)."`
	Seconds float64 `default:"5" help:"How long to measure each; at least three steps are."`
	NoSN    bool    `name:"no-sn" help:"Without spectral normalisation."`
	NoMod   bool    `name:"no-mod" help:"Without the architectural modifications."`
	JSON    bool    `name:"json" help:"Print one JSON line each, as ddu bench NETWORK does."`
	engineFlags
}

func (c *benchNetworksCommand) Run(ctx context.Context, term terminal) error {
	if err := c.apply(); err != nil {
		return err
	}
	modes := []string{c.Mode}
	if c.Mode == "both" {
		modes = []string{"train", "infer"}
	}
	networks := c.Networks
	if len(networks) == 0 {
		networks = bench.Networks()
	}
	first := true
	for _, network := range networks {
		for _, mode := range modes {
			line, err := c.measure(ctx, term, network, mode)
			if err != nil {
				return err
			}
			if err := c.print(term, line, first); err != nil {
				return err
			}
			first = false
		}
	}
	return nil
}

const networksFormat = "%-11s  %-5s  %5v  %-5v  %9s  %9s  %8v\n"

// print shows one result as it comes, the first one under titles.
func (c *benchNetworksCommand) print(term terminal, line []byte, first bool) error {
	if c.JSON {
		_, err := term.out.Write(line)
		return err
	}
	var r bench.NetworkResult
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	if first {
		fmt.Fprintf(term.out, networksFormat, "network", "mode", "batch", "sn", "images/s", "step, ms", "peak MiB")
	}
	_, err := fmt.Fprintf(term.out, networksFormat, r.Network, r.Mode, r.Batch, r.SN,
		fmt.Sprintf("%.2f", r.ImagesPerSecond), fmt.Sprintf("%.2f", 1e3*r.StepSeconds), r.PeakMemoryMiB)
	return err
}

// measure runs the program again for one network: the peak memory of a process
// is that of all it has done. It returns the JSON line.
func (c *benchNetworksCommand) measure(ctx context.Context, term terminal, network, mode string) ([]byte, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var out, problems bytes.Buffer
	command := exec.CommandContext(ctx, program, c.arguments(network, mode)...)
	command.Stdout, command.Stderr = &out, &problems
	err = command.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && problems.Len() > 0:
		return nil, errors.New(strings.TrimPrefix(strings.TrimSpace(problems.String()), "ddu: "))
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", network, mode, err)
	}
	_, err = problems.WriteTo(term.err) // the trace, where it was asked for
	return out.Bytes(), err
}

func (c *benchNetworksCommand) arguments(network, mode string) []string {
	batch := c.Batch
	if batch == 0 {
		batch = bench.NetworkBatch(network)
	}
	args := []string{
		"bench", "network", network, mode, c.DType, "--json",
		"--batch=" + strconv.Itoa(batch), "--seconds=" + strconv.FormatFloat(c.Seconds, 'g', -1, 64),
	}
	for flag, set := range map[string]bool{"--no-sn": c.NoSN, "--no-mod": c.NoMod} {
		if set {
			args = append(args, flag)
		}
	}
	if c.Threads != nil {
		args = append(args, "--threads="+strconv.Itoa(*c.Threads))
	}
	if c.ISA != "" {
		args = append(args, "--isa="+c.ISA)
	}
	return args
}
