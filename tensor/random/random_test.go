package random

import (
	"math"
	"slices"
	"testing"
)

// TestPhiloxKnownAnswers uses the vectors published with Random123
// (kat_vectors, philox4x32 10).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		join := func(lo, hi uint32) uint64 { return uint64(lo) | uint64(hi)<<32 }
		lo, hi := philox(join(c.counter[0], c.counter[1]), join(c.counter[2], c.counter[3]), join(c.key[0], c.key[1]))
		if lo != join(c.want[0], c.want[1]) || hi != join(c.want[2], c.want[3]) {
			t.Errorf("counter %x key %x gives %x %x, want %x", c.counter, c.key, lo, hi, c.want)
		}
	}
}

// TestStableForEver pins the numbers: runs are reproduced from their seeds, so
// no release may change them.
func TestStableForEver(t *testing.T) {
	k := NewKey(1, "dropout")
	checks := []struct {
		what      string
		got, want uint64
	}{
		{"key", uint64(k), stableKey},
		{"folded key", uint64(k.Fold(3, 5)), stableFolded},
		{"Uint64(0)", k.Uint64(0), stableUint64[0]},
		{"Uint64(1)", k.Uint64(1), stableUint64[1]},
		{"Normal(0)", math.Float64bits(k.Normal(0)), stableNormal[0]},
		{"Normal(7)", math.Float64bits(k.Normal(7)), stableNormal[1]},
	}
	for _, c := range checks {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.what, c.got, c.want)
		}
	}
	// All normals at once, tails included.
	h := uint64(0)
	for i := range uint64(100000) {
		h = h*31 + math.Float64bits(k.Normal(i))
	}
	if h != stableNormalHash {
		t.Errorf("hash of 100000 normals is %#x, want %#x", h, uint64(stableNormalHash))
	}
	if got := k.Perm(10); !slices.Equal(got, stablePerm) {
		t.Errorf("Perm(10) is %v, want %v", got, stablePerm)
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[Key]string{}
	add := func(k Key, what string) {
		if old, ok := seen[k]; ok {
			t.Errorf("%s and %s have one key", what, old)
		}
		seen[k] = what
	}
	a := NewKey(0, "a")
	add(a, "a")
	add(NewKey(1, "a"), "seed 1")
	add(NewKey(0, "b"), "b")
	add(a.Fold(0), "fold 0")
	add(a.Fold(1), "fold 1")
	add(a.Fold(0, 1), "fold 0 1")
	add(a.Fold(1, 0), "fold 1 0")
}

func TestNormalQuantiles(t *testing.T) {
	for _, x := range []uint64{0, 1 << 12, 1 << 30, 1 << 50, 1 << 60, 1<<63 - 1, 1 << 63, 3 << 62, 1<<64 - 1<<20, 1<<64 - 1} {
		p := (float64(x>>12) + 0.5) / (1 << 52)
		got := normal(x)
		want := -math.Sqrt2 * math.Erfcinv(2*p)
		if math.Abs(got-want) > 1e-9*math.Abs(want)+1e-15 {
			t.Errorf("quantile %v is %v, want %v", p, got, want)
		}
	}
}

func TestLogarithm(t *testing.T) {
	for x := 1e-16; x < 1; x *= 1.01 {
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 4e-16*math.Abs(want)+1e-17 {
			t.Fatalf("ln %v is %v, want %v", x, got, want)
		}
	}
}

func TestMoments(t *testing.T) {
	k := NewKey(5, "moments")
	const n = 200000
	var sumU, sumN, sumN2, sumN4 float64
	for i := range uint64(n) {
		u, z := k.Float64(i), k.Fold(1).Normal(i)
		if u < 0 || u >= 1 {
			t.Fatalf("Float64(%d) is %v", i, u)
		}
		sumU += u
		sumN += z
		sumN2 += z * z
		sumN4 += z * z * z * z
	}
	for what, d := range map[string]float64{
		"mean of uniform": (sumU/n - 0.5) / math.Sqrt(1.0/12/n),
		"mean":            sumN / n * math.Sqrt(n),
		"variance":        (sumN2/n - 1) * math.Sqrt(n/2.0),
		"kurtosis":        (sumN4/n - 3) * math.Sqrt(n/96.0),
	} {
		if math.Abs(d) > 4 {
			t.Errorf("%s is off by %.1f standard errors", what, d)
		}
	}
}

func TestPermIsUniform(t *testing.T) {
	var counts [24]int
	const n = 24000
	for i := range uint64(n) {
		p := NewKey(i, "perm").Perm(4)
		code := p[0]*6 + rank(p[1], p[0])*2
		if p[2] > p[3] {
			code++
		}
		counts[code]++
	}
	chi2 := 0.0
	for _, c := range counts {
		chi2 += math.Pow(float64(c)-n/24, 2) / (n / 24)
	}
	if chi2 > 60 { // 23 degrees of freedom: once in 30,000 keys
		t.Errorf("chi-squared of 24 permutations is %.1f: %v", chi2, counts)
	}
}

// rank of x among the numbers other than y.
func rank(x, y int) int {
	if x > y {
		return x - 1
	}
	return x
}

func TestFillsMatchSingleNumbers(t *testing.T) {
	k := NewKey(2, "fill")
	u, z := make([]float32, 7), make([]float32, 7)
	k.FillUniform(u, -2, 2)
	k.FillNormal(z, 1, 0.5)
	for i := range u {
		if u[i] != float32(-2+4*k.Float64(uint64(i))) || z[i] != float32(1+0.5*k.Normal(uint64(i))) {
			t.Errorf("element %d", i)
		}
	}
}

func TestIntnRange(t *testing.T) {
	k := NewKey(3, "intn")
	var seen [7]int
	for i := range uint64(7000) {
		seen[k.Intn(i, 7)]++
	}
	if slices.Min(seen[:]) < 850 || slices.Max(seen[:]) > 1150 {
		t.Errorf("counts %v of 1000 expected", seen)
	}
	defer func() {
		if recover() == nil {
			t.Error("Intn(0, 0) does not panic")
		}
	}()
	k.Intn(0, 0)
}
