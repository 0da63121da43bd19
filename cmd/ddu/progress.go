package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/deepuncertainty/ddu/experiments"
)

// stepLines says how often training steps have lines of their own.
type stepLines struct {
	steps     int  // between lines; 0: lines come by time alone
	besideBar bool // also on a terminal, where a bar shows every step
}

// due counts a step and tells whether it has a line.
func (s stepLines) due(p experiments.Progress, counted *int) bool {
	if p.Epochs == 0 || p.Validation || s.steps == 0 {
		return false
	}
	if *counted++; p.Images == p.Total {
		*counted = 0 // the epoch has its line
	}
	return *counted > 0 && *counted%s.steps == 0
}

// newObserver shows a run on w: bars on a terminal, plain lines elsewhere,
// nothing when quiet. The returned function must be called at the end.
func newObserver(w io.Writer, quiet bool, every stepLines) (experiments.Observer, func()) {
	if quiet {
		return nil, func() {}
	}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		if !every.besideBar {
			every = stepLines{}
		}
		bars := &barObserver{every: every, progress: mpb.New(outputTo(file), mpb.WithWidth(40), mpb.WithAutoRefresh())}
		return bars, bars.close
	}
	return &lineObserver{w: w, now: time.Now, every: every}, func() {}
}

// lineEvery is how often lines tell about an epoch or a data set under way.
const lineEvery = time.Minute

// lineObserver writes one line an epoch and one a phase, and now and then one in
// between.
type lineObserver struct {
	w     io.Writer
	now   func() time.Time
	last  time.Time // of the last line
	every stepLines
	steps int // of this epoch
}

func (o *lineObserver) Phase(name string)                { o.line(name) }
func (o *lineObserver) Note(text string)                 { o.line("note: " + text) }
func (o *lineObserver) Epoch(m experiments.EpochMetrics) { o.line(epochLine(m)) }

func (o *lineObserver) Batch(p experiments.Progress) {
	if o.every.due(p, &o.steps) || o.now().Sub(o.last) >= lineEvery {
		o.line(stepLine(p))
	}
}

func stepLine(p experiments.Progress) string {
	return fmt.Sprintf("  %s%d of %d images,%s", barName(p, ""), p.Images, p.Total, progressText(p))
}

func (o *lineObserver) line(text string) {
	fmt.Fprintln(o.w, text)
	o.last = o.now()
}

// epochLine fits a terminal of 80 columns.
func epochLine(m experiments.EpochMetrics) string {
	line := fmt.Sprintf("epoch %3d  loss %.4f acc %.2f %%", m.Epoch, m.TrainLoss, 100*m.TrainAccuracy)
	if m.ValidationAccuracy != nil && m.ValidationLoss != nil {
		line += fmt.Sprintf("  val loss %.4f acc %.2f %%", *m.ValidationLoss, 100**m.ValidationAccuracy)
	}
	return line + fmt.Sprintf("  %s images/s", speedText(m.ImagesPerSecond))
}

// barObserver draws one bar for what is under way; training phases and finished
// epochs stay as lines.
type barObserver struct {
	every      stepLines
	steps      int // of this epoch
	progress   *mpb.Progress
	bar        *mpb.Bar
	phase      string
	epoch      int
	validation bool
	last       atomic.Pointer[experiments.Progress] // read by the drawing goroutine
}

func (o *barObserver) Phase(name string) {
	o.finishBar()
	o.phase = name
}

func (o *barObserver) Note(text string) {
	o.finishBar()
	fmt.Fprintln(o.progress, "note: "+text)
}

func (o *barObserver) Batch(p experiments.Progress) {
	if p.Epochs > 0 && o.phase != "" {
		fmt.Fprintln(o.progress, o.phase)
		o.phase = ""
	}
	o.last.Store(&p)
	if o.bar == nil || p.Epoch != o.epoch || p.Validation != o.validation {
		o.finishBar()
		o.epoch, o.validation = p.Epoch, p.Validation
		o.bar = o.newBar(p)
	}
	o.bar.SetCurrent(int64(p.Images))
	if o.every.due(p, &o.steps) {
		fmt.Fprintln(o.progress, stepLine(p))
	}
}

func (o *barObserver) Epoch(m experiments.EpochMetrics) {
	o.finishBar()
	fmt.Fprintln(o.progress, epochLine(m))
}

func (o *barObserver) newBar(p experiments.Progress) *mpb.Bar {
	return o.progress.AddBar(int64(p.Total),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(barName(p, o.phase+" "))),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return progressText(*o.last.Load()) })),
	)
}

// barName says what is under way, in training by the epoch.
func barName(p experiments.Progress, phase string) string {
	switch {
	case p.Validation:
		return fmt.Sprintf("validate %d/%d ", p.Epoch, p.Epochs)
	case p.Epochs > 0:
		return fmt.Sprintf("epoch %d/%d ", p.Epoch, p.Epochs)
	}
	return phase
}

func progressText(p experiments.Progress) string {
	text := fmt.Sprintf(" %s images/s", speedText(p.ImagesPerSecond))
	if p.Epochs > 0 {
		text += fmt.Sprintf("  loss %.4f acc %.2f %%", p.Loss, 100*p.Accuracy)
	}
	return text + fmt.Sprintf("  %s left", durationText(p.Remaining))
}

// speedText keeps what tells slow networks apart.
func speedText(imagesPerSecond float64) string {
	if imagesPerSecond < 10 {
		return fmt.Sprintf("%.1f", imagesPerSecond)
	}
	return fmt.Sprintf("%.0f", imagesPerSecond)
}

// durationText leaves out what nobody wants to know: "35h12m", "4m10s", "7s".
func durationText(d time.Duration) string {
	if d < time.Hour {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func (o *barObserver) finishBar() {
	if o.bar != nil {
		o.bar.Abort(true)
		o.bar.Wait()
		o.bar = nil
	}
}

func (o *barObserver) close() {
	o.finishBar()
	o.progress.Wait()
}

// outputTo draws on a terminal.
func outputTo(file *os.File) mpb.ContainerOption {
	if runtime.GOOS == "windows" { // consoles may need other means than escape sequences
		return mpb.WithOutput(file)
	}
	return mpb.WithConsoleWriter(&console{file: file})
}

// console draws over its last drawing. It begins at the left edge: the keyboard's
// echo of ^C may have moved the cursor.
type console struct {
	bytes.Buffer
	file  *os.File
	lines int // of the last drawing
}

func (c *console) IsTerminal() bool { return true }

// GetTermSize takes 80 x 24 for a terminal that does not tell its size, as those
// that programs open often do not: on one of no lines no bar would be drawn.
func (c *console) GetTermSize() (width, height int, err error) {
	width, height, err = term.GetSize(int(c.file.Fd()))
	if width <= 0 {
		width = 80
	}
	if height <= 0 {
		height = 24
	}
	return width, height, err
}

// Flush replaces the last drawing by what was written since; the given number of
// lines at its end is what the next one replaces.
func (c *console) Flush(lines int) error {
	var drawing bytes.Buffer
	drawing.WriteByte('\r')
	if c.lines > 0 {
		fmt.Fprintf(&drawing, "\x1b[%dA", c.lines)
	}
	drawing.WriteString("\x1b[J")
	drawing.Write(c.Bytes())
	c.Reset()
	c.lines = lines
	_, err := c.file.Write(drawing.Bytes())
	return err
}
