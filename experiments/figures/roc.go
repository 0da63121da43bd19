package figures

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
)

// Detector is one score for telling images out of distribution: higher means
// further out. AUROC is shown as given.
type Detector struct {
	Method  string // "softmax", "energy", "ddu", "ensemble" or "ensemble_mi" have fixed colours
	Label   string
	In, Out []float64
	AUROC   float64
}

var methodColors = map[string]color.NRGBA{
	"softmax": yellow, "energy": sky, "ddu": blue, "ensemble": green, "ensemble_mi": purple,
}

// ROC draws one curve per detector.
func ROC(title string, detectors []Detector) (*Figure, error) {
	if len(detectors) == 0 {
		return nil, errors.New("ROC: no detectors")
	}
	p := newPlot("False positive rate (in-distribution images flagged)", "True positive rate (out-of-distribution images flagged)")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	chance := dashed(grey)
	p.Add(diagonal(chance))
	f := &Figure{title: title, rows: []panelRow{{[]*plot.Plot{p}, panelWidth}}}
	for i, d := range detectors {
		points, err := rocPoints(d.In, d.Out)
		if err != nil {
			return nil, fmt.Errorf("ROC of %s: %w", d.Label, err)
		}
		c, ok := methodColors[d.Method]
		if !ok {
			c = outColors[i%len(outColors)]
		}
		style := stroke(c, lineWidth)
		p.Add(curve{points: points, color: c, style: style})
		f.legend = append(f.legend, legendEntry{label: fmt.Sprintf("%s: AUROC %.3f", d.Label, d.AUROC), line: style})
	}
	f.legend = append(f.legend, legendEntry{label: "chance", line: chance})
	return f, nil
}

// rocPoints walks the thresholds from high to low; equal scores are one step,
// which draws ties as a slope. Points that a reader could not tell apart are
// left out.
func rocPoints(in, out []float64) ([]point, error) {
	if len(in) == 0 || len(out) == 0 {
		return nil, fmt.Errorf("%d scores in and %d out of distribution, want some of both", len(in), len(out))
	}
	a, b := slices.Clone(in), slices.Clone(out)
	for _, s := range [][]float64{a, b} {
		if slices.ContainsFunc(s, math.IsNaN) {
			return nil, errors.New("a score is NaN")
		}
		slices.Sort(s)
		slices.Reverse(s)
	}
	const near = 1e-4
	points := []point{{0, 0}}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		threshold := math.Inf(-1)
		if i < len(a) {
			threshold = a[i]
		}
		if j < len(b) {
			threshold = math.Max(threshold, b[j])
		}
		for i < len(a) && a[i] == threshold {
			i++
		}
		for j < len(b) && b[j] == threshold {
			j++
		}
		next, last := point{float64(i) / float64(len(a)), float64(j) / float64(len(b))}, points[len(points)-1]
		if next.x-last.x >= near || next.y-last.y >= near {
			points = append(points, next)
		}
	}
	return append(points, point{1, 1}), nil
}
