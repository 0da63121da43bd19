package bench

import (
	"fmt"
	"strings"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

// Text writes the measurement as a table for a terminal, with the sums that a
// training step comes to.
func (r *LayersResult) Text() string {
	t := table{titles: []string{"shape", "direction", "count", "ms", "GFLOP/s", "% peak", "kernel"}, align: "llrrrrl"}
	for _, row := range r.Rows {
		t.add(row.Shape, string(row.Direction), fmt.Sprint(row.Count), fmt.Sprintf("%.3f", 1e3*row.Seconds),
			fmt.Sprintf("%.1f", row.GFLOPS), fmt.Sprintf("%.1f", row.PeakPercent), row.Kernel)
	}
	for _, d := range []trace.Direction{trace.Forward, trace.BackwardData, trace.BackwardWeights} {
		s := r.sum(d)
		t.add("all", string(d), fmt.Sprint(s.Count), fmt.Sprintf("%.3f", 1e3*s.Seconds), fmt.Sprintf("%.1f", s.GFLOPS), fmt.Sprintf("%.1f", s.PeakPercent))
	}
	return r.title() + "\n\n" + t.String()
}

func (r *LayersResult) title() string {
	input := "3x32x32"
	if r.MNIST {
		input = "1x28x28"
	}
	return fmt.Sprintf("convolutions of %s %s, input %s, batch %d, %s, FMA peak %.1f GFLOP/s (%s)",
		r.Network, r.DType, input, r.Batch, engineText(r.ISA, r.Threads), r.PeakGFLOPS, strings.TrimSpace(r.CPU))
}

// engineText names level and threads: "avx2, 2 threads".
func engineText(isa string, threads int) string {
	if threads == 1 {
		return isa + ", 1 thread"
	}
	return fmt.Sprintf("%s, %d threads", isa, threads)
}

// sum adds up what a training step computes in one direction.
func (r *LayersResult) sum(d trace.Direction) LayerRow {
	sum, work := LayerRow{Direction: d}, 0.0
	for _, row := range r.Rows {
		if row.Direction != d {
			continue
		}
		seconds := float64(row.Count) * row.Seconds
		sum.Count += row.Count
		sum.Seconds += seconds
		work += row.GFLOPS * seconds
	}
	if sum.Seconds > 0 {
		sum.GFLOPS = work / sum.Seconds
		sum.PeakPercent = 100 * sum.GFLOPS / r.PeakGFLOPS
	}
	return sum
}

// FallsText writes what fell, "" where nothing did.
func FallsText(falls []Fall) string {
	if len(falls) == 0 {
		return ""
	}
	t := table{titles: []string{"shape", "direction", "% peak", "baseline", "kernel"}, align: "llrrl"}
	for _, f := range falls {
		t.add(f.Shape, string(f.Direction), fmt.Sprintf("%.1f", f.PeakPercent), fmt.Sprintf("%.1f", f.BaselinePercent), f.Kernel)
	}
	return t.String()
}
