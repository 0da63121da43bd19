package tensor

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestPoolHandsOutSmallestThatFits(t *testing.T) {
	p := NewPool()
	sizes := []int{4000, 1000, 2000, 3000}
	var held []*Tensor
	for _, n := range sizes {
		held = append(held, p.Get(Float32, n))
	}
	for _, x := range held {
		p.Put(x)
	}
	x := p.Get(Float32, 1500)
	if got := x.data.len(Float32); got != 2000 {
		t.Errorf("1500 elements came from a buffer of %d, want the one of 2000", got)
	}
	y := p.GetImage(Float32, 2, 8, 10, 10)
	if got := y.data.len(Float32); got != 3000 || !y.IsImage() {
		t.Errorf("1600 elements came from a buffer of %d, want the one of 3000", got)
	}
	if s := p.Stats(); s.Allocations != 4 || s.Gets != 6 || s.Bytes != 40000 || s.FreeBytes != 20000 {
		t.Errorf("stats %+v", s)
	}
	if got := p.Get(Float64, 1000).data.len(Float64); got != 1000 {
		t.Errorf("float64 buffer of %d", got)
	}
	p.Trim()
	if s := p.Stats(); s.FreeBytes != 0 || s.Bytes != 20000+8000 {
		t.Errorf("stats after Trim %+v", s)
	}
}

func TestPoolKeepsLargeBuffersFromVectors(t *testing.T) {
	p := NewPool()
	p.Put(p.Get(Float32, 1<<20))
	p.Get(Float32, 64)
	if s := p.Stats(); s.Allocations != 2 {
		t.Errorf("a vector of 64 took a buffer of a million")
	}
}

func TestNilPoolAllocates(t *testing.T) {
	var p *Pool
	x := p.Get(Float32, 2, 3)
	p.Put(x)
	p.Trim()
	if x.Float32s()[5] != 0 || p.Stats() != (PoolStats{}) {
		t.Error("a nil pool must allocate zeros and leave tensors alone")
	}
}

// TestPoolNeverSharesMemory: tensors handed out at one time never overlap,
// whatever the order of Get and Put.
func TestPoolNeverSharesMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPool()
		type held struct {
			t    *Tensor
			mark float32
		}
		var all []held
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(all) > 0 && rapid.Bool().Draw(t, "put") {
				k := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				for _, v := range all[k].t.Float32s() {
					if v != all[k].mark {
						t.Fatalf("another tensor wrote here: %v, want %v", v, all[k].mark)
					}
				}
				p.Put(all[k].t)
				all = append(all[:k], all[k+1:]...)
				continue
			}
			h := held{p.Get(Float32, rapid.IntRange(1, 500).Draw(t, "size")), float32(i)}
			h.t.Fill(float64(i))
			all = append(all, h)
		}
	})
}

func TestPoolFromManyGoroutines(t *testing.T) {
	p := NewPool()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				x := p.Get(Float32, 1+(g*37+i*11)%300)
				x.Fill(float64(g))
				for _, v := range x.Float32s() {
					if v != float32(g) {
						t.Errorf("goroutine %d reads %v", g, v)
						return
					}
				}
				p.Put(x)
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.FreeBytes != s.Bytes {
		t.Errorf("all was given back, but %+v", s)
	}
}

func TestPoolReuseAllocatesOnlyTheHeader(t *testing.T) {
	p := NewPool()
	p.Put(p.GetImage(Float32, 8, 16, 32, 32))
	if n := testing.AllocsPerRun(100, func() { p.Put(p.GetImage(Float32, 8, 16, 32, 32)) }); n > 1 {
		t.Errorf("%v heap allocations for a recycled tensor, want 1", n)
	}
}
