// Package trace records what a step of training or inference spends its time
// on: one span per operation and direction, with its shape, the arithmetic it
// stands for and the memory it has to move.
//
// Set Tape.Trace to a Recorder for the step to record; package bench turns the
// spans into a table. A nil *Recorder records nothing and costs nothing.
package trace

import "time"

// Direction tells which part of an operation a span is.
type Direction string

// The directions. Convolutions have their backward pass in parts, all other
// operations as a whole.
const (
	Forward         Direction = "forward"
	Backward        Direction = "backward"
	BackwardData    Direction = "backward data"
	BackwardWeights Direction = "backward weights"
	BackwardBias    Direction = "backward bias"
	BackwardSigma   Direction = "backward sigma" // through the spectral normalisation of weights
	Pack            Direction = "pack"           // weights, into the order of the kernels
	Again           Direction = "again"          // a result that was dropped, for the backward pass
	Update          Direction = "update"
	Wait            Direction = "wait"
)

// Span is one operation in one direction.
type Span struct {
	Op        string // as autograd.Op names it; "power_iteration", "sgd", "data"
	Direction Direction
	Shape     string // of what it works on, such as "128x64x32x32-64-k3s1"
	Kernel    string // instruction-set level and algorithm
	Time      time.Duration

	// Flops are the nominal floating-point operations, 2 for each product and
	// products with padding counted; 0 where arithmetic is not what matters.
	Flops float64
	BF16  bool // they are done by units that multiply bfloat16
	// Bytes is the least memory traffic: each operand read once, each result
	// written once. A second pass over an operand shows as fewer GB/s.
	Bytes float64
}

// Recorder gathers the spans of one step. It serves one goroutine.
type Recorder struct {
	spans []Span
	begin time.Time
	total time.Duration
}

// NewRecorder returns a recorder of a step that begins now.
func NewRecorder() *Recorder { return &Recorder{begin: time.Now()} }

// Start returns the time now; from a nil Recorder the zero time, which costs
// nothing.
func (r *Recorder) Start() time.Time {
	if r == nil {
		return time.Time{}
	}
	return time.Now()
}

// Add records a span that took so long; a nil Recorder forgets it. Callers on a
// hot path build the span only where the Recorder is not nil.
func (r *Recorder) Add(took time.Duration, s Span) {
	if r != nil {
		s.Time = took
		r.spans = append(r.spans, s)
	}
}

// Stop ends the step.
func (r *Recorder) Stop() {
	if r != nil {
		r.total = time.Since(r.begin)
	}
}

// Spans returns what was recorded, in order.
func (r *Recorder) Spans() []Span {
	if r == nil {
		return nil
	}
	return r.spans
}

// Total returns how long the step took, from NewRecorder to Stop. What it is
// longer than its spans lies between the operations.
func (r *Recorder) Total() time.Duration {
	if r == nil {
		return 0
	}
	return r.total
}
