package kernels

import "testing"

func TestPeakFloat32(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		if peak := PeakFloat32(1); !(peak > 1e7 && peak < 1e13) {
			t.Errorf("peak of one thread is %g FLOP/s", peak)
		}
	})
}

func TestCPUHasAName(t *testing.T) {
	if CPU().Name == "" {
		t.Error("the processor has no name")
	}
}
