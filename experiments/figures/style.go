// Package figures draws the pictures of a run as PNG and SVG: training curves,
// histograms of uncertainty, ROC curves and reliability diagrams. Equal inputs
// give equal bytes.
package figures

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The look of all figures, in one place. Colours are those of Okabe and Ito,
// which readers with any kind of colour vision can tell apart.
var (
	blue   = rgb(0x0072b2)
	orange = rgb(0xd55e00)
	green  = rgb(0x009e73)
	yellow = rgb(0xe69f00)
	purple = rgb(0xcc79a7)
	sky    = rgb(0x56b4e9)
	ink    = rgb(0x222222)
	grey   = rgb(0x808080)
	faint  = rgb(0xe6e6e6)

	// The in-distribution set is always blue, the sets out of it follow in order.
	inColor   = blue
	outColors = []color.NRGBA{orange, green, purple, yellow, sky}
)

const (
	dpi          = 200
	panelWidth   = 4.6 * vg.Inch
	panelHeight  = 3.2 * vg.Inch
	margin       = 10 // points
	lineWidth    = 1.6
	axisWidth    = 0.7
	titleSize    = 12
	labelSize    = 11
	tickSize     = 10
	noteSize     = 9
	legendGap    = 16 // between entries of a legend row
	legendSwatch = 16
)

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

func translucent(c color.NRGBA, alpha float64) color.NRGBA {
	c.A = uint8(alpha * 255)
	return c
}

func textStyle(size vg.Length, c color.Color) text.Style {
	return text.Style{
		Color:   c,
		Font:    font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		XAlign:  draw.XLeft,
		YAlign:  draw.YBottom,
		Handler: plot.DefaultTextHandler,
	}
}

func stroke(c color.Color, width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: width}
}

func dashed(c color.Color) draw.LineStyle {
	s := stroke(c, 1)
	s.Dashes = []vg.Length{4, 3}
	return s
}

// newPlot returns an empty panel in the common style: thin dark axes without
// gaps and faint horizontal lines at the ticks.
func newPlot(xLabel, yLabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	styleAxis(&p.X, xLabel)
	styleAxis(&p.Y, yLabel)
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XCenter, draw.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.Add(gridLines{})
	return p
}

func styleAxis(a *plot.Axis, label string) {
	a.Label.Text = label
	a.Label.TextStyle = textStyle(labelSize, ink)
	a.Label.TextStyle.XAlign = draw.XCenter
	a.Label.Padding = 4
	a.LineStyle = stroke(ink, axisWidth)
	a.Padding = 0
	a.Tick.Label = textStyle(tickSize, ink)
	a.Tick.LineStyle = stroke(ink, axisWidth)
	a.Tick.Length = 4
	a.Tick.Marker = niceTicks{}
}

// gridLines draws a faint line at every tick of the Y axis.
type gridLines struct{}

func (gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if at := y(t.Value); c.ContainsY(at) && t.Value > p.Y.Min {
			c.StrokeLine2(stroke(faint, axisWidth), c.Min.X, at, c.Max.X, at)
		}
	}
}
