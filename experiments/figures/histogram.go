package figures

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sample is one uncertainty value per image of a data set.
type Sample struct {
	Label  string
	Values []float64 // no NaN; infinite ones are counted in the outermost bins
}

// EntropyHistogram compares predictive entropies (nats) of the in-distribution
// set with those of sets out of it. The axis runs from 0 to ln(classes).
func EntropyHistogram(title string, classes int, in Sample, out ...Sample) (*Figure, error) {
	if classes < 2 {
		return nil, fmt.Errorf("entropy histogram: %d classes, want at least 2", classes)
	}
	edges := equalEdges(0, math.Log(float64(classes)), 24)
	return histogram(title, "Softmax entropy (nats)", edges, nil, in, out)
}

// DensityHistogram compares log densities (nats). Sets out of distribution can
// lie thousands of nats below: where they would squeeze the in-distribution set
// into a few bins, the axis turns logarithmic away from zero. The furthest 0.5 %
// of each set at either side are counted in the outermost bins.
func DensityHistogram(title string, in Sample, out ...Sample) (*Figure, error) {
	const bins = 40
	low, high, ok := trimmedRange(in)
	if !ok {
		return nil, fmt.Errorf("density histogram: %s has no finite values", in.Label)
	}
	inSpan, scale := math.Max(high-low, 1e-6*math.Max(1, math.Abs(high))), math.Max(math.Abs(low), math.Abs(high))
	for _, s := range out {
		if l, h, ok := trimmedRange(s); ok {
			low, high = math.Min(low, l), math.Max(high, h)
		}
	}
	if high-low <= 8*inSpan {
		space := math.Max((high-low)*0.02, 1e-9*math.Max(1, scale))
		return histogram(title, "Log density (nats)", equalEdges(low-space, high+space, bins), nil, in, out)
	}
	axis := symlog{math.Pow(10, math.Floor(math.Log10(math.Max(scale, 1))))}
	from, to := axis.forward(low), axis.forward(high)
	space := 0.02 * (to - from)
	edges := equalEdges(from-space, to+space, bins)
	for i, e := range edges {
		edges[i] = axis.backward(e)
	}
	return histogram(title, "Log density (nats; logarithmic far from 0)", edges, &axis, in, out)
}

// trimmedRange returns the quantiles 0.005 and 0.995 of the finite values; not
// ok without any.
func trimmedRange(s Sample) (low, high float64, ok bool) {
	var values []float64
	for _, v := range s.Values {
		if finite(v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, 0, false
	}
	slices.Sort(values)
	cut := len(values) / 200
	return values[cut], values[len(values)-1-cut], true
}

func equalEdges(low, high float64, bins int) []float64 {
	edges := make([]float64, bins+1)
	for i := range edges {
		edges[i] = low + (high-low)*float64(i)/float64(bins)
	}
	edges[bins] = high
	return edges
}

func histogram(title, xLabel string, edges []float64, axis *symlog, in Sample, out []Sample) (*Figure, error) {
	p := newPlot(xLabel, "Images (% of each set)")
	p.Y.Tick.Marker = niceTicks{scale: 100}
	f := &Figure{title: title, rows: []panelRow{{[]*plot.Plot{p}, panelHeight}}}
	if axis != nil {
		p.X.Scale, p.X.Tick.Marker = axis, axis
	}
	beyond := 0
	for i, s := range append([]Sample{in}, out...) {
		c := inColor
		if i > 0 {
			c = outColors[(i-1)%len(outColors)]
		}
		shares, moved, err := count(s, edges)
		if err != nil {
			return nil, err
		}
		b := bars{edges: edges, heights: shares, color: c}
		p.Add(b)
		f.legend = append(f.legend, legendEntry{label: s.Label, line: stroke(c, lineWidth), fill: translucent(c, barAlpha)})
		beyond += moved
	}
	if beyond > 0 {
		f.notes = []string{fmt.Sprintf("The outermost bins also count %d images beyond the axis.", beyond)}
	}
	p.X.Min, p.X.Max = edges[0], edges[len(edges)-1]
	p.Y.Min = 0
	snapToTicks(&p.Y, 100)
	return f, nil
}

// count returns the share of the values in each bin [edge, next edge), and how
// many had to be moved into the first or last bin.
func count(s Sample, edges []float64) (shares []float64, moved int, err error) {
	if len(s.Values) == 0 {
		return nil, 0, fmt.Errorf("histogram: %s has no values", s.Label)
	}
	shares = make([]float64, len(edges)-1)
	for i, v := range s.Values {
		if math.IsNaN(v) {
			return nil, 0, fmt.Errorf("histogram: value %d of %s is NaN", i, s.Label)
		}
		bin, exact := slices.BinarySearch(edges, v)
		if !exact {
			bin--
		}
		if v < edges[0] || v > edges[len(edges)-1] {
			moved++
		}
		shares[min(max(bin, 0), len(shares)-1)] += 1 / float64(len(s.Values))
	}
	return shares, moved, nil
}

const barAlpha = 0.35

// bars is a filled histogram with an outline.
type bars struct {
	edges, heights []float64
	color          color.NRGBA
}

// DataRange implements plot.DataRanger.
func (b bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	return b.edges[0], b.edges[len(b.edges)-1], 0, slices.Max(b.heights)
}

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	// Each run of bins that are not empty is a shape of its own, so that no
	// outline covers the axis.
	for i := 0; i < len(b.heights); {
		if b.heights[i] == 0 {
			i++
			continue
		}
		outline := []vg.Point{{X: x(b.edges[i]), Y: y(0)}}
		for ; i < len(b.heights) && b.heights[i] > 0; i++ {
			outline = append(outline, vg.Point{X: x(b.edges[i]), Y: y(b.heights[i])}, vg.Point{X: x(b.edges[i+1]), Y: y(b.heights[i])})
		}
		outline = append(outline, vg.Point{X: x(b.edges[i]), Y: y(0)})
		c.FillPolygon(translucent(b.color, barAlpha), outline)
		c.StrokeLines(stroke(b.color, lineWidth), outline)
	}
}
