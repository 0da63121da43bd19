package experiments

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepuncertainty/ddu/experiments/config"
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

// A folder that cannot be written is refused before anything is trained.
func TestSavePathThatCannotBeWritten(t *testing.T) {
	root, dir := tinyRoot(t, 50), t.TempDir()
	writeFile(t, nil, dir, "file")
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a file": filepath.Join(dir, "file"), "below a file": filepath.Join(dir, "file", "models"), "no permission": closed} {
		t.Run(name, func(t *testing.T) {
			if name == "no permission" && os.Geteuid() <= 0 {
				t.Skip("this user may write everywhere, or there are no permissions")
			}
			f := Folder(filepath.Join(t.TempDir(), "run"))
			_, err := Run(t.Context(), parse(t, tinyLeNet, root, "train.save_path="+path), Options{Folder: f})
			wantError(t, err, "train.save_path: ", dir, "want a folder that can be written")
			if isFolder(string(f)) {
				t.Error("the run folder was made")
			}
		})
	}
}

// blockAt puts a file where train.save_path was, once an epoch is on disk.
type blockAt struct {
	silent
	t     *testing.T
	epoch int
	path  string
}

func (b blockAt) Epoch(m EpochMetrics) {
	if m.Epoch != b.epoch {
		return
	}
	if err := os.RemoveAll(b.path); err != nil {
		b.t.Fatal(err)
	}
	writeFile(b.t, nil, b.path)
}

// No epoch is lost when its weights cannot be written; the training goes on into
// another folder, and those that were due are there.
func TestResumeIntoAnotherSavePath(t *testing.T) {
	notShort(t)
	root, dir := tinyRoot(t, 100), t.TempDir()
	settings := func(name string, more ...string) *config.Config {
		return parse(t, tinyLeNet, root, append(more, "eval.methods=[]", "train.save_interval=2", "train.save_path="+filepath.Join(dir, name))...)
	}
	mustRun(t, settings("whole"), Options{Folder: Folder(t.TempDir())})
	f := Folder(t.TempDir())
	_, err := Run(t.Context(), settings("full"), Options{Folder: f, Observer: blockAt{t: t, epoch: 2, path: filepath.Join(dir, "full")}})
	wantError(t, err, "train.save_path: ", "full", "checkpoint of epoch 2 is kept")
	writeFile(t, []byte("mine"), dir, "taken", "lenet_1_3.model")
	_, err = Run(t.Context(), settings("taken"), Options{Folder: f, Resume: true})
	wantError(t, err, "train.save_path: ", "lenet_1_3.model is there already")

	counter := &epochCounter{}
	s := mustRun(t, settings("other"), Options{Folder: f, Resume: true, Observer: counter})
	if counter.n != 1 || len(s.Models) != 2 {
		t.Errorf("%d epochs were trained, files are %q", counter.n, s.Models)
	}
	same := func(name string, files ...string) {
		t.Helper()
		for _, file := range files {
			want, err := os.ReadFile(filepath.Join(dir, "whole", file))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, name, file)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s in %s differs (%v)", file, name, err)
			}
		}
	}
	same("other", "lenet_1_2.model", "lenet_1_3.model", "lenet_1_train_loss.json")

	// When all is trained, the last file can be had again; of others only those that
	// are there are listed.
	if err := os.RemoveAll(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, "other", "lenet_1_3.model")
	for range 2 {
		if s := mustRun(t, settings("other"), Options{Folder: f, Resume: true}); len(s.Models) != 1 || s.Models[0] != last {
			t.Errorf("files are %q, want %s", s.Models, last)
		}
	}
	same("other", "lenet_1_3.model", "lenet_1_train_loss.json")
	mustRun(t, settings("each", "train.save_interval=1"), Options{Folder: f, Resume: true})
	same("each", "lenet_1_3.model")
}

type epochCounter struct {
	silent
	n int
}

func (c *epochCounter) Epoch(EpochMetrics) { c.n++ }

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
