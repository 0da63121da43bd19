package tensor

import (
	"slices"
	"sync"
)

// Pool recycles the memory of tensors. Get hands out the smallest free buffer
// that fits, so a training step that repeats allocates nothing once the first
// steps have filled the pool. A nil *Pool allocates and forgets. A Pool is safe
// for many goroutines; the zero value is ready.
type Pool struct {
	mu    sync.Mutex
	free  [numDTypes][]*storage // by rising length
	stats PoolStats
}

// PoolStats tells what a pool has done so far.
type PoolStats struct {
	Gets        int   // tensors handed out
	Allocations int   // of these, how many needed new memory
	Bytes       int64 // of memory the pool has allocated and not trimmed, free or handed out
	FreeBytes   int64 // of these, in no tensor's hands now
}

// maxSlack bounds how much larger than wanted a recycled buffer may be, so that
// a vector never occupies the memory of an activation.
const maxSlack = 8

// NewPool returns an empty pool.
func NewPool() *Pool { return new(Pool) }

// Get returns a contiguous tensor whose elements have any value (from a nil
// Pool: zero).
func (p *Pool) Get(dt DType, shape ...int) *Tensor { return p.take(header(dt, shape, nil)) }

// GetImage is Get for an image of logical shape [n, c, h, w].
func (p *Pool) GetImage(dt DType, n, c, h, w int) *Tensor { return p.take(imageHeader(dt, n, c, h, w)) }

// GetLike is Get with the type, shape and layout of t.
func (p *Pool) GetLike(t *Tensor) *Tensor { return like(p, t) }

// GetLikeAs is GetLike with elements of another type.
func (p *Pool) GetLikeAs(t *Tensor, dt DType) *Tensor {
	if t.IsImage() && !t.Contiguous() {
		return p.GetImage(dt, t.shape[0], t.shape[1], t.shape[2], t.shape[3])
	}
	return p.Get(dt, t.shape...)
}

func (p *Pool) take(t *Tensor) *Tensor {
	if p == nil {
		t.data = newStorage(t.dtype, t.length)
		return t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Gets++
	size := int64(t.dtype.Size())
	free := p.free[t.dtype]
	i := search(free, t.dtype, t.length)
	if i < len(free) && free[i].len(t.dtype) <= maxSlack*(t.length+64) {
		t.data = free[i]
		p.free[t.dtype] = slices.Delete(free, i, i+1)
		p.stats.FreeBytes -= size * int64(t.data.len(t.dtype))
		return t
	}
	t.data = newStorage(t.dtype, t.length)
	p.stats.Allocations++
	p.stats.Bytes += size * int64(t.length)
	return t
}

// Put gives the memory of t, which came from Get and has no other view still in
// use, back to the pool. Using t, but not another view of it, panics
// afterwards. A nil Pool leaves t to the garbage collector.
func (p *Pool) Put(t *Tensor) {
	if p == nil || t == nil {
		return
	}
	t.alive()
	s := t.data
	t.data = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	n := s.len(t.dtype)
	i := search(p.free[t.dtype], t.dtype, n)
	p.free[t.dtype] = slices.Insert(p.free[t.dtype], i, s)
	p.stats.FreeBytes += int64(t.dtype.Size()) * int64(n)
}

// Invalidate makes every further use of t's elements panic, as Put does, but
// keeps the memory, which other views may still use. The shape stays readable.
func (t *Tensor) Invalidate() { t.data = nil }

// Trim lets go of all free buffers.
func (p *Pool) Trim() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Bytes -= p.stats.FreeBytes
	p.stats.FreeBytes = 0
	p.free = [numDTypes][]*storage{}
}

// Stats returns what the pool has done so far.
func (p *Pool) Stats() PoolStats {
	if p == nil {
		return PoolStats{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// search returns the place of the first buffer of at least n elements.
func search(free []*storage, dt DType, n int) int {
	i, _ := slices.BinarySearchFunc(free, n, func(s *storage, n int) int { return s.len(dt) - n })
	return i
}
