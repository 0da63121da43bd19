package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// fixture copies a file that PyTorch wrote.
func (p place) fixture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "nn", "checkpoint", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return p.write(t, name, string(data))
}

func (p place) weights(t *testing.T, name string) *checkpoint.File {
	t.Helper()
	f, err := checkpoint.Read(p.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConvert(t *testing.T) {
	p := newPlace(t, 0)
	p.fixture(t, "network.model")
	p.fixture(t, "parallel.model")
	p.fixture(t, "nested_legacy.pt")
	want := p.weights(t, "network.model")
	for _, test := range []struct {
		args          []string
		output, first string
		format        byte // the first of the file, or 0
	}{
		{[]string{"network.model", "a.safetensors"}, "a.safetensors: 15 tensors, 109 numbers, safetensors\n", "conv.weight", 0},
		{[]string{"a.safetensors", "b.pth", "--prefix", "module."}, "b.pth: 15 tensors, 109 numbers, torch\n", "module.conv.weight", 'P'},
		{[]string{"b.pth", "c", "--to", "torch", "--prefix="}, "c: 15 tensors, 109 numbers, torch\n", "conv.weight", 'P'},
		{[]string{"parallel.model", "d.pt"}, "d.pt: 15 tensors, 109 numbers, torch\n", "module.conv.weight", 'P'},
		{[]string{"nested_legacy.pt", "c", "--to", "torch", "--force"}, "c: 3 tensors, 12 numbers, torch\n", "conv.weight", 'P'},
	} {
		out, stderr := p.must(t, append([]string{"convert"}, test.args...)...)
		if out != test.output || stderr != "" {
			t.Errorf("ddu convert %q prints %q and %q, want %q", test.args, out, stderr, test.output)
		}
		f := p.weights(t, test.args[1])
		if f.Entries[0].Name != test.first {
			t.Errorf("%s begins with %s, want %s", test.args[1], f.Entries[0].Name, test.first)
		}
		data, err := os.ReadFile(p.path(test.args[1]))
		if err != nil || test.format != 0 && data[0] != test.format {
			t.Errorf("%s begins with %q (%v), want %q", test.args[1], data[0], err, test.format)
		}
		for i, e := range want.Entries {
			if len(f.Entries) == len(want.Entries) && !bytes.Equal(f.Entries[i].Data, e.Data) {
				t.Errorf("%s: %s changed", test.args[1], e.Name)
			}
		}
	}
}

// What cannot be converted is told in a line, and what is there stays.
func TestConvertErrors(t *testing.T) {
	p := newPlace(t, 0)
	p.fixture(t, "network.model")
	p.fixture(t, "malicious.model")
	p.fixture(t, "malicious_legacy.model")
	p.fixture(t, "samples.pt")
	p.write(t, "there.pt", "mine")
	p.write(t, "notes.txt", "notes")
	if err := os.MkdirAll(p.path("folder", "folder.pt"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ args, want []string }{
		"malicious":          {[]string{"malicious.model", "there.pt", "--force"}, []string{"malicious.model", `"posix.system"`, "Nothing in the file was run"}},
		"no extension":       {[]string{"malicious_legacy.model", "new"}, []string{"new", `extension ""`}},
		"malicious, legacy":  {[]string{"malicious_legacy.model", "new", "--to", "torch"}, []string{"malicious_legacy.model", `"posix.system"`}},
		"no checkpoint":      {[]string{"notes.txt", "new.pt"}, []string{"notes.txt", "neither"}},
		"one tensor":         {[]string{"samples.pt", "new.pt"}, []string{"samples.pt", "a tensor, want a state dict"}},
		"not there":          {[]string{"nowhere.pt", "new.pt"}, []string{"nowhere.pt", "no such file"}},
		"folder without":     {[]string{"folder", "new.pt"}, []string{"folder", "without a checkpoint"}},
		"target is there":    {[]string{"network.model", "there.pt"}, []string{"there.pt", "is there already", "--force"}},
		"target is a folder": {[]string{"network.model", "folder/folder.pt", "--force"}, []string{"folder.pt", "no file"}},
		"no target folder":   {[]string{"network.model", "nowhere/new.pt"}, []string{"nowhere", "is not there"}},
		"unknown extension":  {[]string{"network.model", "new.onnx"}, []string{"new.onnx", ".model, .pt, .pth or .safetensors", "--to"}},
		"unknown format":     {[]string{"network.model", "new.pt", "--to", "onnx"}, []string{"--to", "onnx", "torch"}},
		"no target":          {[]string{"network.model"}, []string{"<to>"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, append([]string{"convert"}, test.args...), test.want) })
	}
	if data, err := os.ReadFile(p.path("there.pt")); err != nil || string(data) != "mine" {
		t.Errorf("there.pt holds %q, %v", data, err)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) != 7 {
		t.Errorf("the folder holds %v, %v; want the 7 that were there", entries, err)
	}
}

// Weights of a run as PyTorch's file are evaluated to the numbers of the run.
func TestRunOfConvertedWeights(t *testing.T) {
	p := newPlace(t, 50)
	p.write(t, "tiny.toml", tiny)
	want, _ := p.must(t, "run", "tiny.toml", "--out", "run", "-q")
	p.must(t, "convert", "run", "lenet_1_2.model", "--prefix", "module.")
	got, _ := p.must(t, "run", "tiny.toml", "--out", "again", "-q", "--set", "model.checkpoint=lenet_1_2.model")
	if got != want || !strings.Contains(got, "DDU density") {
		t.Errorf("evaluation prints\n%s\nthe run printed\n%s", got, want)
	}
	p.fixture(t, "network.model")
	p.fixture(t, "malicious.model")
	for name, parts := range map[string][]string{
		"network.model":   {"model.checkpoint", "network.model", "missing conv1.weight", "unexpected conv.weight"},
		"malicious.model": {"model.checkpoint", "malicious.model", "posix.system"},
	} {
		wantRefusal(t, p, []string{"run", "tiny.toml", "--out", "new", "--set", "model.checkpoint=" + name}, parts)
	}
	if _, err := os.Stat(p.path("pwned")); !os.IsNotExist(err) {
		t.Errorf("a file was made by reading weights: %v", err)
	}
}
