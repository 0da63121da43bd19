package experiments

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// The published scripts keep weights in files NAME_SEED_EPOCH.model and look for
// them in folders Run1, Run2, ... of which each holds a network, or the networks
// of an ensemble.

// publishedFile is the name of a file of weights: "wide_resnet_sn_3.0_mod_1_350.model".
func publishedFile(name string, seed uint64, epoch int) string {
	return fmt.Sprintf("%s_%d_%d.model", name, seed, epoch)
}

// networkSeed is the seed of one network: they follow one another over the
// members of a run, then over the runs.
func networkSeed(cfg *config.Config, run, member int) uint64 {
	return cfg.Seed + uint64(run*cfg.Runs.Ensemble+member)
}

// weightsOf returns the path of the weights of every network that is to be
// evaluated, by run and member; nil when they are to be trained.
func weightsOf(cfg *config.Config) ([][]string, error) {
	path := cfg.Model.Checkpoint
	switch {
	case path == "":
		return nil, nil
	case isFile(filepath.Join(path, configFile)):
		return runFolderWeights(cfg)
	case isFolder(filepath.Join(path, "Run1")):
		return eachRun(cfg, func(run int, paths []string) error { return publishedRun(cfg, run, paths) })
	}
	return [][]string{{path}}, checkSingle(cfg)
}

