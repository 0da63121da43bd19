package figures

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/deepuncertainty/ddu/uncertainty"
)

// ReliabilityBins is how many bins a reliability diagram has, as published. The
// calibration error beside it is over uncertainty.DefaultBins.
const ReliabilityBins = 25

// Calibration is one panel of a reliability diagram.
type Calibration struct {
	Label   string // "Before temperature scaling"
	ECE     float64
	Diagram uncertainty.ReliabilityDiagram
}

// Reliability draws accuracy against confidence, a panel for each calibration,
// and below how many images are in each bin.
func Reliability(title string, panels ...Calibration) (*Figure, error) {
	if len(panels) == 0 {
		return nil, errors.New("reliability diagram: nothing to draw")
	}
	f := &Figure{title: title, rows: []panelRow{{height: 3.6 * vg.Inch}, {height: 1.25 * vg.Inch}}}
	var tallest float64
	for _, c := range panels {
		shares, err := c.shares()
		if err != nil {
			return nil, fmt.Errorf("reliability diagram: %s: %w", c.Label, err)
		}
		for _, s := range shares.heights {
			tallest = math.Max(tallest, s)
		}
		accuracyLabel, imagesLabel := "Accuracy in the bin", "Images (%)"
		if len(f.rows[0].panels) > 0 {
			accuracyLabel, imagesLabel = "", ""
		}
		p := newPlot("", accuracyLabel)
		p.Title.Text = fmt.Sprintf("%s: ECE %.2f %%", c.Label, 100*c.ECE)
		p.Title.TextStyle = textStyle(labelSize, ink)
		p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		p.Add(gapBars(c.Diagram), diagonal(dashed(ink)))
		f.rows[0].panels = append(f.rows[0].panels, p)

		n := newPlot("Confidence (largest softmax probability)", imagesLabel)
		n.Add(shares)
		n.X.Min, n.X.Max, n.Y.Min = 0, 1, 0
		f.rows[1].panels = append(f.rows[1].panels, n)
	}
	for _, n := range f.rows[1].panels {
		n.Y.Max = 1.05 * tallest
		n.Y.Tick.Marker = fewTicks{niceTicks{scale: 100}}
	}
	f.legend = []legendEntry{
		{label: "Accuracy", fill: blue},
		{label: "Confidence above accuracy", fill: translucent(orange, barAlpha), line: stroke(orange, axisWidth)},
		{label: "Confidence below accuracy", fill: translucent(green, barAlpha), line: stroke(green, axisWidth)},
		{label: "Perfect calibration", line: dashed(ink)},
	}
	return f, nil
}

// shares is the part of the images that each bin holds.
func (c Calibration) shares() (bars, error) {
	b := bars{edges: []float64{0}, color: grey}
	images := 0
	for i, bin := range c.Diagram {
		if bin.Count > 0 && !(bin.Accuracy >= 0 && bin.Accuracy <= 1 && bin.Confidence >= 0 && bin.Confidence <= 1+1e-6) {
			return b, fmt.Errorf("bin %d has accuracy %v and confidence %v, want fractions", i, bin.Accuracy, bin.Confidence)
		}
		images += bin.Count
	}
	if images == 0 {
		return b, errors.New("no images")
	}
	for _, bin := range c.Diagram {
		b.edges = append(b.edges, bin.High)
		b.heights = append(b.heights, float64(bin.Count)/float64(images))
	}
	return b, nil
}

// gapBars draws the accuracy of each bin and, in another colour, how far the
// mean confidence is off.
type gapBars uncertainty.ReliabilityDiagram

// Plot implements plot.Plotter.
func (g gapBars) Plot(c draw.Canvas, p *plot.Plot) {
	const apart = 0.8 // points between a bar and its bin's edge
	x, y := p.Transforms(&c)
	for _, b := range g {
		if b.Count == 0 {
			continue
		}
		x0, x1 := x(b.Low)+apart, x(b.High)-apart
		c.FillPolygon(blue, rectangle(x0, y(0), x1, y(math.Min(b.Accuracy, b.Confidence))))
		gap := orange
		if b.Confidence < b.Accuracy {
			gap = green
		}
		box := rectangle(x0, y(b.Accuracy), x1, y(b.Confidence))
		c.FillPolygon(translucent(gap, barAlpha), box)
		c.StrokeLines(stroke(gap, axisWidth), append(box, box[0]))
	}
}

// fewTicks keeps every other tick, for short axes.
type fewTicks struct{ niceTicks }

func (f fewTicks) Ticks(low, high float64) []plot.Tick {
	all := f.niceTicks.Ticks(low, high)
	var few []plot.Tick
	for i := 0; i < len(all); i += 2 {
		few = append(few, all[i])
	}
	return few
}
