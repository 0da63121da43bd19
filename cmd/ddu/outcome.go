package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/deepuncertainty/ddu/bench"
	"github.com/deepuncertainty/ddu/experiments"
	"github.com/deepuncertainty/ddu/experiments/config"
)

// outcome says where a run goes and what is told of it.
type outcome struct {
	quiet, json bool
	folder      string // run folder
	resume      bool
	replace     bool // write over files of weights
	noScores    bool // the folder holds none: they are in that of another run
	every       stepLines
}

var errNoFolder = errors.New("--resume goes on with the run in a folder: name it with --out")

// choose takes a new folder in runs/ where none is named.
func (o *outcome) choose(name string) error {
	if o.folder == "" {
		if o.resume {
			return errNoFolder
		}
		o.folder = string(experiments.FreshFolder(name))
	}
	return nil
}

// without tells that a flag which is given has no effect.
func (o outcome) without(term terminal, flag string, given bool, why string) {
	if given && !o.quiet {
		fmt.Fprintf(term.err, "note: %s has no effect: %s\n", flag, why)
	}
}

// run runs an experiment and prints its summary. Errors name flags as named has
// them.
func (o outcome) run(ctx context.Context, term terminal, cfg *config.Config, named func(error) error) (*experiments.Summary, error) {
	traced, err := traceWanted()
	if err != nil {
		return nil, err
	}
	observer, closeObserver := newObserver(term.err, o.quiet, o.every)
	options := experiments.Options{Folder: experiments.Folder(o.folder), Resume: o.resume, Replace: o.replace, Observer: observer}
	if traced {
		options.Trace = bench.TracePrinter("one training step", traceNote(observer, term))
	}
	summary, err := experiments.Run(ctx, cfg, options)
	closeObserver()
	if errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("stopped; the epochs and scores that are done are kept: go on with ddu run --resume --out %s", shellWord(o.folder))
	}
	if err != nil {
		return nil, named(err)
	}
	return summary, o.print(term, summary)
}

// print writes the summary as one JSON line, or the table and the files.
func (o outcome) print(term terminal, s *experiments.Summary) error {
	if o.json {
		return json.NewEncoder(term.out).Encode(s)
	}
	text := s.Text()
	switch {
	case o.quiet:
	case len(s.Rows) > 0 && o.noScores:
		text += fmt.Sprintf("\nResults and figures are in %s\n", s.Folder)
	case len(s.Rows) > 0:
		text += fmt.Sprintf("\nResults, scores and figures are in %s\n", s.Folder)
	default:
		text += fmt.Sprintf("Checkpoints and curves are in %s\n", s.Folder)
	}
	_, err := fmt.Fprint(term.out, text)
	return err
}
