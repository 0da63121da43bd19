package main

// peakAccumulators is how many independent sums hide the latency of a fused
// multiply-add on every CPU known: 2 units of 4 to 5 cycles, with room.
const peakAccumulators = 12

// peakFiles writes loops of fused multiply-adds on registers alone, which
// measure what the micro-kernels could reach at best.
func peakFiles() []file {
	x86 := func(level, reg string) file {
		a := newAssembly()
		a.text("peak"+level, "rounds *int")
		a.op("MOVQ rounds+0(FP), AX")
		a.op("MOVQ (AX), CX")
		for i := range peakAccumulators + 2 {
			a.op("VXORPS X%d, X%d, X%d", i, i, i)
		}
		a.label("loop")
		for i := range peakAccumulators {
			a.op("VFMADD231PS %s%d, %s%d, %s%d", reg, peakAccumulators, reg, peakAccumulators+1, reg, i)
		}
		a.op("DECQ CX")
		a.op("JNZ loop")
		a.op("VZEROUPPER")
		a.op("RET")
		return file{"peak_" + map[string]string{"AVX512": "avx512", "AVX2": "avx2"}[level] + "_amd64.s", a.Bytes()}
	}
	a := newAssembly()
	a.text("peakNEON", "rounds *int")
	a.op("MOVD rounds+0(FP), R0")
	a.op("MOVD (R0), R1")
	for i := range peakAccumulators + 2 {
		a.op("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	a.label("loop")
	for i := range peakAccumulators {
		a.op("VFMLA V%d.S4, V%d.S4, V%d.S4", peakAccumulators, peakAccumulators+1, i)
	}
	a.op("SUBS $1, R1")
	a.op("BNE loop")
	a.op("RET")
	return []file{x86("AVX512", "Z"), x86("AVX2", "Y"), {"peak_neon_arm64.s", a.Bytes()}}
}
