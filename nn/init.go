package nn

import (
	"math"

	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Initializer fills a weight [out, in] or [OC, C, KH, KW] with random numbers of
// key. The same key gives the same weight.
type Initializer func(key random.Key, weight *tensor.Tensor)

// KaimingUniform is PyTorch's default for convolutions and linear layers
// (kaiming_uniform_ with a = √5): uniform within ±1/√fan_in (He, Zhang, Ren,
// Sun 2015).
func KaimingUniform(key random.Key, weight *tensor.Tensor) {
	bound := 1 / math.Sqrt(float64(fanIn(weight)))
	key.FillUniform(weight.Float32s(), -bound, bound)
}

// KaimingNormalFanOut returns kaiming_normal_ with mode="fan_out": normal with
// standard deviation gain/√fan_out, where gain is √2 for ReLU and
// √(2/(1+slope²)) for leaky ReLU.
func KaimingNormalFanOut(gain float64) Initializer {
	return func(key random.Key, weight *tensor.Tensor) {
		fanOut := weight.Dim(0) * fanIn(weight) / weight.Dim(1)
		key.FillNormal(weight.Float32s(), 0, gain/math.Sqrt(float64(fanOut)))
	}
}

func fanIn(weight *tensor.Tensor) int { return weight.Len() / weight.Dim(0) }

// newBias returns a bias as PyTorch draws it: uniform within ±1/√fan_in of its
// weight.
func newBias(key random.Key, weight *tensor.Tensor) *tensor.Tensor {
	bias := tensor.New(tensor.Float32, weight.Dim(0))
	bound := 1 / math.Sqrt(float64(fanIn(weight)))
	key.FillUniform(bias.Float32s(), -bound, bound)
	return bias
}

// The parts of a layer that draw random numbers, folded into its key.
const (
	keyWeight = iota
	keyBias
	keyLeft
	keyRight
)

func newWeight(key random.Key, init Initializer, shape ...int) *tensor.Tensor {
	if init == nil {
		init = KaimingUniform
	}
	w := tensor.New(tensor.Float32, shape...)
	init(key.Fold(keyWeight), w)
	return w
}
