package experiments

import (
	"fmt"
	"path/filepath"
	"slices"

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
			if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "res_*.json")); err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("%s holds no results: there is no res_*.json in it", path)
			}
			// softmax, gmm, ensemble is the order of a run's table.
			slices.Reverse(files)
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

// escapeGlob makes a path stand for itself in a pattern.
func escapeGlob(path string) string {
	escaped := ""
	for _, r := range path {
		if slices.Contains([]rune{'*', '?', '[', '\\'}, r) && filepath.Separator == '/' {
			escaped += `\`
		}
		escaped += string(r)
	}
	return escaped
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
