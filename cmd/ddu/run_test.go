package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/experiments"
	"github.com/deepuncertainty/ddu/experiments/tensorboard"
)

func TestRunWithoutFileListsPresets(t *testing.T) {
	out, _ := newPlace(t, 0).must(t, "run")
	for _, part := range []string{"quickstart", "cifar10_wrn_sn", "ddu run NAME"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q lacks %q", out, part)
		}
	}
}

// The embedded sample needs no files, whatever the preset is called by.
func TestRunPreset(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand images")
	}
	p := newPlace(t, 0)
	out, progress := p.must(t, "run", "experiments/quickstart.toml", "--set", "train.epochs=1", "--set", "model.name=lenet", "--set", "train.lr=0.02")
	for _, part := range []string{"mnist-sample against fashion-mnist-sample", "Softmax entropy", "Energy", "DDU density", "accuracy", "ECE", "AUROC", "AUPR", "FPR95", "are in " + filepath.Join("runs", "quickstart")} {
		if !strings.Contains(out, part) {
			t.Errorf("output\n%s\nlacks %q", out, part)
		}
	}
	for _, part := range []string{" on 9000 images of mnist-sample, validate on 1000\n", "epoch   1  loss ", "images/s", "score 2000 images of fashion-mnist-sample (test)"} {
		if !strings.Contains(progress, part) {
			t.Errorf("progress\n%s\nlacks %q", progress, part)
		}
	}
	if strings.ContainsAny(progress, "\r\x1b") {
		t.Errorf("progress that is no terminal's has control characters: %q", progress)
	}
	// The same again goes into a folder of its own.
	out, progress = p.must(t, "run", "quickstart", "--set", "train.epochs=1", "--set", "model.name=lenet", "--set", "eval.methods=softmax", "--quiet")
	if progress != "" {
		t.Errorf("--quiet printed %q", progress)
	}
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[3], "Softmax entropy") {
		t.Errorf("--quiet printed\n%s\nwant only the table", out)
	}
	if _, err := os.Stat(p.path("runs", "quickstart-2", "config.toml")); err != nil {
		t.Error(err)
	}
}

