package tensor

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a tensor without any cleverness: the elements in row-major order.
type model struct {
	shape []int
	elems []float64
}

func (m model) at(index []int) float64 {
	p := 0
	for i, x := range index {
		p = p*m.shape[i] + x
	}
	return m.elems[p]
}

// build makes the model with the given shape from a function of the index.
func build(shape []int, f func(index []int) float64) model {
	m := model{shape: slices.Clone(shape)}
	index := make([]int, len(shape))
	var walk func(d int)
	walk = func(d int) {
		if d == len(shape) {
			m.elems = append(m.elems, f(index))
			return
		}
		for index[d] = 0; index[d] < shape[d]; index[d]++ {
			walk(d + 1)
		}
	}
	walk(0)
	return m
}

func modelOf(t *Tensor) model { return build(t.Shape(), func(i []int) float64 { return t.At(i...) }) }

func (m model) equal(o model) bool {
	return slices.Equal(m.shape, o.shape) && slices.Equal(m.elems, o.elems)
}

// TestViewsAgainstModel applies random chains of views to a tensor and to the
// model and compares all elements after each.
func TestViewsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 0, 5).Draw(t, "shape")
		x := counting(shape...)
		if len(shape) == 4 && rapid.Bool().Draw(t, "image") {
			x = x.ToImage()
		}
		m := modelOf(counting(shape...))
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			x, m = step(t, x, m)
			if got := modelOf(x); !got.equal(m) {
				t.Fatalf("got %v, want %v", got, m)
			}
			if c := x.Clone(); !modelOf(c).equal(m) || !c.Dense() {
				t.Fatalf("clone differs: %v, want %v", modelOf(c), m)
			}
			if c := x.ToContiguous(); !modelOf(c).equal(m) || !c.Contiguous() {
				t.Fatalf("contiguous copy differs: %v, want %v", modelOf(c), m)
			}
		}
	})
}

func step(t *rapid.T, x *Tensor, m model) (*Tensor, model) {
	rank := len(m.shape)
	kinds := []string{"expand", "reshape"}
	if rank > 0 {
		kinds = append(kinds, "slice", "select", "permute")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "slice":
		d := rapid.IntRange(0, rank-1).Draw(t, "dim")
		from := rapid.IntRange(0, m.shape[d]).Draw(t, "from")
		to := rapid.IntRange(from, m.shape[d]).Draw(t, "to")
		shape := slices.Clone(m.shape)
		shape[d] = to - from
		return x.Slice(d, from, to), build(shape, func(i []int) float64 {
			i = slices.Clone(i)
			i[d] += from
			return m.at(i)
		})
	case "select":
		d := rapid.IntRange(0, rank-1).Draw(t, "dim")
		if m.shape[d] == 0 {
			return x, m
		}
		k := rapid.IntRange(0, m.shape[d]-1).Draw(t, "index")
		return x.Select(d, k), build(slices.Delete(slices.Clone(m.shape), d, d+1), func(i []int) float64 {
			return m.at(slices.Insert(slices.Clone(i), d, k))
		})
	case "permute":
		order := make([]int, rank)
		for i := range order {
			order[i] = i
		}
		order = rapid.Permutation(order).Draw(t, "order")
		shape := make([]int, rank)
		for i, d := range order {
			shape[i] = m.shape[d]
		}
		return x.Permute(order...), build(shape, func(i []int) float64 {
			old := make([]int, rank)
			for k, d := range order {
				old[d] = i[k]
			}
			return m.at(old)
		})
	case "expand":
		if len(m.elems) > 200 || rank > 5 {
			return x, m
		}
		shape := slices.Clone(m.shape)
		for i, n := range shape {
			if n == 1 {
				shape[i] = rapid.IntRange(1, 3).Draw(t, "repeat")
			}
		}
		shape = append([]int{rapid.IntRange(1, 2).Draw(t, "front")}, shape...)
		return x.Expand(shape...), build(shape, func(i []int) float64 {
			old := slices.Clone(i[1:])
			for k := range old {
				if m.shape[k] == 1 {
					old[k] = 0
				}
			}
			return m.at(old)
		})
	}
	shape := factors(t, len(m.elems))
	return x.Reshape(shape...), model{shape: shape, elems: m.elems}
}

// factors draws a shape of n elements.
func factors(t *rapid.T, n int) []int {
	if n == 0 {
		return []int{2, 0}
	}
	var shape []int
	for n > 1 {
		var divisors []int
		for d := 1; d <= n; d++ {
			if n%d == 0 {
				divisors = append(divisors, d)
			}
		}
		d := rapid.SampledFrom(divisors).Draw(t, "factor")
		if d == 1 && len(shape) > 4 {
			d = n
		}
		shape = append(shape, d)
		n /= d
	}
	return shape
}

// TestViewsShareMemory: what is written through a view is read in the tensor.
func TestViewsShareMemory(t *testing.T) {
	x := counting(4, 6)
	x.Slice(0, 1, 3).Permute(1, 0).Select(0, 5).Set(-1, 1)
	if x.At(2, 5) != -1 {
		t.Error("a view of a view does not share memory")
	}
	x.Reshape(2, 12).Set(-2, 0, 11)
	if x.At(1, 5) != -2 {
		t.Error("reshape of a contiguous tensor does not share memory")
	}
	// Two dense runs: rows of a slice cannot be merged, but can be split.
	s := x.Slice(1, 0, 4)
	s.View(2, 2, 2, 2).Set(-3, 1, 1, 1, 1)
	if x.At(3, 3) != -3 {
		t.Error("a view that splits dimensions of a slice does not share memory")
	}
}
