package tensor

import (
	"fmt"

	"github.com/deepuncertainty/ddu/kernels"
)

// DType is the type of a tensor's elements.
type DType int

// The element types. BFloat16 is stored as the upper half of a float32; Int32
// holds indices, such as where a maximum was found.
const (
	Float32 DType = iota
	BFloat16
	Float64
	Int32
	numDTypes
)

var dtypes = [numDTypes]struct {
	name string
	size int
}{
	Float32:  {"float32", 4},
	BFloat16: {"bfloat16", 2},
	Float64:  {"float64", 8},
	Int32:    {"int32", 4},
}

func (d DType) String() string {
	if d < 0 || d >= numDTypes {
		return fmt.Sprintf("DType(%d)", int(d))
	}
	return dtypes[d].name
}

// Size returns the bytes one element takes.
func (d DType) Size() int {
	d.check()
	return dtypes[d].size
}

func (d DType) check() {
	if d < 0 || d >= numDTypes {
		fail("unknown element type %v, want float32, bfloat16, float64 or int32", d)
	}
}

// BFloat16FromFloat32 rounds to the nearest bfloat16, ties to even. A NaN stays
// a (quiet) NaN.
func BFloat16FromFloat32(x float32) uint16 { return kernels.BFloat16FromFloat32(x) }

// Float32FromBFloat16 is exact.
func Float32FromBFloat16(b uint16) float32 { return kernels.Float32FromBFloat16(b) }

// storage is the memory that a tensor and its views share: one of the slices,
// chosen by the DType, is in use.
type storage struct {
	f32  []float32
	bf16 []uint16
	f64  []float64
	i32  []int32
}

func newStorage(dt DType, n int) *storage {
	dt.check()
	switch dt {
	case BFloat16:
		return &storage{bf16: make([]uint16, n)}
	case Float64:
		return &storage{f64: make([]float64, n)}
	case Int32:
		return &storage{i32: make([]int32, n)}
	}
	return &storage{f32: make([]float32, n)}
}

func (s *storage) len(dt DType) int {
	switch dt {
	case BFloat16:
		return len(s.bf16)
	case Float64:
		return len(s.f64)
	case Int32:
		return len(s.i32)
	}
	return len(s.f32)
}

func (s *storage) at(dt DType, i int) float64 {
	switch dt {
	case BFloat16:
		return float64(Float32FromBFloat16(s.bf16[i]))
	case Float64:
		return s.f64[i]
	case Int32:
		return float64(s.i32[i])
	}
	return float64(s.f32[i])
}

// set rounds v to the element type. A float64 reaches bfloat16 by way of
// float32, as it does in PyTorch.
func (s *storage) set(dt DType, i int, v float64) {
	switch dt {
	case BFloat16:
		s.bf16[i] = BFloat16FromFloat32(float32(v))
	case Float64:
		s.f64[i] = v
	case Int32:
		s.i32[i] = int32(v)
	default:
		s.f32[i] = float32(v)
	}
}
