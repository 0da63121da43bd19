package ddu_test

import (
	"os"
	"strings"
	"testing"
)

// The README shows the body of Example as it is compiled and run here.
func TestReadmeShowsTheExample(t *testing.T) {
	_, body, _ := strings.Cut(text(t, "example_test.go"), "func Example() {\n")
	body, _, found := strings.Cut(body, "\t// Output:")
	if !found {
		t.Fatal("example_test.go has no Example with an output")
	}
	if !strings.Contains(text(t, "README.md"), strings.TrimRight(body, "\n")) {
		t.Error("README.md does not show the body of Example in example_test.go")
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
