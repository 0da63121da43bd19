package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the table of flags into docs/published.md")

const (
	flagsFile  = "../../docs/published.md"
	flagsBegin = "<!-- flags: made by go test ./cmd/ddu -run TestDocumentedFlags -update -->\n"
	flagsEnd   = "<!-- end of flags -->\n"
)

// The documentation lists exactly the flags there are, each with its key.
func TestDocumentedFlags(t *testing.T) {
	data, err := os.ReadFile(flagsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), flagsBegin)
	old, after, ok2 := strings.Cut(rest, flagsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", flagsFile, flagsBegin, flagsEnd)
	}
	table := flagTables(t)
	if *update {
		if err := os.WriteFile(flagsFile, []byte(before+flagsBegin+table+flagsEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table {
		t.Errorf("the table of flags in %s is out of date: run go test ./cmd/ddu -run TestDocumentedFlags -update", flagsFile)
	}
}

func flagTables(t *testing.T) string {
	t.Helper()
	var cli commands
	parser, err := kong.New(&cli, kong.Name("ddu"), kong.Vars{"version": ""}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"train-ensemble", "--seed", "1", "--threads", "1", "--isa", "auto", "--conv", "auto"}); err != nil {
		t.Fatal(err)
	}
	training := cli.TrainEnsemble.settings(5)
	if _, err := parser.Parse([]string{"evaluate", "--seed", "1", "--threads", "1", "--isa", "auto", "--conv", "auto"}); err != nil {
		t.Fatal(err)
	}
	text := "\n`ddu train` and `ddu train-ensemble` (which alone has `--ensemble`); `eval.methods` is `[]`:\n\n" + flagTable(parser, "train-ensemble", training)
	return text + "\n`ddu evaluate`:\n\n" + flagTable(parser, "evaluate", cli.Evaluate.settings([]string{"softmax"})) + "\n"
}

// flagTable has a row for every flag of a command.
func flagTable(parser *kong.Kong, command string, keys settings) string {
	var b strings.Builder
	b.WriteString("| flag | key | |\n|---|---|---|\n")
	for _, node := range parser.Model.Children {
		if node.Name != command {
			continue
		}
		for _, f := range node.Flags {
			names := []string{"--" + f.Name}
			if token := "-" + f.Name; strings.Contains(f.Help, "Also "+token+" ") || strings.Contains(f.Help, "Also "+token+".") {
				names = []string{token}
			}
			if f.Short != 0 {
				names = append([]string{"-" + string(f.Short)}, names...)
			}
			key := "-"
			for _, s := range keys {
				for name := range strings.SplitSeq(s.flag, ", ") {
					if name == names[0] || name == "--"+f.Name {
						key = "`" + s.key + "`"
					}
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.Join(names, "`, `"), key, strings.NewReplacer("$$", "$", "|", `\|`).Replace(f.Help))
		}
	}
	return b.String()
}
