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

// Compared is one point of a comparison: what a method of one configuration
// reaches, as fractions.
type Compared struct {
	Configuration string
	Method, Label string  // as of a Detector
	Mean          float64 // NaN: not measured
	StdError      float64 // 0: one run, no bar
}

// Contest is one panel of a comparison.
type Contest struct {
	Title  string // below the axis: "AUROC against svhn (%)"
	Points []Compared
}

// Comparison draws a panel per contest side by side: configurations as rows,
// methods as colours, means with a bar of one standard error to either side.
func Comparison(title string, contests []Contest) (*Figure, error) {
	var names []string
	f := &Figure{title: title}
	known := map[string]bool{}
	for _, c := range contests {
		for i, p := range c.Points {
			if !known["row "+p.Configuration] {
				known["row "+p.Configuration] = true
				names = append(names, p.Configuration)
			}
			if !known[p.Method] {
				known[p.Method] = true
				f.legend = append(f.legend, legendEntry{label: p.Label, fill: methodColor(p.Method, i)})
			}
		}
	}
	if len(names) == 0 {
		return nil, errors.New("comparison: nothing to compare")
	}
	row := panelRow{height: vg.Length(len(names))*comparedRow + 50}
	for i, c := range contests {
		panel, err := c.panel(names)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			panel.Y.Tick.Marker = rowNames{names: names, hidden: true}
		}
		row.panels = append(row.panels, panel)
	}
	f.rows = []panelRow{row}
	return f, nil
}

const comparedRow = 46 // points

func methodColor(method string, i int) color.NRGBA {
	if c, ok := methodColors[method]; ok {
		return c
	}
	return outColors[i%len(outColors)]
}

// panel draws the points of each configuration in a band of its own.
func (c Contest) panel(names []string) (*plot.Plot, error) {
	p := newPlot(c.Title, "")
	p.X.Tick.Marker = niceTicks{scale: 100}
	p.Y.Tick.Marker, p.Y.Tick.Length = rowNames{names: names}, 0
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
	low, high := math.Inf(1), math.Inf(-1)
	inBand := map[string]int{}
	for _, point := range c.Points {
		if !math.IsNaN(point.Mean) {
			inBand[point.Configuration]++
		}
	}
	next := map[string]int{}
	for i, point := range c.Points {
		if math.IsNaN(point.Mean) {
			continue
		}
		if math.IsInf(point.Mean, 0) || point.StdError < 0 {
			return nil, fmt.Errorf("comparison: %s of %s is %v ± %v", point.Label, point.Configuration, point.Mean, point.StdError)
		}
		n, k := inBand[point.Configuration], next[point.Configuration]
		next[point.Configuration]++
		band := float64(len(names) - 1 - indexOf(names, point.Configuration))
		p.Add(errorBar{
			x: point.Mean, deviation: point.StdError, color: methodColor(point.Method, i),
			y: band + 0.7*(float64(n-1)/2-float64(k))/float64(max(n, 1)),
		})
		low, high = math.Min(low, point.Mean-point.StdError), math.Max(high, point.Mean+point.StdError)
	}
	if low > high {
		low, high = 0, 1
	}
	space := math.Max(0.06*(high-low), 0.005)
	p.X.Min, p.X.Max = low-space, high+space
	return p, nil
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// rowNames writes the configurations beside their bands, the first on top.
type rowNames struct {
	names  []string
	hidden bool
}

// Ticks implements plot.Ticker.
func (r rowNames) Ticks(_, _ float64) []plot.Tick {
	ticks := make([]plot.Tick, len(r.names))
	for i, name := range r.names {
		ticks[i] = plot.Tick{Value: float64(len(r.names) - 1 - i), Label: name}
		if r.hidden {
			ticks[i].Label = " "
		}
	}
	return ticks
}

// errorBar is a mean and one standard error to either side.
type errorBar struct {
	x, y, deviation float64
	color           color.NRGBA
}

// Plot implements plot.Plotter.
func (b errorBar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := vg.Point{X: x(b.x), Y: y(b.y)}
	if b.deviation > 0 {
		from, to := x(b.x-b.deviation), x(b.x+b.deviation)
		style := stroke(b.color, lineWidth)
		c.StrokeLine2(style, from, at.Y, to, at.Y)
		for _, end := range []vg.Length{from, to} {
			c.StrokeLine2(style, end, at.Y-3, end, at.Y+3)
		}
	}
	c.DrawGlyph(draw.GlyphStyle{Color: b.color, Radius: 3.5, Shape: draw.CircleGlyph{}}, at)
}
