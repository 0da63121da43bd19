package experiments

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// listener notes what a run tells.
type listener struct {
	phases, notes []string
	epochs        []EpochMetrics
	batches       []Progress
}

func (l *listener) Phase(name string)    { l.phases = append(l.phases, name) }
func (l *listener) Note(text string)     { l.notes = append(l.notes, text) }
func (l *listener) Batch(p Progress)     { l.batches = append(l.batches, p) }
func (l *listener) Epoch(m EpochMetrics) { l.epochs = append(l.epochs, m) }

func TestRunTellsHowItGoes(t *testing.T) {
	cfg := parse(t, tinyLeNet, tinyRoot(t, 100), "train.epochs=2", "train.schedule=step", "train.milestones=1", "train.gamma=0.5")
	var l listener
	mustRun(t, cfg, Options{Folder: Folder(t.TempDir()), Observer: &l})
	phases := []string{
		"train lenet on 90 images of mnist, validate on 10",
		"fit the feature density on 90 images of mnist",
		"score 10 images of mnist (validation)",
		"score 20 images of mnist (test)",
		"score 20 images of fashion-mnist (test)",
	}
	if !slices.Equal(l.phases, phases) {
		t.Errorf("phases are %q, want %q", l.phases, phases)
	}
	// Nine images a class cannot span 84 features.
	if len(l.notes) == 0 || !strings.HasPrefix(l.notes[0], "feature density: ") || !strings.Contains(l.notes[0], "all 10 classes") {
		t.Errorf("notes are %q", l.notes)
	}
	if len(l.epochs) != 2 || l.epochs[0].Epoch != 1 || l.epochs[1].Epoch != 2 || l.epochs[1].ValidationLoss == nil {
		t.Errorf("epochs are %+v", l.epochs)
	} else if first, second := l.epochs[0].LearningRate, l.epochs[1].LearningRate; first != 0.02 || second != 0.01 {
		t.Errorf("learning rates are %v and %v, want 0.02 and 0.01", first, second)
	}
	// Every pass goes up to its total.
	type pass struct {
		epoch, total int
		validation   bool
	}
	var passes []pass
	for i, p := range l.batches {
		if p.Images > p.Total || p.Remaining < 0 || p.ImagesPerSecond <= 0 {
			t.Errorf("progress %+v", p)
		}
		this := pass{p.Epoch, p.Total, p.Validation}
		last := i+1 == len(l.batches)
		if !last {
			next := l.batches[i+1]
			last = next.Images <= p.Images || this != pass{next.Epoch, next.Total, next.Validation}
		}
		if last && p.Images != p.Total {
			t.Errorf("a pass ends at %+v", p)
		}
		if last {
			passes = append(passes, this)
		}
	}
	want := []pass{{1, 90, false}, {1, 10, true}, {2, 90, false}, {2, 10, true}, {0, 90, false}, {0, 10, false}, {0, 20, false}, {0, 20, false}}
	if !slices.Equal(passes, want) {
		t.Errorf("passes are %v, want %v", passes, want)
	}
}

