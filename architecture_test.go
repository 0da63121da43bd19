package ddu_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/deepuncertainty/ddu/"

// allowedImports says which of the folders a folder's packages may import.
var allowedImports = map[string][]string{
	"kernels":     {},
	"tensor":      {"kernels"},
	"autograd":    {"tensor", "kernels"},
	"nn":          {"autograd", "tensor", "kernels"},
	"uncertainty": {"kernels"},
	"experiments": {"uncertainty", "nn", "autograd", "tensor", "kernels"},
	"bench":       {"uncertainty", "nn", "autograd", "tensor", "kernels"},
	"cmd":         {"experiments", "bench"},
}

// allowedModules says which outside modules a folder may import, beside the
// standard library.
var allowedModules = map[string][]string{
	"kernels":     {"golang.org/x/sys/cpu", "github.com/klauspost/cpuid/v2"},
	"uncertainty": {"gonum.org/v1/gonum/"},
	"experiments": {"github.com/pelletier/go-toml/v2", "gonum.org/v1/plot", "github.com/vbauerster/mpb/v8"},
	"cmd":         {"github.com/alecthomas/kong", "github.com/vbauerster/mpb/v8", "golang.org/x/term"},
}

// otherFolders hold no Go packages of the product.
var otherFolders = []string{"docs", "testdata", ".ci", ".git", "runs"}

// Packages import only downwards; tests are free to use more.
func TestImportsFollowTheLayers(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return folderRule(t, path, d)
		}
		folder, _, nested := strings.Cut(filepath.ToSlash(path), "/")
		if !nested || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			checkImport(t, path, folder, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func folderRule(t *testing.T, path string, d fs.DirEntry) error {
	for _, other := range otherFolders {
		if path == other {
			return filepath.SkipDir
		}
	}
	if path != "." && filepath.Dir(path) == "." {
		if _, ok := allowedImports[path]; !ok {
			t.Errorf("folder %s is not in the layer table", d.Name())
		}
	}
	return nil
}

func checkImport(t *testing.T, path, folder, name string) {
	t.Helper()
	if own, ok := strings.CutPrefix(name, module); ok {
		target, _, _ := strings.Cut(own, "/")
		if target == folder {
			return
		}
		for _, allowed := range allowedImports[folder] {
			if target == allowed {
				return
			}
		}
		t.Errorf("%s imports %s: %s may import %v", path, own, folder, allowedImports[folder])
		return
	}
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		if name == "C" {
			t.Errorf("%s uses cgo", path)
		}
		return
	}
	for _, allowed := range allowedModules[folder] {
		if name == allowed || strings.HasPrefix(name, strings.TrimSuffix(allowed, "/")+"/") {
			return
		}
	}
	t.Errorf("%s imports %s: %s may use %v", path, name, folder, allowedModules[folder])
}

// The fresh clone must hold the golden vectors that the tests read by default.
func TestGoldenVectorsAreHere(t *testing.T) {
	for _, name := range []string{"meta.json", "models.json", "ops.json", "ops.safetensors", "metrics.json", "gmm.json", "splits.json", "checkpoints/lenet.safetensors"} {
		if _, err := os.Stat(filepath.Join("testdata", "golden", name)); err != nil {
			t.Error(err)
		}
	}
}
