package experiments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/experiments/scores"
)

// RunFolder returns the run folder that a path stands for: the path, or the
// folder that its score files, or one of them, are in.
func RunFolder(path string) (Folder, error) {
	at := filepath.Clean(path)
	if _, err := os.Stat(at); err != nil {
		return "", err
	}
	// DIR[/runN][/memberN]/scores/SET_PART.safetensors
	for range 5 {
		if isFile(filepath.Join(at, configFile)) {
			return Folder(at), nil
		}
		parent := filepath.Dir(at)
		if parent == at {
			break
		}
		at = parent
	}
	return "", fmt.Errorf("%s belongs to no run: there is no %s in it or above", path, configFile)
}

// Reevaluate computes the results of the run in a folder again, from its score
// files: no network runs and no data set is read. Overrides are as config.Parse
// takes them; what they change must not change the scores. Results and figures
// go to the folder out; "" writes nothing.
func Reevaluate(f Folder, out Folder, overrides ...string) (*Summary, error) {
	before, err := LoadRun(f)
	if err != nil {
		return nil, err
	}
	cfg, err := LoadRun(f, overrides...)
	if err != nil {
		return nil, err
	}
	before.Eval.Methods, before.Eval.Temperature, before.Data.OOD = cfg.Eval.Methods, cfg.Eval.Temperature, cfg.Data.OOD
	if changed := config.Changed(before, cfg); len(changed) > 0 {
		return nil, fmt.Errorf("the scores in %s would be others with %s: run it again", f, strings.Join(changed, "; "))
	}
	if len(cfg.Eval.Methods) == 0 {
		return nil, fmt.Errorf("%s was only trained: evaluate it with ddu evaluate --load-path, or go on with ddu run --resume --out %s --set eval.methods=softmax,energy,ddu", f, f)
	}
	var runs []*report.Run
	for r := range cfg.Runs.Count {
		members := make([]report.Member, cfg.Runs.Ensemble)
		for m := range members {
			if members[m], err = keptScores(f.member(r, m, cfg.Runs.Count, cfg.Runs.Ensemble), cfg); err != nil {
				return nil, err
			}
		}
		run, err := evaluateMembers(cfg, members)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		runs = append(runs, run)
	}
	if out == "" {
		return sumUp(cfg, f, runs)
	}
	if err := prepareFolder(cfg, Options{Folder: out}); err != nil {
		return nil, err
	}
	return write(cfg, out, runs)
}

func evaluateMembers(cfg *config.Config, members []report.Member) (*report.Run, error) {
	return report.Evaluate(members, report.Options{Methods: cfg.Eval.Methods, GridTemperature: cfg.Eval.Temperature == "grid"})
}

// keptScores reads what one network of a run said.
func keptScores(f Folder, cfg *config.Config) (r report.Member, err error) {
	dir := f.path("scores")
	names, err := scoredSets(dir, scores.Validation)
	if err != nil {
		return r, err
	}
	if len(names) != 1 {
		return r, fmt.Errorf("%s: %d files of validation scores, want one: the run has not come to its end", dir, len(names))
	}
	name := names[0]
	if r.Validation, err = scores.Load(dir, name, scores.Validation); err != nil {
		return r, err
	}
	if r.Test, err = scores.Load(dir, name, scores.Test); err != nil {
		return r, err
	}
	ood, err := scoredOOD(dir, name, cfg)
	if err != nil {
		return r, err
	}
	for _, other := range ood {
		set, err := scores.Load(dir, other, scores.Test)
		if err != nil {
			return r, err
		}
		r.OOD = append(r.OOD, set)
	}
	return r, nil
}

// scoredOOD lists the sets out of distribution of which there are scores, those
// that the configuration names first and in its order.
func scoredOOD(dir, in string, cfg *config.Config) ([]string, error) {
	found, err := scoredSets(dir, scores.Test)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(n string) bool { return n == in })
	var list []string
	for _, name := range cfg.Data.OOD {
		plain, err := dataset.PlainName(name)
		if err != nil {
			return nil, cfg.At("data.ood", err)
		}
		if !slices.Contains(found, plain) {
			return nil, cfg.At("data.ood", fmt.Errorf("there are no scores of %s in %s, only of %s", plain, dir, strings.Join(found, ", ")))
		}
		list = append(list, plain)
	}
	return list, nil
}

// scoredSets lists the sets with scores of a part.
func scoredSets(dir string, p scores.Part) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there are no scores in %s: the run has not come to its end", dir)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), scores.FileName("", p)); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
