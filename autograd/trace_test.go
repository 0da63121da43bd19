package autograd

import (
	"slices"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/tensor"
)

// counts of the spans of a step, by operation and direction.
func counts(spans []trace.Span) map[string]int {
	n := map[string]int{}
	for _, s := range spans {
		n[s.Op+" "+string(s.Direction)]++
	}
	return n
}

// Every operation of a training step appears once in each direction, the parts
// of convolutions one by one, and gradients are those of an untraced step.
func TestTraceOfAStep(t *testing.T) {
	x, labels := tinyBatch(4)
	gradients := func(tape *Tape) [][]float32 {
		net := newTinyNet()
		net.step(tape, x, labels)
		var g [][]float32
		for _, p := range net.parameters() {
			g = append(g, p.Grad().Float32s())
		}
		return g
	}
	tape := NewTape()
	want := gradients(tape)
	tape.Trace = trace.NewRecorder()
	got := gradients(tape)
	tape.Trace.Stop()
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("gradient %d differs when traced", i)
		}
	}

	const convs = 2*tinyBlocks + 1
	n := counts(tape.Trace.Spans())
	for kind, want := range map[string]int{
		"conv2d pack": 2*convs - 1, "conv2d forward": convs, "conv2d backward data": convs - 1, "conv2d backward weights": convs, "conv2d backward": 0,
		"spectral_scale forward": convs, "spectral_scale backward": convs, "batch_norm2d forward": convs, "batch_norm2d backward": convs,
		"add forward": tinyBlocks, "add backward": tinyBlocks, "linear forward": 1, "linear backward": 1, "cross_entropy backward": 1,
	} {
		if n[kind] != want {
			t.Errorf("%d spans of %s, want %d", n[kind], kind, want)
		}
	}
	var sum time.Duration
	for _, s := range tape.Trace.Spans() {
		sum += s.Time
		if s.Shape == "" || s.Kernel == "" || s.Time < 0 {
			t.Errorf("span %+v", s)
		}
	}
	if total := tape.Trace.Total(); sum > total || sum == 0 {
		t.Errorf("spans take %v of %v", sum, total)
	}
}

// The work that spans stand for, counted by hand.
func TestTraceCountsWork(t *testing.T) {
	x := NewParameter(tensor.NewImage(tensor.Float32, 2, 3, 4, 4))
	w := NewParameter(tensor.New(tensor.Float32, 5, 3, 3, 3))
	matrix := NewParameter(tensor.New(tensor.Float32, 7, 80))
	const xLen, wLen, yLen, matrixLen = 2 * 3 * 16, 5 * 3 * 9, 2 * 5 * 16, 7 * 80

	tape := NewTape()
	tape.Trace = trace.NewRecorder()
	ctx := &Context{Tape: tape, Training: true}
	y := Conv2d(ctx, x, w, nil, Conv2dOptions{Padding: 1})
	sum := Add(ctx, y, y) // one gradient is passed on, the other one added to it
	flat := Flatten(ctx, sum)
	tape.Backward(Sum(ctx, Linear(ctx, flat, matrix, nil)))

	convolution, linear := 2.0*yLen*3*9, 2.0*2*matrixLen
	want := []trace.Span{
		{Op: "conv2d", Direction: trace.Pack, Shape: "2x3x4x4-5-k3s1", Bytes: 4 * 2 * wLen},
		{Op: "conv2d", Direction: trace.Forward, Shape: "2x3x4x4-5-k3s1", Flops: convolution, Bytes: 4 * (xLen + wLen + yLen)},
		{Op: "add", Direction: trace.Forward, Shape: "2x5x4x4", Bytes: 4 * 3 * yLen},
		{Op: "reshape", Direction: trace.Forward, Shape: "2x5x4x4", Bytes: 4 * 2 * yLen}, // an image has to be copied
		{Op: "linear", Direction: trace.Forward, Shape: "2x80-7", Flops: linear, Bytes: 4 * (yLen + matrixLen + 2*7)},
		{Op: "sum", Direction: trace.Forward, Shape: "2x7", Bytes: 4 * (2*7 + 1)},
		{Op: "sum", Direction: trace.Backward, Shape: "2x7", Bytes: 4 * (1 + 2*7)},
		{Op: "linear", Direction: trace.Backward, Shape: "2x80-7", Flops: 2 * linear, Bytes: 4 * (2*7 + 2*yLen + 2*matrixLen)},
		{Op: "reshape", Direction: trace.Backward, Shape: "2x5x4x4", Bytes: 4 * 2 * yLen},
		{Op: "add", Direction: trace.Backward, Shape: "2x5x4x4", Bytes: 4 * 3 * yLen},
		{Op: "conv2d", Direction: trace.BackwardWeights, Shape: "2x3x4x4-5-k3s1", Flops: convolution, Bytes: 4 * (xLen + wLen + yLen)},
		{Op: "conv2d", Direction: trace.Pack, Shape: "2x3x4x4-5-k3s1", Bytes: 4 * 2 * wLen},
		{Op: "conv2d", Direction: trace.BackwardData, Shape: "2x3x4x4-5-k3s1", Flops: convolution, Bytes: 4 * (xLen + wLen + yLen)},
	}
	got := tape.Trace.Spans()
	if len(got) != len(want) {
		t.Fatalf("%d spans, want %d: %+v", len(got), len(want), got)
	}
	for i, s := range got {
		s.Time, s.Kernel = 0, ""
		if s != want[i] {
			t.Errorf("span %d is\n%+v, want\n%+v", i, s, want[i])
		}
	}
}

// Without a recorder, what the hooks do allocates nothing.
func TestTraceOffAllocatesNothing(t *testing.T) {
	n := &Node{Op: OpConv2d}
	ctx := &Context{Tape: NewTape()}
	if got := testing.AllocsPerRun(100, func() {
		r := ctx.Trace()
		n.part(r, r.Start(), trace.Forward)
		r.Stop()
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
