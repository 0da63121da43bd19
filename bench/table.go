package bench

import (
	"strings"
	"unicode/utf8"
)

// table is text in aligned columns.
type table struct {
	titles []string
	align  string // for each column 'l', or 'r' for numbers
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String writes the titles and rows, each line ending in a line break.
func (t *table) String() string {
	lines := append([][]string{t.titles}, t.rows...)
	widths := make([]int, len(t.titles))
	for _, cells := range lines {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		var line strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if t.align[i] == 'l' {
				c += pad
			} else {
				c = pad + c
			}
			line.WriteString("  " + c)
		}
		b.WriteString(strings.TrimRight(line.String()[2:], " ") + "\n")
	}
	return b.String()
}
