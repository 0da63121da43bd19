package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/experiments"
)

func TestLinesElsewhereThanOnATerminal(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	o := &lineObserver{w: &out, now: func() time.Time { return now }}
	loss, accuracy := 0.25, 1.0
	o.Phase("train")
	p := experiments.Progress{Epoch: 2, Epochs: 350, Images: 128, Total: 45000, ImagesPerSecond: 4.26, Loss: 2.3, Accuracy: 0.1, Remaining: 90*time.Hour + 31*time.Second}
	for range 5 { // a line a minute
		now = now.Add(20 * time.Second)
		o.Batch(p)
	}
	o.Epoch(experiments.EpochMetrics{Epoch: 350, TrainLoss: 0.5, TrainAccuracy: 0.75, ValidationLoss: &loss, ValidationAccuracy: &accuracy, ImagesPerSecond: 12345.6})
	o.Epoch(experiments.EpochMetrics{Epoch: 1, TrainLoss: 0.5, TrainAccuracy: 0.75, ImagesPerSecond: 80})
	o.Note("mind")
	want := `train
  epoch 2/350 128 of 45000 images, 4.3 images/s  loss 2.3000 acc 10.00 %  90h1m left
epoch 350  loss 0.5000 acc 75.00 %  val loss 0.2500 acc 100.00 %  12346 images/s
epoch   1  loss 0.5000 acc 75.00 %  80 images/s
note: mind
`
	if out.String() != want {
		t.Errorf("lines are\n%s\nwant\n%s", out.String(), want)
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 6900 * time.Millisecond: "7s", 4*time.Minute + 10*time.Second: "4m10s", 35*time.Hour + 12*time.Minute + 9*time.Second: "35h12m",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{
		"/tmp/run-1_a.b": "/tmp/run-1_a.b", "my run": "'my run'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "": "''", "läufe/1": "läufe/1", "~x": "'~x'", "a*": "'a*'",
	} {
		if got := shellWord(text); got != want {
			t.Errorf("%q is written %s, want %s", text, got, want)
		}
	}
}

func TestRunName(t *testing.T) {
	for file, want := range map[string]string{
		"quickstart": "quickstart", "a/b/wide.toml": "wide", filepath.Join("runs", "first", "config.toml"): "first",
	} {
		if got := runName(file); got != want {
			t.Errorf("a run of %s is called %q, want %q", file, got, want)
		}
	}
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got := runName("config.toml"); got != filepath.Base(dir) {
		t.Errorf("a run of config.toml in %s is called %q", dir, got)
	}
}

// The next drawing begins at the left edge and takes the place of the last one.
func TestConsoleDrawsOver(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := &console{file: file}
	for _, drawing := range []struct {
		text  string
		lines int
	}{{"epoch 1 done\nbar\n", 1}, {"bar 2\n", 1}, {"", 0}, {"end\n", 0}} {
		c.WriteString(drawing.text)
		if err := c.Flush(drawing.lines); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := "\r\x1b[Jepoch 1 done\nbar\n\r\x1b[1A\x1b[Jbar 2\n\r\x1b[1A\x1b[J\r\x1b[Jend\n"; string(data) != want {
		t.Errorf("wrote %q, want %q", data, want)
	}
	if got, want := screen(string(data)), "epoch 1 done\nend"; got != want {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}

// screen is what a terminal shows in the end that understands as much as console
// uses: line ends, cursor up, clear to the end.
func screen(written string) string {
	lines, row, column := [][]rune{nil}, 0, 0
	for i, text := range strings.Split(written, "\x1b[") {
		if i > 0 {
			end := strings.IndexAny(text, "ABCDHJKhlm")
			switch text[end] {
			case 'A':
				up := 0
				for _, digit := range text[:end] {
					up = 10*up + int(digit-'0')
				}
				row = max(row-up, 0)
			case 'J':
				lines = lines[:row+1]
				lines[row] = lines[row][:min(column, len(lines[row]))]
			}
			text = text[end+1:]
		}
		for _, r := range text {
			switch r {
			case '\r':
				column = 0
			case '\n':
				if row++; row == len(lines) {
					lines = append(lines, nil)
				}
				column = 0 // the terminal driver adds the return
			default:
				for len(lines[row]) <= column {
					lines[row] = append(lines[row], ' ')
				}
				lines[row][column] = r
				column++
			}
		}
	}
	var text []string
	for _, line := range lines {
		text = append(text, strings.TrimRight(string(line), " "))
	}
	return strings.TrimRight(strings.Join(text, "\n"), "\n")
}
