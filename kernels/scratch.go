package kernels

import (
	"math/bits"
	"slices"
	"sync"
)

// scratch is working memory for one call.
type scratch[T scratchable] struct{ data []T }

type scratchable interface{ float | uint16 }

// Small working memory is kept by size class, large memory, of which the classes
// together would hold far too much, in one list.
var (
	scratchClasses [3][bits.UintSize]sync.Pool
	scratch32      scratchList[float32]
	scratch64      scratchList[float64]
	scratch16      scratchList[uint16]
)

const (
	largeScratch = 1 << 14 // elements
	// scratchSlack bounds how much larger than wanted a recycled buffer may be.
	scratchSlack = 8
)

// takeScratch returns n elements with any contents. Put them back with drop.
func takeScratch[T scratchable](n int) *scratch[T] {
	if n > largeScratch {
		return scratchListOf[T]().take(n)
	}
	class := bits.Len(uint(max(n, 1) - 1))
	if s, ok := scratchClasses[elemSize[T]()/4][class].Get().(*scratch[T]); ok {
		s.data = s.data[:n]
		return s
	}
	return &scratch[T]{make([]T, n, 1<<class)}
}

func (s *scratch[T]) drop() {
	if cap(s.data) > largeScratch {
		scratchListOf[T]().put(s)
		return
	}
	class := bits.Len(uint(cap(s.data) - 1))
	scratchClasses[elemSize[T]()/4][class].Put(s)
}

func scratchListOf[T scratchable]() *scratchList[T] {
	var list any = &scratch32
	switch elemSize[T]() {
	case 8:
		list = &scratch64
	case 2:
		list = &scratch16
	}
	return list.(*scratchList[T])
}

// scratchList keeps free buffers by rising capacity.
type scratchList[T scratchable] struct {
	mu   sync.Mutex
	free []*scratch[T]
}

func (l *scratchList[T]) search(n int) int {
	i, _ := slices.BinarySearchFunc(l.free, n, func(s *scratch[T], n int) int { return cap(s.data) - n })
	return i
}

// take returns the smallest free buffer that fits. Where there is none it lets go
// of the next smaller one: a new one replaces it, so that there are never more
// buffers than were in use at once.
func (l *scratchList[T]) take(n int) *scratch[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.search(n)
	if i < len(l.free) && cap(l.free[i].data) <= scratchSlack*n {
		s := l.free[i]
		l.free = slices.Delete(l.free, i, i+1)
		s.data = s.data[:n]
		return s
	}
	if i > 0 && scratchSlack*cap(l.free[i-1].data) >= n {
		l.free = slices.Delete(l.free, i-1, i)
	}
	return &scratch[T]{make([]T, n)}
}

func (l *scratchList[T]) put(s *scratch[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = slices.Insert(l.free, l.search(cap(s.data)), s)
}
