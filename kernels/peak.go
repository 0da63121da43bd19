package kernels

import (
	"slices"
	"time"
)

// peakLoop is a loop of fused multiply-adds on registers alone.
type peakLoop struct {
	run   func(rounds *int)
	flops int // of one round
}

const peakAccumulators = 12 // as the generator writes them

var peakLoops = [numLevels]peakLoop{Portable: {peakPortable, 2 * 4}}

func peakPortable(rounds *int) {
	var a, b, c, d float32
	x, y := float32(*rounds), float32(0)
	for range *rounds {
		a, b, c, d = a+x*y, b+x*y, c+x*y, d+x*y
	}
	*rounds = int(a + b + c + d) // so that the loop is not optimised away
}

// PeakFloat32 measures the float32 fused multiply-add peak of so many threads at
// the current level, in FLOP/s, as the best of a few runs of some milliseconds.
func PeakFloat32(threads int) float64 { return peakLoops[CurrentLevel().tables()].measure(threads) }

// PeakBF16 is PeakFloat32 for products of bfloat16 tiles, which only AMX has; 0 at
// every other level.
func PeakBF16(threads int) float64 {
	if CurrentLevel() != AMX {
		return 0
	}
	return amxPeakLoop.measure(threads)
}

func (loop peakLoop) measure(threads int) float64 {
	rounds := peakRounds(loop)
	var rates []float64
	for range 5 {
		start := time.Now()
		done := make(chan struct{})
		for range threads {
			go func() {
				for range peakCalls {
					n := rounds
					loop.run(&n)
				}
				done <- struct{}{}
			}()
		}
		for range threads {
			<-done
		}
		rates = append(rates, float64(loop.flops*rounds*peakCalls*threads)/time.Since(start).Seconds())
	}
	return slices.Max(rates)
}

const peakCalls = 100

// peakRounds returns the rounds that take about 100 microseconds.
func peakRounds(loop peakLoop) int {
	rounds := 1000
	for {
		start, n := time.Now(), rounds
		loop.run(&n)
		took := time.Since(start)
		if took > 100*time.Microsecond || rounds > 1<<28 {
			return rounds
		}
		rounds *= 2
	}
}
