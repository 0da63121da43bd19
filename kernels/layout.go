package kernels

import "fmt"

// NCHWToHWNC copies src [N][C][H][W] to dst [H][W][N][C].
func NCHWToHWNC(dst, src []float32, n, c, h, w int) {
	checkLayout("NCHWToHWNC", dst, src, n, c, h, w)
	turn(dst, src, n*c, h*w)
}

// HWNCToNCHW copies src [H][W][N][C] to dst [N][C][H][W].
func HWNCToNCHW(dst, src []float32, n, c, h, w int) {
	checkLayout("HWNCToNCHW", dst, src, n, c, h, w)
	turn(dst, src, h*w, n*c)
}

func checkLayout(name string, dst, src []float32, n, c, h, w int) {
	if n < 0 || c < 0 || h < 0 || w < 0 {
		panic(fmt.Sprintf("kernels: %s: shape [%d %d %d %d], want sizes of at least 0", name, n, c, h, w))
	}
	checkLengths(name, n*c*h*w, length("dst", dst), length("src", src))
}

// turn writes src [rows][cols] to dst [cols][rows], in blocks that stay in cache.
func turn(dst, src []float32, rows, cols int) {
	if rows == 1 || cols == 1 {
		copy(dst, src)
		return
	}
	const blockRows, blockCols = 256, 64
	across := ceilDiv(cols, blockCols)
	Parallel(ceilDiv(rows, blockRows)*across, func(t int) {
		r, c := blockSpan(blockRows, rows, t/across), blockSpan(blockCols, cols, t%across)
		transpose(dst[c.from*rows+r.from:], rows, src[r.from*cols+c.from:], cols, r.len(), c.len())
	})
}
