package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/experiments"
)

// copyFile copies a file into a folder of p, which is made.
func (p place) copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(p.path(to)), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write(t, to, string(data))
}

// Files of weights that torch.save wrote give the numbers that PyTorch, NumPy
// and scikit-learn get from the same images: see testdata/reference/make.py.
func TestEvaluateEqualsTheReference(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of images")
	}
	data, err := os.ReadFile("testdata/reference/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]float64
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, 0)
	for _, name := range []string{"lenet_1_2.model", "lenet_2_2.model"} {
		p.copyFile(t, filepath.Join("testdata", "reference", name), "models/Run1/"+name)
	}
	// An ensemble for all types: softmax and gmm look at its first network.
	p.must(t, "evaluate", "--seed", "1", "--dataset", "mnist_sample", "--ood_dataset", "fashion-mnist-sample", "--model", "lenet",
		"--epoch", "2", "--runs", "1", "--load-path", "models", "--ensemble", "2", "--model-type", "softmax,gmm,ensemble", "-q")
	if len(expected) != 3 {
		t.Fatalf("%d model types are expected", len(expected))
	}
	for modelType, want := range expected {
		got := means(t, p.path("res_lenet_1_"+modelType+"_mnist-sample_fashion-mnist-sample.json"))
		for key, value := range want {
			if difference := math.Abs(got[key] - value); !(difference < 1e-4) {
				t.Errorf("%s: %s is %v, the reference gives %v", modelType, key, got[key], value)
			}
		}
	}
}

// trainedRuns trains two runs of ensembles of two LeNets, as train-ensemble
// leaves them.
func trainedRuns(t *testing.T) place {
	t.Helper()
	p := newPlace(t, 100)
	for run, seed := range map[string]string{"Run1": "1", "Run2": "3"} {
		p.must(t, "train-ensemble", "--seed", seed, "--dataset", "mnist", "--model", "lenet", "-e", "1", "--lr", "0.02", "-b", "16",
			"--ensemble", "2", "--save-path", "models/"+run, "--out", "trained/"+run, "-q")
	}
	return p
}

var evaluateLeNets = []string{"evaluate", "--seed", "1", "--dataset", "mnist", "--ood_dataset", "fashion_mnist", "--model", "lenet", "-e", "1", "--runs", "2"}

func evaluateArgs(more ...string) []string {
	return append(evaluateLeNets[:len(evaluateLeNets):len(evaluateLeNets)], more...)
}

// The layout of train-ensemble is the one that evaluate reads, with all methods
// at once; results are where the published script puts them; a second
// evaluation needs the scores alone.
func TestEvaluateEnsembles(t *testing.T) {
	p := trainedRuns(t)
	all := evaluateArgs("--load-path", "models", "--ensemble", "2", "--model-type", "softmax,gmm,ensemble")
	out, progress := p.must(t, append(all, "--no-gpu")...)
	if !strings.Contains(progress, "note: --no-gpu has no effect") || !strings.Contains(progress, "network 4 of 4: score 20 images of fashion-mnist (test)") {
		t.Errorf("progress is\n%s", progress)
	}
	for _, row := range []string{"Softmax entropy", "Maximum softmax", "Energy", "DDU density", "Ensemble PE", "Ensemble MI"} {
		if !regexp.MustCompile(row + `( +\d+\.\d\d ± \d+\.\d\d){5}\n`).MatchString(out) {
			t.Errorf("the table\n%s\nlacks a row %s with five means and errors", out, row)
		}
	}
	for _, modelType := range []string{"softmax", "gmm", "ensemble"} {
		name := "res_lenet_1_" + modelType + "_mnist_fashion-mnist.json"
		if here, kept := means(t, p.path(name)), means(t, p.path("runs/evaluate_lenet_1", name)); !maps.Equal(here, kept) || len(here) < 11 {
			t.Errorf("%s: %v in the current folder, %v in the run folder", name, here, kept)
		}
	}

	// Run folders are as good as files.
	ensemble := []string{"--runs", "1", "--ensemble", "2", "--model-type", "ensemble", "-q"}
	files, _ := p.must(t, evaluateArgs(append(ensemble, "--load-path", "models", "--out", "one")...)...)
	folder, _ := p.must(t, evaluateArgs(append(ensemble, "--load-path", "trained/Run1", "--out", "two")...)...)
	if folder != files || !strings.Contains(files, "Ensemble PE") {
		t.Errorf("the run folder gives\n%s\nthe files\n%s", folder, files)
	}
	if entries, err := filepath.Glob(p.path("res_*.json")); err != nil || len(entries) != 3 {
		t.Errorf("with --out the current folder holds %q, %v", entries, err)
	}

	// Without networks and data sets, in a moment.
	for _, dir := range []string{"models", "trained"} {
		if err := os.RemoveAll(p.path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	q := p
	q.env = append(q.env[:len(q.env):len(q.env)], "DDU_DATA="+p.path("nowhere"))
	start := time.Now()
	again, stderr := q.must(t, "evaluate", "runs/evaluate_lenet_1")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("evaluation of scores took %v", took)
	}
	table, _, _ := strings.Cut(out, "\nResults, scores")
	if again != table || stderr != "" {
		t.Errorf("evaluation of the scores prints\n%s%s\nwant\n%s", again, stderr, table)
	}
	file := filepath.Join("runs", "evaluate_lenet_1", "run2", "member1", "scores", "mnist_test.safetensors")
	text, _ := q.must(t, "evaluate", file, "--model-type", "gmm", "--json", "--out", "gmm")
	var summary experiments.Summary
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		t.Fatal(err)
	}
	if len(summary.Rows) != 1 || summary.Rows[0].Method != "ddu" || len(summary.Results) != 1 {
		t.Errorf("evaluation of one method gives %s", text)
	}
	if text, _ := q.must(t, "evaluate", file, "--model-type", "gmm", "--out", "told"); !strings.HasSuffix(text, "\nResults and figures are in "+p.path("told")+"\n") {
		t.Errorf("evaluation of scores into another folder prints\n%s", text)
	}
	name := "res_lenet_1_gmm_mnist_fashion-mnist.json"
	if got, want := means(t, p.path("gmm", name)), means(t, p.path(name)); !maps.Equal(got, want) {
		t.Errorf("%s: %v from scores, want %v", name, got, want)
	}
}

