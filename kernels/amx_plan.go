package kernels

import (
	"slices"
	"sync"
)

// amxPlan lists the row tiles of a convolution in one direction: of the result, rows
// that read the same taps of the operand, as convPlan does for vectors. Sums are cut
// into runs over a part of the depth and some kernel positions.
type amxPlan struct {
	step   int   // depth of a tile product
	steps  []int // by run: how many a tap takes
	starts []int // by run: where in the depth it begins
	taps   []brgemmTap
	chunks []amxChunk
	empty  []span // elements of the result that no tap reaches, backward data only
}

// amxChunk is the unit of parallel work: row tiles of as many rows each, with the
// same strides. What they read stays in the second-level cache while all panels of
// weights pass by.
type amxChunk struct {
	rows, aRow, cRow int         // strides in elements
	runs             [][]amxTile // by run, the same tiles
	blocks           []amxTile   // instead of them, unless nil: of lines
}

const (
	amxChunkElements = 1 << 18 // of the operand, about
	amxChunkTiles    = 32
	amxMinTiles      = 4
)

type amxPlanKey struct {
	shape     Conv2dShape
	direction ConvDirection
}

// amxPlans keeps plans as convPlans does.
var amxPlans struct {
	sync.Mutex
	m map[amxPlanKey]*amxPlan
}

func planAMX(s Conv2dShape, d ConvDirection) *amxPlan {
	key := amxPlanKey{s, d}
	amxPlans.Lock()
	defer amxPlans.Unlock()
	if p := amxPlans.m[key]; p != nil {
		return p
	}
	if amxPlans.m == nil || len(amxPlans.m) >= maxConvPlans {
		amxPlans.m = make(map[amxPlanKey]*amxPlan)
	}
	p := newAMXPlan(s, d)
	amxPlans.m[key] = p
	return p
}

// amxPlanner builds a plan.
type amxPlanner struct {
	s                Conv2dShape
	d                ConvDirection
	depth, width     int
	resultW, sourceW int
	groups           []span // of kernel positions, which a run takes
	parts            int    // of the depth
	plan             *amxPlan
	classes          []*amxClass
}

// amxClass collects row tiles that one call can take.
type amxClass struct {
	rows, aRow, cRow int
	tiles            []amxPlace
}

// amxPlace is a row tile with its taps, by run.
type amxPlace struct {
	a, c int // in elements
	taps []span
}

func newAMXPlan(s Conv2dShape, d ConvDirection) *amxPlan {
	resultH, resultW, sourceH, sourceW := s.OutH(), s.OutW(), s.H, s.W
	if d == ConvBackwardData {
		resultH, resultW, sourceH, sourceW = sourceH, sourceW, resultH, resultW
	}
	b := &amxPlanner{s: s, d: d, resultW: resultW, sourceW: sourceW, plan: new(amxPlan)}
	b.depth, b.width = d.depthWidth(s)
	if s.amxLined(d) {
		b.lines()
		return b.plan
	}
	b.cutRuns()
	lines := d.axis(resultH, sourceH, s.KH, s.Stride, s.Padding)
	columns := d.axis(resultW, sourceW, s.KW, s.Stride, s.Padding)
	taps := make([][][]span, len(lines))
	for i, l := range lines {
		for _, c := range columns {
			taps[i] = append(taps[i], b.tapsOf(l.taps, c.taps))
		}
	}
	// Some images of all pixels after the other: what neighbouring pixels read stays
	// in cache.
	images := 1
	if s.N%amxRows == 0 {
		images = s.N / amxRows
	}
	for image := range images {
		for i, l := range lines {
			for row := range l.count {
				for j, c := range columns {
					b.pixels(l, row, c, taps[i][j], image, images)
				}
			}
		}
	}
	b.cutChunks()
	return b.plan
}

// cutRuns cuts the sum over kernel positions and depth into runs of about amxRun, or
// leaves it whole as far as one call goes: a long one, and one in which a pixel meets few
// of the kernel positions, so that most of its runs would be empty.
func (b *amxPlanner) cutRuns() {
	p, positions := b.plan, b.s.KH*b.s.KW
	p.step = amxStep(b.depth)
	steps, run := b.depth/p.step, amxRun
	if terms := positions * b.depth; terms > amxLongestCut || b.d == ConvBackwardData && b.s.Stride > 1 {
		run = min(terms, maxAMXSteps*p.step)
	}
	b.parts = ceilDiv(b.depth, run)
	n := ceilDiv(positions, max(run*b.parts/b.depth, 1))
	for part := range b.parts {
		of := split(steps, b.parts, part)
		for range n {
			p.steps, p.starts = append(p.steps, of.len()), append(p.starts, of.from*p.step)
		}
	}
	for i := range n {
		b.groups = append(b.groups, split(positions, n, i))
	}
}

