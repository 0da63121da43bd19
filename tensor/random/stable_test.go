package random

// The values TestStableForEver pins.
const (
	stableKey        = 0xc4aebc151b764743
	stableFolded     = 0x200445ce85576a58
	stableNormalHash = 0xd831cf9296751716
)

var (
	stableUint64 = [2]uint64{0x7f214bd6f80083b6, 0x9260a7def649309a}
	stableNormal = [2]uint64{0xbf8171f02b4dd039, 0xbfdf56d5732aeff7}
	stablePerm   = []int{3, 7, 1, 5, 4, 8, 6, 9, 0, 2}
)
