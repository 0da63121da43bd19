package kernels

import "unsafe"

// Masks for the last vector of a tile: as many set elements as columns are left.
var (
	mask32 = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}
	mask64 = [8]int64{-1, -1, -1, -1}
)

// mask returns what the micro-kernels of this level take as brgemmArgs.mask: a
// bit per column, or the address of a vector mask.
func (k *brgemmKernels) mask(elem, cols int) uintptr {
	if k.bitMask {
		return 1<<cols - 1
	}
	if rest := cols % k.lanes; rest != 0 && k.masked {
		if elem == 8 {
			return uintptr(unsafe.Pointer(&mask64[4-rest]))
		}
		return uintptr(unsafe.Pointer(&mask32[8-rest]))
	}
	return 0
}
