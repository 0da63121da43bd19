package kernels

import "unsafe"

// Conv2dBackwardWeights computes the gradient of the weights, dw (+)= the sum
// over images and pixels of x times dy. dw is [OC][C][KH][KW], x [H][W][N][C],
// dy [OutH][OutW][N][OC].
//
// For each tap it is a product x'dy whose inner index runs over pixels and
// images. Both operands are read in place, a piece that fits the cache at a
// time, for all taps and channels; the order of the pieces and the number of
// partial sums depend on the shape alone.
func Conv2dBackwardWeights(dw, x, dy []float32, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardWeights", s, sliceLength{"dw", len(dw), s.weightLen()}, sliceLength{"x", len(x), s.inputLen()},
		sliceLength{"dy", len(dy), s.outputLen()})
	if s.N == 0 {
		if !accumulate {
			clear(dw)
		}
		return
	}
	g := newWeightsProduct(s, x, dy)
	defer g.drop()
	Parallel(g.slices*g.rowGroups*g.colGroups, g.task)
	g.store(dw, accumulate)
}

// weightsProduct is one backward-weights computation.
type weightsProduct struct {
	s     Conv2dShape
	kern  *brgemmKernels
	x, dy []float32
	ocPad int // columns of sums: OC, or filled up to whole vectors

	lines, columns       int // of the output, in a piece
	slices               int // of the output lines, each with its own sums
	rowGroups, colGroups int // of input and output channels
	sums                 *scratch[float32]
	packedDy             *scratch[float32] // nil when dy is read in place
}

// Shape rules, by measurement: a piece of x and dy should stay in the
// second-level cache beside the sums of a group of channels; slices give enough
// parallel work where groups are few.
const (
	weightsGroupChannels = 128
	weightsPieceElements = 1 << 17
	weightsSliceRows     = 1 << 10
	weightsMinTasks      = 16
)

func newWeightsProduct(s Conv2dShape, x, dy []float32) *weightsProduct {
	g := &weightsProduct{s: s, kern: brgemmOf[float32](), x: x, dy: dy, ocPad: s.OC}
	if !g.kern.masked && s.OC%g.kern.lanes != 0 {
		g.padOutput()
	}
	g.rowGroups, g.colGroups = ceilDiv(s.C, weightsGroupChannels), ceilDiv(s.OC, weightsGroupChannels)
	g.slices = min(ceilDiv(weightsMinTasks, g.rowGroups*g.colGroups), max(s.OutH()*s.OutW()*s.N/weightsSliceRows, 1), s.OutH())
	perPixel := s.N * (ceilDiv(s.C, g.rowGroups) + ceilDiv(s.OC, g.colGroups))
	g.columns = min(s.OutW(), max(weightsPieceElements/perPixel, 1))
	g.lines = max(weightsPieceElements/(perPixel*g.columns), 1)
	g.sums = takeScratch[float32](g.slices * g.sumsLen())
	return g
}

func (g *weightsProduct) sumsLen() int { return g.s.KH * g.s.KW * g.s.C * g.ocPad }

func (g *weightsProduct) drop() {
	g.sums.drop()
	if g.packedDy != nil {
		g.packedDy.drop()
	}
}

// padOutput fills up the channels of dy to whole vectors, for micro-kernels
// that cannot mask.
func (g *weightsProduct) padOutput() {
	lanes := g.kern.lanes
	g.ocPad = ceilDiv(g.s.OC, lanes) * lanes
	rows := g.s.OutH() * g.s.OutW() * g.s.N
	g.packedDy = takeScratch[float32](rows * g.ocPad)
	padded, from, to := g.packedDy.data, g.s.OC, g.ocPad
	const block = 256
	Parallel(ceilDiv(rows, block), func(t int) {
		for r := t * block; r < min((t+1)*block, rows); r++ {
			copy(padded[r*to:], g.dy[r*from:(r+1)*from])
			clear(padded[r*to+from : (r+1)*to])
		}
	})
	g.dy = padded
}

// task adds up one slice of the lines for one group of input and output channels.
func (g *weightsProduct) task(t int) {
	slice := t / (g.rowGroups * g.colGroups)
	channels, cols := g.group(t % (g.rowGroups * g.colGroups))
	lines := split(g.s.OutH(), g.slices, slice)
	sums := g.sums.data[slice*g.sumsLen() : (slice+1)*g.sumsLen()]
	var taps []brgemmTap
	written := make([]bool, g.s.KH*g.s.KW)
	for from := lines.from; from < lines.to; from += g.lines {
		for column := 0; column < g.s.OutW(); column += g.columns {
			piece := outputPiece{span{from, min(from+g.lines, lines.to)}, span{column, min(column+g.columns, g.s.OutW())}}
			for kh := range g.s.KH {
				for kw := range g.s.KW {
					taps = g.piece(sums, taps[:0], piece, kh, kw, channels, cols, written)
				}
			}
		}
	}
	for tap, w := range written {
		if !w {
			g.clear(sums, tap, channels, cols)
		}
	}
}

// group returns the input channels and the panels of output channels of group t.
func (g *weightsProduct) group(t int) (channels, panels span) {
	return split(g.s.C, g.rowGroups, t/g.colGroups), split(ceilDiv(g.s.OC, g.kern.nr), g.colGroups, t%g.colGroups)
}

