package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/experiments"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

func trainArgs(more ...string) []string {
	return append([]string{"train", "--seed", "5", "--dataset", "mnist", "--model", "lenet", "--lr", "0.02", "-b", "16"}, more...)
}

// Weights and losses are where the published script leaves them.
func TestTrain(t *testing.T) {
	p := newPlace(t, 100)
	out, progress := p.must(t, trainArgs("-e", "5", "--save-interval", "2", "--save_path", "models", "--log-interval", "2", "--no-gpu", "-tb", "7",
		"--saved_model_name", "x.model", "--first-milestone", "1", "--second_milestone", "3")...)
	names := []string{"lenet_5_2.model", "lenet_5_4.model", "lenet_5_5.model"}
	want := ""
	for _, name := range names {
		want += filepath.Join("models", name) + "\n"
	}
	if !strings.HasPrefix(out, want+"Checkpoints and curves are in ") {
		t.Errorf("output is\n%s\nwant the files\n%s", out, want)
	}
	for _, line := range []string{
		"note: --no-gpu has no effect", "note: --saved_model_name has no effect", "train lenet on 90 images of mnist, validate on 10\n",
		"  epoch 1/5 32 of 90 images, ", "  epoch 5/5 64 of 90 images, ", "epoch   5  loss ",
	} {
		if !strings.Contains(progress, line) {
			t.Errorf("progress\n%s\nlacks %q", progress, line)
		}
	}
	if entries, err := os.ReadDir(p.path("models")); err != nil || len(entries) != 4 {
		t.Errorf("models holds %v, %v", entries, err)
	}
	run := p.path("runs", "lenet_5")
	checkLosses(t, p.path("models", "lenet_5_train_loss.json"), metrics(t, run))
	for i, rate := range []float64{0.02, 0.002, 0.002, 0.0002, 0.0002} {
		if got := metrics(t, run)[i]["lr"].(float64); math.Abs(got-rate) > 1e-9 {
			t.Errorf("epoch %d has learning rate %v, want %v", i+1, got, rate)
		}
	}
	last, err := checkpoint.Read(p.path("models", names[2]))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := checkpoint.Read(filepath.Join(run, "checkpoint", "epoch-0005", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(last.Entries) != len(kept.Entries) {
		t.Errorf("%d tensors, want %d", len(last.Entries), len(kept.Entries))
	}
	for _, e := range kept.Entries {
		if saved, ok := last.Entry("module." + e.Name); !ok || !bytes.Equal(saved.Data, e.Data) || !slices.Equal(saved.Shape, e.Shape) {
			t.Errorf("%s: module.%s is another than in the checkpoint", names[2], e.Name)
		}
	}
}

// checkLosses wants the mean loss of every epoch, counted from 0.
func checkLosses(t *testing.T, file string, epochs []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var losses map[string]float64
	if err := json.Unmarshal(data, &losses); err != nil {
		t.Fatal(err)
	}
	if len(losses) != len(epochs) {
		t.Errorf("%s: %d epochs, want %d", file, len(losses), len(epochs))
	}
	for i, m := range epochs {
		if got := losses[string(rune('0'+i))]; got != m["train_loss"] || got <= 0 {
			t.Errorf("%s: epoch %d has loss %v, want %v", file, i, got, m["train_loss"])
		}
	}
}

// ddu train is ddu run with other words: the same settings give the same bits.
func TestTrainIsRun(t *testing.T) {
	p := newPlace(t, 50)
	p.must(t, "train", "--seed", "3", "--dataset", "mnist", "--model", "wide_resnet", "-sn", "-mod", "--depth=10", "--widen", "1", "--coeff", "2",
		"-e", "2", "-b", "16", "--lr", "0.05", "--mom", "0.8", "--nesterov", "--decay", "1e-3", "--loss-mean", "--out", "train", "--json")
	p.write(t, "same.toml", `seed = 3
[data]
name = "mnist"
[model]
name = "wide_resnet"
sn = true
mod = true
depth = 10
widen = 1
coeff = 2
[train]
epochs = 2
batch = 16
lr = 0.05
momentum = 0.8
nesterov = true
weight_decay = 1e-3
loss_mean = true
[eval]
methods = []
`)
	p.must(t, "run", "same.toml", "--out", "run", "-q")
	weights := filepath.Join("checkpoint", "epoch-0002", "model.safetensors")
	got, err := os.ReadFile(p.path("train", weights))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile(p.path("run", weights)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the weights differ (%v)", err)
	}
	if _, err := os.Stat(p.path("wide_resnet_sn_2.0_mod_3_2.model")); err != nil {
		t.Error(err)
	}
	// The trained run goes on to be evaluated.
	out, progress := p.must(t, "run", "--resume", "--out", "train", "--set", "data.ood=fashion-mnist", "--set", "eval.methods=softmax,ddu")
	if !strings.Contains(out, "DDU density") || strings.Contains(progress, "\nepoch ") {
		t.Errorf("output\n%s\nprogress\n%s", out, progress)
	}
}

func TestTrainEnsemble(t *testing.T) {
	p := newPlace(t, 50)
	args := append([]string{"train-ensemble"}, trainArgs("-e", "1", "--ensemble", "3", "--save-path", "m", "--json", "-q", "--out", "out")[1:]...)
	out, _ := p.must(t, args...)
	var summary experiments.Summary
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join("m", "lenet_5_1.model"), filepath.Join("m", "lenet_6_1.model"), filepath.Join("m", "lenet_7_1.model")}
	if !slices.Equal(summary.Models, want) {
		t.Errorf("models are %q, want %q", summary.Models, want)
	}
	for i, name := range want {
		checkLosses(t, p.path("m", strings.TrimSuffix(filepath.Base(name), "_1.model")+"_train_loss.json"), metrics(t, p.path("out", []string{"member1", "member2", "member3"}[i])))
	}
}

func TestTrainErrors(t *testing.T) {
	p := newPlace(t, 50)
	p.write(t, "lenet_5_1.model", "mine")
	for name, test := range map[string]struct{ args, want []string }{
		"no seed":            {[]string{"train", "--dataset", "mnist"}, []string{"--seed"}},
		"unknown data set":   {trainArgs("--dataset", "minst"), []string{"--dataset: ", "minst", "mnist"}},
		"missing data set":   {trainArgs("--dataset", "cifar10", "--model", "resnet18"), []string{"--dataset: ", "cifar10", "data_batch_1"}},
		"unknown network":    {trainArgs("--model", "lenets"), []string{"--model: ", "lenets", "lenet"}},
		"other images":       {[]string{"train", "--seed", "1", "--dataset", "mnist", "--model", "wide_resnet", "--depth", "11"}, []string{"--depth: found 11", "6n+4"}},
		"learning rate":      {trainArgs("--lr", "0"), []string{"--lr: found 0", "above 0"}},
		"no number":          {trainArgs("--mom", "fast"), []string{"--mom", "fast"}},
		"optimiser":          {trainArgs("--opt", "lion"), []string{"--opt: ", `"lion"`, "sgd, adam"}},
		"loss":               {trainArgs("--loss", "hinge"), []string{"--loss", `"hinge"`, "cross_entropy"}},
		"milestones":         {trainArgs("--first-milestone", "9", "--second-milestone", "3"), []string{"--first-milestone, --second-milestone: ", "rising"}},
		"no epochs":          {trainArgs("-e", "0"), []string{"-e: found 0", "at least 1"}},
		"test batch":         {trainArgs("-tb", "0"), []string{"-tb: found 0", "at least 1"}},
		"log interval":       {trainArgs("--log-interval", "0"), []string{"--log-interval: found 0", "at least 1"}},
		"save interval":      {trainArgs("--save-interval", "0"), []string{"--save-interval: found 0", "at least 1"}},
		"weights are there":  {trainArgs("-e", "1"), []string{"--save-path: ", "lenet_5_1.model is there already"}},
		"no folder":          {trainArgs("-e", "1", "--save-path", "lenet_5_1.model"), []string{"--save-path: ", "lenet_5_1.model", "want a folder that can be written"}},
		"resume of nothing":  {trainArgs("--resume"), []string{"--resume", "--out"}},
		"unknown flag":       {trainArgs("-xn"), []string{"-x"}},
		"flag of evaluation": {trainArgs("--ood_dataset", "svhn"), []string{"unknown flag --ood-dataset"}},
		"ensemble of none":   {append([]string{"train-ensemble"}, trainArgs("--ensemble", "0")[1:]...), []string{"--ensemble: found 0", "at least 1"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
	if data, err := os.ReadFile(p.path("lenet_5_1.model")); err != nil || string(data) != "mine" {
		t.Errorf("the file that was there holds %q, %v", data, err)
	}
	p.must(t, trainArgs("-e", "1", "--force", "-q")...)
	if _, err := checkpoint.Read(p.path("lenet_5_1.model")); err != nil {
		t.Error(err)
	}
}

func TestPublishedArguments(t *testing.T) {
	for _, test := range []struct{ given, want string }{
		{"train -sn -mod -tb 64 -b 3", "train --sn --mod --tb 64 -b 3"},
		{"evaluate --ood_dataset=tiny_imagenet -sn", "evaluate --ood-dataset=tiny_imagenet --sn"},
		{"active-learning -tsn -tmod -mi -ambiguous -sb=9", "active-learning --tsn --tmod --mi --ambiguous --sb=9"},
		{"train-ensemble -- -sn --a_b", "train-ensemble -- -sn --a_b"},
		{"run -sn --a_b", "run -sn --a_b"},
		{"train -snmod --save-path a_b", "train -snmod --save-path a_b"},
	} {
		if got := strings.Join(publishedArguments(strings.Fields(test.given)), " "); got != test.want {
			t.Errorf("%s becomes %s, want %s", test.given, got, test.want)
		}
	}
}
