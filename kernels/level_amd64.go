package kernels

import "golang.org/x/sys/cpu"

// levelAvailable relies on x/sys/cpu, which also checks that the operating
// system saves the vector registers (XCR0).
func levelAvailable(l Level) bool {
	switch l {
	case Portable:
		return true
	case AVX2:
		return hasAVX2()
	case AVX512:
		return hasAVX512()
	case AMX:
		return hasAMX()
	}
	return false
}

func hasAVX2() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func hasAVX512() bool {
	return hasAVX2() && cpu.X86.HasAVX512F && cpu.X86.HasAVX512CD && cpu.X86.HasAVX512BW &&
		cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
}
