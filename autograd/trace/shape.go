package trace

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/kernels"
)

// Dims writes a shape as "128x64x32x32".
func Dims(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.Itoa(d)
	}
	return strings.Join(parts, "x")
}

// Conv2dName returns the name of a convolution shape without its batch, such as
// "64x32x32-128-k3s2": channels, height and width, output channels, kernel and
// stride. Padding is added where it is not half the kernel: "1x28x28-6-k5s1p0".
func Conv2dName(s kernels.Conv2dShape) string {
	kernel := fmt.Sprint(s.KH)
	if s.KW != s.KH {
		kernel = fmt.Sprintf("%dx%d", s.KH, s.KW)
	}
	name := fmt.Sprintf("%dx%dx%d-%d-k%ss%d", s.C, s.H, s.W, s.OC, kernel, s.Stride)
	if s.Padding != s.KH/2 || s.KW != s.KH {
		name += fmt.Sprintf("p%d", s.Padding)
	}
	return name
}

// Conv2dFlops returns the nominal floating-point operations of a convolution in
// any of its three directions: 2 for each product, those with padding counted.
func Conv2dFlops(s kernels.Conv2dShape) float64 {
	return 2 * float64(s.N) * float64(s.OC) * float64(s.OutH()) * float64(s.OutW()) * float64(s.C) * float64(s.KH) * float64(s.KW)
}

// Conv2dKernel names what computes a convolution in a direction: the
// instruction-set level in use and the algorithm, or that it multiplies bfloat16.
func Conv2dKernel(s kernels.Conv2dShape, d Direction, bf16 bool) string {
	level, algorithm := kernels.CurrentLevel().String(), s.Algorithm(convDirections[d]).String()
	switch {
	case !bf16:
		return level + " " + algorithm
	case MultipliesBF16(s, d):
		return level + " bf16"
	}
	return level + " " + algorithm + " widened"
}

// MultipliesBF16 tells whether units that multiply bfloat16 compute a convolution of
// such activations.
func MultipliesBF16(s kernels.Conv2dShape, d Direction) bool {
	return s.MultipliesBF16(convDirections[d])
}

var convDirections = map[Direction]kernels.ConvDirection{
	Forward: kernels.ConvForward, BackwardData: kernels.ConvBackwardData, BackwardWeights: kernels.ConvBackwardWeights,
}