// What cannot work is refused before anything is on disk.
func TestRefusedRunsLeaveNothing(t *testing.T) {
	root := tinyRoot(t, 50)
	weights := filepath.Join(t.TempDir(), "other.safetensors")
	writeFile(t, []byte("not a safetensors file"), weights)
	tests := map[string]struct {
		text      string
		overrides []string
		want      []string
	}{
		"data set that is not there":       {tinyLeNet, []string{"data.root=" + t.TempDir(), "data.ood=[]"}, []string{"data.name", "data set mnist: train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}},
		"unknown data set":                 {tinyLeNet, []string{"data.name=minst"}, []string{"data.name", "minst", "mnist"}},
		"no training part":                 {tinyLeNet, []string{"data.name=fashion-mnist-sample", "data.ood=mnist"}, []string{"data.name", "fashion-mnist-sample", "no training part"}},
		"out of distribution of its shape": {tinyLeNet, []string{"data.ood=cifar10"}, []string{"data.ood", "3x32x32", "1x28x28"}},
		"network for other images":         {tinyLeNet, []string{"data.name=cifar10", "data.ood=[]"}, []string{"model.name", "lenet", "cifar10", "32"}},
		"weights that are not there":       {tinyLeNet, []string{"model.checkpoint=" + weights + "x"}, []string{"model.checkpoint", weights + "x"}},
		"weights that are none":            {tinyLeNet, []string{"model.checkpoint=" + weights}, []string{"model.checkpoint", weights}},
		"folder without weights":           {tinyLeNet, []string{"model.checkpoint=" + root}, []string{"model.checkpoint", root, "without a checkpoint"}},
		"one network as an ensemble":       {tinyLeNet, []string{"model.checkpoint=" + weights, "runs.ensemble=2"}, []string{"model.checkpoint", "runs.ensemble", "or both to be 1"}},
		"threads":                          {tinyLeNet, []string{"threads=5000"}, []string{"threads", "5000", "1024"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, test.text, root, test.overrides...)
			f := Folder(filepath.Join(t.TempDir(), "run"))
			_, err := Run(t.Context(), cfg, Options{Folder: f})
			wantError(t, err, test.want...)
			if _, err := os.Stat(string(f)); !os.IsNotExist(err) {
				t.Errorf("the run folder is there: %v", err)
			}
		})
	}
}

// All the sets that are missing are told at once, each with all of its files.
func TestAllMissingSetsAreTold(t *testing.T) {
	root := tinyRoot(t, 50)
	if err := os.RemoveAll(filepath.Join(root, "cifar-10-batches-bin")); err != nil {
		t.Fatal(err)
	}
	cifar := "tiny.toml:3:1: data.name: data set cifar10: data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin not found in " + root
	svhn, cifar100 := "data.ood: data set svhn (test): test_32x32.mat not found in "+root, "data.ood: data set cifar100 (test): test.bin not found in "+root
	for name, c := range map[string]struct {
		text, ood string
		want      []string
	}{
		"everything":                {tinyWRN, "svhn,cifar100", []string{cifar, svhn, cifar100}},
		"all but one":               {tinyWRN, "fashion-mnist,svhn", []string{cifar, svhn}},
		"out of distribution alone": {tinyLeNet, "svhn,fashion-mnist,cifar100", []string{svhn, cifar100}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), parse(t, c.text, root, "data.ood="+c.ood), Options{Folder: Folder(filepath.Join(t.TempDir(), "run"))})
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("errors\n%v\nwant %d", err, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("error %q, want %q", lines[i], want)
				}
			}
		})
	}
}

// What the folder cannot take is an error that says what was to be written.
func TestRunFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, nil, file)
	for _, f := range []Folder{Folder(file), Folder(filepath.Join(file, "run")), "/dev/null/run"} {
		_, err := Run(t.Context(), parse(t, tinyLeNet, tinyRoot(t, 50)), Options{Folder: f})
		wantError(t, err, "run folder: ", string(f))
	}
}

func TestRunFolderIsNeverWrittenOver(t *testing.T) {
	cfg := parse(t, tinyLeNet, tinyRoot(t, 50))
	f := Folder(t.TempDir())
	writeFile(t, []byte("mine"), f.path("notes.txt"))
	_, err := Run(t.Context(), cfg, Options{Folder: f})
	wantError(t, err, string(f), "not empty")
	if entries, err := os.ReadDir(string(f)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	file := Folder(f.path("notes.txt"))
	_, err = Run(t.Context(), cfg, Options{Folder: file})
	wantError(t, err, string(file))
}

func TestDivergedTrainingSaysSo(t *testing.T) {
	cfg := parse(t, tinyLeNet, tinyRoot(t, 100), "train.lr=1e12", "train.schedule=constant")
	_, err := Run(t.Context(), cfg, Options{Folder: Folder(t.TempDir())})
	wantError(t, err, "epoch 1, step ", "diverged", "train.lr")
}

// Weights of an earlier run give its numbers again, without training.
func TestCheckpointIsEvaluated(t *testing.T) {
	notShort(t)
	root := tinyRoot(t, 100)
	trained := Folder(t.TempDir())
	want := mustRun(t, parse(t, tinyLeNet, root), Options{Folder: trained})
	file := trained.path("checkpoint", "epoch-0003", modelFile)
	parallel := filepath.Join(t.TempDir(), "lenet_1_3.model")
	prefix := checkpoint.Parallel
	if _, err := Convert(string(trained), parallel, ConvertOptions{Prefix: &prefix}); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"file": file, "checkpoint": filepath.Dir(file), "run folder": string(trained), "PyTorch's": parallel} {
		t.Run(name, func(t *testing.T) {
			f := Folder(t.TempDir())
			got := mustRun(t, parse(t, tinyLeNet, root, "model.checkpoint="+path), Options{Folder: f})
			if !reflect.DeepEqual(got.Rows, want.Rows) {
				t.Errorf("rows are %+v, want %+v", got.Rows, want.Rows)
			}
			for _, name := range []string{"checkpoint", "metrics.jsonl", "figures/curves.png"} {
				if _, err := os.Stat(f.path(name)); !os.IsNotExist(err) {
					t.Errorf("%s is there, though nothing was trained: %v", name, err)
				}
			}
		})
	}
}

