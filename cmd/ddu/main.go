// Command ddu trains, judges and times image classifiers that know what they
// do not know (Deep Deterministic Uncertainty).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/deepuncertainty/ddu/bench"
)

// commands is the command line; each field is one subcommand.
type commands struct {
	Run     runCommand     `cmd:"" help:"Train a network, fit its feature density and evaluate it, as a TOML file or preset says."`
	Bench   benchCommand   `cmd:"" help:"Measure the throughput and peak memory of one network on this machine."`
	Info    infoCommand    `cmd:"" help:"Show the CPU, its instruction sets and caches, and its measured FMA peak."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// terminal is where a command writes: results to out, progress to err.
type terminal struct {
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], terminal{out: os.Stdout, err: os.Stderr}))
}

// errShown marks a failure that the command has told about already.
var errShown = errors.New("shown")

// execute runs one command line and returns the exit code: 0, or 1 when the
// command failed, or 2 when the command line is wrong.
func execute(ctx context.Context, args []string, term terminal) int {
	exited := -1
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("ddu"),
		kong.Description("Deterministic uncertainty: train, judge and ship image classifiers that know what they do not know."),
		kong.UsageOnError(),
		kong.Writers(term.out, term.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term),
	)
	if err != nil {
		return fail(term, err, 2)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	switch {
	case exited >= 0: // --help has printed what was asked for
		return exited
	case err != nil:
		return fail(term, fmt.Errorf("%w (see ddu --help)", err), 2)
	}
	if err := command.Run(); err != nil {
		return fail(term, err, 1)
	}
	return 0
}

// fail prints err on one line, unless the command has shown it.
func fail(term terminal, err error, code int) int {
	if !errors.Is(err, errShown) {
		fmt.Fprintf(term.err, "ddu: %s\n", strings.TrimSpace(err.Error()))
	}
	return code
}

// engineFlags choose how kernels run; they are the same for every command.
type engineFlags struct {
	Threads int    `help:"Threads to use (default: all cores)." placeholder:"N"`
	ISA     string `name:"isa" help:"Use at most this instruction-set level: portable, neon, avx2, avx512 (default: the best this CPU has)." placeholder:"LEVEL"`
}

func (f engineFlags) apply() error { return bench.UseEngine(f.ISA, f.Threads) }
