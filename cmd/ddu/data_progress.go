package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// downloads shows how far downloads are: a bar on a terminal, a line now and
// then elsewhere, nothing when quiet.
type downloads struct {
	w        io.Writer
	progress func(file string, done, total int64)
	note     func(text string)

	bars *mpb.Progress // nil: not on a terminal
	bar  *mpb.Bar
	file string
	last time.Time // of the last line
}

func newDownloads(w io.Writer, quiet bool) *downloads {
	d := &downloads{w: w}
	file, ok := w.(*os.File)
	switch {
	case quiet:
		d.progress, d.note = func(string, int64, int64) {}, func(string) {}
	case ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb":
		d.bars = mpb.New(outputTo(file), mpb.WithWidth(40), mpb.WithAutoRefresh())
		d.progress, d.note = d.drawBar, func(text string) {
			d.finish()
			fmt.Fprintln(d.bars, text)
		}
	default:
		d.progress, d.note = d.writeLine, func(text string) { fmt.Fprintln(w, text) }
	}
	return d
}

func (d *downloads) drawBar(file string, done, total int64) {
	if d.bar == nil || d.file != file {
		d.finish()
		d.file = file
		d.bar = d.bars.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(file+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte(" % .1f of % .1f"), decor.EwmaSpeed(decor.SizeB1024(0), "  % .1f", 30)),
		)
		d.bar.SetCurrent(done)
		return
	}
	d.bar.EwmaSetCurrent(done, time.Since(d.last))
	d.last = time.Now()
}

// writeLine tells when a file begins, is whole, and once in lineEvery between.
func (d *downloads) writeLine(file string, done, total int64) {
	begins := d.file != file
	if begins || done == total || time.Since(d.last) >= lineEvery {
		if d.file, d.last = file, time.Now(); begins && done != total {
			fmt.Fprintf(d.w, "download %s, %s\n", file, sizeText(total))
			return
		}
		fmt.Fprintf(d.w, "  %s: %s of %s\n", file, sizeText(done), sizeText(total))
	}
}

// sizeText writes a number of bytes for people.
func sizeText(bytes int64) string {
	switch {
	case bytes == 0:
		return "unknown size"
	case bytes < 10_000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%.0f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}

func (d *downloads) finish() {
	if d.bar != nil {
		d.bar.Abort(true)
		d.bar.Wait()
		d.bar = nil
	}
}

func (d *downloads) close() {
	d.finish()
	if d.bars != nil {
		d.bars.Wait()
	}
}
