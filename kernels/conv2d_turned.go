package kernels

import "unsafe"

// With few channels in the result, such as LeNet's six, most of a vector of channels
// is empty. Such a product is turned: the channels of the result are its rows, with the
// weights as the column form of A, and the images of a pixel its columns, from planes
// of the operand.

// turns tells whether a product in direction d is turned: where a quarter of the
// vectors would be empty, the channels are rows of one tile and there are images enough
// to fill vectors, which do not lie so that they fall into one set of a first-level
// cache.
func (s Conv2dShape) turns(d ConvDirection, kern *brgemmKernels) bool {
	_, width := d.depthWidth(s)
	return width <= kern.mr && 4*width <= 3*ceilTo(width, kern.lanes) &&
		s.N >= planeImages && s.N*8%conflictStride != 0 && (kern.masked || s.N%kern.lanes == 0)
}

// adjacent tells whether taps are neighbours in the kernel and in the operand, so that
// in planes they are one tap of their depths together.
func adjacent(taps []axisTap) bool {
	for i, t := range taps {
		if t.k-taps[0].k != i || t.src-taps[0].src != i {
			return false
		}
	}
	return true
}

// turnedChunk computes some blocks, which are pixels, with the operand as planes.
func (p *directConv) turnedChunk(blocks []convBlock) {
	args, nr := takeArgs(), p.kern.nr
	defer args.drop()
	row := ceilTo(min(p.plan.images, turnedImages), nr)
	tiles := takeScratch[float32](ceilTo(p.width, narrowRows) * row)
	defer tiles.drop()
	args.aK, args.bK, args.cRow = nr*4, p.plan.images*4, row*4
	for i := range blocks {
		b := &blocks[i]
		for _, images := range (span{0, b.rows}).cut(turnedImages) {
			c := p.c[b.c+images.from*p.width:][:images.len()*p.width]
			start := p.turnedStart(tiles.data, row, c, images.len())
			for _, tile := range images.cut(nr) {
				args.accumulate = start
				for r := range b.runs {
					run := &b.runs[r]
					args.a, args.b = unsafe.Pointer(&p.packed[0]), unsafe.Pointer(&p.a[b.a+tile.from])
					args.c = unsafe.Pointer(&tiles.data[tile.from-images.from])
					args.k, args.taps, args.numTaps = run.k, &run.taps[0], len(run.taps)
					p.kern.tiles(true, 4, p.width, 1, tile.len(), 0, args)
					args.accumulate = 1
				}
			}
			transposeNarrow(c, tiles.data, row, p.width, images.len())
		}
	}
}

// turnedImages is up to how many images of a pixel are turned back at a time, from the
// first-level cache.
const turnedImages = 256

// turnedStart sets tiles of n images, with rows of that length, to what products are
// added to, if to anything.
func (p *directConv) turnedStart(tiles []float32, length int, c []float32, n int) (accumulate int) {
	switch {
	case p.accumulate:
		transpose(tiles, length, c, p.width, n, p.width)
	case p.bias != nil:
		for i, bias := range p.bias {
			row := tiles[i*length : i*length+n]
			for j := range row {
				row[j] = bias
			}
		}
	default:
		return 0
	}
	return 1
}
