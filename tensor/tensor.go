// Package tensor is a strided n-dimensional array with an element type chosen
// at run time, its views, and the pool that recycles the memory of a training
// step.
//
// Shapes are logical: an image batch is always N, C, H, W. In memory a dense
// tensor is either contiguous (row-major, last dimension fastest) or an image
// in the order H, W, N, C that the kernels work on.
//
// Misuse, such as an index out of range or a view that the strides do not
// allow, is a programming error and panics with one line that says what was
// found and what would be right.
package tensor

import (
	"fmt"
	"math"
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
)

// Tensor is an n-dimensional array. Views share its memory. Reading from many
// goroutines is safe, writing needs the caller's own locking. A Tensor must
// not be copied by value.
type Tensor struct {
	dtype   DType
	length  int
	offset  int
	shape   []int
	strides []int
	data    *storage // nil once the memory was given back to a Pool
	dims    [8]int   // shape and strides up to four dimensions: a header is one allocation
}

// New returns a contiguous tensor of zeros. Without a shape it is a scalar.
func New(dt DType, shape ...int) *Tensor {
	t := header(dt, shape, nil)
	t.data = newStorage(dt, t.length)
	return t
}

// NewImage returns zeros of logical shape [n, c, h, w] in image layout.
func NewImage(dt DType, n, c, h, w int) *Tensor {
	t := imageHeader(dt, n, c, h, w)
	t.data = newStorage(dt, t.length)
	return t
}

// NewLike returns zeros with the type, shape and dense layout of t; a t that is
// not dense gives a contiguous tensor.
func NewLike(t *Tensor) *Tensor { return like(nil, t) }

// FromFloat32 wraps data, which is not copied, as a contiguous tensor.
func FromFloat32(data []float32, shape ...int) *Tensor {
	t := header(Float32, shape, nil)
	t.wrap(len(data))
	t.data = &storage{f32: data}
	return t
}

// FromFloat64 wraps data, which is not copied, as a contiguous tensor.
func FromFloat64(data []float64, shape ...int) *Tensor {
	t := header(Float64, shape, nil)
	t.wrap(len(data))
	t.data = &storage{f64: data}
	return t
}

// FromBFloat16 wraps the bit patterns in data, which is not copied, as a
// contiguous tensor.
func FromBFloat16(data []uint16, shape ...int) *Tensor {
	t := header(BFloat16, shape, nil)
	t.wrap(len(data))
	t.data = &storage{bf16: data}
	return t
}

// ImageFromFloat32 wraps data, which is not copied and lies in the order H, W,
// N, C, as an image of logical shape [n, c, h, w].
func ImageFromFloat32(data []float32, n, c, h, w int) *Tensor {
	t := imageHeader(Float32, n, c, h, w)
	t.wrap(len(data))
	t.data = &storage{f32: data}
	return t
}

func (t *Tensor) wrap(n int) {
	if n != t.length {
		fail("%d elements given for shape %v, want %d", n, t.shape, t.length)
	}
}

// DType returns the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the sizes of the dimensions. It must not be modified.
func (t *Tensor) Shape() []int { return t.shape }

// Strides returns, for each dimension, the distance between neighbours counted
// in elements. It must not be modified.
func (t *Tensor) Strides() []int { return t.strides }

// Rank returns the number of dimensions.
func (t *Tensor) Rank() int { return len(t.shape) }

// Dim returns the size of dimension i; a negative i counts from the end.
func (t *Tensor) Dim(i int) int { return t.shape[t.axis(i)] }

// Len returns the number of elements.
func (t *Tensor) Len() int { return t.length }

// Bytes returns the size of the elements in bytes.
func (t *Tensor) Bytes() int { return t.length * t.dtype.Size() }

// Contiguous tells whether the elements lie densely in row-major order.
func (t *Tensor) Contiguous() bool {
	want := 1
	for i := len(t.shape) - 1; i >= 0; i-- {
		if t.shape[i] != 1 && t.strides[i] != want {
			return t.length == 0
		}
		want *= t.shape[i]
	}
	return true
}

// IsImage tells whether t has four dimensions N, C, H, W that lie densely in
// the order H, W, N, C. A tensor can be both contiguous and an image, for
// example when H and W are 1.
func (t *Tensor) IsImage() bool {
	if len(t.shape) != 4 {
		return false
	}
	n, c, w := t.shape[0], t.shape[1], t.shape[3]
	for i, want := range [4]int{c, 1, w * n * c, n * c} {
		if t.shape[i] != 1 && t.strides[i] != want {
			return t.length == 0
		}
	}
	return true
}

// Dense tells whether t is contiguous or an image, so that Float32s and its
// siblings work.
func (t *Tensor) Dense() bool { return t.Contiguous() || t.IsImage() }

// SameLayout tells whether two dense tensors of one shape have their elements
// in the same order in memory.
func (t *Tensor) SameLayout(o *Tensor) bool {
	return t.Contiguous() && o.Contiguous() || t.IsImage() && o.IsImage()
}

// Float32s returns the elements of a dense float32 tensor in memory order,
// sharing memory with it.
func (t *Tensor) Float32s() []float32 {
	t.dense(Float32)
	return t.data.f32[t.offset : t.offset+t.length : t.offset+t.length]
}

// Float64s is Float32s for float64.
func (t *Tensor) Float64s() []float64 {
	t.dense(Float64)
	return t.data.f64[t.offset : t.offset+t.length : t.offset+t.length]
}

