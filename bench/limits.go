package bench

import (
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

// Limits are what the machine can do at best at the level and with the threads
// in use; 0 where unknown.
type Limits struct {
	FlopsPerSecond     float64 // float32 fused multiply-adds on registers, 2 each
	BF16FlopsPerSecond float64 // the same of units that multiply bfloat16; 0 where there are none
	BytesPerSecond     float64 // adding arrays that fit no cache: two reads and a write
}

// MeasureLimits measures them in a fraction of a second. It takes 192 MiB for
// that time.
func MeasureLimits() Limits {
	l := Limits{FlopsPerSecond: measurePeak(false).flopsPerSecond, BytesPerSecond: measureBandwidth()}
	if kernels.MultipliesBF16() {
		l.BF16FlopsPerSecond = measurePeak(true).flopsPerSecond
	}
	return l
}

func measureBandwidth() float64 {
	const elements, bytes = 16 << 20, 3 * 4 * (16 << 20)
	x, y, sum := make([]float32, elements), make([]float32, elements), make([]float32, elements)
	fillNormal(x)
	fillNormal(y)
	kernels.Add(sum, x, y) // maps the memory
	best := 0.0
	for range 5 {
		start := time.Now()
		kernels.Add(sum, x, y)
		best = max(best, bytes/max(time.Since(start).Seconds(), 1e-9))
	}
	return best
}

// work is what was done in some seconds.
type work struct{ flops, bf16Flops, bytes, seconds float64 }

func (w *work) add(s trace.Span) {
	if s.BF16 {
		w.bf16Flops += s.Flops
	} else {
		w.flops += s.Flops
	}
	w.bytes += s.Bytes
	w.seconds += s.Time.Seconds()
}

// percent tells how near work comes to what bounds it, arithmetic or memory.
func (l Limits) percent(w work) float64 {
	used := 0.0
	if l.FlopsPerSecond > 0 {
		used = w.flops / l.FlopsPerSecond
	}
	if l.BF16FlopsPerSecond > 0 {
		used += w.bf16Flops / l.BF16FlopsPerSecond
	}
	if l.BytesPerSecond > 0 {
		used = max(used, w.bytes/l.BytesPerSecond)
	}
	return 100 * used / w.seconds
}
