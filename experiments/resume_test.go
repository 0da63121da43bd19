package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/tensorboard"
	"github.com/deepuncertainty/ddu/kernels"
)

// stopper cancels a run at one call of its observer.
type stopper struct {
	silent
	cancel context.CancelFunc
	at     func(p Progress) bool
	phase  string // stop when one begins that contains it
}

func (s *stopper) Batch(p Progress) {
	if s.at != nil && s.at(p) {
		s.cancel()
	}
}

func (s *stopper) Phase(name string) {
	if s.phase != "" && strings.Contains(name, s.phase) {
		s.cancel()
	}
}

func mustRun(t *testing.T, cfg *config.Config, o Options) *Summary {
	t.Helper()
	s, err := Run(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is all that a run leaves, by path, without what must differ: times,
// and where the run was.
func outcome(t *testing.T, f Folder) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(string(f), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(string(f), path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(d.Name(), "events.out.tfevents."):
			events, err := tensorboard.Read(bytes.NewReader(data))
			if err != nil {
				return err
			}
			for i := range events {
				events[i].WallTime = 0
			}
			data, err = json.Marshal(events)
			if err != nil {
				return err
			}
			name = filepath.Join(filepath.Dir(name), "events")
		case d.Name() == "metrics.jsonl" || d.Name() == stateFile:
			data = withoutTimes(t, data)
		case d.Name() == configFile:
			var lines []string
			for line := range strings.Lines(string(data)) {
				if !strings.HasPrefix(line, "threads") {
					lines = append(lines, line)
				}
			}
			data = []byte(strings.Join(lines, ""))
		case strings.HasSuffix(name, ".json"):
			var result map[string]any
			if err := json.Unmarshal(data, &result); err != nil {
				return err
			}
			delete(result["info"].(map[string]any), "threads")
			if data, err = json.Marshal(result); err != nil {
				return err
			}
		}
		files[filepath.ToSlash(name)] = string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// withoutTimes zeroes how long things took in lines or documents of JSON.
func withoutTimes(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	decoder := json.NewDecoder(bytes.NewReader(data))
	for decoder.More() {
		var v map[string]any
		if err := decoder.Decode(&v); err != nil {
			t.Fatal(err)
		}
		epochs := []any{v}
		if history, ok := v["history"].([]any); ok {
			epochs = history
		}
		for _, e := range epochs {
			delete(e.(map[string]any), "seconds")
			delete(e.(map[string]any), "images_per_second")
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func sameOutcome(t *testing.T, got, want Folder) {
	t.Helper()
	g, w := outcome(t, got), outcome(t, want)
	for name, data := range w {
		other, found := g[name]
		switch {
		case !found:
			t.Errorf("%s is missing", name)
		case other != data && strings.Contains(filepath.Ext(name), "json"):
			t.Errorf("%s differs:\n%s\nwant\n%s", name, other, data)
		case other != data:
			t.Errorf("%s differs", name)
		}
	}
	for name := range g {
		if _, found := w[name]; !found {
			t.Errorf("%s is more than there should be", name)
		}
	}
}

// A run that is stopped anywhere and taken up leaves the same bytes as one that
// goes through.
func TestResumeGivesTheSameBits(t *testing.T) {
	images := 200
	if testing.Short() {
		images = 40
	}
	root := tinyRoot(t, images)
	tests := map[string]struct {
		text      string
		overrides []string
		stops     []stopper
	}{
		"wide_resnet, SGD": {tinyWRN, nil, []stopper{
			{at: func(p Progress) bool { return p.Epoch == 1 }},
			{at: func(p Progress) bool { return p.Epoch == 2 && p.Images > p.Total/2 }},
			{at: func(p Progress) bool { return p.Epoch == 3 && p.Validation }},
		}},
		"wide_resnet, bfloat16": {tinyWRN, []string{"precision=bf16"}, []stopper{
			{at: func(p Progress) bool { return p.Epoch == 2 && p.Images > p.Total/2 }},
		}},
		"lenet, Adam": {tinyLeNet, []string{"train.optimizer=adam", "train.lr=0.001"}, []stopper{
			{at: func(p Progress) bool { return p.Epoch == 3 }},
			{phase: "fit the feature density"},
			{phase: "fashion-mnist"},
		}},
		"lenet, ensembles": {tinyLeNet, []string{"runs.count=2", "runs.ensemble=2", "train.epochs=2", `eval.methods=softmax,ensemble`}, []stopper{
			{at: func(p Progress) bool { return p.Epoch == 2 }},
			{phase: "network 3 of 4: train"},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if name != "lenet, Adam" {
				notShort(t)
			}
			cfg := parse(t, test.text, root, test.overrides...)
			whole, stopped := Folder(t.TempDir()), Folder(t.TempDir())
			want := mustRun(t, cfg, Options{Folder: whole})
			goroutines := runtime.NumGoroutine()
			for i, stop := range test.stops {
				ctx, cancel := context.WithCancel(t.Context())
				stop.cancel = cancel
				_, err := Run(ctx, cfg, Options{Folder: stopped, Resume: i > 0, Observer: &stop})
				cancel()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("stop %d: the run ended with %v, want %v", i+1, err, context.Canceled)
				}
			}
			waitForGoroutines(t, goroutines)
			got := mustRun(t, cfg, Options{Folder: stopped, Resume: true})
			sameOutcome(t, stopped, whole)
			if got.Folder = want.Folder; !reflect.DeepEqual(got, want) {
				t.Errorf("summary is %+v, want %+v", got, want)
			}
		})
	}
}

// waitForGoroutines fails when more than before are still there after a while.
func waitForGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// A kill can fall between any two writes.
func TestResumeAfterKill(t *testing.T) {
	notShort(t)
	root := tinyRoot(t, 100)
	cfg := parse(t, tinyLeNet, root)
	whole := Folder(t.TempDir())
	mustRun(t, cfg, Options{Folder: whole})
	epoch1 := func(t *testing.T) Folder { // stopped after its first epoch
		f := Folder(t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stop := &stopper{cancel: cancel, at: func(p Progress) bool { return p.Epoch == 2 }}
		if _, err := Run(ctx, cfg, Options{Folder: f, Observer: stop}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return f
	}
	tests := map[string]func(t *testing.T, f Folder){
		"the epoch was logged, its checkpoint was not renamed": func(t *testing.T, f Folder) {
			add(t, f.path("metrics.jsonl"), `{"epoch":2,"lr":0.1,"train_loss":1}`+"\n")
			writeFile(t, []byte("half"), f.path("checkpoint", ".epoch-0002.tmp", modelFile))
		},
		"the log line was cut short": func(t *testing.T, f Folder) {
			add(t, f.path("metrics.jsonl"), `{"epoch":2,"lr`)
		},
		"the checkpoint before was not removed": func(t *testing.T, f Folder) {
			writeFile(t, []byte("{}"), f.path("checkpoint", "epoch-0000", stateFile))
		},
		"the first epoch was logged, no checkpoint was made": func(t *testing.T, f Folder) {
			if err := os.RemoveAll(f.path("checkpoint")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			f := epoch1(t)
			damage(t, f)
			mustRun(t, cfg, Options{Folder: f, Resume: true})
			sameOutcome(t, f, whole)
		})
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// The last checkpoint is the highest epoch, not the last name.
func TestNewestCheckpoint(t *testing.T) {
	f := Folder(t.TempDir())
	if dir, err := newestCheckpoint(f); dir != "" || err != nil {
		t.Errorf("without any: %q, %v", dir, err)
	}
	for _, name := range []string{"epoch-9999", "epoch-10000", ".epoch-10001.tmp", "epoch-20000.old", "epoch-x"} {
		if err := os.MkdirAll(f.path("checkpoint", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, nil, f.path("checkpoint", "epoch-30000"))
	if dir, err := newestCheckpoint(f); dir != f.path("checkpoint", "epoch-10000") || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	notShort(t)
	before := kernels.Threads()
	defer func() {
		if err := kernels.SetThreads(before); err != nil {
			t.Fatal(err)
		}
	}()
	root := tinyRoot(t, 100)
	one, three := Folder(t.TempDir()), Folder(t.TempDir())
	mustRun(t, parse(t, tinyWRN, root, "threads=1", "train.epochs=1"), Options{Folder: one})
	mustRun(t, parse(t, tinyWRN, root, "threads=3", "train.epochs=1"), Options{Folder: three})
	sameOutcome(t, three, one)
}

func TestResumeRefuses(t *testing.T) {
	notShort(t)
	root := tinyRoot(t, 50)
	cfg := parse(t, tinyLeNet, root, "train.epochs=1")
	f := Folder(t.TempDir())
	mustRun(t, cfg, Options{Folder: f})
	before := outcome(t, f)
	tests := map[string]struct {
		folder Folder
		cfg    *config.Config
		want   []string
	}{
		"no run":                 {Folder(t.TempDir()), cfg, []string{"holds no run", configFile}},
		"other settings":         {f, parse(t, tinyLeNet, root, "train.epochs=1", "train.lr=0.5"), []string{"other settings", "train.lr: 0.02 -> 0.5"}},
		"other level of kernels": {f, parse(t, tinyLeNet, root, "train.epochs=1", "isa=portable"), []string{"other settings", "isa: "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			level := kernels.CurrentLevel()
			defer func() {
				if err := kernels.SetLevel(level); err != nil {
					t.Fatal(err)
				}
			}()
			if name == "other level of kernels" && level == kernels.Portable {
				t.Skip("portable is the level in use")
			}
			_, err := Run(t.Context(), test.cfg, Options{Folder: test.folder, Resume: true})
			wantError(t, err, test.want...)
		})
	}
	if after := outcome(t, f); !reflect.DeepEqual(after, before) {
		t.Error("a refused run changed the folder")
	}
	// What does not change a bit may be other.
	moved := parse(t, tinyLeNet, root+"/.", "train.epochs=1", "threads=1")
	mustRun(t, moved, Options{Folder: f, Resume: true})
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is longer than a line", err)
	}
}

// phaseCounter counts what a run does.
type phaseCounter struct {
	silent
	n int
}

func (c *phaseCounter) Phase(string) { c.n++ }

// Scores are kept with what they are of: other weights, or other images under the
// same name, are scored anew; the same are not.
func TestResumeScoresWhatIsNew(t *testing.T) {
	notShort(t)
	root, weights := tinyRoot(t, 50), filepath.Join(t.TempDir(), "weights.safetensors")
	use := func(seed string) {
		f := Folder(t.TempDir())
		mustRun(t, parse(t, tinyLeNet, root, "train.epochs=1", "eval.methods=[]", "seed="+seed), Options{Folder: f})
		file, err := weightsFile(string(f))
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, data, weights)
	}
	f := Folder(t.TempDir())
	phases := func(resume bool) int {
		counter := &phaseCounter{}
		cfg := parse(t, tinyLeNet, root, "eval.methods=softmax,ddu", "model.checkpoint="+weights)
		mustRun(t, cfg, Options{Folder: f, Resume: resume, Observer: counter})
		return counter.n
	}
	check := func(what string, got, want int) {
		if got != want {
			t.Errorf("%s: %d phases, want %d", what, got, want)
		}
	}
	use("1")
	all := phases(false)
	check("a new run: the density and three sets", all, 4)
	check("the same again", phases(true), 0)
	use("2")
	check("other weights", phases(true), all)
	images := filepath.Join(root, "fashion-mnist", "t10k-images-idx3-ubyte")
	data, err := os.ReadFile(images)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 0xff
	writeFile(t, data, images)
	check("other images of one set, with the density that is there", phases(true), 1)
	if err := os.Remove(f.path(densityFile)); err != nil {
		t.Fatal(err)
	}
	check("a density that nothing needs", phases(true), 0)
}

// Networks of a run folder are not evaluated as what they are not.
func TestEvaluateChecksTheRunFolder(t *testing.T) {
	notShort(t)
	root, f := tinyRoot(t, 50), Folder(t.TempDir())
	mustRun(t, parse(t, tinyLeNet, root, "train.epochs=1", "eval.methods=[]", "seed=3"), Options{Folder: f})
	for name, test := range map[string]struct{ override, want string }{
		"the split of another seed": {"seed=4", "seed: 3 -> 4"},
		"another activation":        {"model.act=elu", "model.act: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, tinyLeNet, root, "seed=3", "model.checkpoint="+string(f), test.override)
			_, err := Run(t.Context(), cfg, Options{Folder: Folder(t.TempDir())})
			wantError(t, err, "model.checkpoint", string(f), test.want)
		})
	}
	mustRun(t, parse(t, tinyLeNet, root, "seed=3", "model.checkpoint="+string(f), "eval.batch=7"), Options{Folder: Folder(t.TempDir())})
}

// A resume on fewer threads is kept in the folder, so the next one tells of it.
func TestResumeTellsOfFewerThreads(t *testing.T) {
	old := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(old)
	defer kernels.SetThreads(kernels.Threads())
	root, f := tinyRoot(t, 50), Folder(t.TempDir())
	for i, test := range []struct {
		threads string
		notes   int
	}{{"0", 0}, {"1", 1}, {"2", 0}} {
		heard := &listener{}
		cfg := parse(t, tinyLeNet, root, "train.epochs=1", "eval.methods=[]", "threads="+test.threads)
		mustRun(t, cfg, Options{Folder: f, Resume: i > 0, Observer: heard})
		if len(heard.notes) != test.notes || test.notes > 0 && heard.notes[0] != "on 1 of 2 processors, as the run's setting threads = 1 says (--threads changes it)" {
			t.Errorf("threads = %s: notes %q, want %d that names both", test.threads, heard.notes, test.notes)
		}
	}
}
