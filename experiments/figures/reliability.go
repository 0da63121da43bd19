package figures

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Calibration is what a reliability diagram shows: for every image the largest
// softmax probability, and whether the class was right.
type Calibration struct {
	Label      string // "Before temperature scaling"
	ECE        float64
	Confidence []float64
	Correct    []bool
}

const reliabilityBins = 25

// Reliability draws accuracy against confidence in 25 equal bins (lo, hi], a
// panel for each calibration, and below how many images are in each bin.
func Reliability(title string, panels ...Calibration) (*Figure, error) {
	f := &Figure{title: title, rows: []panelRow{{height: 3.6 * vg.Inch}, {height: 1.25 * vg.Inch}}}
	if len(panels) == 0 {
		return nil, fmt.Errorf("reliability diagram: nothing to draw")
	}
	var tallest float64
	for _, c := range panels {
		bins, err := c.bins()
		if err != nil {
			return nil, err
		}
		label := ""
		if len(f.rows[0].panels) == 0 {
			label = "Accuracy in the bin"
		}
		p := newPlot("", label)
		p.Title.Text = fmt.Sprintf("%s: ECE %.2f %%", c.Label, 100*c.ECE)
		p.Title.TextStyle = textStyle(labelSize, ink)
		p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
		p.Title.Padding = 0
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
		p.Add(gapBars(bins), diagonal(dashed(ink)))
		f.rows[0].panels = append(f.rows[0].panels, p)

		if label != "" {
			label = "Images (%)"
		}
		n := newPlot("Confidence (largest softmax probability)", label)
		n.Y.Tick.Marker = niceTicks{scale: 100}
		shares := make([]float64, len(bins))
		for i, b := range bins {
			shares[i] = float64(b.images) / float64(len(c.Confidence))
			tallest = math.Max(tallest, shares[i])
		}
		n.Add(bars{edges: equalEdges(0, 1, reliabilityBins), heights: shares, color: grey})
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

// bin gathers the images whose confidence lies in one interval.
type bin struct {
	images, correct int
	confidence      float64 // sum
}

func (c Calibration) bins() ([]bin, error) {
	if len(c.Confidence) == 0 || len(c.Confidence) != len(c.Correct) {
		return nil, fmt.Errorf("reliability diagram %q: %d confidences and %d outcomes, want the same number and some", c.Label, len(c.Confidence), len(c.Correct))
	}
	bins := make([]bin, reliabilityBins)
	for i, p := range c.Confidence {
		if !(p >= 0 && p <= 1+1e-6) {
			return nil, fmt.Errorf("reliability diagram %q: confidence %d is %v, want a probability", c.Label, i, p)
		}
		b := &bins[min(max(int(math.Ceil(p*reliabilityBins))-1, 0), reliabilityBins-1)]
		b.images++
		b.confidence += p
		if c.Correct[i] {
			b.correct++
		}
	}
	return bins, nil
}

// gapBars draws the accuracy of each bin and, in another colour, how far the
// mean confidence is off.
type gapBars []bin

// Plot implements plot.Plotter.
func (g gapBars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, b := range g {
		if b.images == 0 {
			continue
		}
		x0, x1 := x(float64(i)/reliabilityBins)+0.8, x(float64(i+1)/reliabilityBins)-0.8
		accuracy := float64(b.correct) / float64(b.images)
		confidence := b.confidence / float64(b.images)
		c.FillPolygon(blue, rectangle(x0, y(0), x1, y(accuracy)))
		gap := orange
		low, high := y(accuracy), y(confidence)
		if confidence < accuracy {
			gap = green
			low, high = high, low
			c.FillPolygon(rgb(0xffffff), rectangle(x0, low, x1, high))
		}
		box := rectangle(x0, low, x1, high)
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
