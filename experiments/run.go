// Package experiments runs experiments: it trains the networks that a
// config.Config describes, fits their feature densities, scores the test sets
// and writes a run folder with everything that came out.
package experiments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
)

// Options say where and how to run.
type Options struct {
	Folder   Folder
	Resume   bool     // go on with the run in Folder instead of starting one
	Replace  bool     // write over files that are in train.save_path already
	Observer Observer // nil: nobody
	// Trace is told once what a step of the first network to be trained spends
	// its time on: the sixth step, or the last of a shorter epoch. nil: nobody.
	Trace func(*trace.Recorder)
}

// Summary is what a finished run comes to.
type Summary struct {
	Folder  Folder       `json:"folder"`
	Dataset string       `json:"dataset"`
	Rows    []report.Row `json:"rows,omitempty"`
	Results []string     `json:"results,omitempty"` // files in Folder
	Models  []string     `json:"models,omitempty"`  // files in train.save_path
}

// Text is the table of the summary for a terminal, or the files of weights where
// nothing was measured.
func (s *Summary) Text() string {
	if len(s.Rows) > 0 {
		return report.Text(s.Dataset, s.Rows)
	}
	text := ""
	for _, file := range s.Models {
		text += file + "\n"
	}
	return text
}

// CopyResults writes the result files into the folder dir too, but over no file with
// other contents: it returns the names of those that it left alone.
func (s *Summary) CopyResults(dir string) (left []string, err error) {
	for _, name := range s.Results {
		data, err := os.ReadFile(s.Folder.path(name))
		if err != nil {
			return left, err
		}
		to := filepath.Join(dir, name)
		switch there, err := os.ReadFile(to); {
		case errors.Is(err, os.ErrNotExist):
			if err := writeBytes(to, data); err != nil {
				return left, err
			}
		case err != nil:
			return left, err
		case !bytes.Equal(there, data):
			left = append(left, name)
		}
	}
	return left, nil
}

// Run runs an experiment to its end. When ctx is done it stops after the batch
// in hand with ctx's error; the checkpoints of the epochs before are whole, and
// Resume goes on from the last one to the same bits.
func Run(ctx context.Context, cfg *config.Config, o Options) (*Summary, error) {
	if o.Observer == nil {
		o.Observer = silent{}
	}
	cfg, err := useEngine(cfg)
	if err != nil {
		return nil, err
	}
	sets, err := openSets(cfg)
	if err != nil {
		return nil, err
	}
	weights, err := weightsOf(cfg)
	if err != nil {
		return nil, cfg.At("model.checkpoint", err)
	}
	if err := checkNetwork(cfg, sets.train, weights); err != nil {
		return nil, err
	}
	var before *config.Config
	if o.Resume {
		if before, err = checkResume(cfg, o.Folder); err != nil {
			return nil, err
		}
		noteThreads(cfg, o.Observer)
	}
	if weights == nil {
		if err := checkSavePath(cfg, before, o); err != nil {
			return nil, err
		}
	}
	if err := prepareFolder(cfg, o); err != nil {
		return nil, err
	}
	var runs []*report.Run
	for r := range cfg.Runs.Count {
		members := make([]report.Member, cfg.Runs.Ensemble)
		for m := range members {
			e := newMember(cfg, sets, o, r, m)
			if weights != nil {
				e.weights = weights[r][m]
			}
			if members[m], err = e.run(ctx); err != nil {
				return nil, err
			}
		}
		if len(cfg.Eval.Methods) == 0 {
			continue
		}
		run, err := evaluateMembers(cfg, members)
		if err != nil {
			return nil, err
		}
		warnOfTemperatures(o.Observer, run)
		runs = append(runs, run)
	}
	if len(runs) == 0 {
		return trained(cfg, o.Folder, sets.train.Name), nil
	}
	return write(cfg, o.Folder, runs)
}

// trained sums up a run that only trained.
func trained(cfg *config.Config, f Folder, name string) *Summary {
	s := &Summary{Folder: f, Dataset: name}
	s.addModels(cfg)
	return s
}

// addModels lists the files of the networks that are in train.save_path.
func (s *Summary) addModels(cfg *config.Config) {
	if cfg.Model.Checkpoint != "" {
		return
	}
	for r := range cfg.Runs.Count {
		for m := range cfg.Runs.Ensemble {
			for _, epoch := range savedEpochs(cfg.Train) {
				if file := savedFile(cfg, networkSeed(cfg, r, m), epoch); isFile(file) {
					s.Models = append(s.Models, file)
				}
			}
		}
	}
}

