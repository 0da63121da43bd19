package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Row is one line of the table that ends a run: fractions, over all runs. The
// last three are absent without a set out of distribution.
type Row struct {
	Method   string    `json:"method"`
	OOD      string    `json:"ood,omitempty"`
	Accuracy Estimate  `json:"accuracy"`
	ECE      Estimate  `json:"ece"`
	AUROC    *Estimate `json:"auroc,omitempty"`
	AUPR     *Estimate `json:"aupr,omitempty"` // images out of distribution are positive
	FPR95    *Estimate `json:"fpr95,omitempty"`

	label string
}

// Rows returns a row per set out of distribution and method.
func Rows(runs []*Run) ([]Row, error) {
	if err := sameShape(runs); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	first := runs[0]
	over := func(of func(*Run) float64) Estimate {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = of(r)
		}
		return estimate(values)
	}
	var rows []Row
	for j := range max(len(first.OOD), 1) {
		for i, s := range first.Scores {
			row := Row{Method: s.Method, label: s.Label}
			row.Accuracy = over(func(r *Run) float64 { return r.find(s.modelType).Quality["accuracy"] })
			row.ECE = over(func(r *Run) float64 { return r.find(s.modelType).Quality["ece"] })
			if len(first.OOD) > 0 {
				row.OOD = first.OOD[j]
				auroc := over(func(r *Run) float64 { return r.Scores[i].Metrics[j].AUROC })
				aupr := over(func(r *Run) float64 { return r.Scores[i].Metrics[j].AUPROut })
				fpr95 := over(func(r *Run) float64 { return r.Scores[i].Metrics[j].FPR95 })
				row.AUROC, row.AUPR, row.FPR95 = &auroc, &aupr, &fpr95
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Text writes rows as an aligned table for a terminal, in percent.
func Text(dataset string, rows []Row) string {
	var b strings.Builder
	for _, block := range blocks(rows) {
		b.WriteString(heading(dataset, block) + "\n")
		lines := cells(block)
		b.WriteString(aligned(lines, 1))
	}
	return b.String()
}

// aligned writes lines of cells below one another, the first of them as a header:
// so many columns of text at the left, numbers at the right.
func aligned(lines [][]string, text int) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for j, c := range line {
			widths[j] = max(widths[j], utf8.RuneCountInString(c))
		}
	}
	rule := make([]string, len(widths))
	for j, w := range widths {
		rule[j] = strings.Repeat("-", w)
	}
	var b strings.Builder
	for _, line := range append([][]string{lines[0], rule}, lines[1:]...) {
		for j, c := range line {
			space := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(c))
			if j > 0 {
				b.WriteString("  ")
			}
			if j < text {
				b.WriteString(c + space)
			} else {
				b.WriteString(space + c)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// markdown writes lines of cells as a table, the first of them as its header.
func markdown(lines [][]string, text int) string {
	var b strings.Builder
	for i, line := range lines {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", text) + strings.Repeat("---:|", len(line)-text) + "\n")
		}
	}
	return b.String()
}

// Markdown writes rows as a Markdown table, in percent.
func Markdown(dataset string, rows []Row) string {
	var b strings.Builder
	for i, block := range blocks(rows) {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(heading(dataset, block) + "\n\n")
		b.WriteString(markdown(cells(block), 1))
	}
	return b.String()
}

// blocks cuts rows by the set out of distribution.
func blocks(rows []Row) [][]Row {
	var list [][]Row
	for i, r := range rows {
		if i == 0 || r.OOD != rows[i-1].OOD {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], r)
	}
	return list
}

func heading(dataset string, block []Row) string {
	if block[0].OOD == "" {
		return dataset + ", in %"
	}
	return fmt.Sprintf("%s against %s, in %%", dataset, block[0].OOD)
}

// cells are the header and the rows of one table as text.
func cells(block []Row) [][]string {
	lines := [][]string{{"method", "accuracy", "ECE"}}
	if block[0].OOD != "" {
		lines[0] = append(lines[0], "AUROC", "AUPR", "FPR95")
	}
	for _, r := range block {
		line := []string{r.label, r.Accuracy.percent(), r.ECE.percent()}
		if r.OOD != "" {
			line = append(line, r.AUROC.percent(), r.AUPR.percent(), r.FPR95.percent())
		}
		lines = append(lines, line)
	}
	return lines
}

func (e Estimate) percent() string {
	s := fmt.Sprintf("%.2f", 100*e.Mean)
	if e.StdError != nil {
		s += fmt.Sprintf(" ± %.2f", 100**e.StdError)
	}
	return s
}
