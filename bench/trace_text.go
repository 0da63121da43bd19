package bench

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

// TracePrinter returns a function that prints the text of a recorded step, beside
// what the machine can do, which it measures.
func TracePrinter(what string, print func(text string)) func(*trace.Recorder) {
	return func(r *trace.Recorder) { print(TraceText(what, r, MeasureLimits())) }
}

// TraceText writes a recorded step as two tables for a terminal: every span in
// order, and sums per operation and direction with their share of the step,
// slowest first; what says which step it was.
func TraceText(what string, r *trace.Recorder, l Limits) string {
	text := fmt.Sprintf("trace of %s: %s ms\n", what, milliseconds(r.Total().Seconds()))
	text += fmt.Sprintf("at best %.1f GFLOP/s (fused multiply-adds) and %.1f GB/s (memory)", l.FlopsPerSecond/1e9, l.BytesPerSecond/1e9)
	if l.BF16FlopsPerSecond > 0 {
		text += fmt.Sprintf(", %.1f GFLOP/s in bfloat16", l.BF16FlopsPerSecond/1e9)
	}
	text += "\n"
	return text + "\n" + spansTable(r, l) + "\n" + sumsTable(r, l)
}

func spansTable(r *trace.Recorder, l Limits) string {
	t := table{titles: []string{"operation", "direction", "shape", "ms", "GFLOP/s", "GB/s", "% limit", "kernel"}, align: "lllrrrrl"}
	for _, s := range r.Spans() {
		var w work
		w.add(s)
		t.add(append([]string{s.Op, string(s.Direction), s.Shape, milliseconds(w.seconds)}, append(rates(w, l), s.Kernel)...)...)
	}
	return t.String()
}

// spanSum is what the spans of one operation and direction come to.
type spanSum struct {
	op        string
	direction trace.Direction
	count     int
	work
}

func sumsTable(r *trace.Recorder, l Limits) string {
	total := max(r.Total().Seconds(), 1e-9)
	t := table{titles: []string{"operation", "direction", "count", "ms", "% step", "GFLOP/s", "GB/s", "% limit"}, align: "llrrrrrr"}
	between := total
	for _, s := range sums(r.Spans()) {
		between -= s.seconds
		t.add(append([]string{s.op, string(s.direction), fmt.Sprint(s.count), milliseconds(s.seconds), fmt.Sprintf("%.1f", 100*s.seconds/total)},
			rates(s.work, l)...)...)
	}
	t.add("between operations", "", "", milliseconds(between), fmt.Sprintf("%.1f", 100*between/total))
	t.add("step", "", "", milliseconds(total), "100.0")
	return t.String()
}

// sums adds up spans of one operation and direction, the slowest first.
func sums(spans []trace.Span) []spanSum {
	var all []spanSum
	for _, s := range spans {
		i := slices.IndexFunc(all, func(a spanSum) bool { return a.op == s.Op && a.direction == s.Direction })
		if i < 0 {
			i, all = len(all), append(all, spanSum{op: s.Op, direction: s.Direction})
		}
		all[i].count++
		all[i].add(s)
	}
	slices.SortStableFunc(all, func(a, b spanSum) int { return cmp.Compare(b.seconds, a.seconds) })
	return all
}

// rates returns GFLOP/s, GB/s and per cent of the limit, "" where nothing counts.
func rates(w work, l Limits) []string {
	cells := []string{"", "", ""}
	if w.seconds <= 0 {
		return cells
	}
	flops := w.flops + w.bf16Flops
	if flops > 0 {
		cells[0] = fmt.Sprintf("%.1f", flops/w.seconds/1e9)
	}
	if w.bytes > 0 {
		cells[1] = fmt.Sprintf("%.1f", w.bytes/w.seconds/1e9)
	}
	if flops > 0 || w.bytes > 0 {
		cells[2] = fmt.Sprintf("%.0f", l.percent(w))
	}
	return cells
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.3f", 1e3*seconds) }
