package kernels

import (
	"encoding/binary"
	"unsafe"
)

// A 3x3 convolution with stride 1 reads a pixel of the operand for three neighbouring
// ones of its result. Where whole lines can be cut into blocks of four pixels, and images
// into sixteens, a block is four tiles of C, of 16 images and columns each, and each tile
// of A is loaded once for up to three products: nine loads, with those of B, make twelve
// products, where those of two row tiles by two column tiles make four of four. Tiles come
// from the second-level cache, which is what limits both.

// A block of pixels.
const (
	amxLinePixels = 4
	amxLineImages = amxHalf
	amxLineRows   = amxLinePixels * amxLineImages
	amxLineReads  = amxLinePixels + 2 // pixels of a line of the operand
)

// Edges of a line: the first or the last pixel that a block reads is padding.
const amxFirstEdge, amxLastEdge = 1, 2

// A micro-kernel of lines computes for each block of a list, with its taps t the lines of
// the kernel, u its columns,
//
//	C[p][i][j] = sum over t, u, k of A_t[p+u][i][k] * B_tu[k][j]
//
// for four pixels p, 16 images i and up to 16 columns j. In the strip rows of a block are
// 16 columns wide when they are on their way to C, and 32 when they stay, so that both
// halves of a panel lie side by side.

// threeByThree tells whether s is a 3x3 convolution of stride 1 whose result is as large
// as its operand.
func (s *Conv2dShape) threeByThree() bool {
	return s.KH == 3 && s.KW == 3 && s.Stride == 1 && s.Padding == 1
}

// amxLineTerms is from how many terms of a sum on lines pay: short sums are faster with B
// in the first-level cache, see amxRun.
const amxLineTerms = amxLongestCut

// amxLined tells whether direction d of s runs in lines: where the sum of a block is no
// longer than a call may be.
func (s *Conv2dShape) amxLined(d ConvDirection) bool {
	depth, _ := d.depthWidth(*s)
	terms := s.KH * s.KW * depth
	return s.threeByThree() && s.W%amxLinePixels == 0 && s.N%amxLineImages == 0 &&
		terms >= amxLineTerms && terms <= maxAMXSteps*amxStep(depth) && d != ConvBackwardWeights
}

// lineShape sets the tile configuration for blocks of up to 16 columns and steps of step
// elements.
func (args *amxArgs) lineShape(cols, step int) {
	args.mask = 1<<cols - 1
	args.aStep, args.bRow = step*2, amxHalf*4
	args.bStep = step / 2 * args.bRow
	args.aBack = args.aStep - (amxLineReads-1)*args.aPixel
	args.config = [64]byte{1} // the palette
	for p := range amxLinePixels {
		args.tile(p, amxLineImages, cols*4)
	}
	args.tile(4, amxLineImages, step*2)
	for u := range 3 {
		args.tile(5+u, step/2, cols*4)
	}
	args.kernels = &amxKernels.lines
}

// Backward weights: three tiles of C, one for each column of a line of the kernel, of 16
// channels of x and 16 of dy. Along a line of the output a tile of dy and a new one of x
// make three products, that with the two pixels of x before them. lineGradientShape sets
// the configuration for rows channels of x.
func (args *amxArgs) lineGradientShape(rows, cols, step int) {
	args.rows, args.mask = rows, 1<<cols-1
	args.aStep, args.bRow = step*2, amxHalf*4
	args.bStep = step / 2 * args.bRow
	args.config = [64]byte{1} // the palette
	for u := range 3 {
		args.tile(u, rows, cols*4)
		args.tile(4+u, rows, step*2)
	}
	args.tile(7, step/2, cols*4)
	args.kernels = &amxKernels.lineGradients
}

// tile sets the rows of tile i, of so many bytes, in the configuration.
func (args *amxArgs) tile(i, rows, bytes int) {
	binary.LittleEndian.PutUint16(args.config[16+2*i:], uint16(bytes))
	args.config[48+i] = byte(rows)
}

// runLineGradients computes the tiles of a list. A step makes three products for a pixel,
// others make four.
func (args *amxArgs) runLineGradients(end amxEnd, list []amxTile) {
	args.calls(end, list, ceilDiv(3*args.pixels, 4))
}

