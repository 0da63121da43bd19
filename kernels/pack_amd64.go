package kernels

//go:noescape
func packAVX512x1(args *packArgs)

//go:noescape
func packAVX512x2(args *packArgs)

//go:noescape
func packAVX2x1(args *packArgs)

//go:noescape
func packAVX2x2(args *packArgs)

func init() {
	packers[AVX2] = packer{8, false, []func(*packArgs){packAVX2x1, packAVX2x2}}
	packers[AVX512] = packer{16, true, []func(*packArgs){packAVX512x1, packAVX512x2}}
}
