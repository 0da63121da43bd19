package kernels

import "golang.org/x/sys/cpu"

// levelAvailable relies on x/sys/cpu, which also checks that the operating
// system saves the vector registers (XCR0).
func levelAvailable(l Level) bool {
	avx2 := cpu.X86.HasAVX2 && cpu.X86.HasFMA
	switch l {
	case Portable:
		return true
	case AVX2:
		return avx2
	case AVX512:
		return avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512CD && cpu.X86.HasAVX512BW &&
			cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	}
	return false
}
