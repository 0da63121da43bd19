package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/experiments"
	"github.com/deepuncertainty/ddu/experiments/config"
)

type runCommand struct {
	File   string   `arg:"" optional:"" help:"TOML file, or the name of a preset. Without it the presets are listed."`
	Set    []string `sep:"none" placeholder:"KEY=VALUE" help:"Change one key of the file, such as train.epochs=3. May be repeated."`
	Out    string   `type:"path" placeholder:"DIR" help:"Run folder (default: a new one in runs/)."`
	Resume bool     `help:"Go on with the run in --out from its last checkpoint, to the same bits. Without FILE the settings are the run's own."`
	Seed   *uint64  `placeholder:"N" help:"Seed (the key seed)."`
	Quiet  bool     `short:"q" help:"No progress, only the table."`
	JSON   bool     `name:"json" help:"Print the summary as one JSON line instead of the table."`
	engineFlags
}

func (c *runCommand) Run(ctx context.Context, term terminal) error {
	if c.File == "" && !c.Resume {
		return listPresets(term)
	}
	if c.Resume && c.Out == "" {
		return errors.New("--resume goes on with the run in a folder: name it with --out")
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	observer, closeObserver := newObserver(term.err, c.Quiet)
	summary, err := experiments.Run(ctx, cfg, experiments.Options{Folder: c.folder(), Resume: c.Resume, Observer: observer})
	closeObserver()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped; the epochs that are done are kept: go on with ddu run --resume --out %s", c.folder())
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(summary)
	}
	_, err = fmt.Fprintf(term.out, "%s\nResults, scores and figures are in %s\n", summary.Text(), summary.Folder)
	return err
}

// config reads the file or preset and applies --set and the flags that are keys.
func (c *runCommand) config() (*config.Config, error) {
	overrides := c.Set
	if c.Seed != nil {
		overrides = append(overrides, "seed="+strconv.FormatUint(*c.Seed, 10))
	}
	if c.Threads != 0 {
		overrides = append(overrides, "threads="+strconv.Itoa(c.Threads))
	}
	if c.ISA != "" {
		overrides = append(overrides, "isa="+c.ISA)
	}
	if c.File != "" {
		return config.Load(experiments.Presets, c.File, overrides...)
	}
	cfg, err := experiments.LoadRun(experiments.Folder(c.Out))
	if err != nil {
		return nil, err
	}
	for _, o := range overrides {
		key, value, _ := strings.Cut(o, "=")
		if err := cfg.Set(key, value); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// folder returns the run folder, and fixes it when it is to be a new one.
func (c *runCommand) folder() experiments.Folder {
	if c.Out == "" {
		c.Out = string(experiments.FreshFolder(strings.TrimSuffix(filepath.Base(c.File), ".toml")))
	}
	return experiments.Folder(c.Out)
}

func listPresets(term terminal) error {
	presets, err := config.Presets(experiments.Presets)
	if err != nil {
		return err
	}
	fmt.Fprintln(term.out, "Presets (ddu run NAME):")
	for _, p := range presets {
		fmt.Fprintf(term.out, "  %-20s %s\n", p.Name, p.Doc)
	}
	return nil
}
