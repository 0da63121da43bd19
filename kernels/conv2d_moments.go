package kernels

import (
	"sync"
	"sync/atomic"
)

// Conv2dForwardMoments is Conv2dForward that also gives mean and biased variance of
// each channel of y, [OC] each, with the bits of BatchNormStats.
func Conv2dForwardMoments(y, x, packed, bias, mean, variance []float32, s Conv2dShape) {
	checkConv2dForward("Conv2dForwardMoments", y, x, packed, bias, s)
	checkConv2d("Conv2dForwardMoments", s, sliceLength{"mean", len(mean), s.OC}, sliceLength{"variance", len(variance), s.OC})
	m := takeConvMoments(mean, variance, y, s.OC)
	defer m.drop()
	convProduct(y, x, packed, bias, s, ConvForward, false, &m.end)
	m.finish()
}

// convMoments are the moments of a convolution's result. A block of its rows is summed
// up by the task that completes it, which has it in cache; which task that is orders
// no sum.
type convMoments struct {
	moments
	left []atomic.Int32 // elements of each block to come
	end  epilogue       // with these moments
}

var freeConvMoments = sync.Pool{New: func() any {
	m := new(convMoments)
	m.end.moments = m
	return m
}}

func takeConvMoments(mean, variance, y []float32, c int) *convMoments {
	m := freeConvMoments.Get().(*convMoments)
	m.moments = newMoments(mean, variance, y, len(y)/c, c)
	blocks := m.count()
	if cap(m.left) < blocks {
		m.left = make([]atomic.Int32, blocks)
	}
	m.left = m.left[:blocks]
	for b := range m.left {
		m.left[b].Store(int32(blockSpan(rowBlock(c), m.rows, b).len() * c))
	}
	return m
}

func (m *convMoments) drop() {
	m.moments.drop()
	m.moments = moments{}
	freeConvMoments.Put(m)
}

// complete tells that rows of n elements, step apart, are as they stay; the first
// begins at element at.
func (m *convMoments) complete(at, rows, step, n int) {
	if n == step {
		rows, n = 1, rows*n
	}
	size := rowBlock(m.c)
	if step == m.c && n < step { // some columns
		for row := at / m.c; rows > 0; {
			b := row / size
			now := min(rows, (b+1)*size-row)
			m.subtract(b, now*n)
			row, rows = row+now, rows-now
		}
		return
	}
	size *= m.c
	for i := range rows {
		for from, to := at+i*step, at+i*step+n; from < to; {
			b := from / size
			now := min(to, (b+1)*size) - from
			m.subtract(b, now)
			from += now
		}
	}
}

func (m *convMoments) subtract(b, elements int) {
	if m.left[b].Add(-int32(elements)) == 0 {
		m.block(b)
	}
}
