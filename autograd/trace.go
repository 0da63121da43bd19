package autograd

import (
	"fmt"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Trace returns the recorder of the tape, nil where there is none.
func (c *Context) Trace() *trace.Recorder {
	if c.Tape == nil {
		return nil
	}
	return c.Tape.Trace
}

// traceForward runs the forward function of n and records it, unless the
// function has recorded its parts itself.
func (n *Node) traceForward(ctx *Context, r *trace.Recorder) {
	before, start := len(r.Spans()), r.Start()
	rules[n.Op].forward(ctx, n)
	if took := time.Since(start); len(r.Spans()) == before {
		r.Add(took, n.span(trace.Forward, n.forwardBytes()))
	}
}

// traceBackward runs the backward rule of n and records it, unless the rule has
// recorded its parts itself.
func (n *Node) traceBackward(t *Tape, dy *tensor.Tensor) {
	bytes := n.backwardBytes() // the rule changes what there is to add to
	before, start := len(t.Trace.Spans()), t.Trace.Start()
	rules[n.Op].backward(t, n, dy)
	if took := time.Since(start); len(t.Trace.Spans()) == before {
		t.Trace.Add(took, n.span(trace.Backward, bytes))
	}
}

// part records a part of a rule of a convolution that began at start, and
// returns when the next one begins.
func (n *Node) part(r *trace.Recorder, start time.Time, d trace.Direction) time.Time {
	if r == nil {
		return start
	}
	r.Add(time.Since(start), n.span(d, n.partBytes(d)))
	return r.Start()
}

// partBytes is the least traffic of a part of a convolution.
func (n *Node) partBytes(d trace.Direction) float64 {
	x, w, y := n.Inputs[0].Value.Bytes(), n.Inputs[1].Value.Bytes(), n.Output.Value.Bytes()
	switch d {
	case trace.Pack:
		return float64(2 * w)
	case trace.BackwardBias:
		return float64(y)
	case trace.BackwardSigma:
		if o := n.Attrs.(Conv2dOptions).Spectral; o.Sigma <= o.Coeff {
			return float64(2 * w) // scaling in place
		}
		return float64(4 * w) // and a product with the weight
	}
	return float64(x + w + y)
}

// span describes n in a direction.
func (n *Node) span(d trace.Direction, bytes float64) trace.Span {
	s := trace.Span{Op: n.Op.String(), Direction: d, Bytes: bytes, Kernel: kernels.CurrentLevel().String()}
	switch n.Op {
	case OpConv2d:
		c := n.conv2dShape()
		s.Shape = fmt.Sprintf("%dx%s", c.N, trace.Conv2dName(c))
		if d != trace.Pack && d != trace.BackwardBias && d != trace.BackwardSigma {
			bf16 := half(n.Inputs[0].Value)
			s.Flops, s.Kernel, s.BF16 = trace.Conv2dFlops(c), trace.Conv2dKernel(c, d, bf16), bf16 && trace.MultipliesBF16(c, d)
		}
	case OpLinear, OpMatMul:
		x, columns := n.Inputs[0].Value, n.Output.Value.Dim(1)
		s.Shape = fmt.Sprintf("%s-%d", trace.Dims(x.Shape()), columns)
		s.Flops = 2 * float64(x.Len()) * float64(columns)
		if d == trace.Backward {
			s.Flops *= float64(n.gradients(2))
		}
	default:
		s.Shape = trace.Dims(n.Inputs[0].Value.Shape())
	}
	return s
}

// gradients counts those of the first inputs that take a gradient.
func (n *Node) gradients(first int) (count int) {
	for _, in := range n.Inputs[:first] {
		if in.requiresGrad {
			count++
		}
	}
	return count
}

// forwardBytes is the least traffic of the forward function: inputs and output.
// A result that is a view of its input moves nothing.
func (n *Node) forwardBytes() float64 {
	if n.Output.memory.pool == nil {
		return 0
	}
	bytes := n.Output.Value.Bytes()
	for _, in := range n.Inputs {
		if in != nil {
			bytes += in.Value.Bytes()
		}
	}
	return float64(bytes)
}

// backwardBytes is the least traffic of the backward rule, before it has run:
// the output's gradient and what the rule reads besides, and for each gradient
// that it computes a write, or a read and a write where there is one to add to.
// Gradients that are passed on unchanged move nothing until they are added.
func (n *Node) backwardBytes() float64 {
	bytes := n.Output.Value.Bytes()
	reads := rules[n.Op].reads(n)
	if reads&readsOutput != 0 {
		bytes += n.Output.Value.Bytes()
	}
	passed := true
	for i, in := range n.Inputs {
		if in == nil {
			continue
		}
		if reads>>i&1 == 1 {
			bytes += in.Value.Bytes()
		}
		if !in.requiresGrad {
			continue
		}
		if in.hasGradient() || slices.Contains(n.Inputs[:i], in) {
			bytes += in.Value.Bytes()
		} else if n.passesGradient(i) {
			continue
		}
		passed = false
		bytes += in.Value.Bytes()
	}
	if passed {
		return 0
	}
	return float64(bytes)
}

// hasGradient tells whether a contribution to the gradient of v would be added.
func (v *Variable) hasGradient() bool {
	return v.grad.buffer != nil || v.param != nil && v.param.hasGrad
}

// passesGradient tells whether the gradient of the output is that of input i.
func (n *Node) passesGradient(i int) bool {
	switch n.Op {
	case OpAdd:
		return n.Inputs[i].param == nil
	case OpReshape:
		return n.Inputs[i].param == nil && n.Output.memory.pool == nil // a view
	case OpBatchNorm2d:
		return i == 3 && n.Attrs.(BatchNormAttrs).Activation == kernels.ActNone && n.Inputs[i].param == nil
	}
	return false
}
