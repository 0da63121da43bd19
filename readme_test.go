package ddu_test

import (
	"os"
	"strings"
	"testing"
)

// The program in the README is Example, whole, as it is compiled and run here.
func TestReadmeShowsTheExample(t *testing.T) {
	example, rest, found := strings.Cut(text(t, "example_test.go"), "\n\t// Output:")
	_, after, closed := strings.Cut(rest, "\n}\n")
	if !found || !closed {
		t.Fatal("example_test.go has no Example with an output")
	}
	program := strings.NewReplacer("package ddu_test\n", "package main\n", "func Example() {\n", "func main() {\n").Replace(example + "\n}\n" + after)
	if !strings.Contains(text(t, "README.md"), "```go\n"+program+"```\n") {
		t.Errorf("README.md does not show example_test.go as a program:\n%s", program)
	}
}

// The code in docs/nn.md is that of an example.
func TestDocsShowTheNetworkExample(t *testing.T) {
	example := text(t, "nn/network_example_test.go")
	blocks := strings.Split(text(t, "docs/nn.md"), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Error("docs/nn.md shows no code")
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(example, block) {
			t.Errorf("docs/nn.md shows what is not in nn/network_example_test.go:\n%s", block)
		}
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
