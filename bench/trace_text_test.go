package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

func TestTraceText(t *testing.T) {
	r := trace.NewRecorder()
	r.Add(4*time.Millisecond, trace.Span{Op: "conv2d", Direction: trace.Forward, Shape: "2x3x8x8-4-k3s1", Kernel: "avx2 direct", Flops: 4e8, Bytes: 1e6})
	r.Add(time.Millisecond, trace.Span{Op: "add", Direction: trace.Forward, Shape: "2x4x8x8", Kernel: "avx2", Bytes: 1e7})
	r.Add(2*time.Millisecond, trace.Span{Op: "conv2d", Direction: trace.Forward, Shape: "2x4x8x8-4-k3s1", Kernel: "avx2 direct", Flops: 1e8, Bytes: 1e6})
	r.Add(0, trace.Span{Op: "reshape", Direction: trace.Forward, Shape: "2x4x8x8", Kernel: "avx2"})
	text := TraceText("a step", r, Limits{FlopsPerSecond: 200e9, BytesPerSecond: 20e9})
	for _, want := range []string{
		"trace of a step: ",
		"at best 200.0 GFLOP/s (fused multiply-adds) and 20.0 GB/s (memory)\n",
		`
operation  direction  shape              ms  GFLOP/s  GB/s  % limit  kernel
conv2d     forward    2x3x8x8-4-k3s1  4.000    100.0   0.2       50  avx2 direct
add        forward    2x4x8x8         1.000           10.0       50  avx2
conv2d     forward    2x4x8x8-4-k3s1  2.000     50.0   0.5       25  avx2 direct
reshape    forward    2x4x8x8         0.000                          avx2
`,
		"\nconv2d              forward        2  ", "     83.3   0.3       42\n",
		"\nbetween operations  ", "\nstep  ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if conv, add := strings.LastIndex(text, "\nconv2d"), strings.LastIndex(text, "\nadd"); conv > add {
		t.Errorf("the sums are not sorted by time:\n%s", text)
	}
}

// Training and inference are traced in a step of their own.
func TestNetworkTrace(t *testing.T) {
	for mode, want := range map[string]string{"train": "sgd", "infer": "linear"} {
		var r *trace.Recorder
		o := NetworkOptions{Network: "lenet", Mode: mode, DType: "fp32", Batch: 2, Seconds: 1e-3, Trace: func(found *trace.Recorder) { r = found }}
		if _, err := Network(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if r == nil || r.Total() <= 0 || len(r.Spans()) == 0 || r.Spans()[len(r.Spans())-1].Op != want {
			t.Errorf("%s: %+v, want it to end with %s", mode, r, want)
		}
	}
}

func TestMeasureLimits(t *testing.T) {
	if l := MeasureLimits(); l.FlopsPerSecond <= 0 || l.BytesPerSecond <= 0 {
		t.Errorf("limits %+v", l)
	}
	if p := (Limits{FlopsPerSecond: 100, BytesPerSecond: 10}).percent(work{flops: 50, bytes: 20, seconds: 4}); p != 50 {
		t.Errorf("%v %%, want 50: memory bounds", p)
	}
	if p := (Limits{FlopsPerSecond: 100, BF16FlopsPerSecond: 1000, BytesPerSecond: 10}).percent(work{flops: 50, bf16Flops: 1500, bytes: 1, seconds: 4}); p != 50 {
		t.Errorf("%v %%, want 50: both kinds of products bound", p)
	}
}
