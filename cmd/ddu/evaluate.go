package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/deepuncertainty/ddu/experiments"
)

// evaluateCommand has the flags of the published evaluate.py, then ours.
type evaluateCommand struct {
	Finished string `arg:"" name:"run" optional:"" type:"path" help:"Run folder, or a score file in it: its results are computed again from the scores, which takes seconds. Without it networks are loaded from --load-path."`

	Seed       *uint64  `placeholder:"N" help:"Seed of the first network; required without a run folder."`
	Dataset    string   `default:"cifar10" placeholder:"NAME" help:"Data set that the networks have learnt (default: cifar10)."`
	OODDataset []string `name:"ood-dataset" default:"svhn" placeholder:"NAME" help:"Data sets to tell apart from it, with commas. Also --ood_dataset (default: svhn)."`
	DataAug    bool     `negatable:"" help:"Fit the density on augmented training images."`
	NoGPU      bool     `name:"no-gpu" help:"No effect: everything runs on the CPU."`
	Batch      int      `short:"b" default:"128" placeholder:"N" help:"Images per pass (default: 128)."`
	LoadPath   string   `default:"../Models/Normal/" placeholder:"DIR" help:"Folder with Run1/NAME_SEED_EPOCH.model, Run2/... (default: ../Models/Normal/). With --runs 1 also one file."`
	modelFlags
	Runs      int      `default:"5" placeholder:"N" help:"Runs to take the mean over (default: 5)."`
	Ensemble  int      `default:"5" placeholder:"N" help:"Networks in an ensemble (default: 5)."`
	ModelType []string `default:"softmax" placeholder:"TYPE" help:"What to evaluate: softmax, gmm or ensemble, or several with commas (default: softmax)."`

	Epoch     int    `short:"e" default:"350" placeholder:"N" help:"Epoch in the names of the files to load (default: 350)."`
	Protocol  string `default:"reference" placeholder:"NAME" help:"reference measures as the published code does, ddu as ddu run does (default: reference)."`
	DataRoot  string `name:"data-root" aliases:"dataset-root" placeholder:"DIR" help:"Folder of the data sets (default: $$DDU_DATA, else ddu/data in the user's cache folder)."`
	Out       string `type:"path" placeholder:"DIR" help:"Run folder for scores, results and figures (default: a new one in runs/, and the result files in the current folder too)."`
	Resume    bool   `help:"Go on with the evaluation in --out: sets that are scored are not scored again."`
	Quiet     bool   `short:"q" help:"No progress, only the table."`
	JSON      bool   `name:"json" help:"Print the summary as one JSON line instead of the table."`
	Precision string `default:"fp32" placeholder:"TYPE" help:"Element type of activations: fp32, bf16 or auto (default: fp32, as the published code)."`
	engineFlags
}

// methodsOf are the methods that belong to a published model type.
var methodsOf = map[string][]string{
	"softmax":  {"softmax", "msp", "energy"},
	"gmm":      {"ddu"},
	"ensemble": {"ensemble"},
}

func (c *evaluateCommand) Run(ctx context.Context, term terminal, line *kong.Context) error {
	methods, err := c.methods()
	if err != nil {
		return err
	}
	if c.Finished != "" {
		return c.again(term, givenFlags(line))
	}
	if c.Seed == nil {
		return errors.New("missing flags: --seed=N, the seed of the first network, or the folder of a run to evaluate again")
	}
	s := c.settings(methods)
	cfg, err := s.config()
	if err != nil {
		return err
	}
	o := outcome{quiet: c.Quiet, json: c.JSON, folder: c.Out, resume: c.Resume}
	if err := o.choose("evaluate_" + networkName(cfg)); err != nil {
		return err
	}
	o.without(term, "--no-gpu", c.NoGPU, "everything runs on the CPU")
	summary, err := o.run(ctx, term, cfg, s.named)
	if err != nil || c.Out != "" {
		return err
	}
	left, err := summary.CopyResults(".")
	for _, name := range left {
		fmt.Fprintf(term.err, "note: %s is there with other contents and stays as it is: the new results are in %s\n", name, filepath.Join(o.folder, name))
	}
	return err
}

// settings gives every flag its key.
func (c *evaluateCommand) settings(methods []string) settings {
	var s settings
	s.text("--seed", "seed", fmt.Sprint(*c.Seed))
	s.text("--dataset", "data.name", c.Dataset)
	s.text("--ood-dataset", "data.ood", strings.Join(c.OODDataset, ","))
	s.truth("--data-aug", "eval.augment", c.DataAug)
	s.whole("-b", "eval.batch", c.Batch)
	s.text("--load-path", "model.checkpoint", c.LoadPath)
	c.modelFlags.add(&s)
	s.whole("--runs", "runs.count", c.Runs)
	networks := 1
	if slices.Contains(methods, "ensemble") {
		networks = c.Ensemble
	}
	s.whole("--ensemble", "runs.ensemble", networks)
	s.text("--model-type", "eval.methods", strings.Join(methods, ","))
	s.whole("--epoch", "train.epochs", c.Epoch)
	s.text("--protocol", "eval.protocol", c.Protocol)
	s.text("--data-root", "data.root", c.DataRoot)
	s.text("--precision", "precision", c.Precision)
	s.engine(c.engineFlags)
	return s
}

func (c *evaluateCommand) methods() ([]string, error) {
	var list []string
	for _, name := range c.ModelType {
		methods, ok := methodsOf[name]
		if !ok {
			return nil, fmt.Errorf("--model-type: found %q, want softmax, gmm or ensemble, or several with commas", name)
		}
		if slices.Contains(list, methods[0]) {
			return nil, fmt.Errorf("--model-type: found %s twice", name)
		}
		list = append(list, methods...)
	}
	return list, nil
}

// again evaluates a run that has scores.
func (c *evaluateCommand) again(term terminal, given []string) error {
	var s settings
	for _, flag := range given {
		switch flag {
		case "ood-dataset":
			s.text("--ood-dataset", "data.ood", strings.Join(c.OODDataset, ","))
		case "model-type":
			methods, err := c.methods()
			if err != nil {
				return err
			}
			s.text("--model-type", "eval.methods", strings.Join(methods, ","))
		case "out", "quiet", "json":
		default:
			return fmt.Errorf("--%s has no meaning for the scores of %s, which are there already: want --model-type, --ood-dataset, --out, --quiet or --json", flag, c.Finished)
		}
	}
	folder, err := experiments.RunFolder(c.Finished)
	if err != nil {
		return err
	}
	summary, err := experiments.Reevaluate(folder, experiments.Folder(c.Out), s.overrides()...)
	if err != nil {
		return s.named(err)
	}
	return outcome{quiet: c.Quiet || c.Out == "", json: c.JSON, noScores: true}.print(term, summary)
}

// givenFlags lists the flags that are on the command line.
func givenFlags(line *kong.Context) []string {
	var names []string
	for _, p := range line.Path {
		if p.Flag != nil {
			names = append(names, p.Flag.Name)
		}
	}
	return names
}
