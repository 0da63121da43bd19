package dataset

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// The level 5 MAT-file of MATLAB (The MathWorks, "MAT-File Format"): a header of
// 128 bytes, then one element per variable. An element is a type and a number of
// bytes, both uint32, and that many bytes, filled up with zeros to a multiple of
// 8 unless it is compressed. Up to 4 bytes may be packed into a small element of
// 8 bytes in all: type and number share the first word.
const (
	matHeader  = 128
	matVersion = 0x0100

	matInt8       = 1
	matUint8      = 2
	matInt16      = 3
	matUint16     = 4
	matInt32      = 5
	matUint32     = 6
	matSingle     = 7
	matDouble     = 9
	matMatrix     = 14
	matCompressed = 15

	matClassDouble = 6 // first class of numbers
	matClassUint8  = 9
	matClassUint64 = 15 // last class of numbers
	matFlagComplex = 0x0800

	matMaxName       = 63 // MATLAB's namelengthmax
	matMaxDimensions = 8
)

// matArray is a variable of a MAT-file: an array of real numbers, column-major.
type matArray struct {
	name  string
	class uint32
	dims  []int64

	kind  uint32 // type of the numbers in the file, which may be smaller than the class
	bytes int64
	data  io.Reader // must be read to its end
}

// size writes the dimensions as MATLAB does: "32x32x3x10".
func (a *matArray) size() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(a.dims), "[]"), " ", "x")
}

// readMAT calls visit for every variable of a little-endian level 5 MAT-file, in
// the order of the file. Nothing is kept in memory, whatever lengths it says.
func readMAT(f file, visit func(a *matArray) error) error {
	r := bufio.NewReaderSize(f, 1<<16)
	header := make([]byte, matHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return fmt.Errorf("%s: %w", f.name, cut("MATLAB header", err))
	}
	if order := string(header[126:128]); order != "IM" {
		return fmt.Errorf("%s: %q at byte 126, want \"IM\" (level 5 MAT-file of MATLAB, little-endian)", f.name, order)
	}
	if version := binary.LittleEndian.Uint16(header[124:]); version != matVersion {
		return fmt.Errorf("%s: MAT-file version 0x%04x, want 0x%04x (level 5; MATLAB 7.3 writes 0x0200)", f.name, version, matVersion)
	}
	for left := f.size - matHeader; left > 0; {
		used, err := readMATVariable(r, left, visit)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		left -= used
	}
	return nil
}

// readMATVariable reads one element of the file, of which left bytes remain, and
// returns its size.
func readMATVariable(r io.Reader, left int64, visit func(a *matArray) error) (used int64, err error) {
	kind, bytes, err := readMATTag(r)
	if err != nil {
		return 0, err
	}
	if bytes > left-8 {
		return 0, fmt.Errorf("variable of %d bytes where %d are left: the file is cut off", bytes, max(0, left-8))
	}
	content := &io.LimitedReader{R: r, N: bytes}
	switch kind {
	case matMatrix:
		err = readMATArray(content, visit)
	case matCompressed:
		err = inflateMATArray(content, visit)
	default:
		err = fmt.Errorf("element of type %d, want %d (array) or %d (compressed)", kind, matMatrix, matCompressed)
	}
	if err == nil && content.N != 0 {
		err = fmt.Errorf("%d more bytes in a variable of %d than its array has", content.N, bytes)
	}
	return 8 + bytes, err
}

// inflateMATArray reads a compressed element: one whole uncompressed one inside.
func inflateMATArray(content *io.LimitedReader, visit func(a *matArray) error) error {
	compressed := bufio.NewReader(content)
	z, err := zlib.NewReader(compressed)
	if err != nil {
		return cut("compressed variable", err)
	}
	kind, bytes, err := readMATTag(z)
	if err != nil {
		return err
	}
	if kind != matMatrix {
		return fmt.Errorf("compressed element of type %d, want %d (array)", kind, matMatrix)
	}
	array := &io.LimitedReader{R: z, N: bytes}
	if err := readMATArray(array, visit); err != nil {
		return err
	}
	// Reading to the end also makes zlib check its checksum.
	switch extra, err := io.Copy(io.Discard, io.LimitReader(z, 1)); {
	case err != nil:
		return cut("compressed variable", err)
	case array.N+extra > 0:
		return fmt.Errorf("more bytes in a compressed variable than its array has")
	case compressed.Buffered() > 0:
		return fmt.Errorf("%d bytes follow the compressed data of a variable", int64(compressed.Buffered())+content.N)
	}
	return nil
}

