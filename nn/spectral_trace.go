package nn

import (
	"fmt"
	"time"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

// traceIterations records the power iterations of a training forward that began
// at start.
func traceIterations(ctx *autograd.Context, start time.Time, norms ...NamedSpectralNorm) {
	r := ctx.Trace()
	if r == nil || !ctx.Training || len(norms) == 0 {
		return
	}
	took := time.Since(start)
	s := trace.Span{
		Op: "power_iteration", Direction: trace.Forward, Kernel: kernels.CurrentLevel().String(),
		Shape: fmt.Sprintf("%d weights", len(norms)),
	}
	for _, n := range norms {
		flops, bytes := n.iterationWork()
		s.Flops += flops
		s.Bytes += bytes
	}
	r.Add(took, s)
}

// iterationWork counts both products of each iteration and what they read and
// write at least: the weight, u and v.
func (s *SpectralNorm) iterationWork() (flops, bytes float64) {
	const products = 2
	flops = 2 * float64(s.WeightOrig.Value.Len())
	if s.operator != nil {
		flops = trace.Conv2dFlops(*s.operator)
	}
	bytes = floatBytes * float64(s.WeightOrig.Value.Len()+s.U.Value.Len()+s.V.Value.Len())
	iterations := float64(products * s.Iterations)
	return iterations * flops, iterations * bytes
}
