package experiments

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if path == "" {
		return nil, nil
	}
	own := isFile(filepath.Join(path, configFile))
	published := !own && isFolder(filepath.Join(path, "Run1"))
	networks := cfg.Runs.Count * cfg.Runs.Ensemble
	if networks > 1 && !own && !published {
		if !isFolder(path) {
			return nil, fmt.Errorf("%s is not a folder, and runs.count and runs.ensemble ask for %d networks: want both to be 1, or the folder that Run1 is in", path, networks)
		}
		return nil, fmt.Errorf("%s holds no folder Run1: want Run1/%s and so on", path, publishedFile(cfg.Model.RunName(), cfg.Seed, cfg.Train.Epochs))
	}
	if own {
		if err := checkTrained(cfg); err != nil {
			return nil, err
		}
	}
	paths := make([][]string, cfg.Runs.Count)
	for r := range paths {
		paths[r] = make([]string, cfg.Runs.Ensemble)
		for m := range paths[r] {
			paths[r][m] = path
			if own {
				paths[r][m] = string(Folder(path).member(r, m, cfg.Runs.Count, cfg.Runs.Ensemble))
				if _, err := weightsFile(paths[r][m]); err != nil {
					return nil, err
				}
			}
		}
		if published {
			if err := publishedRun(cfg, r, paths[r]); err != nil {
				return nil, err
			}
		}
	}
	return paths, nil
}

// checkTrained refuses to evaluate the networks of a run folder as what they are not:
// another seed would fit the temperature to images they were trained on, another coeff
// scale their weights.
func checkTrained(cfg *config.Config) error {
	run, err := LoadRun(Folder(cfg.Model.Checkpoint))
	if err != nil {
		return err
	}
	trained := *cfg
	trained.Seed, trained.Model = run.Seed, run.Model
	// Only training knows of these, or of any path.
	trained.Model.Checkpoint, trained.Model.Dropout, trained.Model.PowerIterations = cfg.Model.Checkpoint, cfg.Model.Dropout, cfg.Model.PowerIterations
	if changed := config.Changed(&trained, cfg); len(changed) > 0 {
		return fmt.Errorf("the run in %s was trained with other settings (%s): evaluate it with its own", cfg.Model.Checkpoint, strings.Join(changed, "; "))
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

// savedFiles lists what a network leaves in train.save_path.
func savedFiles(cfg *config.Config, seed uint64) []string {
	var files []string
	for _, epoch := range savedEpochs(cfg.Train) {
		files = append(files, filepath.Join(cfg.Train.SavePath, publishedFile(cfg.Model.RunName(), seed, epoch)))
	}
	return files
}

// checkSavePath refuses to write over the weights of another training.
func checkSavePath(cfg *config.Config) error {
	for r := range cfg.Runs.Count {
		for m := range cfg.Runs.Ensemble {
			for _, file := range savedFiles(cfg, networkSeed(cfg, r, m)) {
				if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
					return cfg.At("train.save_path", fmt.Errorf("%s is there already: move it, or choose another folder", file))
				}
			}
		}
	}
	return nil
}

// savePublished writes the weights of the epochs done so far, if they are due,
// and the training losses beside them.
func (t *trainer) savePublished() error {
	c, epoch := t.cfg.Train, len(t.history)
	if c.SavePath == "" || epoch%c.SaveInterval != 0 && epoch != c.Epochs {
		return nil
	}
	if err := os.MkdirAll(c.SavePath, 0o755); err != nil {
		return err
	}
	name := t.cfg.Model.RunName()
	weights := (&checkpoint.File{Entries: nn.StateDict(t.network)}).WithPrefix(checkpoint.Parallel)
	if err := checkpoint.Write(filepath.Join(c.SavePath, publishedFile(name, t.seed, epoch)), weights, checkpoint.Torch); err != nil {
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
	return writeBytes(filepath.Join(c.SavePath, fmt.Sprintf("%s_%d_train_loss.json", name, t.seed)), append(data, '\n'))
}