// outputPiece is a rectangle of output pixels.
type outputPiece struct{ lines, columns span }

// piece adds the pixels of one piece for one tap. A term of the batch is a run of
// pixels whose rows lie side by side in x and in dy.
func (g *weightsProduct) piece(sums []float32, taps []brgemmTap, piece outputPiece, kh, kw int, channels, cols span, written []bool) []brgemmTap {
	s := &g.s
	from, to := validRange(s.OutW(), s.W, kw, s.Stride, s.Padding)
	from, to = max(from, piece.columns.from), min(to, piece.columns.to)
	if from >= to {
		return taps
	}
	args := brgemmArgs{k: (to - from) * s.N, aK: s.C * 4, bK: g.ocPad * 4, cRow: g.ocPad * 4}
	runs, runStep := 1, 0
	if s.Stride > 1 {
		// Pixels are apart in x: the images of a pixel are a term, or for a
		// single image the pixels of the line, a stride apart.
		if s.N == 1 {
			args.aK *= s.Stride
		} else {
			args.k, runs, runStep = s.N, to-from, 1
		}
	}
	for oh := piece.lines.from; oh < piece.lines.to; oh++ {
		ih := oh*s.Stride - s.Padding + kh
		if ih < 0 || ih >= s.H {
			continue
		}
		for i := range runs {
			ow := from + i*runStep
			iw := ow*s.Stride - s.Padding + kw
			taps = append(taps, brgemmTap{
				a: (ih*s.W + iw) * s.N * s.C * 4,
				b: (oh*s.OutW() + ow) * s.N * g.ocPad * 4,
			})
		}
	}
	if len(taps) == 0 {
		return taps
	}
	tap := kh*s.KW + kw
	if written[tap] {
		args.accumulate = 1
	}
	written[tap] = true
	g.product(sums[tap*s.C*g.ocPad:], taps, channels, cols, args)
	return taps
}

// product runs the micro-kernels over all terms, no more at a time than one call
// may take.
func (g *weightsProduct) product(sums []float32, taps []brgemmTap, channels, cols span, args brgemmArgs) {
	most := max(1, maxCallFlops/(2*g.kern.mr*g.kern.nr*args.k))
	for at := 0; at < len(taps); at += most {
		now := taps[at:min(at+most, len(taps))]
		args.taps, args.numTaps = &now[0], len(now)
		for p := cols.from; p < cols.to; p++ {
			col := p * g.kern.nr
			args.a, args.b, args.c = unsafe.Pointer(&g.x[channels.from]), unsafe.Pointer(&g.dy[col]), unsafe.Pointer(&sums[channels.from*g.ocPad+col])
			g.kern.run(true, 4, channels.to-channels.from, min(g.kern.nr, g.ocPad-col), &args)
		}
		args.accumulate = 1
	}
}

func (g *weightsProduct) clear(sums []float32, tap int, channels, cols span) {
	from, to := cols.from*g.kern.nr, min(cols.to*g.kern.nr, g.ocPad)
	for c := channels.from; c < channels.to; c++ {
		row := (tap*g.s.C + c) * g.ocPad
		clear(sums[row+from : row+to])
	}
}

// validRange returns the output positions of one side whose input position for
// kernel position k is not padding.
func validRange(out, in, k, stride, padding int) (from, to int) {
	from = max(0, (padding-k+stride-1)/stride)
	to = min(out, (in-1+padding-k)/stride+1)
	if in-1+padding-k < 0 {
		to = 0
	}
	return from, to
}

// store adds up the slices in order and turns [KH*KW][C][OC] into
// [OC][C][KH*KW].
func (g *weightsProduct) store(dw []float32, accumulate bool) {
	s := &g.s
	taps, n := s.KH*s.KW, g.sumsLen()
	const block = 16 // channels both ways: sums[:, block, block] stays in the first-level cache
	cBlocks, ocBlocks := ceilDiv(s.C, block), ceilDiv(s.OC, block)
	Parallel(cBlocks*ocBlocks, func(b int) {
		channels, outputs := blockSpan(block, s.C, b%cBlocks), blockSpan(block, s.OC, b/cBlocks)
		// rows [c][tap] of outputs, to be turned.
		rows := takeScratch[float32](2 * block * block * taps)
		defer rows.drop()
		turned := rows.data[block*block*taps:]
		for c := range channels.len() {
			for t := range taps {
				row := rows.data[(c*taps+t)*block : (c*taps+t)*block+outputs.len()]
				at := (t*s.C+channels.from+c)*g.ocPad + outputs.from
				copy(row, g.sums.data[at:])
				for i := 1; i < g.slices; i++ {
					for j, v := range g.sums.data[i*n+at : i*n+at+len(row)] {
						row[j] += v
					}
				}
			}
		}
		length := channels.len() * taps
		transpose(turned, length, rows.data, block, length, outputs.len())
		for i := range outputs.len() {
			to := dw[((outputs.from+i)*s.C+channels.from)*taps:]
			from := turned[i*length : (i+1)*length]
			if !accumulate {
				copy(to, from)
				continue
			}
			for j, v := range from {
				to[j] += v
			}
		}
	})
}

// blockSpan is block i of n elements.
func blockSpan(block, n, i int) span { return span{i * block, min((i+1)*block, n)} }
