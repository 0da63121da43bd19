package kernels

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func withThreads(t testing.TB, n int) {
	old := Threads()
	if err := SetThreads(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { SetThreads(old) })
}

func TestParallelRunsEachTaskOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 7} {
		for _, n := range []int{0, 1, 2, 3, 100, 1001} {
			t.Run(fmt.Sprintf("threads=%d/n=%d", threads, n), func(t *testing.T) {
				withThreads(t, threads)
				count := make([]atomic.Int32, n)
				Parallel(n, func(i int) { count[i].Add(1) })
				for i := range count {
					if c := count[i].Load(); c != 1 {
						t.Fatalf("task %d ran %d times", i, c)
					}
				}
			})
		}
	}
}

func TestParallelUsesNoMoreThanThreads(t *testing.T) {
	for _, threads := range []int{2, 3, 5} {
		withThreads(t, threads)
		var now, most atomic.Int32
		Parallel(20*threads, func(int) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond) // so that every worker woken finds work left
			now.Add(-1)
		})
		if got := most.Load(); got != int32(threads) {
			t.Errorf("%d tasks at once, want %d", got, threads)
		}
	}
}

func TestNestedCallsUseNoMoreThanThreads(t *testing.T) {
	for _, threads := range []int{2, 3} {
		withThreads(t, threads)
		var now, most atomic.Int32
		Parallel(threads, func(int) {
			Parallel(20, func(int) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Millisecond)
				now.Add(-1)
			})
		})
		if got := most.Load(); got != int32(threads) {
			t.Errorf("%d tasks at once, want %d", got, threads)
		}
	}
}

// A worker that becomes free while a nested call goes on helps with that.
func TestNestedCallsGetAWorkerThatBecomesFree(t *testing.T) {
	withThreads(t, 3)
	var most atomic.Int32
	Parallel(3, func(i int) {
		if i > 0 {
			time.Sleep(5 * time.Millisecond)
			return
		}
		var now atomic.Int32
		Parallel(100, func(int) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
		})
	})
	// Two, where the nested call is a worker's and the caller waits.
	if got := most.Load(); got < 2 {
		t.Errorf("%d tasks at once, want at least 2", got)
	}
}

// Nested and concurrent calls once deadlocked when workers waited for each other.
func TestParallelNestsAndRunsConcurrently(t *testing.T) {
	withThreads(t, 4)
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			Parallel(8, func(int) {
				Parallel(8, func(int) { Parallel(4, func(int) { total.Add(1) }) })
			})
		})
	}
	wg.Wait()
	if got := total.Load(); got != 16*8*8*4 {
		t.Fatalf("%d tasks ran, want %d", got, 16*8*8*4)
	}
}

func TestParallelPassesPanicOn(t *testing.T) {
	withThreads(t, 3)
	defer func() {
		if r := recover(); r != "task 5" {
			t.Fatalf("recovered %v, want task 5", r)
		}
	}()
	Parallel(50, func(i int) {
		if i == 5 {
			panic("task 5")
		}
	})
	t.Fatal("Parallel returned after a panic")
}

// BenchmarkParallel splits work of some microseconds, of which half should remain, and
// says how late the second thread begins.
func BenchmarkParallel(b *testing.B) {
	for _, work := range []time.Duration{20, 100, 500} {
		b.Run(fmt.Sprintf("%dus", work), func(b *testing.B) {
			withThreads(b, 2)
			var late atomic.Int64
			for range b.N {
				start := time.Now()
				Parallel(2, func(i int) {
					if i == 1 {
						late.Add(int64(time.Since(start)))
					}
					for begin := time.Now(); time.Since(begin) < work*time.Microsecond/2; {
					}
				})
			}
			b.ReportMetric(float64(late.Load())/float64(b.N), "ns-late")
		})
	}
}
