// Command asmgen writes the assembly of package kernels, a file per family of
// micro-kernels and instruction set. Run without arguments it compares what it
// would write with what is committed; with -write it replaces it.
//
//	go run ./kernels/internal/asmgen -write kernels
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	write := flag.Bool("write", false, "replace the files that differ")
	flag.Parse()
	dir := "kernels"
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	if err := generate(dir, *write); err != nil {
		fmt.Fprintln(os.Stderr, "asmgen:", err)
		os.Exit(1)
	}
}

// generate compares or replaces every generated file in dir.
func generate(dir string, write bool) error {
	for _, f := range files() {
		path := filepath.Join(dir, f.name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, f.content) {
			continue
		}
		if !write {
			return fmt.Errorf("%s is not what the generator writes: run go generate ./kernels", path)
		}
		if err := os.WriteFile(path, f.content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// file is one generated file.
type file struct {
	name    string
	content []byte
}

// files lists everything that is generated.
func files() []file {
	return slices.Concat(brgemmFiles(), packFiles(), transposeFiles(), peakFiles(), pauseFiles(), vectorFiles(), amxFiles())
}
