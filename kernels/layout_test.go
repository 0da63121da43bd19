package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestLayout(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(37, 38))
		g := &guards{t: t}
		for _, s := range [][4]int{{1, 1, 1, 1}, {2, 3, 4, 5}, {128, 3, 8, 8}, {5, 7, 9, 3}, {1, 70, 3, 11}, {33, 1, 28, 28}, {17, 10, 5, 5}, {0, 3, 2, 2}, {3, 64, 1, 1}, {9, 31, 7, 7}, {70, 33, 3, 5}, {128, 40, 2, 9}, {1, 1, 40, 41}} {
			n, c, h, w := s[0], s[1], s[2], s[3]
			src := randomSlice[float32](r, n*c*h*w)
			hwnc, back := g.slice(len(src)), g.slice(len(src))
			NCHWToHWNC(hwnc, src, n, c, h, w)
			name := fmt.Sprint(s)
			checkExact(t, "NCHWToHWNC "+name, hwnc, func(i int) float32 {
				p, image, channel := i/(n*c), i/c%n, i%c
				return src[(image*c+channel)*h*w+p]
			})
			HWNCToNCHW(back, hwnc, n, c, h, w)
			checkExact(t, "HWNCToNCHW "+name, back, func(i int) float32 { return src[i] })
			g.check(name)
		}
	})
}