func TestRunsAndEnsembles(t *testing.T) {
	notShort(t)
	cfg := parse(t, tinyLeNet, tinyRoot(t, 100), "train.epochs=1", "runs.count=2", "runs.ensemble=2", "eval.methods=softmax,energy,ddu,ensemble", "seed=7")
	f := Folder(t.TempDir())
	var l listener
	s := mustRun(t, cfg, Options{Folder: f, Observer: &l})
	var methods []string
	for _, row := range s.Rows {
		methods = append(methods, row.Method)
		if row.Accuracy.StdError == nil || row.AUROC.StdError == nil || row.OOD != "fashion-mnist" {
			t.Errorf("row %+v", row)
		}
	}
	if want := []string{"softmax", "energy", "ddu", "ensemble", "ensemble_mi"}; !slices.Equal(sorted(methods), sorted(want)) {
		t.Errorf("methods are %q, want %q", methods, want)
	}
	for _, name := range s.Results {
		if !strings.HasPrefix(name, "res_lenet_7_") {
			t.Errorf("result %s, want the name of the first network", name)
		}
	}
	if len(s.Results) != 3 { // softmax, gmm, ensemble
		t.Errorf("results are %q", s.Results)
	}
	seeds := map[string]bool{}
	for _, dir := range []string{"run1/member1", "run1/member2", "run2/member1", "run2/member2"} {
		for _, name := range []string{"metrics.jsonl", "scores/mnist_test.safetensors", "density.safetensors", "figures/curves.png", "checkpoint/epoch-0001/model.safetensors"} {
			if _, err := os.Stat(f.path(dir, name)); err != nil {
				t.Error(err)
			}
		}
		var state trainingState
		readJSON(t, f.path(dir, "checkpoint/epoch-0001/state.json"), &state)
		seeds[fmt.Sprint(state.Seed)] = true
	}
	if want := map[string]bool{"7": true, "8": true, "9": true, "10": true}; !reflect.DeepEqual(seeds, want) {
		t.Errorf("seeds are %v, want %v", seeds, want)
	}
	for _, name := range []string{"entropy", "density", "roc_fashion-mnist", "reliability"} {
		for _, run := range []string{"_run1", "_run2"} {
			if _, err := os.Stat(f.path("figures", name+run+".png")); err != nil {
				t.Error(err)
			}
		}
	}
	if !slices.Contains(l.phases, "network 3 of 4: train lenet on 90 images of mnist, validate on 10") {
		t.Errorf("phases are %q", l.phases)
	}
}

