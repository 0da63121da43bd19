package kernels

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
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
