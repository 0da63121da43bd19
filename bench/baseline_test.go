package bench

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

func layersResult(percents ...float64) *LayersResult {
	r := &LayersResult{Network: "lenet", DType: "fp32", Batch: 4, MNIST: true, CPU: "a CPU", ISA: kernels.CurrentLevel().String(), Threads: kernels.Threads(), PeakGFLOPS: 100}
	rows := []LayerRow{
		{Shape: "1x28x28-6-k5s1p0", Direction: trace.Forward}, {Shape: "1x28x28-6-k5s1p0", Direction: trace.BackwardWeights},
		{Shape: "6x12x12-16-k5s1p0", Direction: trace.Forward}, {Shape: "6x12x12-16-k5s1p0", Direction: trace.BackwardData},
		{Shape: "6x12x12-16-k5s1p0", Direction: trace.BackwardWeights},
	}
	for i, p := range percents {
		row := rows[i]
		row.Count, row.Seconds, row.GFLOPS, row.PeakPercent, row.Kernel = 2, 0.001, p, p, "direct"
		r.Rows = append(r.Rows, row)
	}
	return r
}

func TestBaselineFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.json")
	want := layersResult(50, 40, 30, 20, 10)
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadBaseline(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"not JSON": "% peak 12", "other JSON": `{"network": "lenet"}`, "another type": `[1]`,
	} {
		path := writeFile(t, text)
		if _, err := ReadBaseline(path); err == nil || !strings.Contains(err.Error(), path+": want what ddu bench layers --record writes") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := ReadBaseline(path + "x"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
}

// The recorded baselines are of convolutions that the networks still have.
func TestRecordedBaselines(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("baselines %q, %v", paths, err)
	}
	for _, path := range paths {
		r, err := ReadBaseline(path)
		if err != nil {
			t.Error(err)
			continue
		}
		_, cases, err := LayersOptions{Network: r.Network, Batch: r.Batch, Seconds: 1, MNIST: r.MNIST, Mod: r.Mod, DType: r.DType}.resolve()
		if err == nil {
			err = r.fits(r, cases)
		}
		if err != nil || r.CPU == "" || r.PeakGFLOPS <= 0 {
			t.Errorf("%s: %v, CPU %q, peak %v", path, err, r.CPU, r.PeakGFLOPS)
		}
	}
}

func TestFallen(t *testing.T) {
	before := layersResult(50, 40, 30, 20, 10)
	for _, test := range []struct {
		now       []float64
		tolerance float64
		want      string // shares that fell
	}{
		{[]float64{50, 40, 30, 20, 10}, 0, ""},
		{[]float64{45, 36, 27, 18, 9}, 10, ""},
		{[]float64{44.9, 36, 27, 17.9, 20}, 10, "44.9 17.9"},
		{[]float64{44.9, 36, 27, 17.9, 20}, 20, ""},
		{[]float64{49.9, 60, 60, 60, 60}, 0, "49.9"},
	} {
		var got []string
		text := FallsText(layersResult(test.now...).fallen(before, test.tolerance))
		for line := range strings.Lines(text) {
			if fields := strings.Fields(line); fields[0] != "shape" {
				got = append(got, fields[len(fields)-3])
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v at %g %%: %q fell, want %q", test.now, test.tolerance, got, test.want)
		}
	}
}

// What cannot be compared is refused before anything is measured.
func TestLayersAgainstRefuses(t *testing.T) {
	o := LayersOptions{Network: "lenet", Batch: 4, Seconds: 1e-3}
	for name, test := range map[string]struct {
		change    func(r *LayersResult)
		tolerance float64
		want      string
	}{
		"another level":      {func(r *LayersResult) { r.ISA = "sse2" }, 10, "isa is sse2, now " + kernels.CurrentLevel().String()},
		"other threads":      {func(r *LayersResult) { r.Threads += 3 }, 10, "threads is "},
		"another network":    {func(r *LayersResult) { r.Network = "vgg16" }, 10, "network is vgg16, now lenet"},
		"another batch":      {func(r *LayersResult) { r.Batch = 5 }, 10, "batch is 5, now 4"},
		"mod":                {func(r *LayersResult) { r.Mod = true }, 10, "mod is true, now false"},
		"fewer shapes":       {func(r *LayersResult) { r.Rows = r.Rows[1:] }, 10, "record it again"},
		"other shapes":       {func(r *LayersResult) { r.Rows[2].Shape = "7" }, 10, "record it again"},
		"negative tolerance": {func(r *LayersResult) {}, -1, "tolerance -1"},
		"high tolerance":     {func(r *LayersResult) {}, 100, "tolerance 100"},
	} {
		baseline := layersResult(1, 1, 1, 1, 1)
		test.change(baseline)
		if _, _, err := LayersAgainst(context.Background(), o, baseline, test.tolerance); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, test.want)
		}
	}
}

// A baseline that nothing can fall below, and one that everything does.
func TestLayersAgainst(t *testing.T) {
	o := LayersOptions{Network: "lenet", Batch: 4, Seconds: 1e-3}
	const impossible = 1e9 // per cent of the peak
	for _, test := range []struct {
		percent float64
		falls   int
	}{{0, 0}, {impossible, 5}} {
		p := test.percent
		r, falls, err := LayersAgainst(context.Background(), o, layersResult(p, p, p, p, p), 10)
		if err != nil || len(r.Rows) != 5 || len(falls) != test.falls {
			t.Errorf("%d of %v fell below %g %%, want %d (%v)", len(falls), r, p, test.falls, err)
		}
		for _, f := range falls {
			if f.BaselinePercent != impossible || f.PeakPercent <= 0 || f.Seconds <= 0 || f.Kernel == "" {
				t.Errorf("fall %+v", f)
			}
		}
	}
}

func TestDisturbed(t *testing.T) {
	r := layersResult(1)
	r.summarize([]peak{{3e9, 1}, {1e9, 0.5}, {2e9, 0.75}})
	if r.PeakGFLOPS != 2 || r.ProcessorPercent != 75 || !r.Disturbed() {
		t.Errorf("peak %v, %v %% of the processors, disturbed %v", r.PeakGFLOPS, r.ProcessorPercent, r.Disturbed())
	}
	for percent, want := range map[float64]bool{0: false, 40: true, 94.9: true, 95: false, 100: false} {
		if r.ProcessorPercent = percent; r.Disturbed() != want {
			t.Errorf("disturbed at %v %%: %v", percent, !want)
		}
	}
}

func TestLayersText(t *testing.T) {
	r := layersResult(50, 40, 30, 20, 10)
	r.ISA, r.Threads = "avx2", 1
	want := `convolutions of lenet fp32, input 1x28x28, batch 4, avx2, 1 thread, FMA peak 100.0 GFLOP/s (a CPU)

shape              direction         count     ms  GFLOP/s  % peak  kernel
1x28x28-6-k5s1p0   forward               2  1.000     50.0    50.0  direct
1x28x28-6-k5s1p0   backward weights      2  1.000     40.0    40.0  direct
6x12x12-16-k5s1p0  forward               2  1.000     30.0    30.0  direct
6x12x12-16-k5s1p0  backward data         2  1.000     20.0    20.0  direct
6x12x12-16-k5s1p0  backward weights      2  1.000     10.0    10.0  direct
all                forward               4  4.000     40.0    40.0
all                backward data         2  2.000     20.0    20.0
all                backward weights      4  4.000     25.0    25.0
`
	if got := r.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
