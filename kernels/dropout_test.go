package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// dropoutHash is the finaliser of MurmurHash3 (Appleby), twice.
func dropoutHash(key uint64, i int) uint32 {
	h := uint32(i)
	for _, k := range []uint32{uint32(key), uint32(key >> 32)} {
		h ^= k
		h = (h ^ h>>16) * 0x85ebca6b
		h = (h ^ h>>13) * 0xc2b2ae35
		h ^= h >> 16
	}
	return h
}

func TestDropout(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		g := &guards{t: t}
		for _, n := range flatSizes() {
			key, p := r.Uint64(), float32(r.IntN(10))/10
			x, y, old := g.slice(n, randomSlice[float32](r, n)...), g.slice(n), randomSlice[float32](r, n)
			kept := func(i int) float32 {
				if float64(dropoutHash(key, i)>>8) < float64(p)*(1<<24) {
					return 0
				}
				return x[i] * (1 / (1 - p))
			}
			Dropout(y, x, key, p)
			name := fmt.Sprintf("Dropout of %d, p %v", n, p)
			checkExact(t, name, y, kept)
			DropoutBackward(y, x, key, p, false)
			checkExact(t, name+" backward", y, kept)
			copy(y, old)
			DropoutBackward(y, x, key, p, true)
			checkExact(t, name+" backward accumulate", y, func(i int) float32 { return old[i] + kept(i) })
			alias := slices.Clone(x)
			Dropout(alias, alias, key, p)
			checkExact(t, name+" in place", alias, kept)
			g.check(name)
		}
	})
}

// TestDropoutRate checks rate and independence of neighbours and of keys against
// four standard deviations of the binomial distribution.
func TestDropoutRate(t *testing.T) {
	const n = 1 << 18
	x := make([]float32, n)
	Fill(x, 1)
	masks := make([][]float32, 3)
	for k := range masks {
		masks[k] = make([]float32, n)
		Dropout(masks[k], x, uint64(k)<<32|5, 0.3)
	}
	count := func(f func(i int) bool) float64 {
		hits := 0
		for i := range n {
			if f(i) {
				hits++
			}
		}
		return float64(hits) / n
	}
	check := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%s: rate %v, want %v", name, got, want)
		}
	}
	for k, m := range masks {
		check("zeros", count(func(i int) bool { return m[i] == 0 }), 0.3)
		check("neighbours", count(func(i int) bool { return m[i] == 0 && m[(i+1)%n] == 0 }), 0.09)
		other := masks[(k+1)%len(masks)]
		check("keys", count(func(i int) bool { return m[i] == 0 && other[i] == 0 }), 0.09)
	}
}
