package kernels

import (
	"fmt"
	"unsafe"
)

// NCHWToHWNC copies src [N][C][H][W] to dst [H][W][N][C].
func NCHWToHWNC(dst, src []float32, n, c, h, w int) {
	checkLayout("NCHWToHWNC", dst, src, n, c, h, w)
	transpose(dst, src, n*c, h*w)
}

// HWNCToNCHW copies src [H][W][N][C] to dst [N][C][H][W].
func HWNCToNCHW(dst, src []float32, n, c, h, w int) {
	checkLayout("HWNCToNCHW", dst, src, n, c, h, w)
	transpose(dst, src, h*w, n*c)
}

func checkLayout(name string, dst, src []float32, n, c, h, w int) {
	if n < 0 || c < 0 || h < 0 || w < 0 {
		panic(fmt.Sprintf("kernels: %s: shape [%d %d %d %d], want sizes of at least 0", name, n, c, h, w))
	}
	checkLengths(name, n*c*h*w, length("dst", dst), length("src", src))
}

// transposeTiles transposes matrices of whole tiles.
var transposeTiles = vectorKernel{levels: [numLevels]func(*vectorArgs){Portable: transposePortable}}

const (
	transposeTile = 8  // a multiple of the tiles of every level
	transposeCols = 16 // a cache line of the source; more are slower
	transposeRows = 1 << 10
)

// transpose writes src [rows][cols] to dst [cols][rows].
func transpose(dst, src []float32, rows, cols int) {
	if rows <= 1 || cols <= 1 {
		copy(dst, src)
		return
	}
	across := (cols + transposeCols - 1) / transposeCols
	blocks := (rows + transposeRows - 1) / transposeRows * across
	share := max(1, flatBlock/(transposeCols*min(rows, transposeRows))) // of blocks per task
	Parallel((blocks+share-1)/share, func(t int) {
		for b := t * share; b < min((t+1)*share, blocks); b++ {
			r, c := b/across*transposeRows, b%across*transposeCols
			transposeBlock(dst, src, rows, cols, r, min(r+transposeRows, rows), c, min(c+transposeCols, cols))
		}
	})
}

// transposeBlock transposes the rows r0 to r1 and columns c0 to c1, the edges that
// fill no tile one by one.
func transposeBlock(dst, src []float32, rows, cols, r0, r1, c0, c1 int) {
	r2, c2 := r1-(r1-r0)%transposeTile, c1-(c1-c0)%transposeTile
	transposeTiles.call(r2-r0, c2-c0, 0, nil, []vectorStream{matrix(src[r0*cols+c0:], cols), matrix(dst[c0*rows+r0:], rows)})
	for c := c0; c < c1; c++ {
		first := r2
		if c >= c2 {
			first = r0
		}
		for r := first; r < r1; r++ {
			dst[c*rows+r] = src[r*cols+c]
		}
	}
}

func transposePortable(args *vectorArgs) {
	for r := range args.rows {
		from, to := unsafe.Add(args.streams[0], r*args.strides[0]), unsafe.Add(args.streams[1], 4*r)
		for c := range args.cols {
			*(*float32)(unsafe.Add(to, c*args.strides[1])) = *(*float32)(unsafe.Add(from, 4*c))
		}
	}
}
