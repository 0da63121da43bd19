package experiments

import (
	"fmt"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

// tracedStep is the step of a training that is traced, counted from 0: by then
// buffers are made and the loader has used up its lead. A shorter epoch has its
// last step traced.
const tracedStep = 5

// stepTrace traces one step of one network, from waiting for its batch to the
// update of the parameters.
type stepTrace struct {
	report func(*trace.Recorder) // nil: nobody asked, or it is done
	left   int                   // steps before the traced one

	recorder *trace.Recorder // of the step under way, nil in all others
	waiting  time.Time
}

func newStepTrace(report func(*trace.Recorder), stepsPerEpoch int) stepTrace {
	return stepTrace{report: report, left: min(tracedStep, stepsPerEpoch-1)}
}

// next is called when the trainer begins to wait for a batch.
func (s *stepTrace) next() {
	if s.report == nil {
		return
	}
	if s.left == 0 {
		s.recorder = trace.NewRecorder()
		s.waiting = s.recorder.Start()
	}
	s.left--
}

// loaded is called when the batch has come.
func (s *stepTrace) loaded(images int) {
	if s.recorder != nil {
		s.recorder.Add(time.Since(s.waiting), trace.Span{Op: "data", Direction: trace.Wait, Shape: fmt.Sprintf("%d images", images)})
	}
}

// done is called when the step is over.
func (s *stepTrace) done() {
	if s.recorder != nil {
		s.recorder.Stop()
		s.report(s.recorder)
		s.report, s.recorder = nil, nil
	}
}