// runFolderWeights finds the networks of a run folder.
func runFolderWeights(cfg *config.Config) ([][]string, error) {
	folder := Folder(cfg.Model.Checkpoint)
	held, err := LoadRun(folder)
	if err != nil {
		return nil, err
	}
	if err := checkTrained(cfg, held); err != nil {
		return nil, err
	}
	if err := checkHeld(cfg, held.Runs); err != nil {
		return nil, err
	}
	return eachRun(cfg, func(run int, paths []string) error {
		for m := range paths {
			paths[m] = string(folder.member(run, m, held.Runs.Count, held.Runs.Ensemble))
			if _, err := weightsFile(paths[m]); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachRun fills in the paths of the networks of every run.
func eachRun(cfg *config.Config, fill func(run int, paths []string) error) ([][]string, error) {
	paths := make([][]string, cfg.Runs.Count)
	for r := range paths {
		paths[r] = make([]string, cfg.Runs.Ensemble)
		if err := fill(r, paths[r]); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// checkTrained refuses to evaluate the networks of a run folder as what they are not:
// another seed would fit the temperature to images they were trained on, another coeff
// scale their weights.
func checkTrained(cfg, run *config.Config) error {
	trained := *cfg
	trained.Seed, trained.Model = run.Seed, run.Model
	// Only training knows of these, or of any path.
	trained.Model.Checkpoint, trained.Model.Dropout, trained.Model.PowerIterations = cfg.Model.Checkpoint, cfg.Model.Dropout, cfg.Model.PowerIterations
	if changed := config.Changed(&trained, cfg); len(changed) > 0 {
		return fmt.Errorf("the run in %s was trained with other settings (%s): evaluate it with its own", cfg.Model.Checkpoint, strings.Join(changed, "; "))
	}
	return nil
}

// checkSingle refuses a path of one network, or of nothing, where several are to be
// evaluated, and a folder of the published layout that is one too deep.
func checkSingle(cfg *config.Config) error {
	path, runs := cfg.Model.Checkpoint, cfg.Runs
	networks := runs.Count * runs.Ensemble
	if !isFolder(path) {
		if networks == 1 {
			return nil // reading it will tell what is wrong
		}
		return fmt.Errorf("%s is not a folder, and runs.count (--runs) and runs.ensemble (--ensemble) ask for %d x %d networks: want the folder that Run1 is in, or both to be 1", path, runs.Count, runs.Ensemble)
	}
	_, err := weightsFile(path)
	if networks == 1 && err == nil {
		return nil
	}
	if name, ok := publishedFolder(path); ok && err != nil {
		return fmt.Errorf("%s holds no folder Run1: want the folder that %s is in", path, name)
	}
	if networks == 1 {
		return err
	}
	return fmt.Errorf("%s holds no folder Run1, and runs.count (--runs) and runs.ensemble (--ensemble) ask for %d x %d networks: want Run1/%s and so on", path, runs.Count, runs.Ensemble, publishedFile(cfg.Model.RunName(), cfg.Seed, cfg.Train.Epochs))
}

// publishedFolder returns the name of a folder that is called Run1, Run2, ...
func publishedFolder(path string) (name string, ok bool) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // of "."
	}
	name = filepath.Base(path)
	number, ok := strings.CutPrefix(name, "Run")
	_, err := strconv.ParseUint(number, 10, 32)
	return name, ok && err == nil
}

// checkHeld refuses to evaluate other networks than a run folder holds.
func checkHeld(cfg *config.Config, held config.Runs) error {
	what := "1 network"
	switch {
	case held.Count > 1 && held.Ensemble > 1:
		what = fmt.Sprintf("%d ensembles of %d networks", held.Count, held.Ensemble)
	case held.Ensemble > 1:
		what = fmt.Sprintf("an ensemble of %d networks", held.Ensemble)
	case held.Count > 1:
		what = fmt.Sprintf("%d networks", held.Count)
	}
	path, runs := cfg.Model.Checkpoint, cfg.Runs
	switch {
	case runs.Count > held.Count:
		return fmt.Errorf("%s holds %s, runs.count asks for %d (--runs)", path, what, runs.Count)
	case runs.Ensemble > held.Ensemble:
		return fmt.Errorf("%s holds %s, runs.ensemble asks for %d (--ensemble)", path, what, runs.Ensemble)
	case runs.Ensemble < held.Ensemble && runs.Count > 1: // seeds count over whole ensembles
		return fmt.Errorf("%s holds %s, runs.ensemble asks for %d (--ensemble): want %d, or runs.count = 1 (--runs)", path, what, runs.Ensemble, held.Ensemble)
	}
	return nil
}

// publishedRun fills in the files of one run. Those of ensembles may be called
// as the published training calls them, or as its evaluation looks for them:
// without _sn and _mod, and with seeds from 1 on.
func publishedRun(cfg *config.Config, run int, paths []string) error {
	folder := filepath.Join(cfg.Model.Checkpoint, "Run"+strconv.Itoa(run+1))
	fill := func(name string, first uint64) (missing string) {
		for m := range paths {
			paths[m] = filepath.Join(folder, publishedFile(name, first+uint64(m), cfg.Train.Epochs))
			if missing == "" && !isFile(paths[m]) {
				missing = paths[m]
			}
		}
		return missing
	}
	missing := fill(cfg.Model.RunName(), networkSeed(cfg, run, 0))
	if missing == "" {
		return nil
	}
	if len(paths) == 1 {
		return fmt.Errorf("there is no file %s", missing)
	}
	if other := fill(cfg.Model.Name, uint64(run*len(paths)+1)); other != "" {
		if other != missing {
			return fmt.Errorf("there is no file %s, nor %s", missing, other)
		}
		return fmt.Errorf("there is no file %s", missing)
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// savedEpochs lists the epochs whose weights go to train.save_path.
func savedEpochs(c config.Train) []int {
	if c.SavePath == "" {
		return nil
	}
	var epochs []int
	for e := c.SaveInterval; e < c.Epochs; e += c.SaveInterval {
		epochs = append(epochs, e)
	}
	return append(epochs, c.Epochs)
}

// savedFile is the path of what a network leaves in train.save_path after an epoch.
func savedFile(cfg *config.Config, seed uint64, epoch int) string {
	return filepath.Join(cfg.Train.SavePath, publishedFile(cfg.Model.RunName(), seed, epoch))
}

// checkSavePath refuses a folder that cannot be written, before hours of training, and
// to write over the weights of another training. before is the run that is resumed, nil
// for a new one.
func checkSavePath(cfg, before *config.Config, o Options) error {
	files, err := unsavedFiles(cfg, o)
	if err != nil || len(files) == 0 {
		return err
	}
	if err := checkWritable(cfg.Train.SavePath); err != nil {
		return cfg.At("train.save_path", err)
	}
	if o.Replace || before != nil && before.Train.SavePath != "" && filepath.Clean(before.Train.SavePath) == filepath.Clean(cfg.Train.SavePath) {
		return nil
	}
	for _, file := range files {
		_, err := os.Stat(file)
		if err == nil {
			err = fmt.Errorf("%s is there already: move it, or choose another folder", file)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return cfg.At("train.save_path", err)
		}
	}
	return nil
}

// unsavedFiles lists what a run has still to write to train.save_path.
func unsavedFiles(cfg *config.Config, o Options) ([]string, error) {
	var files []string
	for r := range cfg.Runs.Count {
		for m := range cfg.Runs.Ensemble {
			last := 0
			if o.Resume {
				done, err := checkpoints(o.Folder.member(r, m, cfg.Runs.Count, cfg.Runs.Ensemble))
				if err != nil {
					return nil, err
				}
				last = slices.Max(append(done, 0))
			}
			for _, epoch := range savedEpochs(cfg.Train) {
				file := savedFile(cfg, networkSeed(cfg, r, m), epoch)
				if epoch > last || epoch == last && (o.Replace || !isFile(file)) {
					files = append(files, file)
				}
			}
		}
	}
	return files, nil
}

// checkWritable makes a folder, if it is not there, and tries to write a file in it.
func checkWritable(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var file *os.File
		if file, err = os.CreateTemp(dir, ".ddu.*.tmp"); err == nil {
			err = cmp.Or(file.Close(), os.Remove(file.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("%w: want a folder that can be written", err)
	}
	return nil
}

// saveLate writes the weights of a restored epoch, where they are due and an earlier
// start of the run left none.
func (t *trainer) saveLate(replace bool) error {
	if !replace && isFile(savedFile(t.cfg, t.seed, len(t.history))) {
		return nil
	}
	return t.savePublished()
}

// savePublished writes the weights of the epochs done so far, if they are due,
// and the training losses beside them.
func (t *trainer) savePublished() error {
	epoch := len(t.history)
	if !slices.Contains(savedEpochs(t.cfg.Train), epoch) {
		return nil
	}
	if err := t.writePublished(epoch); err != nil {
		return t.cfg.At("train.save_path", fmt.Errorf("%w; the checkpoint of epoch %d is kept: resume the run when the folder can be written, or with another", err, epoch))
	}
	return nil
}

func (t *trainer) writePublished(epoch int) error {
	dir := t.cfg.Train.SavePath
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	losses := make(map[int]float64, epoch) // by epoch, counted from 0
	for i, m := range t.history {
		losses[i] = m.TrainLoss
	}
	data, err := json.Marshal(losses)
	if err != nil {
		return err
	}
	// Before the weights: where these are, nothing is left to write.
	if err := writeBytes(filepath.Join(dir, fmt.Sprintf("%s_%d_train_loss.json", t.cfg.Model.RunName(), t.seed)), append(data, '\n')); err != nil {
		return err
	}
	weights := (&checkpoint.File{Entries: nn.StateDict(t.network)}).WithPrefix(checkpoint.Parallel)
	return checkpoint.Write(savedFile(t.cfg, t.seed, epoch), weights, checkpoint.Torch)
}
