package tensor

import (
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
)

// Clone returns a copy with its own memory: an image or contiguous tensor keeps
// its layout, any other becomes contiguous.
func (t *Tensor) Clone() *Tensor {
	c := NewLike(t)
	c.CopyFrom(t)
	return c
}

// ToContiguous returns t itself if it is contiguous, else a contiguous copy.
func (t *Tensor) ToContiguous() *Tensor {
	if t.Contiguous() {
		return t
	}
	return t.contiguousCopy()
}

// ToImage returns t, of four dimensions N, C, H, W, itself if it lies in image
// layout, else a copy that does.
func (t *Tensor) ToImage() *Tensor {
	if t.IsImage() {
		return t
	}
	if len(t.shape) != 4 {
		fail("shape %v is no image, want [N C H W]", t.shape)
	}
	img := NewImage(t.dtype, t.shape[0], t.shape[1], t.shape[2], t.shape[3])
	img.CopyFrom(t)
	return img
}

// To returns t itself if it has element type dt, else a converted copy (rounded
// to nearest even, to int32 towards zero) in the same dense layout.
func (t *Tensor) To(dt DType) *Tensor {
	if t.dtype == dt {
		return t
	}
	h := header(dt, t.shape, nil)
	if t.IsImage() && !t.Contiguous() {
		h = imageHeader(dt, t.shape[0], t.shape[1], t.shape[2], t.shape[3])
	}
	h.data = newStorage(dt, h.length)
	h.CopyFrom(t)
	return h
}

func (t *Tensor) contiguousCopy() *Tensor {
	c := New(t.dtype, t.shape...)
	c.CopyFrom(t)
	return c
}

// CopyFrom stores the elements of src, which is broadcast to the shape of t and
// converted to its type. The two must not overlap in memory.
func (t *Tensor) CopyFrom(src *Tensor) {
	t.alive()
	src.alive()
	t.writable()
	if !slices.Equal(t.shape, src.shape) {
		src = src.Expand(t.shape...)
	}
	switch {
	case t.length == 0:
	case t.Dense() && src.Dense() && t.SameLayout(src):
		t.copyDense(src)
	case t.dtype == Float32 && src.dtype == Float32 && t.IsImage() && src.Contiguous():
		kernels.NCHWToHWNC(t.Float32s(), src.Float32s(), t.shape[0], t.shape[1], t.shape[2], t.shape[3])
	case t.dtype == Float32 && src.dtype == Float32 && t.Contiguous() && src.IsImage():
		kernels.HWNCToNCHW(t.Float32s(), src.Float32s(), t.shape[0], t.shape[1], t.shape[2], t.shape[3])
	case t.halfFloat() && src.halfFloat() && (t.IsImage() && src.Contiguous() || t.Contiguous() && src.IsImage()):
		t.turnHalf(src)
	default:
		t.copyStrided(src)
	}
}

func (t *Tensor) halfFloat() bool { return t.dtype == Float32 || t.dtype == BFloat16 }

// turnHalf copies an image to a contiguous tensor or the other way, where one or both
// are bfloat16, by way of float32.
func (t *Tensor) turnHalf(src *Tensor) {
	if src.dtype != Float32 {
		src = src.To(Float32)
	}
	if t.dtype == Float32 {
		t.CopyFrom(src)
		return
	}
	turned := header(Float32, t.shape, t.strides)
	turned.data = newStorage(Float32, turned.length)
	turned.CopyFrom(src)
	t.CopyFrom(turned)
}

func (t *Tensor) copyDense(src *Tensor) {
	if t.dtype == src.dtype {
		a, b, n := t.offset, src.offset, t.length
		switch t.dtype {
		case Float32:
			copy(t.data.f32[a:a+n], src.data.f32[b:b+n])
		case BFloat16:
			copy(t.data.bf16[a:a+n], src.data.bf16[b:b+n])
		case Float64:
			copy(t.data.f64[a:a+n], src.data.f64[b:b+n])
		case Int32:
			copy(t.data.i32[a:a+n], src.data.i32[b:b+n])
		}
		return
	}
	switch {
	case t.dtype == BFloat16 && src.dtype == Float32:
		kernels.Round(t.BFloat16s(), src.Float32s())
	case t.dtype == Float32 && src.dtype == BFloat16:
		kernels.Widen(t.Float32s(), src.BFloat16s())
	default:
		for i := range t.length {
			t.data.set(t.dtype, t.offset+i, src.data.at(src.dtype, src.offset+i))
		}
	}
}

// copyStrided walks both tensors in row-major order of the index, the last
// dimension in a plain loop.
func (t *Tensor) copyStrided(src *Tensor) {
	rank := len(t.shape)
	last, dstStep, srcStep := 1, 0, 0
	outerT, outerS := t, src
	if rank > 0 {
		last, dstStep, srcStep = t.shape[rank-1], t.strides[rank-1], src.strides[rank-1]
		outerT, outerS = t.Select(rank-1, 0), src.Select(rank-1, 0)
	}
	froms := make([]int, 0, outerS.length)
	for p := range outerS.positions() {
		froms = append(froms, p)
	}
	i := 0
	for to := range outerT.positions() {
		from := froms[i]
		i++
		for k := range last {
			t.data.set(t.dtype, to+k*dstStep, src.data.at(src.dtype, from+k*srcStep))
		}
	}
}