// Files of ensembles may have the names that the published evaluation looks for:
// seeds from 1 on, whatever the seed of the splits, and neither sn nor mod.
func TestEvaluatePublishedEnsembleNames(t *testing.T) {
	p := newPlace(t, 50)
	for run, seed := range []string{"11", "13"} {
		p.must(t, "train-ensemble", "--seed", seed, "--dataset", "mnist", "--model", "wide-resnet", "-sn", "--depth", "10", "--widen", "1", "-e", "1",
			"-b", "16", "--ensemble", "2", "--save-path", "own/Run"+[]string{"1", "2"}[run], "-q")
	}
	for run, seeds := range [][]string{{"11", "12"}, {"13", "14"}} {
		for m, seed := range seeds {
			dir := "Run" + []string{"1", "2"}[run]
			p.copyFile(t, p.path("own", dir, "wide_resnet_sn_3.0_"+seed+"_1.model"), filepath.Join("published", dir, "wide_resnet_"+[]string{"1", "2", "3", "4"}[2*run+m]+"_1.model"))
		}
	}
	args := []string{"evaluate", "--seed", "11", "--dataset", "mnist", "--ood-dataset", "fashion-mnist", "--model", "wide_resnet", "-sn", "--coeff", "3",
		"--depth", "10", "--widen", "1", "-e", "1", "--runs", "2", "--ensemble", "2", "--model-type", "ensemble", "-q"}
	own, _ := p.must(t, append(args, "--load-path", "own")...)
	published, stderr := p.must(t, append(args, "--load-path", "published")...)
	if own != published || !strings.Contains(own, "Ensemble PE") {
		t.Errorf("the files give\n%s\nunder the published names\n%s", own, published)
	}
	// The results of the first stay where they are.
	name, folder := "res_wide_resnet_sn_3.0_11_ensemble_mnist_fashion-mnist.json", "runs/evaluate_wide_resnet_sn_3.0_11"
	if want := "note: " + name + " is there with other contents and stays as it is: the new results are in " + filepath.Join(folder+"-2", name) + "\n"; stderr != want {
		t.Errorf("the second evaluation tells %q, want %q", stderr, want)
	}
	here, err := os.ReadFile(p.path(name))
	if err != nil {
		t.Fatal(err)
	}
	if first, err := os.ReadFile(p.path(folder, name)); err != nil || !bytes.Equal(here, first) {
		t.Errorf("%s is another than that of the first evaluation (%v)", name, err)
	}
}

// An evaluation goes on with what it has scored; another set out of distribution
// is scored alone.
func TestEvaluationGoesOn(t *testing.T) {
	p := trainedRuns(t)
	p.copyFile(t, p.path("models/Run2/lenet_3_1.model"), "models/Run2/lenet_2_1.model")
	args := evaluateArgs("--load-path", "models", "--model-type", "softmax,gmm", "--out", "out")
	first, _ := p.must(t, args...)
	second, progress := p.must(t, append(args, "--resume")...)
	if second != first || strings.Contains(progress, "score ") {
		t.Errorf("the same again prints\n%s%s\nwant\n%s", progress, second, first)
	}
	args[slices.Index(args, "fashion_mnist")] = "mnist-sample,fashion-mnist"
	out, progress := p.must(t, append(args, "--resume")...)
	want := []string{"network 1 of 2: score 2000 images of mnist-sample (test)", "network 2 of 2: score 2000 images of mnist-sample (test)"}
	if got := strings.Split(strings.TrimSpace(progress), "\n"); !slices.Equal(got, want) {
		t.Errorf("progress is %q, want %q", got, want)
	}
	_, table, _ := strings.Cut(out, "mnist against fashion-mnist, in %\n")
	if _, before, _ := strings.Cut(first, "mnist against fashion-mnist, in %\n"); !strings.Contains(out, "mnist against mnist-sample, in %\n") || table != before {
		t.Errorf("with another set the table is\n%s\nbefore it was\n%s", out, first)
	}
}

