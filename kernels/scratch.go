package kernels

import (
	"math/bits"
	"sync"
)

// scratchPools hold working memory by size class, for every element type.
var scratchPools [2][bits.UintSize]sync.Pool

// scratch is working memory for one call.
type scratch[T float] struct{ data []T }

// takeScratch returns n elements with any contents. Put them back with drop.
func takeScratch[T float](n int) *scratch[T] {
	class := bits.Len(uint(max(n, 1) - 1))
	if s, ok := scratchPools[elemSize[T]()/8][class].Get().(*scratch[T]); ok {
		s.data = s.data[:n]
		return s
	}
	return &scratch[T]{make([]T, n, 1<<class)}
}

func (s *scratch[T]) drop() {
	class := bits.Len(uint(cap(s.data) - 1))
	scratchPools[elemSize[T]()/8][class].Put(s)
}
