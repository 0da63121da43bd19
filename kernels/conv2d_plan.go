package kernels

import "sync"

// convPlan lists the products that make up a convolution in one direction, as
// batch-reduce GEMM blocks over [H][W][N][C] memory. Forward, an output pixel is
// a matrix of N rows, the sum over taps of an input pixel times the weights of
// the tap; backward data is the same with the taps turned round. Taps that fall
// on padding are left out.
type convPlan struct {
	blocks []convBlock
	chunks []span // of blocks: the units of parallel work
	empty  []span // elements of the result that no tap reaches
	nr     int

	gathered *gathering // instead of blocks, unless nil
	turned   bool       // blocks are pixels of all images, taps those of turnedChunk
	images   int
}

// convBlock is one block of rows of the result with the same taps.
type convBlock struct {
	rows       int
	a, c       int // element offsets of the first row, a without its taps
	aRow, cRow int // row strides in elements
	runs       []convRun
}

// convRun is the part of a block's sum that one call of the micro-kernels adds:
// some taps of a range of the depth, about maxRun terms. Its panel of weights
// stays in the first-level cache while the rows of the block pass by.
type convRun struct {
	k      int
	taps   []brgemmTap
	packed []brgemmTap // where packed rows of A have the taps one after the other
}

// maxBlockRows bounds a block so that its input stays in cache while all panels
// of weights pass by.
const maxBlockRows = 256

// convPlanKey is what a plan depends on.
type convPlanKey struct {
	shape        Conv2dShape
	direction    ConvDirection
	nr, tileRows int
}

// convPlans keeps plans; it is emptied when it grows large, as it might under
// ever new batch sizes.
var convPlans struct {
	sync.Mutex
	m map[convPlanKey]*convPlan
}

const maxConvPlans = 512

func planConv2d(s Conv2dShape, d ConvDirection, kern *brgemmKernels) *convPlan {
	key := convPlanKey{s, d, kern.nr, kern.tileRows()}
	convPlans.Lock()
	defer convPlans.Unlock()
	if p := convPlans.m[key]; p != nil {
		return p
	}
	if convPlans.m == nil || len(convPlans.m) >= maxConvPlans {
		convPlans.m = make(map[convPlanKey]*convPlan)
	}
	p := newConvPlan(s, d, kern)
	convPlans.m[key] = p
	return p
}

// axisTap is one tap along a side: kernel position k reads source position src.
type axisTap struct{ k, src int }

// axisGroup is a row of positions of the result, from first in steps of step,
// that have the same kernel positions; their sources move by srcStep.
type axisGroup struct {
	first, count, step, srcStep int
	taps                        []axisTap // of the first
}

// axis returns the groups of one side. size is that of the result, source that
// of the operand, k of the kernel.
func (d ConvDirection) axis(size, source, k, stride, padding int) []axisGroup {
	step, srcStep := 1, stride
	if d == ConvBackwardData {
		step, srcStep = stride, 1
	}
	var groups []axisGroup
	for phase := range min(step, size) {
		for i := phase; i < size; i += step {
			taps := d.taps(i, source, k, stride, padding)
			if n := len(groups); n > 0 && i > phase && groups[n-1].continues(taps) {
				groups[n-1].count++
				continue
			}
			groups = append(groups, axisGroup{i, 1, step, srcStep, taps})
		}
	}
	return groups
}

// taps returns the kernel positions that position i of the result reads.
func (d ConvDirection) taps(i, source, k, stride, padding int) []axisTap {
	var taps []axisTap
	for j := range k {
		if src, ok := d.source(i, source, j, stride, padding); ok {
			taps = append(taps, axisTap{j, src})
		}
	}
	return taps
}

// source returns what position i of the result reads at kernel position j, if it is
// no padding.
func (d ConvDirection) source(i, source, j, stride, padding int) (src int, ok bool) {
	if d == ConvBackwardData {
		src = (i + padding - j) / stride
		return src, i+padding >= j && (i+padding-j)%stride == 0 && src < source
	}
	src = i*stride - padding + j
	return src, src >= 0 && src < source
}

// continues tells whether taps are those of the next position of g.
func (g axisGroup) continues(taps []axisTap) bool {
	if len(taps) != len(g.taps) {
		return false
	}
	for i, t := range taps {
		if t.k != g.taps[i].k || t.src != g.taps[i].src+g.count*g.srcStep {
			return false
		}
	}
	return true
}

func newConvPlan(s Conv2dShape, d ConvDirection, kern *brgemmKernels) *convPlan {
	resultH, resultW, sourceH, sourceW := s.OutH(), s.OutW(), s.H, s.W
	if d == ConvBackwardData {
		resultH, resultW, sourceH, sourceW = sourceH, sourceW, resultH, resultW
	}
	depth, width := d.depthWidth(s)
	turned := s.turns(d, kern)
	b := planBuilder{
		n: s.N, depth: depth, width: width, nr: kern.nr, kw: s.KW, tileRows: kern.tileRows(),
		resultH: resultH, resultW: resultW, sourceH: sourceH, sourceW: sourceW, plan: &convPlan{nr: kern.nr, turned: turned, images: s.N},
	}
	columns := d.axis(resultW, sourceW, s.KW, s.Stride, s.Padding)
	for _, g := range d.axis(resultH, sourceH, s.KH, s.Stride, s.Padding) {
		for i := range g.count {
			b.line(g, i, columns)
		}
	}
	b.plan.cut(depth)
	if !turned {
		b.plan.gathered = b.gathering(s, d, kern)
	}
	return b.plan
}

