package nn_test

import (
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
)

// A traced prediction gives the same results, and a span for each kernel.
func TestTracePredict(t *testing.T) {
	net := freezeCases[0].build(t)
	p := freeze(t, net)
	x := images(net, 3)
	want, _, err := p.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder()
	logits, _, err := p.TracePredict(r, x)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(logits.Float32s(), want.Float32s()) {
		t.Error("tracing changes the logits")
	}
	var shapes []string
	for _, s := range r.Spans() {
		if s.Direction != trace.Forward || s.Kernel == "" || s.Bytes == 0 {
			t.Errorf("span %+v", s)
		}
		if s.Flops > 0 {
			shapes = append(shapes, s.Op+" "+s.Shape)
		}
	}
	if want := []string{"conv2d 3x1x28x28-6-k5s1p0", "conv2d 3x6x12x12-16-k5s1p0", "linear 3x256-120", "linear 3x120-84", "linear 3x84-10"}; !slices.Equal(shapes, want) {
		t.Errorf("products %q, want %q", shapes, want)
	}
}

// The power iterations of all layers are one span, which counts both products.
func TestTracePowerIteration(t *testing.T) {
	net := freezeCases[1].build(t) // wide_resnet-10-1 with SN: 7 convolutions 3x3, 2 of 1x1
	tape := autograd.NewTape()
	for _, training := range []bool{false, true} {
		tape.Trace = trace.NewRecorder()
		ctx := &autograd.Context{Tape: tape, Training: training}
		if _, _, err := net.Forward(ctx, autograd.Constant(images(net, 2))); err != nil {
			t.Fatal(err)
		}
		var iterations []trace.Span
		for _, s := range tape.Trace.Spans() {
			if s.Op == "power_iteration" {
				iterations = append(iterations, s)
			}
		}
		tape.Reset()
		if !training {
			if len(iterations) != 0 {
				t.Errorf("evaluation iterates: %+v", iterations)
			}
			continue
		}
		const products = 1024*9*(16*3+2*16*16) + 256*9*(32*16+32*32) + 64*9*(64*32+64*64) + 32*16 + 64*32
		if len(iterations) != 1 || iterations[0].Shape != "9 weights" || iterations[0].Flops != 2*2*float64(products) {
			t.Errorf("spans %+v, want one of 9 weights and %d FLOPs", iterations, 4*products)
		}
	}
}
