package optim

import (
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

// A traced step has the result of an untraced one, and counts what it moves.
func TestTraceStep(t *testing.T) {
	for name, want := range map[string]trace.Span{
		"sgd":   {Op: "sgd", Bytes: 4 * 5 * 12},
		"plain": {Op: "sgd", Bytes: 4 * 3 * 12},
		"adam":  {Op: "adam", Bytes: 4 * 7 * 12},
	} {
		p, q := parameters(5, 7), parameters(5, 7)
		gradients(p, "0")
		gradients(q, "0")
		r := trace.NewRecorder()
		TraceStep(r, optimisers(t, p)[name], 0.1)
		TraceStep(nil, optimisers(t, q)[name], 0.1)
		for i := range p {
			if !slices.Equal(p[i].Parameter.Value.Float32s(), q[i].Parameter.Value.Float32s()) {
				t.Errorf("%s: %s differs when traced", name, p[i].Name)
			}
		}
		want.Direction, want.Shape = trace.Update, "12 in 2 tensors"
		spans := r.Spans()
		if len(spans) != 1 || spans[0].Kernel == "" {
			t.Fatalf("%s: spans %+v", name, spans)
		}
		spans[0].Time, spans[0].Kernel = 0, ""
		if spans[0] != want {
			t.Errorf("%s: span %+v, want %+v", name, spans[0], want)
		}
	}
}
