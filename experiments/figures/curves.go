package figures

import (
	"errors"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Epoch is one point of the training curves. Losses are nats per image,
// accuracies fractions; Validation is nil without a validation split.
type Epoch struct {
	Number     int
	Train      Quality
	Validation *Quality
}

// Quality is how well a network does on a set of images.
type Quality struct{ Loss, Accuracy float64 }

// Curves draws loss and accuracy over the epochs.
func Curves(title string, epochs []Epoch) (*Figure, error) {
	if len(epochs) == 0 {
		return nil, errors.New("training curves: no epochs")
	}
	loss := newPlot("Epoch", "Cross-entropy (nats per image)")
	accuracy := newPlot("Epoch", "Accuracy (%)")
	accuracy.Y.Tick.Marker = niceTicks{scale: 100}
	f := &Figure{title: title, rows: []panelRow{{[]*plot.Plot{loss, accuracy}, panelHeight}}}
	for _, part := range []struct {
		label string
		color color.NRGBA
		of    func(Epoch) *Quality
	}{
		{"Training", blue, func(e Epoch) *Quality { return &e.Train }},
		{"Validation", orange, func(e Epoch) *Quality { return e.Validation }},
	} {
		l, a := curve{color: part.color}, curve{color: part.color}
		for _, e := range epochs {
			if q := part.of(e); q != nil {
				if !finite(q.Loss) || !finite(q.Accuracy) {
					return nil, fmt.Errorf("training curves: epoch %d has loss %v and accuracy %v", e.Number, q.Loss, q.Accuracy)
				}
				l.add(float64(e.Number), q.Loss)
				a.add(float64(e.Number), q.Accuracy)
			}
		}
		if len(l.points) > 0 {
			loss.Add(l)
			accuracy.Add(a)
			f.legend = append(f.legend, legendEntry{label: part.label, line: stroke(part.color, lineWidth)})
		}
	}
	loss.Y.Min = math.Min(0, loss.Y.Min)
	snapToTicks(&loss.Y, 1)
	snapToTicks(&accuracy.Y, 100)
	accuracy.Y.Min, accuracy.Y.Max = math.Max(accuracy.Y.Min, 0), math.Min(accuracy.Y.Max, 1)
	for _, p := range []*plot.Plot{loss, accuracy} {
		p.X.Tick.Marker = niceTicks{whole: true}
		first, last := float64(epochs[0].Number), float64(epochs[len(epochs)-1].Number)
		space := math.Max((last-first)*0.03, 0.3)
		p.X.Min, p.X.Max = first-space, last+space
		if len(epochs) > 30 {
			p.X.Min = 0
		}
	}
	return f, nil
}

// snapToTicks widens an axis to end on ticks.
func snapToTicks(a *plot.Axis, scale float64) {
	if a.Max-a.Min < 0.01/scale {
		a.Min, a.Max = a.Min-0.5/scale, a.Max+0.5/scale
	}
	for range 2 { // the wider axis may have a wider step
		step := niceStep((a.Max-a.Min)*scale/5) / scale
		a.Min, a.Max = math.Floor(a.Min/step+1e-9)*step, math.Ceil(a.Max/step-1e-9)*step
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// curve is a line through points, with dots where they are few.
type curve struct {
	points []point
	color  color.NRGBA
	style  draw.LineStyle // zero: a plain line
}

type point struct{ x, y float64 }

func (c *curve) add(x, y float64) { c.points = append(c.points, point{x, y}) }

// DataRange implements plot.DataRanger.
func (c curve) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax, ymin, ymax = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, p := range c.points {
		xmin, xmax = math.Min(xmin, p.x), math.Max(xmax, p.x)
		ymin, ymax = math.Min(ymin, p.y), math.Max(ymax, p.y)
	}
	return xmin, xmax, ymin, ymax
}

// Plot implements plot.Plotter.
func (c curve) Plot(canvas draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&canvas)
	line := make([]vg.Point, len(c.points))
	for i, q := range c.points {
		line[i] = vg.Point{X: x(q.x), Y: y(q.y)}
	}
	style := c.style
	if style.Width == 0 {
		style = stroke(c.color, lineWidth)
	}
	canvas.StrokeLines(style, canvas.ClipLinesXY(line)...)
	if len(c.points) <= 30 && c.style.Width == 0 {
		for _, at := range line {
			canvas.DrawGlyph(draw.GlyphStyle{Color: c.color, Radius: 2.4, Shape: draw.CircleGlyph{}}, at)
		}
	}
}

// diagonal is the line from (0, 0) to (1, 1).
func diagonal(style draw.LineStyle) curve {
	return curve{points: []point{{0, 0}, {1, 1}}, style: style}
}
