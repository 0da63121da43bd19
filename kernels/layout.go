package kernels

import "fmt"

// NCHWToHWNC copies src [N][C][H][W] to dst [H][W][N][C].
func NCHWToHWNC(dst, src []float32, n, c, h, w int) {
	checkLayout("NCHWToHWNC", dst, src, n, c, h, w)
	swapLayout(n, c, h*w, func(nchw, hwnc int) { dst[hwnc] = src[nchw] })
}

// HWNCToNCHW copies src [H][W][N][C] to dst [N][C][H][W].
func HWNCToNCHW(dst, src []float32, n, c, h, w int) {
	checkLayout("HWNCToNCHW", dst, src, n, c, h, w)
	swapLayout(n, c, h*w, func(nchw, hwnc int) { dst[nchw] = src[hwnc] })
}

func checkLayout(name string, dst, src []float32, n, c, h, w int) {
	if n < 0 || c < 0 || h < 0 || w < 0 {
		panic(fmt.Sprintf("kernels: %s: shape [%d %d %d %d], want sizes of at least 0", name, n, c, h, w))
	}
	checkLengths(name, n*c*h*w, length("dst", dst), length("src", src))
}

// swapLayout visits all elements in small squares of pixels and channels, so
// that both sides stay in cache.
func swapLayout(n, c, pixels int, move func(nchw, hwnc int)) {
	const block = 16
	Parallel((pixels+block-1)/block, func(b int) {
		from, to := b*block, min((b+1)*block, pixels)
		for i := range n {
			for j0 := 0; j0 < c; j0 += block {
				for j := j0; j < min(j0+block, c); j++ {
					for p := from; p < to; p++ {
						move((i*c+j)*pixels+p, (p*n+i)*c+j)
					}
				}
			}
		}
	})
}
