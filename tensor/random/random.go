// Package random is a counter-based random number generator: number i of a key
// is a pure function of both, so any part of a program can draw any number in
// any order, on any thread, and get the same value for ever.
//
// The construction is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011): block j of key k is the 128-bit
// output for counter (j, 0) under the 64-bit key k. A key is built from a seed,
// the purpose it serves and further numbers such as epoch and sample.
package random

import "math/bits"

// Key selects one stream of numbers.
type Key uint64

// NewKey returns the key of a purpose, such as "dropout", under a seed.
func NewKey(seed uint64, purpose string) Key {
	// FNV-1a names the purpose, Philox mixes it with the seed.
	h := uint64(0xcbf29ce484222325)
	for i := range len(purpose) {
		h = (h ^ uint64(purpose[i])) * 0x100000001b3
	}
	return Key(seed).Fold(h)
}

// Fold returns a key derived from k and the numbers, whose order matters: for
// example key.Fold(epoch, sample).
func (k Key) Fold(numbers ...uint64) Key {
	for _, n := range numbers {
		// The counter's upper half is 1 here and 0 in block, so a derived key
		// never equals a number of the stream.
		lo, _ := philox(n, 1, uint64(k))
		k = Key(lo)
	}
	return k
}

// Uint64 returns number i of the stream, uniform over all 64-bit numbers.
func (k Key) Uint64(i uint64) uint64 {
	lo, hi := k.block(i >> 1)
	if i&1 == 0 {
		return lo
	}
	return hi
}

// Float64 returns number i of the stream, uniform in [0, 1), a multiple of 2^-53.
func (k Key) Float64(i uint64) float64 { return unit(k.Uint64(i)) }

// Intn returns number i of the stream, uniform in 0 to n-1; n must be positive.
// The bias is below n/2^64.
func (k Key) Intn(i uint64, n int) int {
	if n <= 0 {
		panic("random: Intn wants a positive bound")
	}
	hi, _ := bits.Mul64(k.Uint64(i), uint64(n))
	return int(hi)
}

// Perm returns a random permutation of 0 to n-1: a Fisher-Yates shuffle from
// the back with numbers n-1 down to 1 of the stream.
func (k Key) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := k.Intn(uint64(i), i+1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// FillUniform sets dst[i] to number i of the stream, uniform in [lo, hi),
// computed in float64.
func (k Key) FillUniform(dst []float32, lo, hi float64) {
	k.fill(dst, func(x uint64) float64 { return lo + float64((hi-lo)*unit(x)) })
}

// FillNormal sets dst[i] to mean + std·Normal(i), computed in float64.
func (k Key) FillNormal(dst []float32, mean, std float64) {
	k.fill(dst, func(x uint64) float64 { return mean + float64(std*normal(x)) })
}

func (k Key) fill(dst []float32, f func(uint64) float64) {
	for i := 0; i < len(dst); i += 2 {
		lo, hi := k.block(uint64(i) / 2)
		dst[i] = float32(f(lo))
		if i+1 < len(dst) {
			dst[i+1] = float32(f(hi))
		}
	}
}

func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// block returns the 128 bits of counter (j, 0).
func (k Key) block(j uint64) (lo, hi uint64) { return philox(j, 0, uint64(k)) }

// philox is Philox4x32-10 with the counter (c0, c1) and the key as 64-bit words,
// low 32 bits first.
func philox(c0, c1, key uint64) (lo, hi uint64) {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers
		w0, w1 = 0x9E3779B9, 0xBB67AE85 // Weyl constants: golden ratio, sqrt(3)-1
	)
	a, b := uint32(c0), uint32(c0>>32)
	c, d := uint32(c1), uint32(c1>>32)
	k0, k1 := uint32(key), uint32(key>>32)
	for range 10 {
		p, q := uint64(a)*m0, uint64(c)*m1
		a, b, c, d = uint32(q>>32)^b^k0, uint32(q), uint32(p>>32)^d^k1, uint32(p)
		k0, k1 = k0+w0, k1+w1
	}
	return uint64(a) | uint64(b)<<32, uint64(c) | uint64(d)<<32
}
