package kernels

import (
	"fmt"
	"math"
)

// Dropout sets each element of y to 0 with probability p and to x/(1-p)
// otherwise. What happens to element i is a function of key and i alone, the
// same at every level: it is kept where the upper 24 bits of a 32-bit hash of i
// are at least p*2^24. The hash is the finaliser of MurmurHash3, twice, each
// time after an exclusive or with a half of the key. y may be x.
func Dropout[E Element](y, x []E, key uint64, p float32) {
	dropout("Dropout", kernelOf[E](&vecDropout), y, x, key, p)
}

// DropoutBackward computes dx (+)= the gradient of Dropout with the same key.
// dx may be dy.
func DropoutBackward[E Element](dx, dy []E, key uint64, p float32, accumulate bool) {
	k := kernelOf[E](&vecDropout)
	if accumulate {
		k = kernelOf[E](&vecDropoutAccumulate)
	}
	dropout("DropoutBackward", k, dx, dy, key, p)
}

func dropout[E Element](name string, k *vectorKernel, y, x []E, key uint64, p float32) {
	checkLengths(name, len(y), length("the input", x))
	if !(p >= 0 && p < 1) {
		panic(fmt.Sprintf("kernels: %s: probability %v, want at least 0 and less than 1", name, p))
	}
	if uint64(len(y)) > math.MaxUint32 {
		panic(fmt.Sprintf("kernels: %s: %d elements, want fewer than 2^32", name, len(y)))
	}
	threshold := uint32(math.Ceil(float64(p) * (1 << 24)))
	k.elements(len(y), []float32{
		math.Float32frombits(uint32(key)), math.Float32frombits(uint32(key >> 32)),
		math.Float32frombits(threshold), 1 / (1 - p),
	}, parameters(x), parameters(y))
}
