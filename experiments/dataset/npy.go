package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// npyArray is an array of a .npy file (NumPy, "A Simple File Format for NumPy
// Arrays", versions 1 to 3).
type npyArray struct {
	kind    string // "u1", "f4": as NumPy's descr without the byte order
	order   binary.ByteOrder
	fortran bool // the first index runs fastest
	shape   []int
	data    []byte
}

const (
	maxNPYHeader = 1 << 16
	maxNPYBytes  = 1 << 36
)

// npyHeader matches the dictionary in the header as NumPy writes it: the keys in
// alphabetical order, then spaces.
var npyHeader = regexp.MustCompile(`^\{'descr': '([<>|=])([a-z]\d{1,2})', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \}\s*$`)

// readNPY reads a whole .npy stream.
func readNPY(r io.Reader) (*npyArray, error) {
	start := make([]byte, 8)
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, cut("NumPy header", err)
	}
	if string(start[:6]) != "\x93NUMPY" || start[6] < 1 || start[6] > 3 || start[7] != 0 {
		return nil, fmt.Errorf("begins with %q, want \"\\x93NUMPY\" and version 1.0, 2.0 or 3.0", start)
	}
	width := 2
	if start[6] > 1 {
		width = 4
	}
	var word [4]byte
	if _, err := io.ReadFull(r, word[:width]); err != nil {
		return nil, cut("NumPy header", err)
	}
	length := binary.LittleEndian.Uint32(word[:])
	if length > maxNPYHeader {
		return nil, fmt.Errorf("NumPy header of %d bytes, want at most %d", length, maxNPYHeader)
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, cut("NumPy header", err)
	}
	a, bytes, err := parseNPYHeader(string(header))
	if err != nil {
		return nil, err
	}
	a.data, err = readExactly(r, bytes)
	return a, err
}

// parseNPYHeader returns the array without its data, and how many bytes it has.
func parseNPYHeader(header string) (a *npyArray, bytes int, err error) {
	m := npyHeader.FindStringSubmatch(header)
	if m == nil {
		return nil, 0, fmt.Errorf("NumPy header %.120q, want descr of one plain type, fortran_order and shape", header)
	}
	a = &npyArray{kind: m[2], order: binary.LittleEndian, fortran: m[3] == "True"}
	if m[1] == ">" {
		a.order = binary.BigEndian
	}
	if bytes, err = strconv.Atoi(m[2][1:]); err != nil || bytes < 1 || bytes > 16 {
		return nil, 0, fmt.Errorf("NumPy type %q, want numbers of 1 to 8 bytes", m[1]+m[2])
	}
	for side := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(m[4]), ","), ",") {
		if side = strings.TrimSpace(side); side == "" && len(a.shape) == 0 {
			continue // a scalar: ()
		}
		n, err := strconv.Atoi(side)
		if err != nil || n < 0 || n > 0 && bytes > maxNPYBytes/n {
			return nil, 0, fmt.Errorf("NumPy shape (%s), want whole numbers and at most %d bytes in all", m[4], maxNPYBytes)
		}
		a.shape = append(a.shape, n)
		bytes *= n
	}
	return a, bytes, nil
}

// strides returns how many elements apart the neighbours along each axis are.
func (a *npyArray) strides() []int {
	strides := make([]int, len(a.shape))
	step := 1
	for i := range a.shape {
		axis := len(a.shape) - 1 - i
		if a.fortran {
			axis = i
		}
		strides[axis] = step
		step *= a.shape[axis]
	}
	return strides
}

// whole returns element i as a whole number; ok is false for other types and
// beyond 63 bits.
func (a *npyArray) whole(i int) (v int64, ok bool) {
	switch a.kind {
	case "u1", "b1":
		return int64(a.data[i]), true
	case "i1":
		return int64(int8(a.data[i])), true
	case "u2":
		return int64(a.order.Uint16(a.data[2*i:])), true
	case "i2":
		return int64(int16(a.order.Uint16(a.data[2*i:]))), true
	case "u4":
		return int64(a.order.Uint32(a.data[4*i:])), true
	case "i4":
		return int64(int32(a.order.Uint32(a.data[4*i:]))), true
	case "u8", "i8":
		v = int64(a.order.Uint64(a.data[8*i:]))
		return v, a.kind == "i8" || v >= 0
	}
	return 0, false
}

// float returns element i of an array of floating-point numbers.
func (a *npyArray) float(i int) float32 {
	if a.kind == "f8" {
		return float32(math.Float64frombits(a.order.Uint64(a.data[8*i:])))
	}
	return math.Float32frombits(a.order.Uint32(a.data[4*i:]))
}
