package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of keys into docs/experiments.md")

const (
	docsFile   = "../../docs/experiments.md"
	tableBegin = "<!-- keys: made by go test ./experiments/config -update -->\n"
	tableEnd   = "<!-- end of keys -->\n"
)

// The documentation lists exactly the keys there are, with their defaults.
func TestDocumentedKeys(t *testing.T) {
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of keys between %q and %q", docsFile, tableBegin, tableEnd)
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(before+tableBegin+keyTable()+tableEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != keyTable() {
		t.Errorf("the table of keys in %s is out of date: run go test ./experiments/config -update", docsFile)
	}
}

func keyTable() string {
	var b strings.Builder
	section := "-"
	for _, k := range Keys() {
		table, _, nested := strings.Cut(k.Name, ".")
		if !nested {
			table = ""
		}
		if table != section {
			section = table
			title := "Top level"
			if table != "" {
				title = "`[" + table + "]`"
			}
			fmt.Fprintf(&b, "\n%s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", title)
		}
		name := strings.TrimPrefix(k.Name, table+".")
		value := k.Default
		if !strings.ContainsAny(value, " `") && value != "required" || strings.HasPrefix(value, "[") || strings.HasPrefix(value, `"`) {
			value = "`" + value + "`"
		}
		doc := k.Doc
		if k.Want != "" {
			doc += " Wants " + k.Want + "."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, k.Type, value, doc)
	}
	return b.String() + "\n"
}