// readMATArray reads the content of an array element: flags, dimensions, name
// and numbers, each an element of its own.
func readMATArray(r io.Reader, visit func(a *matArray) error) error {
	flags, err := readMATValues(r, "array flags", matUint32, 8, 8)
	if err != nil {
		return err
	}
	word := binary.LittleEndian.Uint32(flags)
	dims, err := readMATValues(r, "dimensions", matInt32, 8, 4*matMaxDimensions)
	if err != nil {
		return err
	}
	name, err := readMATValues(r, "name", matInt8, 1, matMaxName)
	if err != nil {
		return err
	}
	a := &matArray{name: string(name), class: word & 0xff}
	if a.class < matClassDouble || a.class > matClassUint64 || word&matFlagComplex != 0 {
		return fmt.Errorf("variable %q: array flags 0x%04x, want real numbers (class %d to %d)", a.name, word, matClassDouble, matClassUint64)
	}
	for ; len(dims) >= 4; dims = dims[4:] {
		a.dims = append(a.dims, int64(int32(binary.LittleEndian.Uint32(dims))))
	}
	e, err := openMATElement(r)
	if err != nil {
		return err
	}
	data := &io.LimitedReader{R: e.content, N: e.bytes}
	a.kind, a.bytes, a.data = e.kind, e.bytes, data
	if err := visit(a); err != nil {
		return fmt.Errorf("variable %q: %w", a.name, err)
	}
	return e.skipPadding()
}

// readMATValues reads a whole element of a type and from least to most bytes.
func readMATValues(r io.Reader, what string, kind uint32, least, most int64) ([]byte, error) {
	e, err := openMATElement(r)
	if err != nil {
		return nil, err
	}
	if e.kind != kind || e.bytes < least || e.bytes > most {
		return nil, fmt.Errorf("%s of type %d and %d bytes, want type %d and %d to %d bytes", what, e.kind, e.bytes, kind, least, most)
	}
	b := make([]byte, e.bytes)
	if _, err := io.ReadFull(e.content, b); err != nil {
		return nil, cut(what, err)
	}
	return b, e.skipPadding()
}

// matElement is an element inside an array, small or not.
type matElement struct {
	kind    uint32
	bytes   int64
	padding int64     // bytes after the content
	content io.Reader // not limited to bytes
}

func openMATElement(r io.Reader) (matElement, error) {
	kind, bytes, err := readMATTag(r)
	if err != nil {
		return matElement{}, err
	}
	small := int64(kind >> 16)
	if small == 0 {
		return matElement{kind, bytes, -bytes & 7, r}, nil
	}
	if small > 4 {
		return matElement{}, fmt.Errorf("small element of %d bytes, want 1 to 4", small)
	}
	packed := binary.LittleEndian.AppendUint32(nil, uint32(bytes))
	return matElement{kind & 0xffff, small, 4 - small, strings.NewReader(string(packed))}, nil
}

func (e matElement) skipPadding() error {
	if _, err := io.CopyN(io.Discard, e.content, e.padding); err != nil {
		return cut("padding", err)
	}
	return nil
}

// readMATTag reads type and number of bytes of an element.
func readMATTag(r io.Reader) (kind uint32, bytes int64, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, cut("type and size of an element", err)
	}
	return binary.LittleEndian.Uint32(b[:]), int64(binary.LittleEndian.Uint32(b[4:])), nil
}

// matNumbers are the types of numbers in a MAT-file, except 64-bit integers.
var matNumbers = map[uint32]struct {
	bytes int
	value func(b []byte) float64
}{
	matInt8:   {1, func(b []byte) float64 { return float64(int8(b[0])) }},
	matUint8:  {1, func(b []byte) float64 { return float64(b[0]) }},
	matInt16:  {2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) }},
	matUint16: {2, func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) }},
	matInt32:  {4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) }},
	matUint32: {4, func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) }},
	matSingle: {4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
	matDouble: {8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
}
