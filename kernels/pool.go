package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// MaxThreads bounds SetThreads.
const MaxThreads = 1024

var (
	threads     atomic.Int32
	startMu     sync.Mutex
	startedPool int // workers started so far, under startMu
	jobs        = make(chan *job, MaxThreads)
	refused     = make(chan *job, MaxThreads) // by workers when as many as may were at work
)

// working counts the workers at work, in a cache line of its own: every call reads what
// lies beside threads.
var working struct {
	_ [64]byte
	atomic.Int32
	_ [64]byte
}

func init() { threads.Store(int32(min(runtime.GOMAXPROCS(0), MaxThreads))) }

// Threads returns how many threads one kernel call may use.
func Threads() int { return int(threads.Load()) }

// SetThreads sets how many threads one kernel call may use, 1 to MaxThreads.
// Results do not depend on it.
func SetThreads(n int) error {
	if n < 1 || n > MaxThreads {
		return fmt.Errorf("threads: %d, want 1 to %d", n, MaxThreads)
	}
	threads.Store(int32(n))
	return nil
}

// job is one Parallel call. Tasks are claimed by counting next up; the job is
// over when n tasks are done, wherever its queued copies are, so a caller never
// waits for a worker that is itself waiting.
type job struct {
	next, done atomic.Int64
	n          int64
	seats      atomic.Int64 // how many more workers may help
	fn         func(i int)
	over       chan struct{} // receives once, from whoever does the last task
	failure    atomic.Pointer[any]
	holders    atomic.Int64 // the caller and the copies in the queue or at work
}

// freeJobs recycles jobs that nobody holds.
var freeJobs = sync.Pool{New: func() any { return &job{over: make(chan struct{}, 1)} }}

func newJob(n, helpers int, fn func(i int)) *job {
	j := freeJobs.Get().(*job)
	j.next.Store(0)
	j.done.Store(0)
	j.n, j.fn = int64(n), fn
	j.seats.Store(int64(helpers))
	j.failure.Store(nil)
	j.holders.Store(1)
	return j
}

func (j *job) release() {
	if j.holders.Add(-1) == 0 {
		j.fn = nil
		freeJobs.Put(j)
	}
}

// Parallel calls fn(0) to fn(n-1), each once, on up to Threads goroutines, the
// caller among them, and returns when all have. Which goroutine runs which task
// is not fixed: tasks must write to disjoint places. Calls may nest and come
// from many goroutines at once. A panic in a task is passed on to the caller.
func Parallel(n int, fn func(i int)) {
	helpers := min(Threads(), n) - 1
	if helpers <= 0 {
		for i := range n {
			fn(i)
		}
		return
	}
	startWorkers(helpers + spare)
	j := newJob(n, helpers, fn)
	if asleep := helpers - call(j, helpers); asleep > 0 {
		offer(j, asleep+spare)
	}
	j.run(false)
	j.wait()
	failure := j.failure.Load()
	j.release()
	if failure != nil {
		panic(*failure)
	}
}

// loop is a body for Parallel whose arguments are recycled. Parallel keeps the
// function that it is given from the stack, so a closure would be allocated for every
// call.
type loop[T any] struct{ free sync.Pool }

// loopCall is one call of a loop.
type loopCall[T any] struct {
	arguments T
	run       func(i int)
}

func newLoop[T any](body func(arguments *T, i int)) *loop[T] {
	return &loop[T]{sync.Pool{New: func() any {
		c := new(loopCall[T])
		c.run = func(i int) { body(&c.arguments, i) }
		return c
	}}}
}

// parallel is Parallel for the loop's body and these arguments.
func (l *loop[T]) parallel(n int, arguments T) {
	c := l.free.Get().(*loopCall[T])
	c.arguments = arguments
	Parallel(n, c.run)
	var none T
	c.arguments = none // so that the pool keeps nothing alive
	l.free.Put(c)
}

// spare is how many workers are woken that find no seat. Go's scheduler keeps the
// goroutine that was woken last for the thread that woke it: another may take it only
// after a sleep, some 60 microseconds on Linux. The spare one is that goroutine, and the
// others start at once.
const spare = 1

// offer hands copies of j to workers without ever blocking: when the queue is full the
// caller does the work alone.
func offer(j *job, copies int) {
	for range copies {
		j.holders.Add(1)
		select {
		case jobs <- j:
		default:
			j.release()
			return
		}
	}
}

// help runs tasks of j unless it has helpers enough, or other jobs have: one may be
// nested in another. Then j waits in refused for a worker that becomes free.
func (j *job) help() (helped bool) {
	defer j.release()
	if j.seats.Add(-1) < 0 {
		return false
	}
	if working.Add(1) < threads.Load() {
		j.run(true)
		return true
	}
	working.Add(-1)
	j.seats.Add(1)
	j.holders.Add(1)
	select {
	case refused <- j:
	default:
		j.release()
	}
	return false
}

// run runs tasks until none is left. A worker stops counting as one before the caller
// hears that the job is over, since that begins the next one at once.
func (j *job) run(worker bool) {
	last := false
	defer func() {
		if worker {
			working.Add(-1)
		}
		if last {
			j.over <- struct{}{}
		}
	}()
	for !last {
		i := j.next.Add(1) - 1
		if i >= j.n {
			return
		}
		j.task(int(i), &last)
	}
}

// task runs one task, or skips it after a failure, counts it either way, and sets last
// if it was the last to be done.
func (j *job) task(i int, last *bool) {
	defer func() {
		if r := recover(); r != nil {
			failure := r // r itself would be allocated for every task
			j.failure.CompareAndSwap(nil, &failure)
		}
		*last = j.done.Add(1) == j.n
	}()
	if j.failure.Load() == nil {
		j.fn(i)
	}
}

func startWorkers(n int) {
	startMu.Lock()
	defer startMu.Unlock()
	for ; startedPool < n; startedPool++ {
		go work()
	}
}

// work helps with one job after the other, and with those that were refused while there
// is room.
func work() {
	for {
		j := watchForJob()
		if j == nil {
			j = <-jobs
		}
		helped := j.help()
		for helped || working.Load()+1 < threads.Load() {
			next := takeRefused()
			if next == nil {
				break
			}
			helped = next.help()
		}
	}
}

// takeRefused returns a job that waits for a worker, or nil.
func takeRefused() *job {
	select {
	case j := <-refused:
		return j
	default:
		return nil
	}
}
