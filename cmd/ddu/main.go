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
	Run           runCommand           `cmd:"" help:"Train a network, fit its feature density and evaluate it, as a TOML file or preset says."`
	Data          dataCommands         `cmd:"" help:"List, verify and download data sets."`
	Train         trainCommand         `cmd:"" help:"Train a network with the flags of the published train.py."`
	TrainEnsemble trainEnsembleCommand `cmd:"" help:"Train an ensemble with the flags of the published train_ensemble.py."`
	Evaluate      evaluateCommand      `cmd:"" help:"Evaluate trained networks with the flags of the published evaluate.py, or a finished run from its scores."`
	Compare       compareCommand       `cmd:"" help:"Show the results of several runs beside one another, as a table and a figure."`
	Convert       convertCommand       `cmd:"" help:"Write the weights of a network in another format: PyTorch or safetensors."`
	Bench         benchCommands        `cmd:"" help:"Measure the speed of networks and their layers on this machine."`
	Completion    completionCommand    `cmd:"" help:"Print a script that makes a shell complete commands, flags and values."`
	Info          infoCommand          `cmd:"" help:"Show the CPU, its instruction sets and caches, and its measured FMA peak."`
	Version       versionCommand       `cmd:"" help:"Print the version."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// terminal is where a command writes: results to out, progress to err.
type terminal struct {
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(execute(ctx, os.Args[1:], terminal{out: os.Stdout, err: os.Stderr}))
}

// execute runs one command line and returns the exit code: 0, or 1 when the
// command failed, or 2 when the command line is wrong.
func execute(ctx context.Context, args []string, term terminal) int {
	exited := -1
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("ddu"),
		kong.Description("Deterministic uncertainty: train, judge and ship image classifiers that know what they do not know."),
		kong.Vars{"version": versionText()},
		kong.Writers(term.out, term.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term),
	)
	if err != nil {
		return fail(term, err, 2)
	}
	if len(args) > 0 && args[0] == completeWords {
		printCandidates(term.out, parser.Model, args[1:])
		return 0
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(publishedArguments(args))
	switch {
	case exited >= 0: // --help has printed what was asked for
		return exited
	case err != nil:
		return fail(term, fmt.Errorf("%w (see ddu --help)", err), 2)
	}
	err = command.Run()
	switch {
	case errors.Is(err, context.Canceled):
		return fail(term, errors.New("stopped"), 1)
	case err != nil:
		return fail(term, err, 1)
	}
	return 0
}

// fail prints err: one line, or one for each thing that is wrong with an
// experiment file.
func fail(term terminal, err error, code int) int {
	for line := range strings.Lines(strings.TrimSpace(err.Error())) {
		fmt.Fprintf(term.err, "ddu: %s\n", strings.TrimRight(line, "\n"))
	}
	return code
}

// engineFlags choose how kernels run; they are the same for every command.
type engineFlags struct {
	Threads *int   `help:"Threads to use (default: all cores)." placeholder:"N"`
	ISA     string `name:"isa" help:"Use at most this instruction-set level: portable, neon, avx2, avx512, amx (default: the best this CPU has)." placeholder:"LEVEL"`
	Conv    string `name:"conv" help:"How 3x3 convolutions are computed: auto (default), direct or winograd." placeholder:"ALGORITHM"`
}

// apply sets what the flags say for commands without an experiment file.
func (f engineFlags) apply() error {
	isa, threads := f.ISA, 0
	if isa == "auto" {
		isa = ""
	}
	if f.Threads != nil {
		threads = *f.Threads
	}
	return bench.UseEngine(isa, threads, f.Conv)
}
