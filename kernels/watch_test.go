package kernels

import (
	"runtime"
	"sync"
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

// A worker that has just helped is there for the next call, and holds its job.
func TestWorkersWatchForTheNextCall(t *testing.T) {
	withThreads(t, 2)
	old := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(old)
	meet := func() { // both tasks run at once
		var here atomic.Int32
		Parallel(2, func(int) {
			for here.Add(1); here.Load() < 2; {
				runtime.Gosched()
			}
		})
	}
	called := false
	for start := time.Now(); !called && time.Since(start) < 10*time.Second; {
		meet()
		for wait := time.Now(); watchers.free.Load() == 0 && time.Since(wait) < watchTime; {
		}
		checked := make(chan struct{})
		j := newJob(1, 1, func(int) { <-checked })
		if called = call(j, 5) == 1; called && j.holders.Load() != 2 {
			t.Errorf("%d hold the job, want 2", j.holders.Load())
		}
		close(checked)
		if called {
			<-j.over
		}
		j.release()
	}
	if !called {
		t.Error("no worker watched within 10 s")
	}
}

// Short calls from many goroutines, nested too, keep their jobs apart.
func TestShortCallsFromManyGoroutines(t *testing.T) {
	withThreads(t, 3)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for i := range 300 {
				var outer, inner atomic.Int32
				Parallel(2+i%3, func(int) {
					outer.Add(1)
					Parallel(2, func(int) { inner.Add(1) })
				})
				if want := int32(2 + i%3); outer.Load() != want || inner.Load() != 2*want {
					t.Errorf("%d and %d tasks ran, want %d and %d", outer.Load(), inner.Load(), want, 2*want)
					return
				}
			}
		})
	}
	wg.Wait()
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
