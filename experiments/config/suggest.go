package config

import (
	"fmt"
	"strings"
)

// suggestKey ends the message about an unknown key: the key that was meant, or
// the keys of its section.
func suggestKey(name string) string {
	section, last, nested := strings.Cut(name, ".")
	if !nested {
		section, last = "", name
	}
	best, bestDistance := "", 0
	var siblings []string
	for _, k := range keys {
		keySection, keyLast, ok := strings.Cut(k.name, ".")
		if !ok {
			keySection, keyLast = "", k.name
		}
		if keySection == section {
			siblings = append(siblings, keyLast)
		}
		d := 2 * distance(last, keyLast)
		if keySection != section {
			d++ // the same word elsewhere is second best
		}
		if d/2 < similar(keyLast) && (best == "" || d < bestDistance) {
			best, bestDistance = k.name, d
		}
	}
	switch {
	case best != "":
		table, key, ok := strings.Cut(best, ".")
		if ok && table != section {
			return fmt.Sprintf(", did you mean %s under [%s]?", key, table)
		}
		return fmt.Sprintf(", did you mean %s?", best)
	case len(siblings) > 0:
		return ", want one of " + strings.Join(siblings, ", ")
	}
	return ""
}

// suggestion ends the message about an unknown name.
func suggestion(name string, known []string, otherwise string) string {
	best, bestDistance := "", 0
	for _, k := range known {
		if d := distance(name, k); d < similar(k) && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(", did you mean %s?", best)
	}
	return ", " + otherwise
}

// similar is the distance from which two words are different words.
func similar(word string) int {
	switch {
	case len(word) <= 2:
		return 1
	case len(word) <= 4:
		return 2
	}
	return 3
}

// distance counts the edits between two words: insert, delete, replace, swap
// neighbours (optimal string alignment). Case and - for _ are free.
func distance(a, b string) int {
	fold := strings.NewReplacer("-", "_")
	x, y := []rune(fold.Replace(strings.ToLower(a))), []rune(fold.Replace(strings.ToLower(b)))
	if len(x) > 40 {
		return len(x)
	}
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replace := d[i-1][j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, replace)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}