// checkNetwork builds the network and loads all weights that are to be evaluated, one
// after the other, so that what cannot work is refused before the run folder is made.
func checkNetwork(cfg *config.Config, train *dataset.Set, weights [][]string) error {
	network, err := buildNetwork(cfg, train, cfg.Seed)
	if err != nil {
		return err
	}
	for _, run := range weights {
		for _, path := range run {
			if err := loadNetwork(network, path); err != nil {
				return cfg.At("model.checkpoint", err)
			}
		}
	}
	return nil
}

// useEngine sets level and threads as the configuration says and returns it with
// the level and precision that are used: a run can only be resumed to the same bits
// with those.
func useEngine(cfg *config.Config) (*config.Config, error) {
	if err := kernels.EnvironmentError(); err != nil {
		return nil, err
	}
	if cfg.ISA != "auto" {
		level, err := kernels.ParseLevel(cfg.ISA)
		if err == nil {
			err = kernels.SetLevel(level)
		}
		if err != nil {
			return nil, cfg.At("isa", err)
		}
	}
	if cfg.Threads != 0 {
		if err := kernels.SetThreads(cfg.Threads); err != nil {
			return nil, cfg.At("threads", err)
		}
	}
	algorithm, err := kernels.ParseConvAlgorithm(cfg.Conv)
	if err == nil {
		err = kernels.SetConvAlgorithm(algorithm)
	}
	if err != nil {
		return nil, cfg.At("conv", err)
	}
	precision, err := nn.ParsePrecision(cfg.Precision)
	if err != nil {
		return nil, cfg.At("precision", err)
	}
	used := *cfg
	used.ISA, used.Precision = kernels.CurrentLevel().String(), nn.PrecisionName(precision)
	return &used, nil
}

// noteThreads tells that a run goes on with fewer threads than there are processors:
// the setting may come from an earlier resume.
func noteThreads(cfg *config.Config, observer Observer) {
	if n := runtime.GOMAXPROCS(0); cfg.Threads != 0 && cfg.Threads < n {
		observer.Note(fmt.Sprintf("on %d of %d processors, as the run's setting threads = %d says (--threads changes it)", cfg.Threads, n, cfg.Threads))
	}
}

const configFile = "config.toml"

// prepareFolder starts the run folder, or records the settings with which the run in
// it goes on.
func prepareFolder(cfg *config.Config, o Options) error {
	if !o.Resume {
		if err := o.Folder.create(); err != nil {
			return err
		}
	}
	resolved, err := cfg.Resolved()
	if err != nil {
		return err
	}
	if err := writeBytes(o.Folder.path(configFile), resolved); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return nil
}

// checkResume refuses to go on with other settings than the run began with,
// other than those that do not affect its results. It returns those that it had.
func checkResume(cfg *config.Config, f Folder) (*config.Config, error) {
	before, err := LoadRun(f)
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	same := *before
	// None of these changes a bit of the results.
	same.Threads, same.Data.Root = cfg.Threads, cfg.Data.Root
	same.Train.SavePath, same.Train.SaveInterval = cfg.Train.SavePath, cfg.Train.SaveInterval
	// What is measured may change: networks and scores stay as they are.
	same.Data.OOD, same.Eval.Methods, same.Eval.Temperature = cfg.Data.OOD, cfg.Eval.Methods, cfg.Eval.Temperature
	if changed := config.Changed(&same, cfg); len(changed) > 0 {
		return nil, fmt.Errorf("resume: the run in %s began with other settings (%s): resume it with its own, or start a run in another folder", f, strings.Join(changed, "; "))
	}
	return before, nil
}

// LoadRun reads the configuration of the run in a folder, with overrides as
// config.Parse takes them.
func LoadRun(f Folder, overrides ...string) (*config.Config, error) {
	path := f.path(configFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no run: there is no %s in it", f, configFile)
	}
	if err != nil {
		return nil, err
	}
	return config.Parse(path, data, overrides...)
}

// warnOfTemperatures tells when a temperature ran into its limit.
func warnOfTemperatures(o Observer, run *report.Run) {
	for i, t := range run.Temperatures {
		if t.AtLimit {
			o.Note(fmt.Sprintf("the temperature of network %d is at its limit, %.4g: its logits say little about its accuracy", i+1, t.T))
		}
	}
}
