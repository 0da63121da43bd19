package kernels

import "unsafe"

// amxWeightsPack is a packed part of the operands of backward weights: each pixel of
// x is turned, [pixel][channel][image], and dy becomes panels of pairs,
// [panel][pixel][image/2][32][2], for lines [panel][pixel][half][image/2][16][2].
type amxWeightsPack struct {
	*amxWeights
	channels, panels span // what is packed, wherever it is

	box            outputBox // what is packed now of dy,
	lines, columns span      // and of x, which it reads

	memory                   *scratch[uint16]
	packedX, packedDy        []uint16
	xPixel, dyPixel, dyPanel int
}

// newPack takes the memory for parts of up to so many lines and columns of the output.
func (g *amxWeights) newPack(channels, panels span, lines, columns int) *amxWeightsPack {
	p := &amxWeightsPack{amxWeights: g, channels: channels, panels: panels}
	p.xPixel = ceilTo(channels.len(), turnCols) * g.packedRow()
	p.dyPixel = g.packedRow() * amxPanel
	p.dyPanel = lines * columns * p.dyPixel
	pixels := g.s.reach(lines, g.s.KH, g.s.H) * g.s.reach(columns, g.s.KW, g.s.W)
	p.memory = takeScratch[uint16](pixels*p.xPixel + panels.len()*p.dyPanel)
	p.packedX, p.packedDy = p.memory.data[:pixels*p.xPixel], p.memory.data[pixels*p.xPixel:]
	return p
}

func (p *amxWeightsPack) drop() { p.memory.drop() }

// packedRow returns how many images a packed row has room for.
func (g *amxWeights) packedRow() int { return ceilTo(g.images, turnRows) }

// move sets what is to be packed.
func (p *amxWeightsPack) move(box outputBox) {
	s := &p.s
	p.box, p.lines, p.columns = box, s.reads(box.lines, s.KH, s.H), s.reads(box.columns, s.KW, s.W)
}

// packLines returns how many lines there are to pack, of x and then of dy: none where
// the box reads nothing but padding.
func (p *amxWeightsPack) packLines() int {
	if p.lines.len() <= 0 || p.columns.len() <= 0 {
		return 0
	}
	return p.lines.len() + p.box.lines.len()
}

func (p *amxWeightsPack) packLine(line int) {
	if line < p.lines.len() {
		p.packX(p.lines.from + line)
	} else {
		p.packDy(p.box.lines.from + line - p.lines.len())
	}
}

func (p *amxWeightsPack) packX(h int) {
	s, images := &p.s, p.box.images
	for c := p.columns.from; c < p.columns.to; c++ {
		// With a stride above the kernel size some positions are read by no tap.
		if (h+s.Padding)%s.Stride >= s.KH || (c+s.Padding)%s.Stride >= s.KW {
			continue
		}
		x := p.x[((h*s.W+c)*s.N+images.from)*s.C+p.channels.from:]
		turnHalves(p.packedX[p.pixelOfX(h, c)*p.xPixel:], p.packedRow(), x, s.C, images.len(), p.channels.len())
	}
}

func (p *amxWeightsPack) packDy(h int) {
	s, images := &p.s, p.box.images
	first := p.panels.from * amxPanel
	n := min(p.panels.to*amxPanel, s.OC) - first
	steps, step := amxCut(images.len())
	to := panelLayout(p.dyPanel, 1)
	if p.lined {
		to.row, to.half = 2*amxHalf, p.dyPixel/2
	}
	for c := p.box.columns.from; c < p.box.columns.to; c++ {
		dy := p.dy[((h*s.OutW()+c)*s.N+images.from)*s.OC+first:]
		amxPairPixels(p.packedDy[p.pixelOfDy(h, c)*p.dyPixel:], to, dy, s.OC, images.len(), n, steps*step)
	}
}

// pixelOfX and pixelOfDy return where a pixel is packed.
func (p *amxWeightsPack) pixelOfX(h, c int) int {
	return (h-p.lines.from)*p.columns.len() + c - p.columns.from
}

func (p *amxWeightsPack) pixelOfDy(h, c int) int {
	return (h-p.box.lines.from)*p.box.columns.len() + c - p.box.columns.from
}

// operands returns where the pixels of a channel and of a panel begin.
func (p *amxWeightsPack) operands(channel, panel int) (a, b unsafe.Pointer) {
	return unsafe.Pointer(&p.packedX[(channel-p.channels.from)*p.packedRow()]), unsafe.Pointer(&p.packedDy[(panel-p.panels.from)*p.dyPanel])
}

// listTaps adds the pixels of a box, one of what is packed, whose input for a kernel
// position is no padding.
func (p *amxWeightsPack) listTaps(taps []brgemmTap, box outputBox, tap int) []brgemmTap {
	s, kh, kw := &p.s, tap/p.s.KW, tap%p.s.KW
	from, to := validRange(s.OutW(), s.W, kw, s.Stride, s.Padding)
	for h := box.lines.from; h < box.lines.to; h++ {
		y := h*s.Stride - s.Padding + kh
		if y < 0 || y >= s.H {
			continue
		}
		for c := max(from, box.columns.from); c < min(to, box.columns.to); c++ {
			x := c*s.Stride - s.Padding + kw
			taps = append(taps, brgemmTap{a: 2 * p.pixelOfX(y, x) * p.xPixel, b: 2 * p.pixelOfDy(h, c) * p.dyPixel})
		}
	}
	return taps
}

// listLines adds the lines of a box, one of what is packed, whose input for a line of the
// kernel is no padding, with the pixel of x before the first one.
func (p *amxWeightsPack) listLines(taps []brgemmTap, box outputBox, kh int) []brgemmTap {
	for h := box.lines.from; h < box.lines.to; h++ {
		if y := h - p.s.Padding + kh; y >= 0 && y < p.s.H {
			taps = append(taps, brgemmTap{
				a: 2 * p.pixelOfX(y, box.columns.from-1) * p.xPixel, b: 2 * p.pixelOfDy(h, box.columns.from) * p.dyPixel,
			})
		}
	}
	return taps
}
