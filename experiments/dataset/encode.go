package dataset

// encode writes images of s into dst as one normalised [H][W][N][C] batch, image
// n from index[n] at place[n]. Padding is black like in torchvision, which pads
// before it normalises: table[c][0].
func (s *Set) encode(dst []float32, index []int, place []placement, table [][256]float32) {
	// Row by row: the lines of dst that N images write stay in the cache.
	row := s.Shape.W * len(index) * s.Shape.C
	for y := range s.Shape.H {
		for n, i := range index {
			s.encodeRow(dst[y*row:(y+1)*row], n, len(index), s.Image(i), y, place[n], table)
		}
	}
}

// encodeRow writes row y of one image into dst, the [W][N][C] row of its batch,
// as image n of batch.
func (s *Set) encodeRow(dst []float32, n, batch int, image []uint8, y int, at placement, table [][256]float32) {
	channels, h, w := s.Shape.C, s.Shape.H, s.Shape.W
	start, step := n*channels, batch*channels
	if at.flip {
		start, step = start+(w-1)*step, -step
	}
	// Columns left to right of the original, before the mirror: black up to lo,
	// pixels up to hi, black to the end.
	lo, hi := max(0, -at.dx), min(w, w-at.dx)
	source, from := y+at.dy, lo+at.dx
	if source < 0 || source >= h {
		lo, hi, source, from = w, w, 0, 0
	}
	for c := range channels {
		line := image[(c*h+source)*w:][:w]
		values, p := &table[c], start+c
		for range lo {
			dst[p] = values[0]
			p += step
		}
		for _, v := range line[from : from+hi-lo] {
			dst[p] = values[v]
			p += step
		}
		for range w - hi {
			dst[p] = values[0]
			p += step
		}
	}
}
