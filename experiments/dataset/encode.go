package dataset

// encoding is a normalisation prepared for whole batches.
type encoding struct {
	Normalization
	table [][256]float32 // by channel and byte
}

func (n Normalization) encoding() encoding { return encoding{n, n.tables()} }

// encode writes images of s into dst as one normalised [H][W][N][C] batch, image
// n from index[n] at place[n]. Padding is black like in torchvision, which pads
// before it normalises: table[c][0].
func (s *Set) encode(dst []float32, index []int, place []placement, e encoding) {
	// Row by row: the lines of dst that N images write stay in the cache.
	row := s.Shape.W * len(index) * s.Shape.C
	for y := range s.Shape.H {
		for n, i := range index {
			s.encodeRow(dst[y*row:(y+1)*row], n, len(index), i, y, place[n], e)
		}
	}
}

// encodeRow writes row y of image i into dst, the [W][N][C] row of its batch, as
// image n of batch.
func (s *Set) encodeRow(dst []float32, n, batch, i, y int, at placement, e encoding) {
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
	pixels, values := s.stored(i)
	for c := range channels {
		first := (c*h+source)*w + from
		table, p := &e.table[c], start+c
		for range lo {
			dst[p] = table[0]
			p += step
		}
		if values != nil {
			mean, std := e.Mean[c], e.Std[c]
			for _, v := range values[first : first+hi-lo] {
				dst[p] = (v - mean) / std
				p += step
			}
		} else {
			for _, v := range pixels[first : first+hi-lo] {
				dst[p] = table[v]
				p += step
			}
		}
		for range w - hi {
			dst[p] = table[0]
			p += step
		}
	}
}
