package kernels

import "unsafe"

type float interface{ float32 | float64 }

// The micro-kernels of every level; those of other architectures stay empty.
var (
	brgemmF32 = [numLevels]brgemmKernels{Portable: portableKernels[float32]()}
	brgemmF64 = [numLevels]brgemmKernels{Portable: portableKernels[float64]()}
)

// brgemmOf returns the micro-kernels for T of the current level.
func brgemmOf[T float]() *brgemmKernels {
	if elemSize[T]() == 8 {
		return &brgemmF64[CurrentLevel().tables()]
	}
	return &brgemmF32[CurrentLevel().tables()]
}

func elemSize[T any]() int {
	var zero T
	return int(unsafe.Sizeof(zero))
}