// BFloat16s is Float32s for the bit patterns of bfloat16.
func (t *Tensor) BFloat16s() []uint16 {
	t.dense(BFloat16)
	return t.data.bf16[t.offset : t.offset+t.length : t.offset+t.length]
}

// Int32s is Float32s for int32.
func (t *Tensor) Int32s() []int32 {
	t.dense(Int32)
	return t.data.i32[t.offset : t.offset+t.length : t.offset+t.length]
}

func (t *Tensor) dense(dt DType) {
	t.alive()
	if t.dtype != dt {
		fail("elements are %v, want %v (convert with To)", t.dtype, dt)
	}
	if !t.Dense() {
		fail("shape %v with strides %v is not dense (copy with ToContiguous or ToImage)", t.shape, t.strides)
	}
}

// At returns the element at one index per dimension.
func (t *Tensor) At(index ...int) float64 {
	t.alive()
	return t.data.at(t.dtype, t.position(index))
}

// Item returns the only element of a tensor.
func (t *Tensor) Item() float64 {
	if t.length != 1 {
		fail("Item of shape %v, which has %d elements, want 1", t.shape, t.length)
	}
	t.alive()
	return t.data.at(t.dtype, t.offset)
}

// Set stores v, rounded to the element type, at one index per dimension.
func (t *Tensor) Set(v float64, index ...int) {
	t.alive()
	t.writable()
	t.data.set(t.dtype, t.position(index), v)
}

// Fill stores v, rounded to the element type, in every element.
func (t *Tensor) Fill(v float64) {
	t.alive()
	t.writable()
	if t.Dense() && t.dtype == Float32 {
		kernels.Fill(t.Float32s(), float32(v))
		return
	}
	if t.Dense() && t.dtype == BFloat16 {
		kernels.Fill(t.BFloat16s(), float32(v))
		return
	}
	if t.Dense() {
		for i := t.offset; i < t.offset+t.length; i++ {
			t.data.set(t.dtype, i, v)
		}
		return
	}
	for p := range t.positions() {
		t.data.set(t.dtype, p, v)
	}
}

// String tells the type and shape, not the elements.
func (t *Tensor) String() string { return fmt.Sprintf("%v%v", t.dtype, t.shape) }

// header makes a tensor without memory; nil strides mean contiguous.
func header(dt DType, shape, strides []int) *Tensor {
	dt.check()
	t := &Tensor{dtype: dt}
	rank := len(shape)
	room := t.dims[:]
	if 2*rank > len(room) {
		room = make([]int, 2*rank)
	}
	t.shape, t.strides = room[:rank:rank], room[rank:2*rank:2*rank]
	copy(t.shape, shape)
	t.length = count(t.shape)
	if strides != nil {
		copy(t.strides, strides)
		return t
	}
	step := 1
	for i := rank - 1; i >= 0; i-- {
		t.strides[i] = step
		step *= max(t.shape[i], 1)
	}
	return t
}

func imageHeader(dt DType, n, c, h, w int) *Tensor {
	return header(dt, []int{n, c, h, w}, []int{c, 1, w * n * c, n * c})
}

// like allocates from p, which may be nil: then the elements are zero.
func like(p *Pool, t *Tensor) *Tensor { return p.GetLikeAs(t, t.dtype) }

// count returns the number of elements of shape, refusing sizes that are
// negative or overflow.
func count(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			fail("shape %v has a negative size", slices.Clone(shape))
		}
		if d > 0 && n > math.MaxInt/8/d {
			fail("shape %v has more elements than memory can hold", slices.Clone(shape))
		}
		n *= d
	}
	return n
}

func (t *Tensor) axis(i int) int {
	if i < -len(t.shape) || i >= len(t.shape) {
		fail("dimension %d of shape %v, want %d to %d", i, t.shape, -len(t.shape), len(t.shape)-1)
	}
	if i < 0 {
		i += len(t.shape)
	}
	return i
}

func (t *Tensor) position(index []int) int {
	if len(index) != len(t.shape) {
		fail("index %v has %d numbers, shape %v wants %d", slices.Clone(index), len(index), t.shape, len(t.shape))
	}
	p := t.offset
	for i, x := range index {
		if x < 0 || x >= t.shape[i] {
			fail("index %v is out of range in dimension %d of shape %v", slices.Clone(index), i, t.shape)
		}
		p += x * t.strides[i]
	}
	return p
}

// positions yields where the elements lie, in row-major order of the index.
func (t *Tensor) positions() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if t.length == 0 {
			return
		}
		index := make([]int, len(t.shape))
		p := t.offset
		for {
			if !yield(p) {
				return
			}
			d := len(index) - 1
			for ; d >= 0; d-- {
				index[d]++
				p += t.strides[d]
				if index[d] < t.shape[d] {
					break
				}
				p -= index[d] * t.strides[d]
				index[d] = 0
			}
			if d < 0 {
				return
			}
		}
	}
}

func (t *Tensor) alive() {
	if t.data == nil {
		fail("a tensor of shape %v is used after its memory was given back to its pool", t.shape)
	}
}

// writable refuses broadcast views, in which one element stands at several indices.
func (t *Tensor) writable() {
	for i, s := range t.strides {
		if s == 0 && t.shape[i] > 1 {
			fail("shape %v with strides %v is a broadcast view, which cannot be written (Clone it)", t.shape, t.strides)
		}
	}
}

func fail(format string, args ...any) {
	panic("tensor: " + fmt.Sprintf(format, args...))
}
