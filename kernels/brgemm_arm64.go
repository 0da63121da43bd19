package kernels

func init() {
	brgemmF32[NEON], brgemmF64[NEON] = brgemmNEONF32, brgemmNEONF64
}
