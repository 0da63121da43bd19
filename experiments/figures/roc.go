package figures

import (
	"errors"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"

	"github.com/deepuncertainty/ddu/uncertainty"
)

// Detector is one score for telling images out of distribution: higher means
// further out. AUROC is shown as given.
type Detector struct {
	Method  string // "softmax", "msp", "energy", "ddu", "ensemble" or "ensemble_mi" have fixed colours
	Label   string
	In, Out []float64
	AUROC   float64
}

var methodColors = map[string]color.NRGBA{
	"softmax": yellow, "msp": orange, "energy": sky, "ddu": blue, "ensemble": green, "ensemble_mi": purple,
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
		f.legend = append(f.legend, legendEntry{label: d.legend(), line: style})
	}
	f.legend = append(f.legend, legendEntry{label: "chance", line: chance})
	return f, nil
}

// legend has as many digits as a percentage with two decimals.
func (d Detector) legend() string { return fmt.Sprintf("%s: AUROC %.4f", d.Label, d.AUROC) }

// rocPoints leaves out points that a reader could not tell apart.
func rocPoints(in, out []float64) ([]point, error) {
	all, err := uncertainty.ROC(out, in)
	if err != nil {
		return nil, err
	}
	const near = 1e-4
	points := []point{{0, 0}}
	for _, p := range all {
		if last := points[len(points)-1]; p.FPR-last.x >= near || p.TPR-last.y >= near {
			points = append(points, point{p.FPR, p.TPR})
		}
	}
	return append(points, point{1, 1}), nil
}
