package experiments

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepuncertainty/ddu/experiments/tensorboard"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// A checkpoint is a folder checkpoint/epoch-N with all that training needs to
// go on to the same bits. It is written under another name and renamed when it
// is whole; then those before are removed.
const (
	modelFile     = "model.safetensors"
	optimizerFile = "optimizer.safetensors"
	stateFile     = "state.json"
)

// trainingState is the part of a checkpoint that is not a tensor. Everything
// else (batch order, augmentation, dropout) follows from seed and epoch.
type trainingState struct {
	Seed    uint64         `json:"seed"`
	Epoch   int            `json:"epoch"` // epochs done
	History []EpochMetrics `json:"history"`
}

func checkpointName(epoch int) string { return fmt.Sprintf("epoch-%04d", epoch) }

// save writes the checkpoint of the epochs done so far.
func (t *trainer) save() error {
	epoch := len(t.history)
	root := t.folder.path("checkpoint")
	temp := filepath.Join(root, "."+checkpointName(epoch)+".tmp")
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return err
	}
	if err := t.write(temp); err != nil {
		os.RemoveAll(temp)
		return err
	}
	// The log comes first: a restart drops what is in it beyond the checkpoint,
	// but could not make up what is missing.
	if err := t.logEpoch(); err != nil {
		return err
	}
	target := filepath.Join(root, checkpointName(epoch))
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.Rename(temp, target); err != nil {
		return err
	}
	return t.removeCheckpointsBefore(epoch)
}

// removeCheckpointsBefore removes older checkpoints: one, or more after a stop
// between renaming and removing.
func (t *trainer) removeCheckpointsBefore(epoch int) error {
	epochs, err := checkpoints(t.folder)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		if e < epoch {
			if err := os.RemoveAll(t.folder.path("checkpoint", checkpointName(e))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *trainer) write(dir string) error {
	model := &checkpoint.File{Entries: nn.StateDict(t.network), Metadata: map[string]string{"format": "pt"}}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, modelFile), model); err != nil {
		return err
	}
	optimizer := &checkpoint.File{Entries: t.optimizer.State()}
	if err := checkpoint.WriteSafetensors(filepath.Join(dir, optimizerFile), optimizer); err != nil {
		return err
	}
	state, err := json.MarshalIndent(trainingState{Seed: t.seed, Epoch: len(t.history), History: t.history}, "", "  ")
	if err != nil {
		return err
	}
	return writeBytes(filepath.Join(dir, stateFile), append(state, '\n'))
}

// restore takes up the newest checkpoint, if there is one, and makes the epoch
// log agree with it: a stop may have fallen between the two.
func (t *trainer) restore() error {
	dir, err := newestCheckpoint(t.folder)
	if err != nil {
		return err
	}
	if dir == "" {
		return t.rewriteLog()
	}
	fail := func(err error) error { return fmt.Errorf("checkpoint %s: %w", dir, err) }
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return fail(err)
	}
	var state trainingState
	if err := json.Unmarshal(data, &state); err != nil {
		return fail(fmt.Errorf("%s: %w", stateFile, err))
	}
	if state.Seed != t.seed || state.Epoch != len(state.History) {
		return fail(fmt.Errorf("%s holds seed %d and %d of %d epochs, want seed %d and as many metrics as epochs", stateFile, state.Seed, len(state.History), state.Epoch, t.seed))
	}
	if err := loadNetwork(t.network, filepath.Join(dir, modelFile)); err != nil {
		return fail(err)
	}
	optimizer, err := checkpoint.ReadSafetensors(filepath.Join(dir, optimizerFile))
	if err != nil {
		return fail(err)
	}
	if err := t.optimizer.LoadState(optimizer.Entries); err != nil {
		return fail(err)
	}
	t.history = state.History
	return t.rewriteLog()
}

// newestCheckpoint returns the folder of the last whole checkpoint, "" if none.
func newestCheckpoint(f Folder) (string, error) {
	epochs, err := checkpoints(f)
	if len(epochs) == 0 || err != nil {
		return "", err
	}
	return f.path("checkpoint", checkpointName(slices.Max(epochs))), nil
}

// checkpoints lists the epochs whose checkpoints are whole.
func checkpoints(f Folder) ([]int, error) {
	entries, err := os.ReadDir(f.path("checkpoint"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var epochs []int
	for _, e := range entries {
		var epoch int
		if _, err := fmt.Sscanf(e.Name(), "epoch-%d", &epoch); err == nil && e.IsDir() && e.Name() == checkpointName(epoch) {
			epochs = append(epochs, epoch)
		}
	}
	return epochs, nil
}

// weightsFile returns the file of weights that a path stands for: the path, or
// the last checkpoint when it is a run folder, or the weights in a checkpoint.
func weightsFile(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path, nil // reading it will tell what is wrong
	}
	dir, err := newestCheckpoint(Folder(path))
	if err != nil {
		return "", err
	}
	if dir == "" {
		dir = path
	}
	file := filepath.Join(dir, modelFile)
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("%s is a folder without a checkpoint, want a file of weights or the folder of one trained network", path)
	}
	return file, nil
}

// readWeights reads a file of weights, of torch.save or safetensors, or those in
// a folder as weightsFile takes it.
func readWeights(path string) (*checkpoint.File, error) {
	path, err := weightsFile(path)
	if err != nil {
		return nil, err
	}
	return checkpoint.Read(path)
}

// loadNetwork fills network with the weights at path.
func loadNetwork(network nn.Network, path string) error {
	file, err := readWeights(path)
	if err != nil {
		return err
	}
	if err := nn.LoadStateDict(network, file.Entries); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// logEpoch appends the last epoch to metrics.jsonl and to the event file.
func (t *trainer) logEpoch() error {
	last := t.history[len(t.history)-1]
	line, err := json.Marshal(last)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(t.folder.path("metrics.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	var scalars []tensorboard.Scalar
	add := func(tag string, value float64) {
		scalars = append(scalars, tensorboard.Scalar{Tag: tag, Value: float32(value)})
	}
	add("train/loss", last.TrainLoss)
	add("train/accuracy", last.TrainAccuracy)
	add("train/lr", last.LearningRate)
	if last.ValidationLoss != nil && last.ValidationAccuracy != nil {
		add("validation/loss", *last.ValidationLoss)
		add("validation/accuracy", *last.ValidationAccuracy)
	}
	return t.events.Add(int64(last.Epoch), scalars...)
}

// openEvents opens the TensorBoard file for the epochs to come.
func (t *trainer) openEvents() (err error) {
	t.events, err = tensorboard.Open(string(t.folder), int64(len(t.history)))
	return err
}

// rewriteLog makes metrics.jsonl hold exactly the restored epochs.
func (t *trainer) rewriteLog() error {
	return checkpoint.WriteFile(t.folder.path("metrics.jsonl"), func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		for _, m := range t.history {
			if err := encoder.Encode(m); err != nil {
				return err
			}
		}
		return nil
	})
}
