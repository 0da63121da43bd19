package figures

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a picture ready to be written.
type Figure struct {
	title  string
	notes  []string // small print below
	legend []legendEntry
	rows   []panelRow
}

// panelRow is a line of panels side by side.
type panelRow struct {
	panels []*plot.Plot
	height vg.Length
}

type legendEntry struct {
	label string
	line  draw.LineStyle
	fill  color.Color // nil: a line only
}

// WriteTo writes the figure as PNG.
func (f *Figure) WriteTo(w io.Writer) (int64, error) {
	data, err := f.PNG()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(data)
	return int64(n), err
}

// PNG returns the figure as a PNG file.
func (f *Figure) PNG() ([]byte, error) {
	width, height := f.size()
	image := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	f.drawOn(image)
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: image}).WriteTo(&b); err != nil {
		return nil, fmt.Errorf("figure %q: %w", f.title, err)
	}
	return b.Bytes(), nil
}

// SVG returns the figure as an SVG file. Text stays text; where the font is not
// there, one with the same widths serves.
func (f *Figure) SVG() ([]byte, error) {
	width, height := f.size()
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, height))
	canvas.SetColor(color.White)
	canvas.Fill(vg.Rectangle{Max: vg.Point{X: width, Y: height}}.Path())
	f.drawOn(canvas)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("figure %q: %w", f.title, err)
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

// Encode returns the figure in the format that the extension of path stands for,
// .png or .svg.
func (f *Figure) Encode(path string) ([]byte, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if extension(path) == ".svg" {
		return f.SVG()
	}
	return f.PNG()
}

// CheckPath tells whether a path has the extension of a figure.
func CheckPath(path string) error {
	if ext := extension(path); ext != ".png" && ext != ".svg" {
		return fmt.Errorf("%s: the extension %q is none of a figure, want .png or .svg", path, ext)
	}
	return nil
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

func (f *Figure) size() (width, height vg.Length) {
	width = f.width()
	height = 2*vg.Length(margin) + f.headHeight(width) + f.notesHeight()
	for _, r := range f.rows {
		height += r.height
	}
	return width, height
}

func (f *Figure) drawOn(canvas vg.CanvasSizer) {
	page := draw.Crop(draw.New(canvas), margin, -margin, margin, -margin)
	f.drawHead(page)
	f.drawNotes(page)
	f.drawPanels(draw.Crop(page, 0, 0, f.notesHeight(), -f.headHeight(f.width())))
}

func (f *Figure) width() vg.Length {
	columns := 1
	for _, r := range f.rows {
		columns = max(columns, len(r.panels))
	}
	return 2*margin + vg.Length(columns)*panelWidth
}

// The head is the title and the legend, in rows: it never covers data.
func (f *Figure) headHeight(width vg.Length) vg.Length {
	h := vg.Length(len(f.titleLines(width-2*margin)))*titleLine() + 6
	if rows := f.legendRows(width - 2*margin); len(rows) > 0 {
		h += vg.Length(len(rows))*legendLine() + 4
	}
	return h + 4
}

func titleLine() vg.Length { return textStyle(titleSize, ink).Height("Xg") + 3 }

// titleLines breaks the title between words.
func (f *Figure) titleLines(width vg.Length) []string {
	style := textStyle(titleSize, ink)
	lines := []string{""}
	for _, word := range strings.Fields(f.title) {
		last := &lines[len(lines)-1]
		switch longer := strings.TrimSpace(*last + " " + word); {
		case *last == "" || style.Width(longer) <= width:
			*last = longer
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

func legendLine() vg.Length { return textStyle(tickSize, ink).Height("Xg") + 4 }

func (f *Figure) drawHead(c draw.Canvas) {
	title := textStyle(titleSize, ink)
	title.YAlign = draw.YTop
	y := c.Max.Y
	for _, line := range f.titleLines(c.Max.X - c.Min.X) {
		c.FillText(title, vg.Point{X: c.Min.X, Y: y}, line)
		y -= titleLine()
	}
	y -= 6
	label := textStyle(tickSize, ink)
	label.YAlign = draw.YCenter
	for _, row := range f.legendRows(c.Max.X - c.Min.X) {
		x, middle := c.Min.X, y-legendLine()/2
		for _, e := range row {
			e.draw(c, x, middle)
			c.FillText(label, vg.Point{X: x + legendSwatch + 5, Y: middle}, e.label)
			x += e.width()
		}
		y -= legendLine()
	}
}

func (f *Figure) legendRows(width vg.Length) [][]legendEntry {
	var rows [][]legendEntry
	used := width + 1
	for _, e := range f.legend {
		if used+e.width()-legendGap > width {
			rows = append(rows, nil)
			used = 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		used += e.width()
	}
	return rows
}

func (e legendEntry) width() vg.Length {
	return legendSwatch + 5 + textStyle(tickSize, ink).Width(e.label) + legendGap
}

func (e legendEntry) draw(c draw.Canvas, x, middle vg.Length) {
	middle -= 1 // text has its weight below the middle
	if e.fill == nil {
		c.StrokeLine2(e.line, x, middle, x+legendSwatch, middle)
		return
	}
	box := rectangle(x, middle-4, x+legendSwatch, middle+4)
	c.FillPolygon(e.fill, box)
	if e.line.Width > 0 {
		c.StrokeLines(e.line, append(box, box[0]))
	}
}

func rectangle(x0, y0, x1, y1 vg.Length) []vg.Point {
	return []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}

func noteLine() vg.Length { return textStyle(noteSize, grey).Height("Xg") + 2 }

func (f *Figure) notesHeight() vg.Length {
	if len(f.notes) == 0 {
		return 0
	}
	return vg.Length(len(f.notes))*noteLine() + 4
}

func (f *Figure) drawNotes(c draw.Canvas) {
	style := textStyle(noteSize, grey)
	style.YAlign = draw.YTop
	for i, n := range f.notes {
		c.FillText(style, vg.Point{X: c.Min.X, Y: c.Min.Y + f.notesHeight() - 4 - vg.Length(i)*noteLine()}, n)
	}
}

// drawPanels tiles the rows from the top and gives all data areas of a column
// the same left edge.
func (f *Figure) drawPanels(c draw.Canvas) {
	top := c.Max.Y
	var tiles [][]draw.Canvas
	for _, r := range f.rows {
		strip := c
		strip.Max.Y, strip.Min.Y = top, top-r.height
		grid := draw.Tiles{Cols: len(r.panels), Rows: 1, PadX: 14, PadTop: 6}
		tiles = append(tiles, plot.Align([][]*plot.Plot{r.panels}, grid, strip)[0])
		top -= r.height
	}
	left, right := map[int]vg.Length{}, map[int]vg.Length{}
	for i, r := range f.rows {
		for j, p := range r.panels {
			data := p.DataCanvas(tiles[i][j])
			left[j] = max(left[j], data.Min.X)
			if right[j] == 0 || data.Max.X < right[j] {
				right[j] = data.Max.X
			}
		}
	}
	for i, r := range f.rows {
		for j, p := range r.panels {
			data := p.DataCanvas(tiles[i][j])
			p.Draw(draw.Crop(tiles[i][j], left[j]-data.Min.X, right[j]-data.Max.X, 0, 0))
		}
	}
}
