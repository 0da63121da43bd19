package kernels

import (
	"runtime"
	"sync/atomic"
	"time"
)

// To wake a sleeping thread takes some 15 microseconds, as long as a small loop. So
// before it sleeps a worker watches for a job for a while, and a caller for the end of
// its own.
const watchTime = 50 * time.Microsecond

// watchPauses is how often a watcher pauses between looks, in which it leaves a thread
// that shares its core alone: some 0.2 microseconds on an Intel Xeon.
const watchPauses = 4

// watchers counts the threads that watch, in a cache line of its own.
var watchers struct {
	_                      [64]byte
	workers, free, callers atomic.Int32 // free: workers whom nobody has called yet
	_                      [64]byte
}

// called has a job for each worker that was taken off watchers.free.
var called = make(chan *job, MaxThreads)

// processors is how many threads can be of use at a time.
func processors() int32 { return min(threads.Load(), int32(runtime.GOMAXPROCS(0))) }

// call sends j to workers that watch, up to as many as that, and returns to how many.
func call(j *job, helpers int) int {
	for {
		free := watchers.free.Load()
		n := min(int(free), helpers)
		if n <= 0 {
			return 0
		}
		if !watchers.free.CompareAndSwap(free, free-int32(n)) {
			continue
		}
		j.holders.Add(int64(n))
		for range n {
			called <- j
		}
		return n
	}
}

// watchForJob returns the job to which a worker was called, or nil if there was none.
func watchForJob() *job {
	defer watchers.workers.Add(-1)
	if watchers.workers.Add(1)+working.Load() >= processors() {
		return nil // a caller, and the workers there are, use them all
	}
	watchers.free.Add(1)
	for end := time.Now().Add(watchTime); ; pause(watchPauses) {
		select {
		case j := <-called:
			return j
		default:
		}
		if time.Now().After(end) && leave() {
			return nil
		}
	}
}

// leave takes a worker off watchers.free, unless all there were have been called: then
// there is, or will be at once, a job for each of them.
func leave() bool {
	for {
		free := watchers.free.Load()
		if free == 0 {
			return false
		}
		if watchers.free.CompareAndSwap(free, free-1) {
			return true
		}
	}
}

// wait returns when j is over.
func (j *job) wait() {
	defer watchers.callers.Add(-1)
	if watchers.callers.Add(1)+watchers.workers.Load()+working.Load() <= processors() {
		for end := time.Now().Add(watchTime); time.Now().Before(end); pause(watchPauses) {
			select {
			case <-j.over:
				return
			default:
			}
		}
	}
	<-j.over
}
