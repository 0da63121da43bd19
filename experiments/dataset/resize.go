package dataset

import "math"

// resizePlane scales one channel of h rows and w columns to dst of dh rows and
// dw columns, with the arithmetic of Pillow's Image.resize (bilinear, which
// torchvision's Resize uses): a triangle as wide as two steps of the coarser
// grid, so that every pixel counts when an image shrinks; columns first, then
// rows, each rounded to bytes. Pillow 13 takes the rows first for some sizes,
// not for squares that shrink.
func resizePlane(dst []uint8, dh, dw int, src []uint8, h, w int) {
	columns, rows := resizeTaps(w, dw), resizeTaps(h, dh)
	middle := make([]uint8, h*dw)
	for y := range h {
		for x, t := range columns {
			middle[y*dw+x] = t.apply(src[y*w+t.first:], 1)
		}
	}
	for y, t := range rows {
		for x := range dw {
			dst[y*dw+x] = t.apply(middle[t.first*dw+x:], dw)
		}
	}
}

// resizeBits is the number of binary digits after the point of a weight.
const resizeBits = 22

// taps are the source pixels of one pixel: from first on, with weights that sum to 1.
type taps struct {
	first   int
	weights []int32
}

// resizeTaps returns the taps of each of the out pixels of a line of in.
func resizeTaps(in, out int) []taps {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	inverse := 1 / support
	lines := make([]taps, out)
	for i := range lines {
		center := (float64(i) + 0.5) * scale
		first := max(0, int(center-support+0.5))
		last := min(in, int(center+support+0.5))
		exact, sum := make([]float64, last-first), 0.0
		for k := range exact {
			distance := math.Abs((float64(first+k) - center + 0.5) * inverse)
			exact[k] = max(0, 1-distance)
			sum += exact[k]
		}
		lines[i] = taps{first, make([]int32, len(exact))}
		for k, v := range exact {
			lines[i].weights[k] = int32(v/sum*(1<<resizeBits) + 0.5)
		}
	}
	return lines
}

// apply returns the weighted mean of pixels that lie step apart.
func (t taps) apply(pixels []uint8, step int) uint8 {
	sum := int32(1) << (resizeBits - 1)
	for k, weight := range t.weights {
		sum += int32(pixels[k*step]) * weight
	}
	return uint8(min(sum>>resizeBits, 255))
}
