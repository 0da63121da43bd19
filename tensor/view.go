package tensor

import "slices"

// Slice returns a view of the elements from ≤ index < to along dimension dim.
func (t *Tensor) Slice(dim, from, to int) *Tensor {
	dim = t.axis(dim)
	if from < 0 || to < from || to > t.shape[dim] {
		fail("slice %d:%d of dimension %d of shape %v", from, to, dim, t.shape)
	}
	shape := slices.Clone(t.shape)
	shape[dim] = to - from
	return t.view(shape, t.strides, t.offset+from*t.strides[dim])
}

// Select returns a view of index i of dimension dim, without that dimension.
func (t *Tensor) Select(dim, i int) *Tensor {
	dim = t.axis(dim)
	if i < 0 || i >= t.shape[dim] {
		fail("index %d of dimension %d of shape %v", i, dim, t.shape)
	}
	return t.view(slices.Delete(slices.Clone(t.shape), dim, dim+1),
		slices.Delete(slices.Clone(t.strides), dim, dim+1), t.offset+i*t.strides[dim])
}

// Permute returns a view whose dimension i is dimension dims[i] of t.
func (t *Tensor) Permute(dims ...int) *Tensor {
	seen := make([]bool, len(t.shape))
	valid := len(dims) == len(t.shape)
	shape, strides := make([]int, len(t.shape)), make([]int, len(t.shape))
	for i, d := range dims {
		if !valid || d < 0 || d >= len(seen) || seen[d] {
			valid = false
			break
		}
		seen[d] = true
		shape[i], strides[i] = t.shape[d], t.strides[d]
	}
	if !valid {
		fail("permutation %v of shape %v, want each of its %d dimensions once", slices.Clone(dims), t.shape, len(t.shape))
	}
	return t.view(shape, strides, t.offset)
}

// Expand returns a read-only view in which dimensions of size 1 are repeated up
// to shape and new dimensions are put in front (broadcasting).
func (t *Tensor) Expand(shape ...int) *Tensor {
	count(shape)
	front := len(shape) - len(t.shape)
	if front < 0 {
		fail("expand %v to %v, which has fewer dimensions", t.shape, slices.Clone(shape))
	}
	strides := make([]int, len(shape))
	for i, n := range t.shape {
		switch {
		case shape[front+i] == n:
			strides[front+i] = t.strides[i]
		case n != 1:
			fail("expand %v to %v: dimension %d has size %d, only size 1 can be repeated", t.shape, slices.Clone(shape), i, n)
		}
	}
	return t.view(shape, strides, t.offset)
}

// View returns t with another shape of as many elements, sharing memory; one
// size may be -1 and is worked out. It panics when the strides do not allow
// it; Reshape copies then.
func (t *Tensor) View(shape ...int) *Tensor {
	shape = t.infer(shape)
	strides, ok := t.regroup(shape)
	if !ok {
		fail("view %v as %v: strides %v do not allow it (use Reshape)", t.shape, shape, t.strides)
	}
	return t.view(shape, strides, t.offset)
}

// Reshape returns t with another shape of as many elements in the same
// row-major order; one size may be -1 and is worked out. The result is a view
// where the strides allow it, else a contiguous copy.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	shape = t.infer(shape)
	if strides, ok := t.regroup(shape); ok {
		return t.view(shape, strides, t.offset)
	}
	return t.contiguousCopy().View(shape...)
}

func (t *Tensor) view(shape, strides []int, offset int) *Tensor {
	t.alive()
	v := header(t.dtype, shape, strides)
	v.offset, v.data = offset, t.data
	return v
}

// infer replaces a size of -1 and checks the number of elements.
func (t *Tensor) infer(shape []int) []int {
	shape = slices.Clone(shape)
	if i := slices.Index(shape, -1); i >= 0 {
		shape[i] = 1
		if n := count(shape); n > 0 && t.length%n == 0 {
			shape[i] = t.length / n
		}
	}
	if count(shape) != t.length {
		fail("shape %v has %d elements, shape %v wants %d", t.shape, t.length, shape, count(shape))
	}
	return shape
}

// regroup finds the strides that let t be seen with another shape, if there are
// any: runs of old dimensions that lie densely behind one another may be cut
// anew.
func (t *Tensor) regroup(shape []int) ([]int, bool) {
	strides := make([]int, len(shape))
	if t.length == 0 {
		return header(t.dtype, shape, nil).strides, true
	}
	// Go from the last dimension to the first. left counts how many elements of
	// the current run of old dimensions are not yet used by new ones.
	old, left, step := len(t.shape)-1, 1, 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] == 1 {
			strides[i] = step
			continue
		}
		if left == 1 {
			for t.shape[old] == 1 {
				old--
			}
			step, left = t.strides[old], t.shape[old]
			for old--; old >= 0; old-- {
				if t.shape[old] == 1 {
					continue
				}
				if t.strides[old] != left*step {
					break
				}
				left *= t.shape[old]
			}
		}
		if left%shape[i] != 0 {
			return nil, false
		}
		strides[i] = step
		step *= shape[i]
		left /= shape[i]
	}
	return strides, true
}