// Without a set out of distribution there is still accuracy and calibration.
func TestRunWithoutOOD(t *testing.T) {
	notShort(t)
	f := Folder(t.TempDir())
	s := mustRun(t, parse(t, tinyWRN, tinyRoot(t, 50), "train.epochs=1", "eval.methods=softmax"), Options{Folder: f})
	if len(s.Rows) != 1 || s.Rows[0].AUROC != nil || s.Rows[0].Accuracy.Mean < 0 || s.Rows[0].Accuracy.Mean > 1 {
		t.Errorf("rows are %+v", s.Rows)
	}
	if want := []string{"res_wide_resnet_sn_3.0_mod_1_softmax_cifar10.json"}; !slices.Equal(s.Results, want) {
		t.Errorf("results are %q, want %q", s.Results, want)
	}
	if _, err := os.Stat(f.path("density.safetensors")); !os.IsNotExist(err) {
		t.Errorf("a density that nobody asked for: %v", err)
	}
	file, err := os.Open(f.path("figures", "reliability.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := png.Decode(file); err != nil {
		t.Error(err)
	}
}

// The run folder's own configuration gives the run again.
func TestConfigOfRunRunsAgain(t *testing.T) {
	notShort(t)
	cfg := parse(t, tinyLeNet, tinyRoot(t, 50), "train.epochs=1")
	first, second := Folder(t.TempDir()), Folder(t.TempDir())
	mustRun(t, cfg, Options{Folder: first})
	again, err := LoadRun(first)
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, again, Options{Folder: second})
	sameOutcome(t, second, first)
	if cfg.ISA != "auto" || again.ISA == "auto" || cfg.Precision != "auto" || again.Precision == "auto" {
		t.Errorf("isa and precision were %q, %q and are recorded as %q, %q, want auto and what was used", cfg.ISA, cfg.Precision, again.ISA, again.Precision)
	}
}

func TestPresetsAreValid(t *testing.T) {
	presets, err := config.Presets(Presets)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range presets {
		if _, err := config.LoadPreset(Presets, p.Name); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if p.Doc == "" {
			t.Errorf("%s has no first line that says what it is", p.Name)
		}
	}
	if len(presets) < 2 {
		t.Errorf("presets are %v", presets)
	}
}

func TestFreshFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, want := range []string{"runs/a", "runs/a-2", "runs/a-3"} {
		f := FreshFolder("a")
		if filepath.ToSlash(string(f)) != want {
			t.Fatalf("%s, want %s", f, want)
		}
		if err := f.create(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDensityNotes(t *testing.T) {
	fit := func(class int, r uncertainty.Regularizer, amount, reciprocal float64) uncertainty.ClassFit {
		return uncertainty.ClassFit{Class: class, Samples: 10, Regularizer: r, Amount: amount, ReciprocalCondition: reciprocal}
	}
	fits := []uncertainty.ClassFit{
		fit(0, uncertainty.RegularizerNone, 0, 1e-3), fit(1, uncertainty.RegularizerOAS, 0.25, 1e-3),
		fit(2, uncertainty.RegularizerOAS, 0.5, 1e-3), fit(3, uncertainty.RegularizerPooled, 2, 1e-13),
	}
	notes := strings.Join(densityNotes(fits, "auto"), "\n")
	for _, part := range []string{"classes 1, 2 ", "0.25 to 0.5", "class 3 cannot", "(2)", "class 3 is nearly singular"} {
		if !strings.Contains(notes, part) {
			t.Errorf("notes\n%s\nlack %q", notes, part)
		}
	}
	if notes := densityNotes(fits[:1], "auto"); len(notes) != 0 {
		t.Errorf("notes about a good fit: %q", notes)
	}
	if notes := densityNotes(fits[:3], "oas"); len(notes) != 0 {
		t.Errorf("notes about what was asked for: %q", notes)
	}
}

func TestClassesText(t *testing.T) {
	for _, test := range []struct {
		classes []int
		of      int
		want    string
	}{
		{[]int{3}, 10, "class 3"}, {[]int{1, 4}, 10, "classes 1, 4"}, {[]int{0, 1}, 2, "all 2 classes"},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 8}, 100, "9 of 100 classes"},
	} {
		if got := classesText(test.classes, test.of); got != test.want {
			t.Errorf("%v of %d: %q, want %q", test.classes, test.of, got, test.want)
		}
	}
}

func TestCountCorrect(t *testing.T) {
	logits := []float32{1, 3, 2, 5, 5, 0, 0, 0, 1} // the first largest: 1, 0, 2
	if got := countCorrect(logits, []int{1, 1, 2}); got != 2 {
		t.Errorf("%d correct, want 2", got)
	}
	if got := countCorrect(nil, nil); got != 0 {
		t.Errorf("%d correct of none", got)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
