package nn

import (
	"fmt"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

// spanOf describes what a step does for n samples. It holds sizes only, so that
// a plan does not keep the graph it was made from.
type spanOf func(n int) trace.Span

// span describes an operation as the frozen network runs it.
func (g *graph) span(o *operation) spanOf {
	op, perSample, constant := o.op.String(), g.values[o.output].words(), 0
	for _, id := range o.inputs {
		if id == none {
			continue
		}
		if v := g.values[id]; v.constant != nil {
			constant += v.constant.Len()
		} else {
			perSample += v.words()
		}
	}
	describe := g.describeOperation(o)
	return func(n int) trace.Span {
		s := describe(n)
		s.Op, s.Direction, s.Bytes = op, trace.Forward, floatBytes*float64(n*perSample+constant)
		if s.Kernel == "" {
			s.Kernel = kernels.CurrentLevel().String()
		}
		return s
	}
}

const floatBytes = 4

// describeOperation gives the shape, and of products the arithmetic and kernel.
func (g *graph) describeOperation(o *operation) spanOf {
	switch in := g.values[o.inputs[0]]; o.op {
	case autograd.OpConv2d:
		shape, half := g.conv2dShape(o), in.half
		return func(n int) trace.Span {
			s := shape
			s.N = n
			return trace.Span{
				Shape: fmt.Sprintf("%dx%s", n, trace.Conv2dName(s)),
				Flops: trace.Conv2dFlops(s), Kernel: trace.Conv2dKernel(s, trace.Forward, half), BF16: half && trace.MultipliesBF16(s, trace.Forward),
			}
		}
	case autograd.OpLinear:
		from, to := in.size, g.values[o.output].size
		return func(n int) trace.Span {
			return trace.Span{Shape: fmt.Sprintf("%dx%d-%d", n, from, to), Flops: 2 * float64(n) * float64(from) * float64(to)}
		}
	default:
		shape := in.shape
		return func(n int) trace.Span { return trace.Span{Shape: sampleShape(n, shape)} }
	}
}

// conv2dShape is the shape of a convolution for a batch of any size.
func (g *graph) conv2dShape(o *operation) kernels.Conv2dShape {
	weight, attrs := g.values[o.inputs[1]].constant, o.attrs.(autograd.Conv2dOptions)
	c, h, w := g.image(o.inputs[0])
	return kernels.Conv2dShape{
		N: traceBatch, C: c, H: h, W: w, OC: weight.Dim(0), KH: weight.Dim(2), KW: weight.Dim(3), Stride: attrs.Stride, Padding: attrs.Padding,
	}
}

// copySpan describes the copy of a result that would share memory.
func copySpan(v value) spanOf {
	size, shape := v.size, v.shape
	return func(n int) trace.Span {
		return trace.Span{Op: "copy", Direction: trace.Forward, Shape: sampleShape(n, shape), Bytes: 2 * floatBytes * float64(n*size)}
	}
}

func sampleShape(n int, shape []int) string { return trace.Dims(append([]int{n}, shape...)) }
