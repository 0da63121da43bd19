package kernels

func init() {
	brgemmF32[AVX2], brgemmF64[AVX2] = brgemmAVX2F32, brgemmAVX2F64
	brgemmF32[AVX512], brgemmF64[AVX512] = brgemmAVX512F32, brgemmAVX512F64
}
