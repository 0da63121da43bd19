package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

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

	Precision string `placeholder:"TYPE" help:"Element type of activations: auto, fp32 or bf16 (the key precision)."`
	engineFlags
}

func (c *runCommand) Run(ctx context.Context, term terminal) error {
	if c.File == "" && !c.Resume {
		return c.listPresets(term)
	}
	if c.Resume && c.Out == "" {
		return errNoFolder
	}
	cfg, err := c.config()
	if err != nil {
		return c.settings().named(err)
	}
	o := outcome{quiet: c.Quiet, json: c.JSON, folder: c.Out, resume: c.Resume}
	if err := o.choose(runName(c.File)); err != nil {
		return err
	}
	_, err = o.run(ctx, term, cfg, c.settings().named)
	return err
}

// config reads the file or preset, or the settings of the run to resume, and
// applies --set and the flags that are keys.
func (c *runCommand) config() (*config.Config, error) {
	overrides := append(c.Set[:len(c.Set):len(c.Set)], c.settings().overrides()...)
	if c.File == "" {
		return experiments.LoadRun(experiments.Folder(c.Out), overrides...)
	}
	return config.Load(experiments.Presets, c.File, overrides...)
}

// settings are the keys that have flags of their own, where those are given.
func (c *runCommand) settings() settings {
	var s settings
	if c.Seed != nil {
		s.text("--seed", "seed", strconv.FormatUint(*c.Seed, 10))
	}
	s.engine(c.engineFlags)
	if c.Precision != "" {
		s.text("--precision", "precision", c.Precision)
	}
	return s
}

// runName names a run after its file, or after the run folder that the file is
// in: every run's is called config.toml.
func runName(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".toml")
	if abs, err := filepath.Abs(file); err == nil && name == "config" {
		if parent := filepath.Base(filepath.Dir(abs)); parent != string(filepath.Separator) {
			return parent
		}
	}
	return name
}

// shellWord quotes text where a shell would take it apart.
func shellWord(text string) string {
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != filepath.Separator && !strings.ContainsRune("/._-+:,@%", r)
	}
	if text != "" && !strings.ContainsFunc(text, special) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// listPresets says what can be run. Flags without anything to run are a mistake.
func (c *runCommand) listPresets(term terminal) error {
	if len(c.Set) > 0 || c.Out != "" || len(c.settings()) > 0 {
		return errors.New("nothing to run: name a TOML file or a preset (ddu run lists the presets)")
	}
	presets, err := config.Presets(experiments.Presets)
	if err != nil {
		return err
	}
	text := "Presets (ddu run NAME):\n"
	for _, p := range presets {
		text += fmt.Sprintf("  %-28s %s\n", p.Name, p.Doc)
	}
	_, err = fmt.Fprint(term.out, text)
	return err
}
