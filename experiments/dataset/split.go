package dataset

import "fmt"

// Split divides range(n) as the reference does: shuffled by NumPy's legacy
// generator with the seed, the first 10 % for validation, the rest for training.
func Split(n int, seed uint64) (train, validate []int, err error) {
	order, err := NumPyShuffle(n, seed)
	if err != nil {
		return nil, nil, err
	}
	return order[n/10:], order[:n/10], nil
}

// Split divides the images of s as the function Split does. Where images have
// several labels it divides the stored images, so that all labels of one are on
// the same side.
func (s *Set) Split(seed uint64) (train, validate []int, err error) {
	if s.Rows == nil {
		return Split(s.Len(), seed)
	}
	stored := (len(s.Pixels) + len(s.Values)) / s.Shape.Len()
	trainRows, validateRows, err := Split(stored, seed)
	if err != nil {
		return nil, nil, err
	}
	byRow := make([][]int, stored)
	for i, row := range s.Rows {
		byRow[row] = append(byRow[row], i)
	}
	gather := func(rows []int) (list []int) {
		for _, row := range rows {
			list = append(list, byRow[row]...)
		}
		return list
	}
	return gather(trainRows), gather(validateRows), nil
}

// NumPyShuffle returns range(n) in the order of
// numpy.random.RandomState(seed).shuffle, for seed < 2^32 and n <= 2^32.
func NumPyShuffle(n int, seed uint64) ([]int, error) {
	if seed > 1<<32-1 {
		return nil, fmt.Errorf("seed %d: NumPy's legacy generator, which makes the splits, takes 0 to %d", seed, uint32(1<<32-1))
	}
	if n < 0 || uint64(n) > 1<<32 {
		return nil, fmt.Errorf("shuffle of %d items, want 0 to 2^32", n)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	g := newMT19937(uint32(seed))
	for i := n - 1; i > 0; i-- {
		j := g.interval(uint32(i))
		order[i], order[j] = order[j], order[i]
	}
	return order, nil
}

const (
	mtLen   = 624
	mtShift = 397
)

// mt19937 is the Mersenne Twister of Matsumoto and Nishimura (ACM TOMACS 8,
// 1998), the generator behind NumPy's RandomState.
type mt19937 struct {
	state [mtLen]uint32
	next  int
}

// newMT19937 seeds like init_genrand of the 2002 reference code.
func newMT19937(seed uint32) *mt19937 {
	g := &mt19937{next: mtLen}
	g.state[0] = seed
	for i := 1; i < mtLen; i++ {
		prev := g.state[i-1]
		g.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return g
}

func (g *mt19937) uint32() uint32 {
	if g.next == mtLen {
		g.twist()
	}
	y := g.state[g.next]
	g.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (g *mt19937) twist() {
	for i := range g.state {
		y := g.state[i]&0x80000000 | g.state[(i+1)%mtLen]&0x7fffffff
		v := g.state[(i+mtShift)%mtLen] ^ y>>1
		if y&1 != 0 {
			v ^= 0x9908b0df
		}
		g.state[i] = v
	}
	g.next = 0
}

// interval draws from [0, limit] as NumPy's random_interval: 32 bits, masked to
// the smallest power of two that holds limit, until the value fits.
func (g *mt19937) interval(limit uint32) uint32 {
	mask := limit
	for shift := 1; shift < 32; shift *= 2 {
		mask |= mask >> shift
	}
	for {
		if v := g.uint32() & mask; v <= limit {
			return v
		}
	}
}
