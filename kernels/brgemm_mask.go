package kernels

import "unsafe"

// Masks for the last vector of a tile: as many set elements as columns are left.
var (
	mask32 = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}
	mask64 = [8]int64{-1, -1, -1, -1}
)

// mask returns what the micro-kernels of this level take as brgemmArgs.mask where
// the last vector is ragged: a bit per column of it, or the address of a vector mask.
func (k *brgemmKernels) mask(elem, cols int) uintptr {
	rest := cols % k.lanes
	switch {
	case rest == 0 || !k.masked:
		return 0
	case k.bitMask:
		return 1<<rest - 1
	case elem == 8:
		return uintptr(unsafe.Pointer(&mask64[4-rest]))
	}
	return uintptr(unsafe.Pointer(&mask32[8-rest]))
}
