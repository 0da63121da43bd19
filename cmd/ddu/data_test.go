package main

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataList(t *testing.T) {
	p := newPlace(t, 50)
	out, _ := p.must(t, "data", "list")
	for _, want := range []string{"Data sets in ", "\ndirty-mnist ", "tiny-imagenet", "no (ddu data get svhn)", "CC BY-SA 3.0", "folder:PATH", "npz:PATH", "built-in"} {
		if !strings.Contains(out, want) {
			t.Errorf("ddu data list lacks %q:\n%s", want, out)
		}
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "svhn", "test_32x32.mat"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, _ := p.must(t, "data", "list", "--data-root", root); !strings.Contains(out, "test_32x32.mat is a folder, want a file\n") {
		t.Errorf("ddu data list lacks what is wrong with svhn:\n%s", out)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, p, []string{"data", "list", "--data-root", file}, []string{"folder of the data sets", file})
	out, _ = p.must(t, "data", "list", "--json", "--data-root", t.TempDir())
	var list []struct {
		Name    string `json:"name"`
		Train   string `json:"train"`
		Classes int    `json:"classes"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || list[0].Name != "mnist" || list[0].Train != "" || list[0].Classes != 10 {
		t.Errorf("%v in %s", err, out)
	}
}

// What can be read but is not the published set is told, and fails.
func TestDataVerify(t *testing.T) {
	p := newPlace(t, 50)
	out, _ := p.must(t, "data", "verify", "mnist-sample")
	if want := "mnist-sample (training): 10000 images, built in\nmnist-sample (test): 2000 images, built in\n"; out != want {
		t.Errorf("ddu data verify prints %q, want %q", out, want)
	}
	out, stderr, code := p.ddu(t, "data", "verify")
	if code != 1 || !strings.Contains(out, "mnist (training): 50 images, the published part has 60000") || !strings.Contains(stderr, "4 of the data sets and parts above") || strings.Contains(out, "svhn") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	out, stderr, code = p.ddu(t, "data", "verify", "svhn")
	if code != 1 || !strings.Contains(out, "svhn (test): not found") || !strings.HasPrefix(stderr, "ddu: 1 of") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	wantRefusal(t, p, []string{"data", "verify", "mnits"}, []string{`"mnits" is unknown`, "fashion-mnist"})
}

// A server with other files than the published ones, or none: one line, and
// nothing that could be taken for a data set.
func TestDataGetRefuses(t *testing.T) {
	p := newPlace(t, 0)
	root := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone/cifar-10-binary.tar.gz" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "4542") // that of the published file
		fmt.Fprint(w, strings.Repeat("x", 4542))
	}))
	defer server.Close()
	for name, c := range map[string]struct{ args, want []string }{
		"not there":    {[]string{"cifar10", "--from", server.URL + "/gone/"}, []string{"data set cifar10", "cifar-10-binary.tar.gz", "404 Not Found"}},
		"other length": {[]string{"svhn", "--from", server.URL}, []string{"train_32x32.mat", "offers 4542 bytes, the published file has 182040794"}},
		"built in":     {[]string{"mnist-sample"}, []string{"mnist-sample is built into the program"}},
		"unknown":      {[]string{"mnist", "mnits"}, []string{`"mnits" is unknown`}},
		"own":          {[]string{"folder:x"}, []string{"folder:x"}},
		"no name":      {nil, []string{"<names>"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, p, append([]string{"data", "get", "-q", "--data-root", root}, c.args...), c.want)
		})
	}
	// The last of MNIST's files has this length, so its content is judged.
	for _, file := range []string{"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"} {
		if err := os.MkdirAll(filepath.Join(root, "mnist"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "mnist", file), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, stderr, code := p.ddu(t, "data", "get", "mnist", "--data-root", root, "--from", server.URL)
	for _, want := range []string{"train-images-idx3-ubyte.gz stays as it is", "download t10k-labels-idx1-ubyte.gz", "4542 B", "ddu: data set mnist: ", "not the published one", "f7ae60f92e00ec6d"} {
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, stderr lacks %q:\n%s", code, want, stderr)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(root, "mnist")); err != nil || len(entries) != 3 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// The published files, where they are on this machine, arrive through the
// program and pass verification.
func TestDataGet(t *testing.T) {
	published := os.Getenv("DDU_DATA")
	if _, err := os.Stat(filepath.Join(published, "mnist", "train-images-idx3-ubyte.gz")); published == "" || err != nil {
		t.Skip("$DDU_DATA has no MNIST")
	}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(published, "mnist"))))
	defer server.Close()
	p := newPlace(t, 0)
	root := filepath.Join(t.TempDir(), "data")
	_, stderr := p.must(t, "data", "get", "mnist", "--data-root", root, "--from", server.URL)
	if !strings.Contains(stderr, "train-images-idx3-ubyte.gz: 9912 kB of 9912 kB") {
		t.Errorf("progress is\n%s", stderr)
	}
	out, _ := p.must(t, "data", "verify", "mnist", "--data-root", root)
	if strings.Count(out, "2 of 2 files as published") != 2 {
		t.Errorf("ddu data verify prints\n%s", out)
	}
}

// writeSquares writes a folder of images, one folder per class, whose colour or
// place tells the class.
func writeSquares(t *testing.T, dir string, images int, turned bool) {
	t.Helper()
	for i := range images {
		class := i % 2
		m := image.NewNRGBA(image.Rect(0, 0, 40, 30))
		for y := range 30 {
			for x := range 40 {
				v := uint8(40)
				if (x < 20) == (class == 0) != turned {
					v = uint8(200 + i%30)
				}
				m.Set(x, y, color.NRGBA{v, v, v, 255})
			}
		}
		path := filepath.Join(dir, fmt.Sprintf("class%d", class), fmt.Sprintf("%03d.png", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, m); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A folder of images trains a network, another is out of distribution beside a
// set by name, and the results are named after them.
func TestRunOnFolders(t *testing.T) {
	p := newPlace(t, 50)
	writeSquares(t, p.path("squares"), 60, false)
	writeSquares(t, p.path("other things"), 20, true)
	p.write(t, "own.toml", strings.NewReplacer(`name = "mnist"`, "name = \"folder:squares\"\nshape = \"1x28x28\"",
		`ood = ["fashion-mnist"]`, `ood = ["folder:other things", "mnist"]`).Replace(tiny))
	out, stderr := p.must(t, "run", "own.toml", "--out", "own", "--set", "eval.methods=softmax,energy")
	if !strings.Contains(out, "folder-squares against folder-other-things") || !strings.Contains(stderr, "44 images of folder-squares") {
		t.Errorf("ddu run prints\n%s%s", out, stderr)
	}
	for _, file := range []string{"scores/folder-squares_test.safetensors", "scores/folder-other-things_test.safetensors"} {
		if _, err := os.Stat(p.path("own", file)); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct{ args, want []string }{
		"no such folder": {[]string{"run", "own.toml", "--out", "new", "--set", "data.name=folder:nowhere"}, []string{"--set data.name: data set folder:nowhere", "no such file"}},
		"colour OoD":     {[]string{"run", "own.toml", "--out", "new", "--set", "data.shape=3x32x32", "--set", "data.ood=mnist", "--set", "model.name=resnet18"}, []string{"data.ood", "1x28x28", "want 3x32x32 like folder-squares"}},
		"same name":      {[]string{"run", "own.toml", "--out", "new", "--set", "data.ood=folder:other things,folder:./other things/"}, []string{"data.ood", "would both be called folder-other-things"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, c.args, c.want) })
	}
}
