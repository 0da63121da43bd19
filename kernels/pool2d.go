package kernels

import (
	"fmt"
	"math"
	"unsafe"
)

// Pool2dShape describes a pooling over square windows without padding, as
// PyTorch's max_pool2d and avg_pool2d.
type Pool2dShape struct {
	N, C, H, W, Kernel, Stride int
}

// OutH returns the height of the output of a shape that passes Check.
func (s Pool2dShape) OutH() int { return (s.H-s.Kernel)/max(s.Stride, 1) + 1 }

// OutW returns the width of the output of a shape that passes Check.
func (s Pool2dShape) OutW() int { return (s.W-s.Kernel)/max(s.Stride, 1) + 1 }

// Check tells whether the shape is one of a pooling.
func (s Pool2dShape) Check() error {
	if s.N < 0 || s.C < 1 || s.H < 1 || s.W < 1 || s.Kernel < 1 || s.Stride < 1 {
		return fmt.Errorf("pool2d: %+v, want sizes, kernel and stride of at least 1", s)
	}
	if s.Kernel > s.H || s.Kernel > s.W {
		return fmt.Errorf("pool2d: the kernel is %dx%d, larger than the input %dx%d", s.Kernel, s.Kernel, s.H, s.W)
	}
	return nil
}

func (s Pool2dShape) check(name string, x, y int) {
	if err := s.Check(); err != nil {
		panic("kernels: " + name + ": " + err.Error())
	}
	checkLengths(name, s.H*s.W*s.N*s.C, sliceLength{name: "the input", got: x})
	checkLengths(name, s.OutH()*s.OutW()*s.N*s.C, sliceLength{name: "the output", got: y})
}

// pixel is the number of elements of a pixel, for all images.
func (s Pool2dShape) pixel() int { return s.N * s.C }

// eachOutput calls f for every output pixel, in parallel, with the offset of its
// elements.
func (s Pool2dShape) eachOutput(f func(oh, ow, out int)) {
	Parallel(s.OutH()*s.OutW(), func(p int) { f(p/s.OutW(), p%s.OutW(), p*s.pixel()) })
}

// eachInput calls f for every input pixel, in parallel.
func (s Pool2dShape) eachInput(f func(ih, iw, in int)) {
	Parallel(s.H*s.W, func(p int) { f(p/s.W, p%s.W, p*s.pixel()) })
}

// windows returns the outputs along one side whose window covers position i.
func (s Pool2dShape) windows(i, out int) (from, to int) {
	return max(0, (i-s.Kernel+s.Stride)/s.Stride), min(out, i/s.Stride+1)
}

func floats(index []int32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(index))), len(index))
}

// MaxPool2dForward computes the maximum of each window of x [H][W][N][C], and
// its position kh*Kernel+kw in the window: the first if there are several, NaN
// before anything else.
func MaxPool2dForward(y []float32, index []int32, x []float32, s Pool2dShape) {
	s.check("MaxPool2dForward", len(x), len(y))
	checkLengths("MaxPool2dForward", len(y), sliceLength{name: "index", got: len(index)})
	size := s.pixel()
	if size == 0 {
		return
	}
	positions := floats(index)
	s.eachOutput(func(oh, ow, out int) {
		kernel := &vecMaxPoolFirst
		for t := range s.Kernel * s.Kernel {
			in := ((oh*s.Stride+t/s.Kernel)*s.W + ow*s.Stride + t%s.Kernel) * size
			kernel.block(0, 1, size, []float32{math.Float32frombits(uint32(t))},
				vectorStream{x[in:], 0}, vectorStream{y[out:], 0}, vectorStream{positions[out:], 0})
			kernel = &vecMaxPoolNext
		}
	})
}

// MaxPool2dBackward computes dx (+)= dy at the position of each maximum.
func MaxPool2dBackward(dx, dy []float32, index []int32, s Pool2dShape, accumulate bool) {
	s.check("MaxPool2dBackward", len(dx), len(dy))
	checkLengths("MaxPool2dBackward", len(dy), sliceLength{name: "index", got: len(index)})
	size := s.pixel()
	if size == 0 {
		return
	}
	positions := floats(index)
	s.eachInput(func(ih, iw, in int) {
		if !accumulate {
			clear(dx[in : in+size])
		}
		s.eachWindow(ih, iw, func(oh, ow int) {
			out := (oh*s.OutW() + ow) * size
			t := (ih-oh*s.Stride)*s.Kernel + iw - ow*s.Stride
			vecMaxPoolGradient.block(0, 1, size, []float32{math.Float32frombits(uint32(t))},
				vectorStream{dx[in:], 0}, vectorStream{dy[out:], 0}, vectorStream{positions[out:], 0})
		})
	})
}

// eachWindow calls f for the outputs whose window covers an input pixel.
func (s Pool2dShape) eachWindow(ih, iw int, f func(oh, ow int)) {
	h0, h1 := s.windows(ih, s.OutH())
	w0, w1 := s.windows(iw, s.OutW())
	for oh := h0; oh < h1; oh++ {
		for ow := w0; ow < w1; ow++ {
			f(oh, ow)
		}
	}
}

// AvgPool2dForward computes the mean of each window of x [H][W][N][C].
func AvgPool2dForward(y, x []float32, s Pool2dShape) {
	s.check("AvgPool2dForward", len(x), len(y))
	size := s.pixel()
	if size == 0 {
		return
	}
	factor := []float32{1 / float32(s.Kernel*s.Kernel)}
	s.eachOutput(func(oh, ow, out int) {
		for t := range s.Kernel * s.Kernel {
			in := ((oh*s.Stride+t/s.Kernel)*s.W + ow*s.Stride + t%s.Kernel) * size
			if t == 0 {
				vecScale.block(0, 1, size, factor, vectorStream{x[in:], 0}, vectorStream{y[out:], 0})
			} else {
				vecAxpy.block(0, 1, size, factor, vectorStream{y[out:], 0}, vectorStream{x[in:], 0})
			}
		}
	})
}

// AvgPool2dBackward computes dx (+)= the mean's share of dy.
func AvgPool2dBackward(dx, dy []float32, s Pool2dShape, accumulate bool) {
	s.check("AvgPool2dBackward", len(dx), len(dy))
	size := s.pixel()
	if size == 0 {
		return
	}
	factor := []float32{1 / float32(s.Kernel*s.Kernel)}
	s.eachInput(func(ih, iw, in int) {
		fresh := !accumulate
		s.eachWindow(ih, iw, func(oh, ow int) {
			from, to := vectorStream{dy[(oh*s.OutW()+ow)*size:], 0}, vectorStream{dx[in:], 0}
			if fresh {
				vecScale.block(0, 1, size, factor, from, to)
			} else {
				vecAxpy.block(0, 1, size, factor, to, from)
			}
			fresh = false
		})
		if fresh {
			clear(dx[in : in+size])
		}
	})
}