func TestRunFolder(t *testing.T) {
	p := newPlace(t, 100)
	p.write(t, "tiny.toml", tiny)
	out, _ := p.must(t, "run", "tiny.toml", "--json", "--seed", "5", "--threads", "1")
	var summary experiments.Summary
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if strings.Count(out, "\n") != 1 || summary.Dataset != "mnist" || len(summary.Rows) != 3 || summary.Rows[0].AUROC == nil {
		t.Errorf("summary is %q", out)
	}
	run := p.path("runs", "tiny")

	config, err := os.ReadFile(filepath.Join(run, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"seed = 5", "threads = 1", "epochs = 2", "weight_decay = 0.0005"} {
		if !strings.Contains(string(config), line+"\n") {
			t.Errorf("config.toml lacks %q:\n%s", line, config)
		}
	}
	if lines := metrics(t, run); len(lines) != 2 || lines[1]["epoch"] != 2.0 || lines[1]["val_accuracy"] == nil {
		t.Errorf("metrics.jsonl holds %v", lines)
	}
	events, err := filepath.Glob(filepath.Join(run, "events.out.tfevents.*"))
	if err != nil || len(events) != 1 {
		t.Fatalf("event files are %q, %v", events, err)
	}
	file, err := os.Open(events[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	list, err := tensorboard.Read(file)
	if err != nil || len(list) != 3 || list[2].Step != 2 || len(list[2].Scalars) != 5 {
		t.Errorf("events are %+v, %v", list, err)
	}
	for _, name := range []string{
		"checkpoint/epoch-0002/model.safetensors", "checkpoint/epoch-0002/optimizer.safetensors", "checkpoint/epoch-0002/state.json",
		"scores/mnist_test.safetensors", "scores/mnist_validation.safetensors", "scores/fashion-mnist_test.safetensors", "density.safetensors",
	} {
		if info, err := os.Stat(filepath.Join(run, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(run, "checkpoint")); err != nil || len(entries) != 1 {
		t.Errorf("checkpoint holds %v, %v; want the last epoch only", entries, err)
	}
	for _, name := range []string{"curves", "entropy", "density", "roc_fashion-mnist", "reliability"} {
		data, err := os.ReadFile(filepath.Join(run, "figures", name+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		if text, err := os.ReadFile(filepath.Join(run, "figures", name+".svg")); err != nil || !bytes.Contains(text, []byte("</svg>")) {
			t.Errorf("%s.svg: %v", name, err)
		}
		if picture, err := png.Decode(bytes.NewReader(data)); err != nil || picture.Bounds().Dx() < 400 {
			t.Errorf("%s.png: %v", name, err)
		}
	}
	checkResults(t, run, summary.Results)
}

// checkResults wants the structure of the published evaluation.
func checkResults(t *testing.T, run string, names []string) {
	t.Helper()
	want := []string{"res_lenet_5_gmm_mnist_fashion-mnist.json", "res_lenet_5_softmax_mnist_fashion-mnist.json"}
	if got := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
		t.Fatalf("results are %q, want %q", got, want)
	}
	for _, name := range want {
		data, err := os.ReadFile(filepath.Join(run, name))
		if err != nil {
			t.Fatal(err)
		}
		var result struct {
			Mean   map[string]float64
			Std    map[string]*float64
			Values map[string][]float64
			Info   map[string]any
		}
		if err := json.Unmarshal(data, &result); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, key := range []string{"accuracy", "ece", "m1_auroc", "m1_auprc", "m2_auroc", "m2_auprc", "t_ece", "t_m1_auroc", "t_m1_auprc", "t_m2_auroc", "t_m2_auprc"} {
			values := result.Values[key]
			if len(values) != 1 || values[0] != result.Mean[key] || values[0] < 0 || values[0] > 1+1e-12 || result.Std[key] != nil {
				t.Errorf("%s: %s is %v, mean %v, std %v", name, key, values, result.Mean[key], result.Std[key])
			}
		}
		if result.Info["train.epochs"] != 2.0 || result.Info["seed"] != 5.0 {
			t.Errorf("%s: info is %v", name, result.Info)
		}
	}
}

// metrics returns the epochs of a run without what depends on the clock.
func metrics(t *testing.T, run string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(run, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for line := range strings.Lines(string(data)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		delete(m, "seconds")
		delete(m, "images_per_second")
		list = append(list, m)
	}
	return list
}

// A run that is interrupted or killed once it has a checkpoint, and resumed with
// the command that it told, ends with the weights and results of one that was
// left alone.
func TestInterruptedRunGoesOn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals to send")
	}
	if testing.Short() {
		t.Skip("thousands of images")
	}
	p := newPlace(t, 1500)
	args := []string{"--set", "train.epochs=8", "--set", "train.schedule=onecycle", "--set", "train.optimizer=adam", "--set", "train.lr=0.001"}
	p.write(t, "tiny.toml", tiny)
	p.must(t, append([]string{"run", "tiny.toml", "--out", "whole"}, args...)...)
	for name, signal := range map[string]syscall.Signal{"interrupt": syscall.SIGINT, "kill": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			folder := name + " it's" // needs quotes in a shell
			told := interrupt(t, p.command(append([]string{"run", "tiny.toml", "--threads", "1", "--out", folder}, args...)...), p.path(folder), signal)
			resume := exec.Command("sh", "-c", "ddu run --resume --out \""+folder+"\"")
			if signal != syscall.SIGKILL {
				match := regexp.MustCompile(`(?m)^ddu: stopped; .*: go on with (ddu .*)$`).FindStringSubmatch(told)
				if match == nil {
					t.Fatalf("the run told\n%s\nwant how to go on", told)
				}
				resume = exec.Command("sh", "-c", match[1])
			}
			if epochs := len(metrics(t, p.path(folder))); epochs >= 8 {
				t.Fatalf("%d epochs were done: it was not interrupted", epochs)
			}
			resume.Dir, resume.Env = p.dir, p.env
			if _, problems, code := output(t, resume); code != 0 || !strings.Contains(problems, "go on after epoch ") {
				t.Fatalf("%s: exit code %d\n%s", resume, code, problems)
			}
			sameRun(t, p.path(folder), p.path("whole"))
		})
	}
}

// interrupt starts a command, sends the signal once the folder has a checkpoint,
// and returns what it printed.
func interrupt(t *testing.T, c *exec.Cmd, folder string, signal syscall.Signal) string {
	t.Helper()
	var problems bytes.Buffer
	c.Stderr = &problems
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(folder, "checkpoint", "epoch-0001")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			_ = c.Process.Kill()
			t.Fatalf("no checkpoint after a minute\n%s", problems.String())
		}
	}
	if err := c.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Fatal("the run ended well, want it interrupted")
	}
	return problems.String()
}

