package figures

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/deepuncertainty/ddu/uncertainty"
)

func labels(t niceTicks, low, high float64) string {
	var list []string
	for _, k := range t.Ticks(low, high) {
		list = append(list, k.Label)
	}
	return strings.Join(list, " ")
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		ticks     niceTicks
		low, high float64
		want      string
	}{
		{niceTicks{}, 0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{niceTicks{}, -0.03, 2.31, "0.0 0.5 1.0 1.5 2.0"},
		{niceTicks{}, -12345, 21, "−10,000 −5,000 0"},
		{niceTicks{}, 1e-4, 5e-4, "0.0001 0.0002 0.0003 0.0004 0.0005"},
		{niceTicks{scale: 100}, 0.97, 0.982, "97.0 97.5 98.0"},
		{niceTicks{whole: true}, 0.7, 3.3, "1 2 3"},
		{niceTicks{whole: true}, 0, 350, "0 100 200 300"},
		{niceTicks{}, 0, 0, ""},
	} {
		got := labels(test.ticks, test.low, test.high)
		if got != test.want {
			t.Errorf("ticks of %v to %v are %q, want %q", test.low, test.high, got, test.want)
		}
	}
}

func TestSymlogAxis(t *testing.T) {
	s := symlog{100}
	for _, x := range []float64{-1e12, -100, -1, 0, 3, 1e5} {
		if back := s.backward(s.forward(x)); math.Abs(back-x) > 1e-9*math.Abs(x) {
			t.Errorf("%v came back as %v", x, back)
		}
	}
	if a, b := s.Normalize(-1e4, 200, -1e4), s.Normalize(-1e4, 200, 200); a != 0 || b != 1 {
		t.Errorf("the ends are at %v and %v", a, b)
	}
	var shown []string
	at := math.Inf(-1)
	ticks := s.Ticks(-2e7, 200)
	slices.SortFunc(ticks, func(a, b plot.Tick) int { return cmp.Compare(a.Value, b.Value) })
	for _, k := range ticks {
		if k.Label == "" {
			continue
		}
		shown = append(shown, k.Label)
		if next := s.Normalize(-2e7, 200, k.Value); next-at < 0.1 {
			t.Errorf("label %s touches the one before", k.Label)
		} else {
			at = next
		}
	}
	if got := strings.Join(shown, " "); got != "−1e7 −1e6 −100,000 −10,000 −1,000 0" {
		t.Errorf("labels are %s", got)
	}
}

func TestCountPutsValuesIntoBins(t *testing.T) {
	shares, moved, err := count(Sample{"x", []float64{0, 0.5, 1, 1.5, 2, math.Inf(-1), 7, math.Inf(1)}}, []float64{0, 1, 2})
	if err != nil || moved != 3 || !slices.Equal(shares, []float64{3. / 8, 5. / 8}) {
		t.Errorf("shares %v, moved %d, %v", shares, moved, err)
	}
}

// The area below the drawn curve is the AUROC by its definition: the chance
// that an image out of distribution scores higher, ties counting half.
func TestROCPointsHaveTheRightArea(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, levels := range []int{1, 3, 1000000} {
		draw := func(n int, shift float64) []float64 {
			list := make([]float64, n)
			for i := range list {
				list[i] = math.Round((r.Float64() + shift) * float64(levels))
			}
			return list
		}
		in, out := draw(150, 0), draw(70, 0.3)
		var wins float64
		for _, o := range out {
			for _, i := range in {
				switch {
				case o > i:
					wins++
				case o == i:
					wins += 0.5
				}
			}
		}
		points, err := rocPoints(in, out)
		if err != nil {
			t.Fatal(err)
		}
		var area float64
		for i := 1; i < len(points); i++ {
			area += (points[i].x - points[i-1].x) * (points[i].y + points[i-1].y) / 2
		}
		if want := wins / float64(len(in)*len(out)); math.Abs(area-want) > 1e-9 {
			t.Errorf("%d levels: area is %v, want %v", levels, area, want)
		}
	}
}

func TestLegendDoesNotRoundToPerfection(t *testing.T) {
	if got, want := (Detector{Label: "DDU", AUROC: 0.99959}).legend(), "DDU: AUROC 0.9996"; got != want {
		t.Errorf("legend %q, want %q", got, want)
	}
}

