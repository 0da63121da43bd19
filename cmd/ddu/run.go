package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/deepuncertainty/ddu/bench"
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
		return errors.New("--resume goes on with the run in a folder: name it with --out")
	}
	cfg, err := c.config()
	if err != nil {
		return c.named(err)
	}
	options := experiments.Options{Folder: c.folder(), Resume: c.Resume}
	traced, err := traceWanted()
	if err != nil {
		return err
	}
	observer, closeObserver := newObserver(term.err, c.Quiet)
	options.Observer = observer
	if traced {
		options.Trace = bench.TracePrinter("one training step", traceNote(observer, term))
	}
	summary, err := experiments.Run(ctx, cfg, options)
	closeObserver()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped; the epochs that are done are kept: go on with ddu run --resume --out %s", shellWord(string(c.folder())))
	}
	if err != nil {
		return c.named(err)
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(summary)
	}
	text := summary.Text()
	if !c.Quiet {
		text += fmt.Sprintf("\nResults, scores and figures are in %s\n", summary.Folder)
	}
	_, err = fmt.Fprint(term.out, text)
	return err
}

// config reads the file or preset, or the settings of the run to resume, and
// applies --set and the flags that are keys.
func (c *runCommand) config() (*config.Config, error) {
	overrides := c.Set
	for key, value := range c.flagKeys() {
		overrides = append(overrides, key+"="+value)
	}
	if c.File == "" {
		return experiments.LoadRun(experiments.Folder(c.Out), overrides...)
	}
	return config.Load(experiments.Presets, c.File, overrides...)
}

// flagKeys are the keys that have flags of their own, where those are given.
func (c *runCommand) flagKeys() map[string]string {
	keys := map[string]string{}
	if c.Seed != nil {
		keys["seed"] = strconv.FormatUint(*c.Seed, 10)
	}
	if c.Threads != nil {
		keys["threads"] = strconv.Itoa(*c.Threads)
	}
	if c.ISA != "" {
		keys["isa"] = c.ISA
	}
	if c.Conv != "" {
		keys["conv"] = c.Conv
	}
	if c.Precision != "" {
		keys["precision"] = c.Precision
	}
	return keys
}

// named makes an error about a flag's key name the flag: --threads rather than
// --set threads.
func (c *runCommand) named(err error) error {
	text := err.Error()
	for key := range c.flagKeys() {
		text = strings.ReplaceAll(text, "--set "+key+": ", "--"+key+": ")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// folder returns the run folder, and fixes it when it is to be a new one.
func (c *runCommand) folder() experiments.Folder {
	if c.Out == "" {
		c.Out = string(experiments.FreshFolder(runName(c.File)))
	}
	return experiments.Folder(c.Out)
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
	if len(c.Set) > 0 || c.Out != "" || len(c.flagKeys()) > 0 {
		return errors.New("nothing to run: name a TOML file or a preset (ddu run lists the presets)")
	}
	presets, err := config.Presets(experiments.Presets)
	if err != nil {
		return err
	}
	text := "Presets (ddu run NAME):\n"
	for _, p := range presets {
		text += fmt.Sprintf("  %-20s %s\n", p.Name, p.Doc)
	}
	_, err = fmt.Fprint(term.out, text)
	return err
}
