package tensor

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// counting returns a contiguous tensor whose elements are 0, 1, 2, ...
func counting(shape ...int) *Tensor {
	t := New(Float32, shape...)
	for i := range t.Float32s() {
		t.Float32s()[i] = float32(i)
	}
	return t
}

func TestImageLayout(t *testing.T) {
	const n, c, h, w = 2, 3, 4, 5
	img := NewImage(Float32, n, c, h, w)
	if !img.IsImage() || img.Contiguous() || !slices.Equal(img.Shape(), []int{n, c, h, w}) {
		t.Fatalf("%v with strides %v", img.Shape(), img.Strides())
	}
	img.Set(7, 1, 2, 3, 4)
	if got := img.Float32s()[((3*w+4)*n+1)*c+2]; got != 7 {
		t.Errorf("element (1,2,3,4) is not at ((h*W+w)*N+n)*C+c")
	}
	nchw := counting(n, c, h, w)
	back := nchw.ToImage().ToContiguous()
	if !slices.Equal(back.Float32s(), nchw.Float32s()) {
		t.Error("to image and back changed the elements")
	}
	if nchw.ToImage().At(1, 2, 3, 4) != nchw.At(1, 2, 3, 4) {
		t.Error("ToImage moved a logical element")
	}
}

func TestDegenerateImagesHaveBothLayouts(t *testing.T) {
	for _, s := range [][4]int{{8, 64, 1, 1}, {1, 1, 5, 7}} {
		a, b := New(Float32, s[:]...), NewImage(Float32, s[0], s[1], s[2], s[3])
		for _, x := range []*Tensor{a, b} {
			if !x.IsImage() || !x.Contiguous() || !a.SameLayout(b) {
				t.Errorf("%v strides %v: image %v, contiguous %v", s, x.Strides(), x.IsImage(), x.Contiguous())
			}
		}
	}
}

func TestConversions(t *testing.T) {
	values := []float64{0, 1, -2.5, 1.0 / 3, 65504, 1e-40, math.Inf(1), math.Inf(-1)}
	x := FromFloat64(values, 2, 4)
	f := x.To(Float32)
	b := f.To(BFloat16)
	for i, v := range values {
		if got := f.At(i/4, i%4); got != float64(float32(v)) {
			t.Errorf("float32 of %v is %v", v, got)
		}
		if got, want := b.At(i/4, i%4), float64(Float32FromBFloat16(BFloat16FromFloat32(float32(v)))); got != want {
			t.Errorf("bfloat16 of %v is %v, want %v", v, got, want)
		}
	}
	if f.To(Float32) != f {
		t.Error("converting to the same type copies")
	}
	img := counting(2, 3, 2, 2).ToImage().To(Float64)
	if !img.IsImage() || img.At(1, 2, 1, 0) != 22 {
		t.Errorf("conversion lost the image layout or an element: %v", img.At(1, 2, 1, 0))
	}
}

// TestBFloat16Rounding checks every float32 halfway case around every bfloat16.
func TestBFloat16Rounding(t *testing.T) {
	for hi := range uint32(1 << 16) {
		x := math.Float32frombits(hi << 16)
		if x != x {
			if y := Float32FromBFloat16(BFloat16FromFloat32(x)); y == y {
				t.Fatalf("NaN %#x became %v", hi, y)
			}
			continue
		}
		if math.IsInf(float64(x), 0) {
			continue
		}
		even := uint16(hi + hi&1)
		for low, want := range map[uint32]uint16{0: uint16(hi), 0x7fff: uint16(hi), 0x8000: even, 0x8001: uint16(hi + 1)} {
			if got := BFloat16FromFloat32(math.Float32frombits(hi<<16 | low)); got != want {
				t.Fatalf("%#x rounds to %#x, want %#x", hi<<16|low, got, want)
			}
		}
	}
}

func TestCopyFrom(t *testing.T) {
	x := counting(3, 4)
	y := New(Float64, 4, 3)
	y.Permute(1, 0).CopyFrom(x)
	if y.At(2, 1) != x.At(1, 2) {
		t.Error("copy into a permuted view")
	}
	z := New(Float32, 2, 3, 4)
	z.CopyFrom(counting(4))
	if z.At(1, 2, 3) != 3 {
		t.Error("copy does not broadcast")
	}
	var empty Tensor = *New(Float32, 0, 3)
	empty.CopyFrom(New(Float32, 0, 3))
	s := New(Float32)
	s.CopyFrom(FromFloat64([]float64{2.5}))
	if s.Item() != 2.5 {
		t.Errorf("scalar copy gave %v", s.Item())
	}
}

func TestFill(t *testing.T) {
	x := New(BFloat16, 4, 6)
	x.Slice(1, 2, 4).Fill(1.5)
	sum := 0.0
	for i := range 4 {
		for j := range 6 {
			sum += x.At(i, j)
		}
	}
	if sum != 12 {
		t.Errorf("filling a 4x2 view with 1.5 gave the sum %v", sum)
	}
}

func TestMisusePanics(t *testing.T) {
	x := counting(2, 3)
	given := NewPool()
	gone := given.Get(Float32, 2)
	given.Put(gone)
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"index out of range":  {func() { x.At(2, 0) }, "index [2 0] is out of range in dimension 0 of shape [2 3]"},
		"too few indices":     {func() { x.At(1) }, "index [1] has 1 numbers, shape [2 3] wants 2"},
		"dimension":           {func() { x.Dim(2) }, "dimension 2 of shape [2 3], want -2 to 1"},
		"type":                {func() { x.Float64s() }, "elements are float32, want float64"},
		"not dense":           {func() { x.Permute(1, 0).Float32s() }, "not dense"},
		"wrong length":        {func() { FromFloat32(make([]float32, 5), 2, 3) }, "5 elements given for shape [2 3], want 6"},
		"reshape":             {func() { x.Reshape(4, 2) }, "shape [2 3] has 6 elements, shape [4 2] wants 8"},
		"inferred size":       {func() { x.Reshape(4, -1) }, "6 elements"},
		"view":                {func() { x.Permute(1, 0).View(6) }, "do not allow it"},
		"permutation":         {func() { x.Permute(0, 0) }, "want each of its 2 dimensions once"},
		"slice":               {func() { x.Slice(0, 1, 3) }, "slice 1:3 of dimension 0 of shape [2 3]"},
		"expand":              {func() { x.Expand(2, 4) }, "only size 1 can be repeated"},
		"write to broadcast":  {func() { counting(1, 3).Expand(2, 3).Set(1, 0, 0) }, "broadcast view"},
		"negative size":       {func() { New(Float32, 2, -1) }, "negative size"},
		"too large":           {func() { New(Float32, math.MaxInt, 2) }, "more elements than memory can hold"},
		"item":                {func() { x.Item() }, "Item of shape [2 3]"},
		"no image":            {func() { x.ToImage() }, "no image"},
		"given back":          {func() { gone.Float32s() }, "given back to its pool"},
		"given back twice":    {func() { given.Put(gone) }, "given back to its pool"},
		"view of a gone one":  {func() { gone.View(2) }, "given back to its pool"},
		"unknown type":        {func() { New(DType(9), 1) }, "unknown element type DType(9)"},
		"copy to wrong shape": {func() { x.CopyFrom(counting(4)) }, "expand [4] to [2 3]"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				msg, _ := recover().(string)
				if !strings.HasPrefix(msg, "tensor: ") || !strings.Contains(msg, c.want) {
					t.Errorf("panic %q, want it to say %q", msg, c.want)
				}
			}()
			c.f()
			t.Error("no panic")
		})
	}
}
