package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/experiments/scores"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// twoClasses has logits (a, 0) for each a; the right class is 0 where the label is.
func twoClasses(dataset string, part scores.Part, labels []int, a ...float32) *scores.Set {
	s := &scores.Set{Dataset: dataset, Part: part, Classes: 2, Labels: labels}
	for _, v := range a {
		s.Logits = append(s.Logits, v, 0)
		s.LogDensities = append(s.LogDensities, float64(-v), math.Inf(-1))
	}
	return s
}

// byHand is small enough to work out: in distribution a is 3, 2, 1, out of it
// 1.5, 0.5. Energy falls and entropy rises in that order; the densities run the
// other way.
func byHand() Member {
	return Member{
		Validation: twoClasses("digits", scores.Validation, []int{0, 1, 0}, 1, 1, 1),
		Test:       twoClasses("digits", scores.Test, []int{0, 0, 1}, 3, 2, 1),
		OOD:        []*scores.Set{twoClasses("things", scores.Test, []int{4, 5}, 1.5, 0.5)},
	}
}

func mustEvaluate(t *testing.T, o Options, members ...Member) *Run {
	t.Helper()
	r, err := Evaluate(members, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestMetricsByHand(t *testing.T) {
	r := mustEvaluate(t, Options{Methods: []string{"ddu", "softmax", "energy"}}, byHand())
	if len(r.Types) != 2 || r.Types[0].Name != "softmax" || r.Types[1].Name != "gmm" {
		t.Fatalf("types are %+v", r.Types)
	}
	// Two of three validation labels are class 0 at equal logits (1, 0): the best
	// temperature makes the probability 2/3, so 1/T = log 2.
	near(t, "temperature", r.Temperatures[0].T, 1/math.Ln2)

	sigmoid := func(a float64) float64 { return 1 / (1 + math.Exp(-a)) }
	quality := r.Types[0].Quality
	near(t, "accuracy", quality["accuracy"], 2./3)
	near(t, "ece", quality["ece"], (1-sigmoid(3)+1-sigmoid(2)+sigmoid(1))/3)
	near(t, "t_ece", quality["t_ece"], (1-sigmoid(3*math.Ln2)+1-sigmoid(2*math.Ln2)+2./3)/3)

	// Sorted by a: in, in, out, in, out.
	softmax := map[string]float64{
		"m1_auroc": 5. / 6, "m2_auroc": 5. / 6,
		"m1_auprc": (1 + 1 + 3./4) / 3,
		"m2_auprc": (1 + 2./3) / 2,
		"auprc_in": (1 + 1 + 3./4) / 3, "auprc_out": (1 + 2./3) / 2, "fpr95": 1. / 3,
		"m2_auprc_in": (1 + 1 + 3./4) / 3, "m2_auprc_out": (1 + 2./3) / 2, "m2_fpr95": 1. / 3,
		"t_m1_auroc": 5. / 6, "t_m2_auroc": 5. / 6,
	}
	// Densities are highest where a is lowest: out, in, out, in, in. The
	// posteriors are all certain, their entropies equal.
	gmm := map[string]float64{
		"m1_auroc": 1. / 6,
		"m1_auprc": (1./2 + 2./4 + 3./5) / 3,
		"m2_auroc": 0.5, "m2_auprc": 2. / 5,
		"auprc_out":  (1./3 + 2./5) / 2,
		"fpr95":      1,
		"t_m1_auroc": 1. / 6, "t_m1_auprc": (1./2 + 2./4 + 3./5) / 3, "t_m2_auroc": 0.5, "t_m2_auprc": 2. / 5,
	}
	for i, want := range []map[string]float64{softmax, gmm} {
		for key, v := range want {
			near(t, r.Types[i].Name+" "+key, r.Types[i].OOD["things"][key], v)
		}
	}
	if got := r.Types[1].Quality["accuracy"]; got != quality["accuracy"] {
		t.Errorf("gmm has accuracy %v, its network %v", got, quality["accuracy"])
	}
	var methods []string
	for _, s := range r.Scores {
		methods = append(methods, s.Method)
	}
	if !slices.Equal(methods, []string{"ddu", "softmax", "energy"}) {
		t.Errorf("scores are of %v", methods)
	}
}

// Two members that contradict each other where a single one is certain.
func TestEnsembleByHand(t *testing.T) {
	a, b := byHand(), byHand()
	flip := func(s *scores.Set) {
		for i := range s.Labels {
			s.Logits[2*i], s.Logits[2*i+1] = s.Logits[2*i+1], s.Logits[2*i]
		}
	}
	flip(b.OOD[0])
	r := mustEvaluate(t, Options{Methods: []string{"ensemble"}}, a, b)
	m := r.Types[0].OOD["things"]
	near(t, "m1_auroc", m["m1_auroc"], 1) // they agree on the test images: MI is 0
	near(t, "m2_auroc", m["m2_auroc"], 1)
	near(t, "m1_auprc", m["m1_auprc"], 1)
	near(t, "entropy of a contradiction", r.Scores[0].Out[0][0], math.Ln2-1e-12)
	if r.Scores[0].Method != "ensemble" || r.Scores[1].Method != "ensemble_mi" {
		t.Errorf("rows are %s, %s", r.Scores[0].Method, r.Scores[1].Method)
	}

	// Each member has its own temperature.
	b = byHand()
	for i := range b.Validation.Logits {
		b.Validation.Logits[i] *= 4
	}
	r = mustEvaluate(t, Options{Methods: []string{"ensemble"}}, a, b)
	near(t, "second temperature", r.Temperatures[1].T, 4/math.Ln2)
	grid := mustEvaluate(t, Options{Methods: []string{"ensemble"}, GridTemperature: true}, a, b)
	near(t, "first temperature on the grid", grid.Temperatures[0].T, 1.4)
}

func TestResultsHaveThePublishedStructure(t *testing.T) {
	second := byHand()
	second.Test.Labels = []int{0, 0, 0}
	o := Options{Methods: []string{"softmax", "ddu"}}
	runs := []*Run{mustEvaluate(t, o, byHand()), mustEvaluate(t, o, second)}
	info := map[string]any{"seed": 1, "model.name": "lenet"}

	files, err := Results("lenet_sn_3.0_mod_1", runs[:1], info)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Name != "res_lenet_sn_3.0_mod_1_softmax_digits_things.json" || files[1].Name != "res_lenet_sn_3.0_mod_1_gmm_digits_things.json" {
		t.Fatalf("files are %v", files)
	}
	type result struct {
		Mean   map[string]float64   `json:"mean"`
		Std    map[string]*float64  `json:"std"`
		Values map[string][]float64 `json:"values"`
		Info   map[string]any       `json:"info"`
	}
	read := func(data []byte) result {
		var r result
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, f := range files {
		r := read(f.Data)
		if r.Info["model.name"] != "lenet" {
			t.Errorf("info is %v", r.Info)
		}
		keys := resultKeys(strings.Split(f.Name, "_")[6])
		for _, key := range keys {
			std, ok := r.Std[key]
			if _, has := r.Mean[key]; !has || !ok || std != nil || len(r.Values[key]) != 1 {
				t.Errorf("%s: %s is %v, %v, %v: want a mean, null, one value", f.Name, key, r.Mean[key], std, r.Values[key])
			}
		}
		if len(r.Mean) != len(keys) {
			t.Errorf("%s: %d keys, want %d", f.Name, len(r.Mean), len(keys))
		}
	}
	if at := strings.Index(string(files[0].Data), `"accuracy"`); at < 0 || at > strings.Index(string(files[0].Data), `"m1_auroc"`) {
		t.Error("keys are not in the published order")
	}

	if files, err = Results("x", runs, nil); err != nil {
		t.Fatal(err)
	}
	r := read(files[0].Data)
	near(t, "mean accuracy", r.Mean["accuracy"], (2./3+1)/2)
	near(t, "standard error of 2/3 and 1", *r.Std["accuracy"], 1./6)
	if !slices.Equal(r.Values["accuracy"], []float64{2. / 3, 1}) {
		t.Errorf("values are %v", r.Values["accuracy"])
	}
}

func TestWithoutSetsOutOfDistribution(t *testing.T) {
	m := byHand()
	m.OOD = nil
	r := mustEvaluate(t, Options{Methods: []string{"softmax", "ddu"}}, m)
	files, err := Results("lenet_1", []*Run{r}, nil)
	if err != nil || files[0].Name != "res_lenet_1_softmax_digits.json" || strings.Contains(string(files[0].Data), "auroc") {
		t.Errorf("%v, %v", files, err)
	}
	rows, err := Rows([]*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	want := `digits, in %
method           accuracy    ECE
---------------  --------  -----
Softmax entropy     66.67  29.92
DDU density         66.67  29.92
`
	if got := Text("digits", rows); got != want {
		t.Errorf("table is\n%s\nwant\n%s", got, want)
	}
	if pictures, err := Pictures(r); err != nil || len(pictures) != 3 {
		t.Errorf("pictures are %v, %v", pictures, err)
	}
}

func TestTables(t *testing.T) {
	second := byHand()
	second.Test.Labels = []int{0, 0, 0}
	other := *second.OOD[0]
	other.Dataset = "noise"
	o := Options{Methods: []string{"softmax", "energy", "ddu"}}
	one := mustEvaluate(t, o, byHand())
	rows, err := Rows([]*Run{one})
	if err != nil {
		t.Fatal(err)
	}
	want := `digits against things, in %
method           accuracy    ECE  AUROC   AUPR   FPR95
---------------  --------  -----  -----  -----  ------
Softmax entropy     66.67  29.92  83.33  83.33   33.33
Energy              66.67  29.92  83.33  83.33   33.33
DDU density         66.67  29.92  16.67  36.67  100.00
`
	if got := Text("digits", rows); got != want {
		t.Errorf("table is\n%s\nwant\n%s", got, want)
	}
	markdown := `digits against things, in %

| method | accuracy | ECE | AUROC | AUPR | FPR95 |
|---|---:|---:|---:|---:|---:|
| Softmax entropy | 66.67 | 29.92 | 83.33 | 83.33 | 33.33 |
| Energy | 66.67 | 29.92 | 83.33 | 83.33 | 33.33 |
| DDU density | 66.67 | 29.92 | 16.67 | 36.67 | 100.00 |
`
	if got := Markdown("digits", rows); got != markdown {
		t.Errorf("table is\n%s\nwant\n%s", got, markdown)
	}
	first := byHand()
	first.OOD = append(first.OOD, &other)
	second.OOD = append(second.OOD, &other)
	rows, err = Rows([]*Run{mustEvaluate(t, o, first), mustEvaluate(t, o, second)})
	if err != nil {
		t.Fatal(err)
	}
	text := Text("digits", rows)
	if !strings.Contains(text, "digits against noise") || !strings.Contains(text, "83.33 ± 16.67") {
		t.Errorf("table of two runs and two sets is\n%s", text)
	}
	if data, err := json.Marshal(rows[0]); err != nil || !strings.HasPrefix(string(data), `{"method":"softmax","ood":"things","accuracy":{"mean":0.8333333333333333,"std":0.1666666666666`) {
		t.Errorf("row as JSON is %s, %v", data, err)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	all := []string{"softmax", "ddu"}
	for name, test := range map[string]struct {
		methods []string
		spoil   func(a, b *Member)
		want    string
	}{
		"no methods":         {nil, func(_, _ *Member) {}, "no methods"},
		"unknown method":     {[]string{"knn"}, func(_, _ *Member) {}, `method "knn", want softmax, msp, energy, ddu or ensemble`},
		"inner name":         {[]string{""}, func(_, _ *Member) {}, `method ""`},
		"no densities":       {all, func(a, _ *Member) { a.OOD[0].LogDensities = nil }, "method ddu: scores of things (test) hold no log densities"},
		"no validation":      {all, func(a, _ *Member) { a.Validation = nil }, "network 1: test and validation scores are both needed"},
		"other validation":   {all, func(a, _ *Member) { a.Validation.Dataset = "x" }, "network 1: test images are of digits, validation images of x"},
		"other images":       {all, func(_, b *Member) { b.Test.Labels = []int{1, 1, 1} }, "network 2: the scores of digits (test) are of other images"},
		"other set":          {all, func(_, b *Member) { b.OOD[0].Dataset = "x" }, "network 2: scores of x (test), want things (test)"},
		"fewer sets":         {all, func(_, b *Member) { b.OOD = nil }, "network 2: 0 sets out of distribution, the first network has 1"},
		"label out of range": {all, func(a, b *Member) { a.Test.Labels[0], b.Test.Labels[0] = 7, 7 }, "softmax: label 7"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := byHand(), byHand()
			test.spoil(&a, &b)
			if _, err := Evaluate([]Member{a, b}, Options{Methods: test.methods}); err == nil || !strings.HasPrefix(err.Error(), test.want) && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
	if _, err := Evaluate([]Member{byHand()}, Options{Methods: []string{"ensemble"}}); err == nil || !strings.Contains(err.Error(), "1 network, want at least 2") {
		t.Errorf("an ensemble of one: %v", err)
	}
	if _, err := Evaluate(nil, Options{Methods: all}); err == nil {
		t.Error("no networks were evaluated")
	}
}

func TestResultsRefuse(t *testing.T) {
	a := mustEvaluate(t, Options{Methods: []string{"softmax"}}, byHand())
	b := mustEvaluate(t, Options{Methods: []string{"ddu"}}, byHand())
	if _, err := Results("x", []*Run{a, b}, nil); err == nil || !strings.Contains(err.Error(), "run 2 measured digits against [things]: ddu") {
		t.Errorf("different runs: %v", err)
	}
	if _, err := Rows(nil); err == nil {
		t.Error("a table of no runs")
	}
	if _, err := Results("x", []*Run{a}, map[string]any{"lr": math.NaN()}); err == nil {
		t.Error("NaN went into the file")
	}
	a.Types[0].OOD["things"]["m1_auroc"] = math.NaN()
	if _, err := Results("x", []*Run{a}, nil); err == nil || !strings.Contains(err.Error(), "m1_auroc of run 1 is NaN") {
		t.Errorf("a NaN metric: %v", err)
	}
}

// A run of a realistic size draws all its figures. With DDU_FIGURES set they are
// kept in that folder, to look at.
func TestPictures(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(dataset string, part scores.Part, n int, certain, density float64) *scores.Set {
		s := &scores.Set{Dataset: dataset, Part: part, Classes: 10}
		for range n {
			label := r.IntN(10)
			s.Labels = append(s.Labels, label)
			for k := range 10 {
				v := r.NormFloat64()
				if k == label {
					v += certain * (0.3 + r.Float64())
				}
				s.Logits = append(s.Logits, float32(v))
				s.LogDensities = append(s.LogDensities, density*(1+0.3*r.NormFloat64()))
			}
		}
		return s
	}
	member := func(in int) Member {
		return Member{
			Validation: draw("mnist-sample", scores.Validation, 500, 9, 80),
			Test:       draw("mnist-sample", scores.Test, in, 9, 80),
			OOD:        []*scores.Set{draw("fashion-mnist-sample", scores.Test, in, 4, -900)},
		}
	}
	a, b := member(1000), member(1000)
	b.Test.Labels, b.OOD[0].Labels = a.Test.Labels, a.OOD[0].Labels
	run := mustEvaluate(t, Options{Methods: []string{"softmax", "energy", "ddu", "ensemble"}}, a, b)
	pictures, err := Pictures(run)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range pictures {
		names = append(names, p.Name)
		data, err := p.Figure.PNG()
		if err != nil {
			t.Fatal(err)
		}
		if keep := os.Getenv("DDU_FIGURES"); keep != "" {
			if err := os.WriteFile(filepath.Join(keep, "run_"+p.Name+".png"), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{"entropy", "density", "roc_fashion-mnist-sample", "reliability"}; !slices.Equal(names, want) {
		t.Errorf("pictures are %v, want %v", names, want)
	}
	for _, d := range run.detectors(0) {
		if auroc, err := uncertainty.AUROC(d.Out, d.In); err != nil || math.Abs(auroc-d.AUROC) > 1e-12 {
			t.Errorf("%s: the curve has area %v, its label says %v (%v)", d.Label, auroc, d.AUROC, err)
		}
	}
}
