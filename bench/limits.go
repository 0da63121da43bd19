package bench

import (
	"time"

	"github.com/deepuncertainty/ddu/kernels"
)

// Limits are what the machine can do at best at the level and with the threads
// in use; 0 where unknown.
type Limits struct {
	FlopsPerSecond float64 // float32 fused multiply-adds on registers, 2 each
	BytesPerSecond float64 // adding arrays that fit no cache: two reads and a write
}

// MeasureLimits measures both in a fraction of a second. It takes 192 MiB for
// that time.
func MeasureLimits() Limits {
	return Limits{FlopsPerSecond: measurePeak().flopsPerSecond, BytesPerSecond: measureBandwidth()}
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

// percent tells how near a rate comes to what bounds it, arithmetic or memory.
func (l Limits) percent(flops, bytes, seconds float64) float64 {
	used := 0.0
	if l.FlopsPerSecond > 0 {
		used = flops / l.FlopsPerSecond
	}
	if l.BytesPerSecond > 0 {
		used = max(used, bytes/l.BytesPerSecond)
	}
	return 100 * used / seconds
}
