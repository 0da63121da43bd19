package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/deepuncertainty/ddu/experiments"
)

// newObserver shows a run on w: bars on a terminal, plain lines elsewhere,
// nothing when quiet. The returned function must be called at the end.
func newObserver(w io.Writer, quiet bool) (experiments.Observer, func()) {
	if quiet {
		return nil, func() {}
	}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		bars := &barObserver{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))}
		return bars, bars.close
	}
	return &lineObserver{w: w}, func() {}
}

// lineObserver writes one line an epoch and one a phase.
type lineObserver struct{ w io.Writer }

func (o *lineObserver) Phase(name string)          { fmt.Fprintln(o.w, name) }
func (o *lineObserver) Note(text string)           { fmt.Fprintln(o.w, "note: "+text) }
func (o *lineObserver) Batch(experiments.Progress) {}
func (o *lineObserver) Epoch(m experiments.EpochMetrics) {
	fmt.Fprintln(o.w, epochLine(m))
}

func epochLine(m experiments.EpochMetrics) string {
	line := fmt.Sprintf("epoch %3d  loss %.4f  accuracy %6.2f %%", m.Epoch, m.TrainLoss, 100*m.TrainAccuracy)
	if m.ValidationAccuracy != nil && m.ValidationLoss != nil {
		line += fmt.Sprintf("  validation loss %.4f  accuracy %6.2f %%", *m.ValidationLoss, 100**m.ValidationAccuracy)
	}
	return line + fmt.Sprintf("  lr %.4g  %.0f images/s", m.LearningRate, m.ImagesPerSecond)
}

// barObserver draws one bar for what is under way; finished epochs stay as lines.
type barObserver struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	phase    string
	epoch    int
	last     atomic.Pointer[experiments.Progress] // read by the drawing goroutine
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
	if o.bar == nil || p.Epoch != o.epoch {
		o.finishBar()
		o.epoch = p.Epoch
		o.last.Store(&p)
		o.bar = o.newBar(p)
	}
	o.last.Store(&p)
	o.bar.SetCurrent(int64(p.Images))
}

func (o *barObserver) Epoch(m experiments.EpochMetrics) {
	o.finishBar()
	fmt.Fprintln(o.progress, epochLine(m))
}

func (o *barObserver) newBar(p experiments.Progress) *mpb.Bar {
	name := o.phase
	if p.Epochs > 0 {
		name = fmt.Sprintf("epoch %d/%d", p.Epoch, p.Epochs)
	}
	return o.progress.AddBar(int64(p.Total),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return progressText(*o.last.Load()) })),
	)
}

func progressText(p experiments.Progress) string {
	text := fmt.Sprintf(" %.0f images/s", p.ImagesPerSecond)
	if p.Epochs > 0 {
		text += fmt.Sprintf("  loss %.4f  accuracy %.2f %%", p.Loss, 100*p.Accuracy)
	}
	return text + fmt.Sprintf("  %s left", p.Remaining.Round(time.Second))
}

func (o *barObserver) finishBar() {
	if o.bar != nil {
		o.bar.Abort(true)
		o.bar = nil
	}
}

func (o *barObserver) close() {
	o.finishBar()
	o.progress.Wait()
}
