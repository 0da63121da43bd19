package kernels

// STOPGAP by the lead so that autograd and nn can compile and run. Owner K1: delete this file when yours lands.

import "fmt"

type Conv2dShape struct{ N, C, H, W, OC, KH, KW, Stride, Padding int }

func (s Conv2dShape) OutH() int { return (s.H+2*s.Padding-s.KH)/s.Stride + 1 }
func (s Conv2dShape) OutW() int { return (s.W+2*s.Padding-s.KW)/s.Stride + 1 }
func (s Conv2dShape) Check() error {
	if s.N < 1 || s.C < 1 || s.OC < 1 || s.KH < 1 || s.KW < 1 || s.Stride < 1 || s.Padding < 0 || s.H+2*s.Padding < s.KH || s.W+2*s.Padding < s.KW {
		return fmt.Errorf("convolution shape %+v is impossible", s)
	}
	return nil
}

type ConvDirection int

const (
	ConvForward ConvDirection = iota
	ConvBackwardData
)

func PackedConv2dLen(s Conv2dShape, d ConvDirection) int { return s.OC * s.C * s.KH * s.KW }
func PackConv2d(dst, w []float32, s Conv2dShape, d ConvDirection) {
	copy(dst, w[:s.OC*s.C*s.KH*s.KW])
}

func (s Conv2dShape) each(f func(n, c, oc, xi, yi, wi int)) {
	for oc := range s.OC {
		for c := range s.C {
			for kh := range s.KH {
				for kw := range s.KW {
					for oh := range s.OutH() {
						ih := oh*s.Stride - s.Padding + kh
						if ih < 0 || ih >= s.H {
							continue
						}
						for ow := range s.OutW() {
							iw := ow*s.Stride - s.Padding + kw
							if iw < 0 || iw >= s.W {
								continue
							}
							for n := range s.N {
								f(n, c, oc, ((ih*s.W+iw)*s.N+n)*s.C+c, ((oh*s.OutW()+ow)*s.N+n)*s.OC+oc, ((oc*s.C+c)*s.KH+kh)*s.KW+kw)
							}
						}
					}
				}
			}
		}
	}
}

func Conv2dForward(y, x, packed, bias []float32, s Conv2dShape) {
	for i := range y[:s.OutH()*s.OutW()*s.N*s.OC] {
		y[i] = 0
		if bias != nil {
			y[i] = bias[i%s.OC]
		}
	}
	s.each(func(n, c, oc, xi, yi, wi int) { y[yi] += x[xi] * packed[wi] })
}

func Conv2dBackwardData(dx, dy, packed []float32, s Conv2dShape, accumulate bool) {
	if !accumulate {
		clear(dx[:s.H*s.W*s.N*s.C])
	}
	s.each(func(n, c, oc, xi, yi, wi int) { dx[xi] += dy[yi] * packed[wi] })
}

func Conv2dBackwardWeights(dw, x, dy []float32, s Conv2dShape, accumulate bool) {
	if !accumulate {
		clear(dw[:s.OC*s.C*s.KH*s.KW])
	}
	s.each(func(n, c, oc, xi, yi, wi int) { dw[wi] += x[xi] * dy[yi] })
}
