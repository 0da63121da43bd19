package main

import (
	"bytes"
	"encoding/csv"
	"image/png"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Runs that differ in their seeds alone are one row, others have rows of their
// own that say what differs.
func TestCompare(t *testing.T) {
	p := newPlace(t, 100)
	p.write(t, "tiny.toml", tiny)
	for folder, settings := range map[string]string{"a": "seed=1", "b": "seed=2", "c [1]": "train.lr=0.01"} {
		p.must(t, "run", "tiny.toml", "--out", folder, "--set", settings, "--set", "eval.methods=softmax,msp", "--set", "train.epochs=1", "-q")
	}
	out, _ := p.must(t, "compare", "a", "b", "c [1]", "--figure", "all.png")
	for _, row := range []string{
		`lenet, train.lr = 0.02 +Softmax entropy +2( +\d+\.\d\d ± \d+\.\d\d){5}\n`,
		`lenet, train.lr = 0.02 +Maximum softmax +2( +\d+\.\d\d ± \d+\.\d\d){5}\n`,
		`lenet, train.lr = 0.01 +Softmax entropy +1( +\d+\.\d\d){5}\n`,
	} {
		if !regexp.MustCompile(row).MatchString(out) {
			t.Errorf("the table\n%s\nlacks %s", out, row)
		}
	}
	data, err := os.ReadFile(p.path("all.png"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	out, _ = p.must(t, "compare", "a", "c [1]", "--format", "markdown", "--figure", "all.svg")
	if !strings.Contains(out, "|---|---|---:|---:|") || strings.Count(out, "\n| lenet") != 4 {
		t.Errorf("the table is\n%s", out)
	}
	if data, err := os.ReadFile(p.path("all.svg")); err != nil || !strings.Contains(string(data), "lenet, train.lr = 0.01") {
		t.Errorf("the SVG lacks a configuration, %v", err)
	}
	checkPooled(t, p)
}

// checkPooled recomputes a mean and its standard error by hand.
func checkPooled(t *testing.T, p place) {
	t.Helper()
	out, _ := p.must(t, "compare", "a", "b", "--format", "csv")
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(lines) != 3 {
		t.Fatalf("%v in\n%s", err, out)
	}
	const file = "_softmax_mnist_fashion-mnist.json"
	x, y := means(t, p.path("a", "res_lenet_1"+file))["m2_auroc"], means(t, p.path("b", "res_lenet_2"+file))["m2_auroc"]
	for i, name := range lines[0] {
		want := map[string]float64{"auroc": (x + y) / 2, "auroc_stderr": math.Abs(x-y) / 2, "runs": 2}[name]
		if want == 0 {
			continue
		}
		if got, err := strconv.ParseFloat(lines[1][i], 64); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %s, want %v", name, lines[1][i], want)
		}
	}
	for name, test := range map[string]struct{ args, want []string }{
		"nothing":         {[]string{"compare"}, []string{"run"}},
		"no such run":     {[]string{"compare", "nowhere"}, []string{"nowhere", "no such file"}},
		"no results":      {[]string{"compare", "."}, []string{"holds no results"}},
		"the same twice":  {[]string{"compare", "a", "a"}, []string{"seed 1", "one of them"}},
		"other file":      {[]string{"compare", "a/metrics.jsonl"}, []string{"metrics.jsonl"}},
		"unknown format":  {[]string{"compare", "a", "--format", "html"}, []string{"--format", "html", "csv"}},
		"figure of words": {[]string{"compare", "a", "--figure", "x.pdf"}, []string{"--figure", "x.pdf", ".png or .svg"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
}
