package experiments

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/figures"
	"github.com/deepuncertainty/ddu/experiments/report"
)

// Comparison is several runs beside one another.
type Comparison []report.ComparedRow

// Compare reads the results of runs: run folders, or result files.
func Compare(paths []string) (Comparison, error) {
	var results []*report.Result
	for _, path := range paths {
		files := []string{path}
		if isFolder(path) {
			var err error
			if files, err = resultsIn(path); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			r, err := report.ReadResult(file)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
		}
	}
	return report.Compare(results)
}

// resultsIn lists the result files in a run folder.
func resultsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, "res_") && strings.HasSuffix(name, ".json") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no results: there is no res_*.json in it", dir)
	}
	// softmax, gmm, ensemble is the order of a run's table.
	slices.Reverse(files)
	return files, nil
}

// Format writes the comparison as "text", "markdown" or "csv".
func (c Comparison) Format(name string) (string, error) {
	switch name {
	case "text":
		return report.CompareText(c), nil
	case "markdown":
		return report.CompareMarkdown(c), nil
	case "csv":
		return report.CompareCSV(c)
	}
	return "", fmt.Errorf("format %q, want text, markdown or csv", name)
}

// WriteFigure draws the comparison into a .png or .svg file.
func (c Comparison) WriteFigure(path string) error {
	figure, err := report.CompareFigure(c)
	if err != nil {
		return err
	}
	return writeFigureFile(path, figure)
}

// CheckFigurePath tells whether a figure can be written under a name.
func CheckFigurePath(path string) error { return figures.CheckPath(path) }