// tapsOf adds what the taps of a line and a column make together, and returns where
// they are, by run. Offsets of A count from the pixel of the first kernel position. In
// a run taps come in the order of the pixels that they read, which is backwards in
// backward data: what the next pixel of the result reads anew comes last.
func (b *amxPlanner) tapsOf(lines, columns []axisTap) []span {
	var spans []span
	first := 0
	if len(lines) > 0 && len(columns) > 0 {
		first = lines[0].src*b.sourceW + columns[0].src
	}
	if b.d == ConvBackwardData {
		lines, columns = backwards(lines), backwards(columns)
	}
	for r, start := range b.plan.starts {
		group := b.groups[r%len(b.groups)]
		from := len(b.plan.taps)
		for _, l := range lines {
			for _, c := range columns {
				position := l.k*b.s.KW + c.k
				if position < group.from || position >= group.to {
					continue
				}
				pixel := l.src*b.sourceW + c.src - first
				b.plan.taps = append(b.plan.taps, brgemmTap{
					a: 2 * (pixel*b.s.N*b.depth + start),
					b: 2 * (position*b.depth + start) * amxPanel,
				})
			}
		}
		spans = append(spans, span{from, len(b.plan.taps)})
	}
	return spans
}

func backwards(taps []axisTap) []axisTap {
	taps = slices.Clone(taps)
	slices.Reverse(taps)
	return taps
}

// pixels adds the pixels of line row of a group of lines and of a group of columns,
// of one of so many parts of the images. Without any tap a result is zero: forward it
// goes the way of all others, for what comes after the sums.
func (b *amxPlanner) pixels(l axisGroup, row int, w axisGroup, taps []span, image, images int) {
	n := b.s.N
	at := (l.first+row*l.step)*b.resultW + w.first
	aPixel, cPixel := w.srcStep*n*b.depth, w.step*n*b.width
	a, c := 0, at*n*b.width
	if len(l.taps) > 0 && len(w.taps) > 0 {
		a = ((l.taps[0].src+row*l.srcStep)*b.sourceW + w.taps[0].src) * n * b.depth
	} else {
		aPixel = 0
		if b.d == ConvBackwardData {
			for j := range w.count {
				if image == 0 {
					b.plan.empty = append(b.plan.empty, span{c + j*cPixel, c + j*cPixel + n*b.width})
				}
			}
			return
		}
	}
	switch {
	case images > 1 || n == amxRows:
		for j := range w.count {
			b.rows(a+j*aPixel+image*amxRows*b.depth, c+j*cPixel+image*amxRows*b.width, amxRows, b.depth, b.width, taps)
		}
	case w.srcStep == 1 && w.step == 1 && aPixel > 0:
		b.rows(a, c, w.count*n, b.depth, b.width, taps)
	case n >= 8 || w.count == 1:
		for j := range w.count {
			b.rows(a+j*aPixel, c+j*cPixel, n, b.depth, b.width, taps)
		}
	default:
		for i := range n {
			b.rows(a+i*b.depth, c+i*b.width, w.count, aPixel, cPixel, taps)
		}
	}
}

// rows adds some rows with the same taps, in tiles.
func (b *amxPlanner) rows(a, c, rows, aRow, cRow int, taps []span) {
	for at := 0; at < rows; at += amxRows {
		k := b.class(min(rows-at, amxRows), aRow, cRow)
		k.tiles = append(k.tiles, amxPlace{a + at*aRow, c + at*cRow, taps})
	}
}

func (b *amxPlanner) class(rows, aRow, cRow int) *amxClass {
	for _, k := range b.classes {
		if k.rows == rows && k.aRow == aRow && k.cRow == cRow {
			return k
		}
	}
	k := &amxClass{rows: rows, aRow: aRow, cRow: cRow}
	b.classes = append(b.classes, k)
	return k
}

// newPixels is how many pixels of the operand a row tile reads that its neighbours do not,
// at most.
func (b *amxPlanner) newPixels() int {
	if b.d == ConvBackwardData {
		return 1
	}
	return min(b.s.KH, b.s.Stride) * min(b.s.KW, b.s.Stride)
}

// cutChunks makes chunks of neighbouring tiles.
func (b *amxPlanner) cutChunks() {
	most := min(max(amxChunkElements/(amxRows*b.depth*b.newPixels()), amxMinTiles), amxChunkTiles)
	for _, k := range b.classes {
		parts := ceilDiv(len(k.tiles), most)
		for i := range parts {
			chunk := amxChunk{rows: k.rows, aRow: k.aRow, cRow: k.cRow}
			of := split(len(k.tiles), parts, i)
			for r := range b.plan.steps {
				var list []amxTile
				for _, t := range k.tiles[of.from:of.to] {
					list = append(list, amxTile{a: 2 * t.a, c: 2 * t.c, taps: t.taps[r].from * tapBytes, numTaps: t.taps[r].len()})
				}
				chunk.runs = append(chunk.runs, list)
			}
			b.plan.chunks = append(b.plan.chunks, chunk)
		}
	}
}
