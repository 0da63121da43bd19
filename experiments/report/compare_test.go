package report

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeResult writes a result file and returns its path.
func writeResult(t *testing.T, name string, values map[string][]float64, info map[string]any) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"values": values, "info": info})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The published evaluation writes fewer keys, and info of its own.
func TestCompareTakesPublishedResults(t *testing.T) {
	path := writeResult(t, "res_wide_resnet_sn_3.0_mod_1_softmax_cifar10_tiny_imagenet.json", map[string][]float64{
		"accuracy": {0.95, 0.97}, "ece": {0.01, 0.02}, "m1_auroc": {0.9, 0.94}, "m1_auprc": {0.8, 0.8}, "m2_auroc": {0.8, 0.8}, "m2_auprc": {0.7, 0.7},
	}, map[string]any{"seed": 1, "model": "wide_resnet"})
	r, err := ReadResult(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Type != "softmax" || r.Dataset != "cifar10" || r.OOD != "tiny-imagenet" {
		t.Errorf("result is %+v", r)
	}
	rows, err := Compare([]*Result{r})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[1].Method != "energy" || rows[1].Runs != 2 || rows[1].FPR95 != nil {
		t.Fatalf("rows are %+v", rows)
	}
	near(t, "AUROC", rows[1].AUROC.Mean, 0.92)
	near(t, "its error", *rows[1].AUROC.StdError, 0.02)
	if text := CompareText(rows); !strings.Contains(text, "92.00 ± 2.00     -      -\n") {
		t.Errorf("the table is\n%s", text)
	}
	if f, err := CompareFigure(rows); err != nil || f == nil {
		t.Error(err)
	}
}

// Sets that the published scripts spell otherwise are spelt so in names of files, and
// read in either spelling.
func TestPublishedSetNames(t *testing.T) {
	m := byHand()
	m.Validation.Dataset, m.Test.Dataset, m.OOD[0].Dataset = "dirty-mnist", "dirty-mnist", "tiny-imagenet"
	files, err := Results("lenet_1", []*Run{mustEvaluate(t, Options{Methods: []string{"softmax"}}, m)}, nil)
	if err != nil || len(files) != 1 || files[0].Name != "res_lenet_1_softmax_dirty_mnist_tiny_imagenet.json" {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range []string{files[0].Name, "res_lenet_1_softmax_dirty-mnist_tiny-imagenet.json"} {
		r, err := ReadResult(writeResult(t, name, map[string][]float64{"accuracy": {0.5}}, nil))
		if err != nil || r.Dataset != "dirty-mnist" || r.OOD != "tiny-imagenet" {
			t.Errorf("%s is read as %+v, %v", name, r, err)
		}
	}
}

// Every number of a comparison is written once in the CSV.
func TestCompareCSV(t *testing.T) {
	path := writeResult(t, "res_lenet_1_ensemble_mnist.json", map[string][]float64{"accuracy": {0.5}, "ece": {0.25}}, map[string]any{"seed": 1, "model.name": "lenet", "runs.ensemble": 5})
	r, err := ReadResult(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := Compare([]*Result{r})
	if err != nil {
		t.Fatal(err)
	}
	text, err := CompareCSV(rows)
	if err != nil {
		t.Fatal(err)
	}
	want := "5 x lenet,mnist,,ensemble,1,0.5,,0.25,,,,,,,\n"
	if lines := strings.SplitAfter(text, "\n"); len(lines) != 4 || lines[1] != want {
		t.Errorf("the table is\n%s\nwant a line\n%s", text, want)
	}
}

func TestReadResultRefuses(t *testing.T) {
	good := map[string][]float64{"accuracy": {0.5}}
	for name, test := range map[string]struct {
		path, want string
	}{
		"name":           {writeResult(t, "results.json", good, nil), "res_NAME_TYPE_DATASET_OOD.json"},
		"no values":      {writeResult(t, "res_lenet_1_gmm_a_b.json", nil, nil), "not a result file"},
		"uneven":         {writeResult(t, "res_lenet_1_gmm_a_b.json", map[string][]float64{"accuracy": {1}, "ece": {1, 2}}, nil), "2 values of ece and 1 of accuracy"},
		"not there":      {"nowhere.json", "nowhere.json"},
		"other type key": {writeResult(t, "res_gmm_1_knn_a_b.json", good, nil), "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadResult(test.path); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

// Maximum softmax is a method beside the published measures, with its keys in the
// results; it orders images otherwise than the entropy does.
func TestMaximumSoftmax(t *testing.T) {
	r := mustEvaluate(t, Options{Methods: []string{"msp", "softmax"}}, byHand())
	if len(r.Scores) != 2 || r.Scores[0].Method != "msp" {
		t.Fatalf("methods are %+v", r.Scores)
	}
	for i, v := range r.Scores[0].In {
		logits := byHand().Test.Logits[2*i : 2*i+2]
		a, b := math.Exp(float64(logits[0])), math.Exp(float64(logits[1]))
		near(t, "maximum softmax", v, math.Max(a, b)/(a+b))
	}
	near(t, "AUROC", r.Types[0].OOD[r.OOD[0]]["msp_auroc"], r.Scores[0].Metrics[0].AUROC)
}

// Networks that were evaluated one by one, from files with their seeds in the names,
// are runs of one configuration; those of other epochs are not.
func TestCompareTakesSeedsTogether(t *testing.T) {
	var results []*Result
	for _, run := range []struct {
		seed int
		file string
	}{{3, "models/lenet_3_3.model"}, {4, "models/lenet_4_3.model"}, {3, "models/lenet_3_9.model"}} {
		info := map[string]any{"seed": run.seed, "model.name": "lenet", "model.checkpoint": run.file}
		path := writeResult(t, "res_lenet_1_ensemble_mnist.json", map[string][]float64{"accuracy": {0.5}, "ece": {0.25}}, info)
		r, err := ReadResult(path)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	rows, err := Compare(results)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[int]int{}
	for _, r := range rows {
		runs[r.Runs]++
	}
	if runs[2] == 0 || runs[2] != runs[1] {
		t.Errorf("rows of two runs and of one: %v, want as many", runs)
	}
}
