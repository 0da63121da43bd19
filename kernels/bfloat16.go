package kernels

import "math"

// Element is an element type of activations: float32, or uint16 for the bits of a
// bfloat16, the upper half of a float32.
type Element interface{ float32 | uint16 }

// BFloat16FromFloat32 returns the bits of x rounded to the nearest bfloat16, ties to
// even. A NaN stays one, made quiet, with the upper part of its payload.
func BFloat16FromFloat32(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Float32FromBFloat16 is exact.
func Float32FromBFloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// Round computes dst = x, rounded to bfloat16 as BFloat16FromFloat32 does.
func Round(dst []uint16, x []float32) {
	checkLengths("Round", len(dst), length("x", x))
	vecRound.elements(len(dst), nil, parameters(x), parameters(dst))
}

// Widen computes dst = x, which is exact.
func Widen(dst []float32, x []uint16) {
	checkLengths("Widen", len(dst), length("x", x))
	vecWiden.elements(len(dst), nil, parameters(x), parameters(dst))
}

// AddRounded computes dst += x; the sum is rounded.
func AddRounded(dst []uint16, x []float32) {
	checkLengths("AddRounded", len(dst), length("x", x))
	vecAddRounded.elements(len(dst), nil, parameters(dst), parameters(x), parameters(dst))
}