// planBuilder adds the blocks of one line of the result after the other.
type planBuilder struct {
	n, depth, width, nr, kw int
	tileRows                int // of packed rows of A, filled up to whole vectors
	resultH, resultW        int
	sourceH, sourceW        int
	plan                    *convPlan
}

// line adds line i of the group of lines g.
func (b *planBuilder) line(g axisGroup, i int, columns []axisGroup) {
	h := g.first + i*g.step
	for _, w := range columns {
		if len(g.taps) == 0 || len(w.taps) == 0 {
			for j := range w.count {
				at := (h*b.resultW + w.first + j*w.step) * b.n * b.width
				b.plan.empty = append(b.plan.empty, span{at, at + b.n*b.width})
			}
			continue
		}
		b.run(h, g.taps[0].src+i*g.srcStep, w, b.runs(g.taps, w.taps))
	}
}

// runs combines the taps of both sides and cuts the sum over them and the depth
// into runs; offsets of A count from the first tap.
func (b *planBuilder) runs(lines, columns []axisTap) []convRun {
	const elem = 4
	depth, aDepth := b.depth, 1 // of a tap, and from one to the next in A
	if b.plan.turned {
		aDepth = b.n
		if adjacent(columns) {
			depth *= len(columns)
			columns = columns[:1]
		}
	}
	var taps []brgemmTap
	for _, l := range lines {
		for _, c := range columns {
			pixel := (l.src-lines[0].src)*b.sourceW + c.src - columns[0].src
			taps = append(taps, brgemmTap{
				a: pixel * b.n * b.depth * elem,
				b: (l.k*b.kw + c.k) * b.depth * b.nr * elem,
			})
		}
	}
	var runs []convRun
	parts := ceilDiv(depth, maxRun)
	groups := ceilDiv(len(taps), max(1, maxRun*parts/depth))
	for part := range parts {
		depth := split(depth, parts, part)
		for group := range groups {
			g := split(len(taps), groups, group)
			run := convRun{k: depth.len()}
			for i, t := range taps[g.from:g.to] {
				t = brgemmTap{t.a + depth.from*aDepth*elem, t.b + depth.from*b.nr*elem}
				if b.plan.turned {
					t.a, t.b = t.b, t.a // the weights are A
				}
				run.taps = append(run.taps, t)
				run.packed = append(run.packed, brgemmTap{i * run.k * b.tileRows * elem, t.b})
			}
			runs = append(runs, run)
		}
	}
	return runs
}

// run adds a row of pixels of line h that read from line src on. Pixels that lie
// side by side in both tensors are one block; otherwise rows are the images of a
// pixel or, for few images, the pixels of an image.
func (b *planBuilder) run(h, src int, w axisGroup, runs []convRun) {
	a := (src*b.sourceW + w.taps[0].src) * b.n * b.depth
	c := (h*b.resultW + w.first) * b.n * b.width
	aPixel, cPixel := w.srcStep*b.n*b.depth, w.step*b.n*b.width
	switch {
	case b.plan.turned:
		for i := range w.count {
			b.plan.blocks = append(b.plan.blocks, convBlock{b.n, a + i*aPixel, c + i*cPixel, b.depth, b.width, runs})
		}
	case w.srcStep == 1 && w.step == 1:
		b.block(convBlock{w.count * b.n, a, c, b.depth, b.width, runs})
	case b.n >= 8 || w.count == 1:
		for i := range w.count {
			b.block(convBlock{b.n, a + i*aPixel, c + i*cPixel, b.depth, b.width, runs})
		}
	default:
		for i := range b.n {
			b.block(convBlock{w.count, a + i*b.depth, c + i*b.width, aPixel, cPixel, runs})
		}
	}
}

// block adds a block, in parts if it is long.
func (b *planBuilder) block(block convBlock) {
	parts := (block.rows + maxBlockRows - 1) / maxBlockRows
	for i := range parts {
		rows := split(block.rows, parts, i)
		part := block
		part.rows = rows.to - rows.from
		part.a += rows.from * block.aRow
		part.c += rows.from * block.cRow
		b.plan.blocks = append(b.plan.blocks, part)
	}
}

// chunkElements is how much of the operand the blocks of a chunk cover: they
// share the weights' panels while they stay in the second-level cache. Of a short
// operand there are about minChunks for the threads, of at least minChunkRows.
const (
	chunkElements = 1 << 15
	minChunks     = 16
	minChunkRows  = 64
)

// cut makes chunks of neighbouring blocks.
func (p *convPlan) cut(depth int) {
	from, rows := 0, 0
	for _, b := range p.blocks {
		rows += b.rows
	}
	most := max(min(chunkElements/depth, rows/minChunks), minChunkRows)
	rows = 0
	for i, b := range p.blocks {
		if rows > 0 && rows+b.rows > most {
			p.chunks = append(p.chunks, span{from, i})
			from, rows = i, 0
		}
		rows += b.rows
	}
	if rows > 0 {
		p.chunks = append(p.chunks, span{from, len(p.blocks)})
	}
}
