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
	text += fmt.Sprintf("at best %.1f GFLOP/s (fused multiply-adds) and %.1f GB/s (memory)\n", l.FlopsPerSecond/1e9, l.BytesPerSecond/1e9)
	return text + "\n" + spansTable(r, l) + "\n" + sumsTable(r, l)
}

func spansTable(r *trace.Recorder, l Limits) string {
	t := table{titles: []string{"operation", "direction", "shape", "ms", "GFLOP/s", "GB/s", "% limit", "kernel"}, align: "lllrrrrl"}
	for _, s := range r.Spans() {
		seconds := s.Time.Seconds()
		t.add(append([]string{s.Op, string(s.Direction), s.Shape, milliseconds(seconds)}, append(rates(s.Flops, s.Bytes, seconds, l), s.Kernel)...)...)
	}
	return t.String()
}

// spanSum is what the spans of one operation and direction come to.
type spanSum struct {
	op           string
	direction    trace.Direction
	count        int
	seconds      float64
	flops, bytes float64
}

func sumsTable(r *trace.Recorder, l Limits) string {
	total := max(r.Total().Seconds(), 1e-9)
	t := table{titles: []string{"operation", "direction", "count", "ms", "% step", "GFLOP/s", "GB/s", "% limit"}, align: "llrrrrrr"}
	between := total
	for _, s := range sums(r.Spans()) {
		between -= s.seconds
		t.add(append([]string{s.op, string(s.direction), fmt.Sprint(s.count), milliseconds(s.seconds), fmt.Sprintf("%.1f", 100*s.seconds/total)},
			rates(s.flops, s.bytes, s.seconds, l)...)...)
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
		all[i].seconds += s.Time.Seconds()
		all[i].flops += s.Flops
		all[i].bytes += s.Bytes
	}
	slices.SortStableFunc(all, func(a, b spanSum) int { return cmp.Compare(b.seconds, a.seconds) })
	return all
}

// rates returns GFLOP/s, GB/s and per cent of the limit, "" where nothing counts.
func rates(flops, bytes, seconds float64, l Limits) []string {
	cells := []string{"", "", ""}
	if seconds <= 0 {
		return cells
	}
	if flops > 0 {
		cells[0] = fmt.Sprintf("%.1f", flops/seconds/1e9)
	}
	if bytes > 0 {
		cells[1] = fmt.Sprintf("%.1f", bytes/seconds/1e9)
	}
	if flops > 0 || bytes > 0 {
		cells[2] = fmt.Sprintf("%.0f", l.percent(flops, bytes, seconds))
	}
	return cells
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.3f", 1e3*seconds) }
