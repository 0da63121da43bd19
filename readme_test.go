package ddu_test

import (
	"os"
	"strings"
	"testing"
)

// The README shows the body of Example as it is compiled and run here.
func TestReadmeShowsTheExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func Example() {\n")
	body, _, found := strings.Cut(body, "\t// Output:")
	if !found {
		t.Fatal("example_test.go has no Example with an output")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), strings.TrimRight(body, "\n")) {
		t.Error("README.md does not show the body of Example in example_test.go")
	}
}
