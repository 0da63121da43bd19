package kernels

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Calls that come while workers watch, fall asleep and sleep run every task, on no more
// than Threads goroutines.
func TestCallsFindWorkersThatWatchOrSleep(t *testing.T) {
	for _, threads := range []int{2, 3, 5} {
		withThreads(t, threads)
		for delay := time.Duration(0); delay < 2*watchTime; delay += watchTime / 100 {
			var ran, now, most atomic.Int32
			Parallel(3*threads, func(int) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				ran.Add(1)
				now.Add(-1)
			})
			if ran.Load() != int32(3*threads) || most.Load() > int32(threads) {
				t.Fatalf("%d tasks ran, want %d; %d at once, want at most %d", ran.Load(), 3*threads, most.Load(), threads)
			}
			for start := time.Now(); time.Since(start) < delay; runtime.Gosched() {
			}
		}
	}
}

func TestWatchersFallAsleep(t *testing.T) {
	withThreads(t, 4)
	Parallel(16, func(int) {})
	asleep := func() bool {
		return watchers.workers.Load() == 0 && watchers.free.Load() == 0 && watchers.callers.Load() == 0 && len(called) == 0
	}
	for start := time.Now(); !asleep(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("after 10 s %d workers watch, %d of them free, and %d callers; %d jobs wait",
				watchers.workers.Load(), watchers.free.Load(), watchers.callers.Load(), len(called))
		}
	}
}

func TestPauseEnds(t *testing.T) {
	for _, times := range []int{-1, 0, 1, 100} {
		pause(times)
	}
}