// sameRun compares weights, optimiser, scores and density by bytes, metrics and
// results by values.
func sameRun(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range []string{
		"checkpoint/epoch-0008/model.safetensors", "checkpoint/epoch-0008/optimizer.safetensors", "density.safetensors",
		"scores/mnist_test.safetensors", "scores/mnist_validation.safetensors", "scores/fashion-mnist_test.safetensors", "figures/curves.png",
	} {
		g, err := os.ReadFile(filepath.Join(got, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if w, err := os.ReadFile(filepath.Join(want, name)); err != nil || !bytes.Equal(g, w) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	if g, w := metrics(t, got), metrics(t, want); !reflect.DeepEqual(g, w) {
		t.Errorf("metrics are\n%v\nwant\n%v", g, w)
	}
	for _, name := range []string{"res_lenet_1_gmm_mnist_fashion-mnist.json", "res_lenet_1_softmax_mnist_fashion-mnist.json"} {
		if g, w := means(t, filepath.Join(got, name)), means(t, filepath.Join(want, name)); !maps.Equal(g, w) || len(g) == 0 {
			t.Errorf("%s: %v, want %v", name, g, w)
		}
	}
	temporary, err := filepath.Glob(filepath.Join(got, "checkpoint", "*"))
	if err != nil || len(temporary) != 1 {
		t.Errorf("checkpoints are %q, %v", temporary, err)
	}
}

func means(t *testing.T, path string) map[string]float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Mean map[string]float64 }
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	return result.Mean
}

// Repeated runs of ensembles, and a checkpoint of one of them evaluated again.
func TestRunsEnsemblesAndCheckpoints(t *testing.T) {
	p := newPlace(t, 100)
	p.write(t, "tiny.toml", tiny)
	out, _ := p.must(t, "run", "tiny.toml", "--out", "all", "--set", "train.epochs=1", "--set", "runs.count=2", "--set", "runs.ensemble=2", "--set", "eval.methods=softmax,ensemble")
	for _, row := range []string{"Softmax entropy", "Ensemble PE", "Ensemble MI"} {
		if !regexp.MustCompile(row + `( +\d+\.\d\d ± \d+\.\d\d){5}\n`).MatchString(out) {
			t.Errorf("the table\n%s\nlacks a row %s with five means and errors", out, row)
		}
	}
	for _, dir := range []string{"run1/member1", "run1/member2", "run2/member1", "run2/member2"} {
		if _, err := os.Stat(p.path("all", dir, "scores", "mnist_test.safetensors")); err != nil {
			t.Error(err)
		}
	}
	alone := []string{"run", "tiny.toml", "--set", "train.epochs=1", "--set", "eval.methods=softmax", "--json", "-q"}
	trained, _ := p.must(t, append(alone, "--out", "one")...)
	// Of several networks the first is taken.
	for _, from := range []string{"one", "all"} {
		evaluated, _ := p.must(t, append(alone, "--out", "of-"+from, "--set", "model.checkpoint="+p.path(from))...)
		if got := strings.ReplaceAll(evaluated, p.path("of-"+from), p.path("one")); got != trained {
			t.Errorf("evaluation of the checkpoint in %s gives\n%s\nwant\n%s", from, got, trained)
		}
	}
}

// A run folder's config.toml is an experiment like any other, and names runs of
// it after the folder.
func TestRunOfRunFolderConfig(t *testing.T) {
	p := newPlace(t, 50)
	p.write(t, "tiny.toml", tiny)
	p.must(t, "run", "tiny.toml", "--set", "train.epochs=1", "-q")
	out, _ := p.must(t, "run", filepath.Join("runs", "tiny", "config.toml"), "--seed", "2", "--set", "eval.methods=softmax")
	if !strings.Contains(out, filepath.Join("runs", "tiny-2")+"\n") {
		t.Errorf("output is\n%s\nwant the run in runs/tiny-2", out)
	}
}
