package bench

import (
	"runtime"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/kernels"
)

// peak is one measurement of the float32 FMA peak of the threads in use.
type peak struct {
	flopsPerSecond float64
	// share of the processors that its threads, which never wait, were given: 1
	// where no other program ran; 0 where unknown.
	share float64
}

func measurePeak(bf16 bool) peak {
	threads, start, used := kernels.Threads(), time.Now(), processorTime()
	p := peak{}
	if bf16 && kernels.MultipliesBF16() {
		p.flopsPerSecond = kernels.PeakBF16(threads)
	} else {
		p.flopsPerSecond = kernels.PeakFloat32(threads)
	}
	possible := time.Since(start).Seconds() * float64(min(threads, runtime.NumCPU()))
	p.share = min((processorTime()-used).Seconds()/possible, 1)
	return p
}

// median returns the middle one of some numbers, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
