package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// Every error is one clear line, and nothing is left behind.
func TestErrors(t *testing.T) {
	p := newPlace(t, 50)
	p.write(t, "tiny.toml", tiny)
	p.write(t, "cifar.toml", strings.ReplaceAll(strings.ReplaceAll(tiny, `"mnist"`, `"cifar10"`), "ood", "# ood"))
	p.write(t, "broken.toml", "[data\nname = 1\n")
	for _, folder := range []string{"full", "cifar"} {
		if err := os.MkdirAll(p.path(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		p.write(t, "cifar/"+file+".bin", strings.Repeat("\x00", 4*(1+3*32*32)))
	}
	p.write(t, "full/notes.txt", "mine")
	foreign := "neon"
	if runtime.GOARCH == "arm64" {
		foreign = "avx2"
	}
	run := func(args ...string) []string { return append([]string{"run", "tiny.toml", "--out", "new"}, args...) }
	tests := map[string]struct {
		args []string
		want []string
	}{
		"unknown preset":           {[]string{"run", "quickstrat", "--out", "new"}, []string{"quickstrat", "no such file", "did you mean quickstart?"}},
		"not TOML":                 {[]string{"run", "broken.toml", "--out", "new"}, []string{"broken.toml:1:"}},
		"a folder":                 {[]string{"run", "full", "--out", "new"}, []string{"experiment full"}},
		"unknown key":              {run("--set", "train.epocs=3"), []string{"--set train.epocs: unknown key", "train.epochs?"}},
		"bad value":                {run("--set", "train.lr=fast"), []string{"--set train.lr", `"fast"`, "want a number above 0"}},
		"impossible value":         {run("--set", "model.depth=12"), []string{"--set model.depth: found 12", "6n+4"}},
		"no value":                 {run("--set", "train.epochs"), []string{"--set train.epochs", "want key=value"}},
		"missing data set":         {[]string{"run", "cifar.toml", "--out", "new"}, []string{"cifar.toml:2:1: data.name", "data_batch_1.bin", "https://www.cs.toronto.edu", "DDU_DATA"}},
		"unknown data set":         {run("--set", "data.name=nmist"), []string{"data.name", "nmist", "fashion-mnist"}},
		"network for other images": {[]string{"run", "cifar.toml", "--out", "new", "--set", "data.root=cifar"}, []string{"cifar.toml:5:1: model.name", "lenet", "32", "cifar10"}},
		"unknown network":          {run("--set", "model.name=lenets"), []string{"model.name", "lenets", "lenet"}},
		"no weights":               {run("--set", "model.checkpoint=nowhere.safetensors"), []string{"model.checkpoint", "nowhere.safetensors", "no such file"}},
		"unknown level":            {run("--isa", "sse2"), []string{"--isa: ", `"sse2"`, "portable", "avx512"}},
		"level of another CPU":     {run("--isa", foreign), []string{"--isa: ", foreign, "this CPU has", "portable"}},
		"too many threads":         {run("--threads", "5000"), []string{"--threads: ", "5000", "1024"}},
		"negative threads":         {run("--threads=-1"), []string{"--threads: found -1", "at least 0"}},
		"threads no number":        {run("--threads", "x"), []string{"--threads", "x"}},
		"seed too large":           {run("--seed", "99999999999"), []string{"--seed: found 99999999999", "4294967295"}},
		"folder not empty":         {[]string{"run", "tiny.toml", "--out", "full"}, []string{"full", "not empty"}},
		"resume without a folder":  {[]string{"run", "--resume"}, []string{"--resume", "--out"}},
		"resume without a run":     {[]string{"run", "--resume", "--out", "full"}, []string{"full", "holds no run"}},
		"resume of nothing":        {[]string{"run", "tiny.toml", "--resume", "--out", "new"}, []string{"new", "holds no run"}},
		"nothing to run":           {[]string{"run", "--set", "train.epochs=3"}, []string{"nothing to run", "preset"}},
		"second file":              {run("other.toml"), []string{"unexpected argument other.toml"}},
		"unknown flag":             {run("--epochs", "3"), []string{"unknown flag --epochs"}},
		"unknown command":          {[]string{"trian"}, []string{"unexpected argument trian"}},
		"info, unknown level":      {[]string{"info", "--isa", "sse2"}, []string{`"sse2"`, "avx512"}},
		"info, threads":            {[]string{"info", "--threads=-1"}, []string{"threads", "-1", "1 to 1024"}},
		"bench without arguments":  {[]string{"bench"}, []string{"<network> <mode> <dtype>"}},
		"bench, unknown network":   {[]string{"bench", "resnet9", "train", "fp32"}, []string{`"resnet9"`, "resnet18", "wide_resnet"}},
		"bench, unknown mode":      {[]string{"bench", "lenet", "eval", "fp32"}, []string{"train", "infer", "eval"}},
		"bench, unknown type":      {[]string{"bench", "lenet", "train", "fp16"}, []string{"fp32", "fp16"}},
		"bench, no batch":          {[]string{"bench", "lenet", "train", "fp32", "--batch", "0"}, []string{"batch 0", "at least 1"}},
		"bench, no time":           {[]string{"bench", "lenet", "train", "fp32", "--seconds", "0"}, []string{"0 seconds", "positive"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
	t.Run("DDU_ISA", func(t *testing.T) {
		q := p
		q.env = append(q.env[:len(q.env):len(q.env)], "DDU_ISA=sse2")
		for _, args := range [][]string{run(), {"info"}, {"bench", "lenet", "train", "fp32"}} {
			wantRefusal(t, q, args, []string{"DDU_ISA", `"sse2"`, "portable", "avx512"})
		}
	})
}

func wantRefusal(t *testing.T, p place, args, want []string) {
	t.Helper()
	stdout, stderr, code := p.ddu(t, args...)
	if code == 0 || stdout != "" {
		t.Errorf("exit code %d, output %q; want another code than 0 and no output", code, stdout)
	}
	if !strings.HasPrefix(stderr, "ddu: ") || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("stderr is %q, want one line that begins with ddu:", stderr)
	}
	for _, part := range want {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr is %q, lacks %q", stderr, part)
		}
	}
	for _, name := range []string{"new", "runs"} {
		if _, err := os.Stat(p.path(name)); !os.IsNotExist(err) {
			t.Errorf("%s was made by a command that failed: %v", name, err)
		}
	}
}

// All that is wrong with a file is told at once, a line for each.
func TestSeveralProblems(t *testing.T) {
	p := newPlace(t, 0)
	p.write(t, "tiny.toml", strings.ReplaceAll(tiny, "epochs = 2", "epocs = 2\nmomentum = 2"))
	_, stderr, code := p.ddu(t, "run", "tiny.toml", "--set", "train.gamma=x", "--threads=-1")
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	want := []string{"ddu: tiny.toml:7:1: train.epocs: ", "ddu: tiny.toml:8:1: train.momentum: ", "ddu: --set train.gamma: ", "ddu: --threads: "}
	if code == 0 || len(lines) != len(want) {
		t.Fatalf("exit code %d, stderr\n%s\nwant %d lines", code, stderr, len(want))
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d is %q, want it to begin with %q", i+1, line, want[i])
		}
	}
}

func TestResumeWithOtherSettings(t *testing.T) {
	p := newPlace(t, 50)
	p.write(t, "tiny.toml", tiny)
	p.must(t, "run", "tiny.toml", "--out", "run", "--set", "train.epochs=1", "-q")
	for name, test := range map[string]struct{ args, want []string }{
		"with the file":    {[]string{"run", "tiny.toml", "--resume", "--out", "run"}, []string{"other settings", "train.epochs: 1 -> 2"}},
		"without the file": {[]string{"run", "--resume", "--out", "run", "--seed", "9"}, []string{"other settings", "seed: 1 -> 9"}},
		"without a value":  {[]string{"run", "--resume", "--out", "run", "--set", "train.lr"}, []string{"--set train.lr", "want key=value"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
	// A run that is over is only told about once more.
	out, stderr := p.must(t, "run", "--resume", "--out", "run", "--threads", "1")
	if !strings.Contains(out, "DDU density") || strings.Contains(stderr, "\nepoch ") {
		t.Errorf("output\n%s\nprogress\n%s", out, stderr)
	}
}
