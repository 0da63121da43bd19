package kernels

//go:noescape
func peakAVX512(rounds *int)

//go:noescape
func peakAVX2(rounds *int)

func init() {
	peakLoops[AVX2] = peakLoop{peakAVX2, 2 * 8 * peakAccumulators}
	peakLoops[AVX512] = peakLoop{peakAVX512, 2 * 16 * peakAccumulators}
}
