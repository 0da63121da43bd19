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

// poolBlock is how many elements of a pixel are pooled at a time: what is written
// stays in the first cache while the window passes.
const poolBlock = 4096

// eachPart calls f in parallel for every part of at most poolBlock elements, from
// to to, of every pixel of an image of that width. Small parts share a task.
func (s Pool2dShape) eachPart(pixels, width int, f func(h, w, from, to int)) {
	size := s.pixel()
	parts := (size + poolBlock - 1) / poolBlock
	share := max(1, flatBlock/min(size, poolBlock)/4)
	Parallel((pixels*parts+share-1)/share, func(t int) {
		for i := t * share; i < min((t+1)*share, pixels*parts); i++ {
			p, from := i/parts, i%parts*poolBlock
			f(p/width, p%width, from, min(from+poolBlock, size))
		}
	})
}

// eachOutput calls f for the parts of every output pixel: n elements from part of
// the pixel, from out of the output.
func (s Pool2dShape) eachOutput(f func(oh, ow, part, out, n int)) {
	s.eachPart(s.OutH()*s.OutW(), s.OutW(), func(oh, ow, from, to int) {
		f(oh, ow, from, (oh*s.OutW()+ow)*s.pixel()+from, to-from)
	})
}

// windowRow is the offset of the input under row kh of an output's window.
func (s Pool2dShape) windowRow(oh, ow, kh int) int {
	return ((oh*s.Stride+kh)*s.W + ow*s.Stride) * s.pixel()
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
func MaxPool2dForward[E Element](y []E, index []int32, x []E, s Pool2dShape) {
	s.check("MaxPool2dForward", len(x), len(y))
	checkLengths("MaxPool2dForward", len(y), sliceLength{name: "index", got: len(index)})
	size := s.pixel()
	if size == 0 {
		return
	}
	maxima, positions := floats(index), make([]float32, s.Kernel*s.Kernel)
	for t := range positions {
		positions[t] = math.Float32frombits(uint32(t))
	}
	s.eachOutput(func(oh, ow, part, out, n int) {
		kernel := kernelOf[E](&vecMaxPoolFirst)
		for kh := range s.Kernel {
			in := s.windowRow(oh, ow, kh) + part
			kernel.block(0, s.Kernel, n, nil, matrix(x[in:], size), perRow(positions[kh*s.Kernel:]), parameters(y[out:]), parameters(maxima[out:]))
			kernel = kernelOf[E](&vecMaxPoolNext)
		}
	})
}

// MaxPool2dBackward computes dx (+)= dy at the position of each maximum.
func MaxPool2dBackward[E Element](dx, dy []E, index []int32, s Pool2dShape, accumulate bool) {
	s.check("MaxPool2dBackward", len(dx), len(dy))
	checkLengths("MaxPool2dBackward", len(dy), sliceLength{name: "index", got: len(index)})
	size := s.pixel()
	if size == 0 {
		return
	}
	positions := floats(index)
	eachInput(s, accumulate, dx, func(t, in, out, n int, add bool) {
		kernel := kernelOf[E](&vecMaxPoolGradient)
		if add {
			kernel = kernelOf[E](&vecMaxPoolGradientAccumulate)
		}
		kernel.block(0, 1, n, []float32{math.Float32frombits(uint32(t))}, parameters(dy[out:]), parameters(positions[out:]), parameters(dx[in:]))
	})
}

// eachInput calls f for the parts of every input pixel, n elements from in, and
// every output whose window covers it, from out, at position t of the window. The
// first of them may overwrite dx unless that accumulates; where there is none, dx
// becomes 0.
func eachInput[E Element](s Pool2dShape, accumulate bool, dx []E, f func(t, in, out, n int, add bool)) {
	s.eachPart(s.H*s.W, s.W, func(ih, iw, from, to int) {
		in, n, add := (ih*s.W+iw)*s.pixel()+from, to-from, accumulate
		s.eachWindow(ih, iw, func(oh, ow int) {
			t := (ih-oh*s.Stride)*s.Kernel + iw - ow*s.Stride
			f(t, in, (oh*s.OutW()+ow)*s.pixel()+from, n, add)
			add = true
		})
		if !add {
			clear(dx[in : in+n])
		}
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
func AvgPool2dForward[E Element](y, x []E, s Pool2dShape) {
	s.check("AvgPool2dForward", len(x), len(y))
	size := s.pixel()
	if size == 0 {
		return
	}
	factor := []float32{1 / float32(s.Kernel*s.Kernel)}
	exact, _ := any(y).([]float32)
	s.eachOutput(func(oh, ow, part, out, n int) {
		var mean []float32
		if exact != nil {
			mean = exact[out:]
		} else { // rounded once, not for each row of the window
			sums := takeScratch[float32](n)
			defer sums.drop()
			mean = sums.data
		}
		kernel := kernelOf[E](&vecSumWindowFirst)
		for kh := range s.Kernel {
			in := s.windowRow(oh, ow, kh) + part
			kernel.block(0, s.Kernel, n, factor, matrix(x[in:], size), parameters(mean))
			kernel = kernelOf[E](&vecSumWindowNext)
		}
		if exact == nil {
			vecRound.block(0, 1, n, nil, parameters(mean), parameters(y[out:]))
		}
	})
}

// AvgPool2dBackward computes dx (+)= the mean's share of dy.
func AvgPool2dBackward[E Element](dx, dy []E, s Pool2dShape, accumulate bool) {
	s.check("AvgPool2dBackward", len(dx), len(dy))
	size := s.pixel()
	if size == 0 {
		return
	}
	factor := []float32{1 / float32(s.Kernel*s.Kernel)}
	eachInput(s, accumulate, dx, func(_, in, out, n int, add bool) {
		if add {
			kernelOf[E](&vecAxpy).block(0, 1, n, factor, parameters(dx[in:]), parameters(dy[out:]))
		} else {
			kernelOf[E](&vecScale).block(0, 1, n, factor, parameters(dy[out:]), parameters(dx[in:]))
		}
	})
}
