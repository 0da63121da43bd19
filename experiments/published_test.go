package experiments

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// stopAfter cancels once an epoch is on disk.
type stopAfter struct {
	silent
	epoch int
	stop  context.CancelFunc
}

func (s stopAfter) Epoch(m EpochMetrics) {
	if m.Epoch == s.epoch {
		s.stop()
	}
}

// A training that was stopped and goes on leaves the files of one that was not.
func TestPublishedFilesAfterAStop(t *testing.T) {
	root := tinyRoot(t, 100)
	whole, stopped := t.TempDir(), t.TempDir()
	settings := func(path string) []string {
		return []string{"eval.methods=[]", "train.save_interval=2", "train.save_path=" + path}
	}
	mustRun(t, parse(t, tinyLeNet, root, settings(whole)...), Options{Folder: Folder(t.TempDir())})
	cfg, f := parse(t, tinyLeNet, root, settings(stopped)...), Folder(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	if _, err := Run(ctx, cfg, Options{Folder: f, Observer: stopAfter{epoch: 1, stop: stop}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	s := mustRun(t, cfg, Options{Folder: f, Resume: true})
	if len(s.Models) != 2 || s.Rows != nil || s.Text() != s.Models[0]+"\n"+s.Models[1]+"\n" {
		t.Errorf("summary is %+v", s)
	}
	for _, name := range []string{"lenet_1_2.model", "lenet_1_3.model", "lenet_1_train_loss.json"} {
		want, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(stopped, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	if entries, err := os.ReadDir(stopped); err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	_, err := Run(t.Context(), cfg, Options{Folder: Folder(t.TempDir())})
	wantError(t, err, "train.save_path", "lenet_1_2.model is there already")
	mustRun(t, cfg, Options{Folder: Folder(t.TempDir()), Replace: true})
}

// Dividing the loss once more by the batch size is a smaller learning rate.
func TestLossMean(t *testing.T) {
	root := tinyRoot(t, 100) // 90 to train
	plain := []string{"eval.methods=[]", "train.batch=15", "train.schedule=constant", "train.weight_decay=0", "train.epochs=2"}
	weights := func(overrides ...string) *checkpoint.File {
		f := Folder(t.TempDir())
		mustRun(t, parse(t, tinyLeNet, root, append(plain[:len(plain):len(plain)], overrides...)...), Options{Folder: f})
		file, err := checkpoint.ReadSafetensors(f.path("checkpoint", "epoch-0002", modelFile))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	want, got, other := weights("train.lr=0.02"), weights("train.lr=0.3", "train.loss_mean=true"), weights("train.lr=0.3")
	if d := distance(t, got, want); d > 1e-4 {
		t.Errorf("weights differ by %v", d)
	}
	if d := distance(t, other, want); d < 1e-2 {
		t.Errorf("weights differ by %v although the loss is another", d)
	}
}

// distance is the largest difference of two weights.
func distance(t *testing.T, a, b *checkpoint.File) float64 {
	t.Helper()
	largest := 0.0
	for i, e := range a.Entries {
		x, err := e.Float32s()
		if err != nil {
			continue // counters
		}
		y, err := b.Entries[i].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for j := range x {
			largest = math.Max(largest, math.Abs(float64(x[j]-y[j])))
		}
	}
	return largest
}

// Scores from several runs are found by the folder, its score files and what
// lies between.
func TestRunFolder(t *testing.T) {
	root := t.TempDir()
	writeFile(t, nil, root, "run", configFile)
	writeFile(t, nil, root, "run", "run2", "member1", "scores", "x_test.safetensors")
	for _, path := range []string{"run", "run/run2", "run/run2/member1/scores", "run/run2/member1/scores/x_test.safetensors"} {
		if got, err := RunFolder(filepath.Join(root, path)); err != nil || string(got) != filepath.Join(root, "run") {
			t.Errorf("%s is in %s, %v", path, got, err)
		}
	}
	_, err := RunFolder(root)
	wantError(t, err, "belongs to no run")
	_, err = RunFolder(filepath.Join(root, "nowhere"))
	wantError(t, err, "nowhere")
}

// The density on augmented images is another one; the logits are not.
func TestEvalAugment(t *testing.T) {
	root := tinyRoot(t, 200)
	first, second := Folder(t.TempDir()), Folder(t.TempDir())
	plain := []string{"train.epochs=1", "eval.methods=softmax,ddu"}
	trained := mustRun(t, parse(t, tinyWRN, root, plain...), Options{Folder: first})
	augmented := mustRun(t, parse(t, tinyWRN, root, append(plain, "eval.augment=true", "model.checkpoint="+string(first), "eval.batch=7")...), Options{Folder: second})
	if a, b := trained.Rows[0].Accuracy.Mean, augmented.Rows[0].Accuracy.Mean; a != b {
		t.Errorf("accuracy is %v and %v", a, b)
	}
	a, _, err := loadDensity(first)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := loadDensity(second)
	if err != nil {
		t.Fatal(err)
	}
	x, y, differ := a.Means().Float64s(), b.Means().Float64s(), false
	for i := range x {
		differ = differ || math.Abs(x[i]-y[i]) > 1e-3
	}
	if !differ {
		t.Error("the means are those of images without augmentation")
	}
}
