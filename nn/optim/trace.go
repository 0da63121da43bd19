package optim

import (
	"fmt"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

// TraceStep is o.Step with what it took recorded in r, which may be nil.
func TraceStep(r *trace.Recorder, o Optimizer, learningRate float64) {
	start := r.Start()
	o.Step(learningRate)
	if r == nil {
		return
	}
	took := time.Since(start)
	span := trace.Span{Op: "optimizer", Direction: trace.Update, Kernel: kernels.CurrentLevel().String()}
	switch o := o.(type) {
	case *SGD:
		span.Op, span.Shape, span.Bytes = "sgd", slotsShape(o.slots), updateBytes(o.slots, len(o.moments()))
	case *Adam:
		span.Op, span.Shape, span.Bytes = "adam", slotsShape(o.slots), updateBytes(o.slots, len(adamMoments))
	}
	r.Add(took, span)
}

func slotsShape(slots slots) string {
	return fmt.Sprintf("%d in %d tensors", elements(slots), len(slots))
}

// updateBytes is the least traffic of a step: gradients are read, parameters and
// moments read and written.
func updateBytes(slots slots, moments int) float64 {
	const floatBytes = 4
	return float64(floatBytes * (1 + 2*(1+moments)) * elements(slots))
}

func elements(slots slots) (n int) {
	for i := range slots {
		n += slots[i].parameter.Value.Len()
	}
	return n
}