func TestEvaluateErrors(t *testing.T) {
	p := trainedRuns(t)
	p.copyFile(t, p.path("models/Run1/lenet_1_1.model"), "one/Run1/wide_resnet_1_1.model")
	p.write(t, "tiny.toml", tiny)
	p.must(t, "run", "tiny.toml", "--out", "run", "--set", "train.epochs=1", "--set", "eval.methods=softmax", "-q")
	if err := os.RemoveAll(p.path("runs")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ args, want []string }{
		"no seed":          {[]string{"evaluate", "--dataset", "mnist"}, []string{"--seed", "run"}},
		"no folder":        {evaluateArgs(), []string{"--load-path: ", "Models/Normal", "not a folder", "(--runs)", "(--ensemble)"}},
		"no runs":          {evaluateArgs("--load-path", "."), []string{"--load-path: ", "no folder Run1", "(--runs)", "want Run1/lenet_1_1.model"}},
		"one too deep":     {evaluateArgs("--load-path", "models/Run1"), []string{"--load-path: ", "models/Run1", "want the folder that Run1 is in"}},
		"one of one":       {evaluateArgs("--load-path", "models/Run2/", "--runs", "1"), []string{"--load-path: ", "models/Run2", "want the folder that Run2 is in"}},
		"one network":      {evaluateArgs("--load-path", "run"), []string{"--load-path: run holds 1 network, runs.count asks for 2 (--runs)"}},
		"one ensemble":     {evaluateArgs("--load-path", "trained/Run1", "--model-type", "ensemble"), []string{"trained/Run1 holds an ensemble of 2 networks, runs.count asks for 2 (--runs)"}},
		"small ensemble":   {evaluateArgs("--load-path", "trained/Run1", "--runs", "1", "--model-type", "ensemble"), []string{"trained/Run1 holds an ensemble of 2 networks, runs.ensemble asks for 5 (--ensemble)"}},
		"missing file":     {evaluateArgs("--load-path", "models"), []string{"--load-path: ", "no file", "models/Run2/lenet_2_1.model"}},
		"missing member":   {evaluateArgs("--load-path", "models", "--model-type", "ensemble", "--ensemble", "3"), []string{"no file", "lenet_3_1.model"}},
		"other epoch":      {evaluateArgs("--load-path", "models", "-e", "7"), []string{"lenet_1_7.model"}},
		"other network":    {[]string{"evaluate", "--seed", "1", "--dataset", "mnist", "--ood_dataset", "fashion-mnist", "--model", "wide_resnet", "--depth", "10", "--widen", "1", "-e", "1", "--runs", "1", "--load-path", "one"}, []string{"--load-path: ", "wide_resnet_1_1.model", "missing", "unexpected"}},
		"model type":       {evaluateArgs("--model-type", "knn"), []string{"--model-type", `"knn"`, "softmax, gmm or ensemble"}},
		"type twice":       {evaluateArgs("--model-type", "gmm,gmm"), []string{"--model-type", "gmm twice"}},
		"ensemble of one":  {evaluateArgs("--model-type", "ensemble", "--ensemble", "1"), []string{"--ensemble: found 1", "at least 2"}},
		"unknown data set": {evaluateArgs("--ood_dataset", "svnh"), []string{"--ood-dataset: ", "svnh"}},
		"protocol":         {evaluateArgs("--protocol", "paper"), []string{"--protocol: ", `"paper"`, "reference"}},
		"no run there":     {[]string{"evaluate", "models"}, []string{"models", "belongs to no run"}},
		"nothing there":    {[]string{"evaluate", "nowhere"}, []string{"nowhere", "no such file"}},
		"flag for scores":  {[]string{"evaluate", "run", "--coeff", "2"}, []string{"--coeff", "no meaning", "--model-type"}},
		"no such scores":   {[]string{"evaluate", "run", "--ood-dataset", "svhn"}, []string{"--ood-dataset: ", "svhn", "fashion-mnist"}},
		"no densities":     {[]string{"evaluate", "run", "--model-type", "gmm"}, []string{"run", "no log densities"}},
		"only trained":     {[]string{"evaluate", "trained/Run1"}, []string{"only trained", "--load-path"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
}