// A range that is a point, infinite densities and a long title must still draw
// (not rasterised with -short).
func TestOddInputsDraw(t *testing.T) {
	same := Sample{"same", []float64{5, 5, 5}}
	for name, draw := range map[string]func() (*Figure, error){
		"one value":  func() (*Figure, error) { return DensityHistogram("x", same) },
		"two points": func() (*Figure, error) { return DensityHistogram("x", same, Sample{"other", []float64{-1e300}}) },
		"some impossible": func() (*Figure, error) {
			return DensityHistogram("x", same, Sample{"other", []float64{math.Inf(-1), -3, math.Inf(-1)}})
		},
		"all impossible": func() (*Figure, error) {
			return DensityHistogram("x", same, Sample{"other", []float64{math.Inf(-1)}})
		},
		"entropy at the ends": func() (*Figure, error) {
			return EntropyHistogram("x", 2, Sample{"a", []float64{0, math.Log(2), math.Log(2) + 1e-12}})
		},
		"perfect":   func() (*Figure, error) { return Curves("x", []Epoch{{1, Quality{0, 1}, nil}, {2, Quality{0, 1}, nil}}) },
		"no spread": func() (*Figure, error) { return ROC("x", []Detector{{"ddu", "DDU", []float64{1}, []float64{1}, 0.5}}) },
		"long title": func() (*Figure, error) {
			return DensityHistogram(strings.Repeat("a long title goes on ", 12), same)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			if testing.Short() {
				return
			}
			if _, err := f.PNG(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTitlesAndLegendsWrap(t *testing.T) {
	f := &Figure{title: strings.Repeat("word ", 40)}
	width := 4 * vg.Inch
	for _, line := range f.titleLines(width) {
		if w := textStyle(titleSize, ink).Width(line); w > width {
			t.Errorf("line %q is %v wide", line, w)
		}
	}
	for range 9 {
		f.legend = append(f.legend, legendEntry{label: "a label of some length"})
	}
	entries := 0
	for _, row := range f.legendRows(width) {
		var used vg.Length = -legendGap
		for _, e := range row {
			used += e.width()
			entries++
		}
		if used > width {
			t.Errorf("a row is %v wide", used)
		}
	}
	if entries != 9 {
		t.Errorf("%d of 9 entries are shown", entries)
	}
}

func TestBadInputIsAnError(t *testing.T) {
	nan := math.NaN()
	ok := Sample{"ok", []float64{1, 2}}
	for name, test := range map[string]struct {
		draw func() (*Figure, error)
		want string
	}{
		"no epochs":    {func() (*Figure, error) { return Curves("x", nil) }, "no epochs"},
		"NaN loss":     {func() (*Figure, error) { return Curves("x", []Epoch{{3, Quality{nan, 0}, nil}}) }, "epoch 3 has loss NaN"},
		"NaN entropy":  {func() (*Figure, error) { return EntropyHistogram("x", 10, ok, Sample{"bad", []float64{1, nan}}) }, "value 1 of bad is NaN"},
		"one class":    {func() (*Figure, error) { return EntropyHistogram("x", 1, ok) }, "1 classes"},
		"no values":    {func() (*Figure, error) { return EntropyHistogram("x", 10, Sample{Label: "none"}) }, "none has no values"},
		"all infinite": {func() (*Figure, error) { return DensityHistogram("x", Sample{"inf", []float64{math.Inf(-1)}}, ok) }, "inf has no finite values"},
		"no detectors": {func() (*Figure, error) { return ROC("x", nil) }, "no detectors"},
		"NaN score":    {func() (*Figure, error) { return ROC("x", []Detector{{"a", "A", []float64{nan}, []float64{1}, 1}}) }, "ROC of A: negative score 0 is NaN"},
		"no scores":    {func() (*Figure, error) { return ROC("x", []Detector{{Label: "A"}}) }, "ROC of A: no positive scores"},
		"no panels":    {func() (*Figure, error) { return Reliability("x") }, "nothing to draw"},
		"empty bins": {func() (*Figure, error) {
			return Reliability("x", Calibration{"a", 0, make(uncertainty.ReliabilityDiagram, 5)})
		}, "a: no images"},
		"no fraction": {func() (*Figure, error) {
			return Reliability("x", Calibration{"a", 0, uncertainty.ReliabilityDiagram{{Low: 0, High: 1, Count: 1, Accuracy: nan}}})
		}, "a: bin 0 has accuracy NaN"},
	} {
		if f, err := test.draw(); err == nil || f != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %s", name, err, test.want)
		}
	}
}
