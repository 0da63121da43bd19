package kernels

//go:noescape
func transposeAVX512F32(args *transposeArgs)

//go:noescape
func transposeAVX512F64(args *transposeArgs)

//go:noescape
func transposeAVX2F32(args *transposeArgs)

//go:noescape
func transposeAVX2F64(args *transposeArgs)

func init() {
	transposeF32[AVX2], transposeF64[AVX2] = transposer{8, transposeAVX2F32, nil}, transposer{4, transposeAVX2F64, nil}
	// Nine taps, or twelve rows of a last tile, are less than 16.
	transposeF32[AVX512], transposeF64[AVX512] = transposer{16, transposeAVX512F32, &transposeF32[AVX2]}, transposer{8, transposeAVX512F64, &transposeF64[AVX2]}
}
