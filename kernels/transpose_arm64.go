package kernels

//go:noescape
func transposeNEONF32(args *transposeArgs)

//go:noescape
func transposeNEONF64(args *transposeArgs)

func init() {
	transposeF32[NEON], transposeF64[NEON] = transposer{4, transposeNEONF32, nil}, transposer{2, transposeNEONF64, nil}
}
