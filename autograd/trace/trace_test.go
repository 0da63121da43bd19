package trace

import (
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/kernels"
)

func TestRecorder(t *testing.T) {
	r := NewRecorder()
	start := r.Start()
	r.Add(time.Since(start), Span{Op: "a"})
	r.Add(time.Second, Span{Op: "b"})
	r.Stop()
	if s := r.Spans(); len(s) != 2 || s[0].Op != "a" || s[1].Time != time.Second || r.Total() < s[0].Time {
		t.Errorf("spans %+v of %v", s, r.Total())
	}
}

func TestNilRecorder(t *testing.T) {
	var r *Recorder
	r.Add(time.Second, Span{})
	r.Stop()
	if !r.Start().IsZero() || r.Spans() != nil || r.Total() != 0 {
		t.Error("a nil Recorder recorded something")
	}
}

func TestConv2dName(t *testing.T) {
	for want, s := range map[string]kernels.Conv2dShape{
		"64x32x30-128-k3s2":  {N: 1, C: 64, H: 32, W: 30, OC: 128, KH: 3, KW: 3, Stride: 2, Padding: 1},
		"64x8x8-256-k1s1":    {N: 1, C: 64, H: 8, W: 8, OC: 256, KH: 1, KW: 1, Stride: 1},
		"1x28x28-6-k5s1p0":   {N: 1, C: 1, H: 28, W: 28, OC: 6, KH: 5, KW: 5, Stride: 1},
		"3x9x9-4-k3x1s1p1":   {N: 1, C: 3, H: 9, W: 9, OC: 4, KH: 3, KW: 1, Stride: 1, Padding: 1},
		"16x28x28-16-k3s1p0": {N: 1, C: 16, H: 28, W: 28, OC: 16, KH: 3, KW: 3, Stride: 1},
	} {
		if got := Conv2dName(s); got != want {
			t.Errorf("%+v is named %s, want %s", s, got, want)
		}
	}
}

func TestConv2dFlops(t *testing.T) {
	s := kernels.Conv2dShape{N: 2, C: 3, H: 8, W: 8, OC: 5, KH: 3, KW: 3, Stride: 2, Padding: 1}
	if got, want := Conv2dFlops(s), 2.0*2*5*4*4*3*9; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
