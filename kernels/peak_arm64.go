package kernels

//go:noescape
func peakNEON(rounds *int)

func init() { peakLoops[NEON] = peakLoop{peakNEON, 2 * 4 * peakAccumulators} }
