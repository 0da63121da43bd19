// Package checkpoint reads and writes the files that hold a network's weights:
// named tensors in the safetensors format or in that of PyTorch's torch.save,
// replaced as a whole or not at all.
package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unsafe"

	"github.com/deepuncertainty/ddu/tensor"
)

// Entry is one named tensor of a state dict or file.
type Entry struct {
	Name  string
	DType DType
	Shape []int  // empty: a scalar
	Data  []byte // the elements, little endian, row-major
}

// DType is the type of an entry's elements, under its safetensors name.
type DType string

// The element types that are read and written.
const (
	F32  DType = "F32"
	F64  DType = "F64"
	BF16 DType = "BF16"
	F16  DType = "F16"
	I64  DType = "I64"
)

var dtypeSizes = map[DType]int{F32: 4, F64: 8, BF16: 2, F16: 2, I64: 8}

// NewFloat32 returns an entry that holds a copy of values.
func NewFloat32(name string, values []float32, shape ...int) Entry {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return newEntry(name, F32, data, shape)
}

// NewFloat64 returns an entry that holds a copy of values.
func NewFloat64(name string, values []float64, shape ...int) Entry {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return newEntry(name, F64, data, shape)
}

// SharedFloat64 is NewFloat64 without the copy, for values that do not change before
// the entry is written.
func SharedFloat64(name string, values []float64, shape ...int) Entry {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return NewFloat64(name, values, shape...)
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 8*len(values))
	return newEntry(name, F64, data, shape)
}

// NewInt64 returns an entry that holds a copy of values.
func NewInt64(name string, values []int64, shape ...int) Entry {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	return newEntry(name, I64, data, shape)
}

func newEntry(name string, dt DType, data []byte, shape []int) Entry {
	e := Entry{Name: name, DType: dt, Shape: slices.Clone(shape), Data: data}
	if err := e.check(); err != nil {
		panic("checkpoint: " + err.Error())
	}
	return e
}

// Len returns the number of elements.
func (e Entry) Len() int { return len(e.Data) / max(dtypeSizes[e.DType], 1) }

// check tells whether type, shape and data fit together.
func (e Entry) check() error {
	want, err := byteSize(e.DType, e.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", e.Name, err)
	}
	if len(e.Data) != want {
		return fmt.Errorf("tensor %q: %d bytes of data, %s%v wants %d", e.Name, len(e.Data), e.DType, e.Shape, want)
	}
	return nil
}

// checkName refuses names that would do more to a terminal than be shown, which
// no module has.
func checkName(name string) error {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("tensor %.100q: a name has no control characters", name)
	}
	return nil
}

// byteSize returns how many bytes a tensor takes.
func byteSize(dt DType, shape []int) (int, error) {
	n, ok := dtypeSizes[dt]
	if !ok {
		return 0, fmt.Errorf("element type %q, want F32, F64, BF16, F16 or I64", dt)
	}
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative size", shape)
		}
	}
	if slices.Contains(shape, 0) {
		return 0, nil
	}
	for _, d := range shape {
		if n > math.MaxInt/d {
			return 0, fmt.Errorf("shape %v has more elements than memory can hold", shape)
		}
		n *= d
	}
	return n, nil
}

// Float32s returns the elements as float32: half and bfloat16 exactly, float64
// rounded to nearest even. Integers are refused.
func (e Entry) Float32s() ([]float32, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	at, ok := map[DType]func(b []byte) float32{
		F32:  func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) },
		F64:  func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) },
		BF16: func(b []byte) float32 { return tensor.Float32FromBFloat16(binary.LittleEndian.Uint16(b)) },
		F16:  func(b []byte) float32 { return float32FromHalf(binary.LittleEndian.Uint16(b)) },
	}[e.DType]
	if !ok {
		return nil, fmt.Errorf("tensor %q: elements are %s, want a floating-point type", e.Name, e.DType)
	}
	size := dtypeSizes[e.DType]
	values := make([]float32, e.Len())
	for i := range values {
		values[i] = at(e.Data[i*size:])
	}
	return values, nil
}

// Float64s returns the elements as float64, exactly. Integers are refused.
func (e Entry) Float64s() ([]float64, error) {
	if e.DType != F64 {
		narrow, err := e.Float32s()
		values := make([]float64, len(narrow))
		for i, v := range narrow {
			values[i] = float64(v)
		}
		return values, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	values := make([]float64, e.Len())
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(e.Data[8*i:]))
	}
	return values, nil
}

// Int64s returns the elements as int64. Floating-point elements must be whole
// numbers: a network converted to half precision converts its counters too.
func (e Entry) Int64s() ([]int64, error) {
	if e.DType == I64 {
		if err := e.check(); err != nil {
			return nil, err
		}
		values := make([]int64, e.Len())
		for i := range values {
			values[i] = int64(binary.LittleEndian.Uint64(e.Data[8*i:]))
		}
		return values, nil
	}
	floats, err := e.Float64s()
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(floats))
	for i, v := range floats {
		if v != math.Trunc(v) || math.Abs(v) >= 1<<63 {
			return nil, fmt.Errorf("tensor %q: element %d is %v, want a whole number", e.Name, i, v)
		}
		values[i] = int64(v)
	}
	return values, nil
}

// float32FromHalf is exact.
func float32FromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exponent {
	case 0: // zero or subnormal: fraction·2^-24
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