// lines plans blocks, all of 16 images after the other, in chunks.
func (b *amxPlanner) lines() {
	s, n := &b.s, b.s.N
	b.plan.step = amxStep(b.depth)
	b.plan.steps = []int{b.depth / b.plan.step}
	taps := make(map[span]int) // where those of lines of the operand are, by offset
	var list []amxTile
	for image := 0; image < n; image += amxLineImages {
		for h := range s.H {
			reads := span{max(h-1, 0) - h, min(h+2, s.H) - h}
			if _, ok := taps[reads]; !ok {
				taps[reads] = len(b.plan.taps) * tapBytes
				for line := reads.from; line < reads.to; line++ {
					b.plan.taps = append(b.plan.taps, brgemmTap{a: 2 * line * s.W * n * b.depth, b: 2 * b.linePosition(line) * b.depth * amxHalf})
				}
			}
			for w := 0; w < s.W; w += amxLinePixels {
				pixel := h*s.W + w
				list = append(list, amxTile{
					a: 2 * ((pixel-1)*n + image) * b.depth, c: 2 * (pixel*n + image) * b.width,
					taps: taps[reads], numTaps: reads.len(),
					edges: index(w == 0)*amxFirstEdge + index(w+amxLinePixels == s.W)*amxLastEdge,
				})
			}
		}
	}
	most := min(max(amxChunkElements/(amxLineRows*b.depth), amxMinTiles/2), amxChunkTiles/2)
	parts := ceilDiv(len(list), most)
	for i := range parts {
		of := split(len(list), parts, i)
		b.plan.chunks = append(b.plan.chunks, amxChunk{rows: amxLineImages, aRow: b.depth, cRow: b.width, blocks: list[of.from:of.to]})
	}
}

// linePosition is the kernel position of the first pixel that a block reads of a line of
// the operand, so many lines below that of the result.
func (b *amxPlanner) linePosition(line int) int {
	if b.d == ConvBackwardData {
		return (1-line)*3 + 2
	}
	return (line + 1) * 3
}

// lineChunk computes a chunk of blocks for a group of panels of weights.
func (p *amxConv) lineChunk(args *amxArgs, chunk *amxChunk, panels span) {
	s, plan := &p.shape, p.plan
	strip := args.chunkStrip(len(chunk.blocks)*amxLineRows/amxRows, p.epilogue != nil)
	defer strip.drop()
	args.stripTile *= amxLineRows / amxRows
	args.a, args.taps, args.steps = unsafe.Pointer(&p.a[0]), unsafe.SliceData(plan.taps), plan.steps[0]
	args.aRow, args.cRow = 2*chunk.aRow, 2*chunk.cRow
	args.aPixel, args.cNext = s.N*args.aRow, s.N*args.cRow
	args.bNext = 2 * chunk.aRow * amxHalf
	if p.direction == ConvBackwardData {
		args.bNext = -args.bNext
	}
	for j := panels.from; j < panels.to; j++ {
		columns := span{j * amxPanel, min((j+1)*amxPanel, p.width)}
		for half, of := range columns.cut(amxHalf) {
			args.lineShape(of.len(), plan.step)
			args.b, args.c = unsafe.Pointer(&p.packed[(2*j+half)*p.panelLen/2]), unsafe.Pointer(&p.c[of.from])
			if p.epilogue == nil {
				args.runLines(p.end, chunk.blocks)
				continue
			}
			args.strip = unsafe.Pointer(&strip.data[amxHalf*half])
			args.runLines(amxEndStrip, chunk.blocks)
		}
		if p.epilogue != nil {
			for i, b := range chunk.blocks {
				for pixel := range amxLinePixels {
					row := i*amxLineRows + pixel*amxLineImages
					p.epilogue.rows(p.c, b.c/2+pixel*s.N*p.width+columns.from, p.width, strip.data[row*amxPanel:], amxLineImages, columns.from, columns.len())
				}
			}
		}
	}
}

// runLines computes the blocks of a list. A step makes twelve products, three times four.
func (args *amxArgs) runLines(end amxEnd, list []amxTile) { args.calls(end, list, 3) }
