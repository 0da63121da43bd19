package dataset

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func svhnLike() *Set { return &Set{Name: "svhn", ClassNames: digitNames, Shape: Shape{3, 32, 32}} }

// matElementBytes encodes an element, packed into 8 bytes when small.
func matElementBytes(kind uint32, content []byte, small bool) []byte {
	if small {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(content))<<16|kind)
		return append(append(b, content...), make([]byte, 4-len(content))...)
	}
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	return append(append(b, content...), make([]byte, -len(content)&7)...)
}

// matVariable encodes an array as MATLAB does, before compression.
func matVariable(name string, smallName bool, class uint32, dims []int32, kind uint32, data []byte) []byte {
	var d []byte
	for _, v := range dims {
		d = binary.LittleEndian.AppendUint32(d, uint32(v))
	}
	return matElementBytes(matMatrix, slices.Concat(
		matElementBytes(matUint32, append(binary.LittleEndian.AppendUint32(nil, class), 0, 0, 0, 0), false),
		matElementBytes(matInt32, d, false),
		matElementBytes(matInt8, []byte(name), smallName),
		matElementBytes(kind, data, len(data) <= 4),
	), false)
}

func matFile(variables ...[]byte) []byte {
	b := fmt.Appendf(nil, "%-124s\x00\x01IM", "MATLAB 5.0 MAT-file, Platform: GLNXA64")
	return append(b, slices.Concat(variables...)...)
}

func compressed(variable []byte) []byte {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	z := zlib.NewWriter(&b)
	z.Write(variable)
	z.Close()
	binary.LittleEndian.PutUint32(b.Bytes(), matCompressed)
	binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(b.Len()-8))
	return b.Bytes()
}

// svhnX encodes images [N][C][H][W] as X: row fastest, then column, channel and image.
func svhnX(pixels []uint8, n int) []byte {
	x := make([]byte, len(pixels))
	for i := range n {
		for c := range 3 {
			for row := range 32 {
				for col := range 32 {
					x[row+32*(col+32*(c+3*i))] = pixels[((i*3+c)*32+row)*32+col]
				}
			}
		}
	}
	return matVariable("X", true, matClassUint8, []int32{32, 32, 3, int32(n)}, matUint8, x)
}

func svhnBytes(labels []int) []byte {
	b := toBytes(labels)
	for i, v := range b {
		if v == 0 {
			b[i] = 10
		}
	}
	return b
}

func svhnY(labels []int) []byte {
	return matVariable("y", true, matClassUint8, []int32{int32(len(labels)), 1}, matUint8, svhnBytes(labels))
}

func svhnFile(pixels []uint8, labels []int) []byte {
	return matFile(compressed(svhnX(pixels, len(labels))), compressed(svhnY(labels)))
}

func TestReadSVHN(t *testing.T) {
	pixels, labels := synthetic(11, 10, Shape{3, 32, 32})
	x, y := svhnX(pixels, 11), svhnY(labels)
	var doubles, singles, words []byte
	for _, v := range svhnBytes(labels) {
		doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(float64(v)))
		singles = binary.LittleEndian.AppendUint32(singles, math.Float32bits(float32(v)))
		words = binary.LittleEndian.AppendUint16(words, uint16(v))
	}
	size := []int32{11, 1}
	for name, b := range map[string][]byte{
		"compressed":      matFile(compressed(x), compressed(y)),
		"plain":           matFile(x, y),
		"labels first":    matFile(y, compressed(x)),
		"name not small":  matFile(matVariable("X", false, matClassUint8, []int32{32, 32, 3, 11}, matUint8, x[len(x)-11*3072:]), y),
		"doubles":         matFile(x, compressed(matVariable("y", true, matClassDouble, size, matDouble, doubles))),
		"doubles as byte": matFile(x, matVariable("y", true, matClassDouble, size, matUint8, svhnBytes(labels))),
		"singles":         matFile(x, matVariable("y", true, 7, size, matSingle, singles)),
		"uint16":          matFile(x, matVariable("y", true, 11, size, matUint16, words)),
	} {
		t.Run(name, func(t *testing.T) {
			s := svhnLike()
			if err := s.readSVHN(memoryFile("f", b)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Pixels, pixels) || !slices.Equal(s.Labels, labels) {
				t.Error("images or labels differ from what was written")
			}
		})
	}
}

// MATLAB drops the last dimension of one image, and packs one label.
func TestReadSVHNSingleImage(t *testing.T) {
	pixels, _ := synthetic(1, 10, Shape{3, 32, 32})
	four := svhnX(pixels, 1)
	three := matVariable("X", true, matClassUint8, []int32{32, 32, 3}, matUint8, four[len(four)-3072:])
	for _, x := range [][]byte{three, four} {
		s := svhnLike()
		if err := s.readSVHN(memoryFile("f", matFile(x, svhnY([]int{0})))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.Pixels, pixels) || !slices.Equal(s.Labels, []int{0}) {
			t.Errorf("image right: %t, labels %v, want [0]", bytes.Equal(s.Pixels, pixels), s.Labels)
		}
	}
}

// Every damage is one line with the file, what was found and what is right.
func TestReadSVHNRefusesDamage(t *testing.T) {
	pixels, labels := synthetic(5, 10, Shape{3, 32, 32})
	x, y := svhnX(pixels, 5), svhnY(labels)
	data := x[len(x)-5*3072:]
	image := func(class uint32, dims []int32, kind uint32, data []byte) []byte {
		return matFile(matVariable("X", true, class, dims, kind, data), y)
	}
	label := func(dims []int32, kind uint32, data []byte) []byte {
		return matFile(x, matVariable("y", true, matClassDouble, dims, kind, data))
	}
	change := func(b []byte, at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	good, plain := svhnFile(pixels, labels), matFile(x, y)
	badSum := compressed(x)
	badSum[len(badSum)-1] ^= 1
	trailing := append(compressed(x), 1, 2, 3)
	binary.LittleEndian.PutUint32(trailing[4:], uint32(len(trailing)-8))
	fraction := binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.5))
	nan := binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN()))
	cases := []struct {
		name string
		b    []byte
		want []string
	}{
		{"empty", nil, []string{"MATLAB header", "cut off"}},
		{"half a header", good[:100], []string{"MATLAB header", "cut off"}},
		{"only a header", good[:128], []string{"X there: false", "y there: false", "want both"}},
		{"no MAT-file", bytes.Repeat([]byte("<html>"), 50), []string{`"<h" at byte 126`, `"IM"`}},
		{"big-endian", change(change(good, 126, 'M'), 127, 'I'), []string{`"MI"`, `"IM"`}},
		{"MATLAB 7.3", change(good, 125, 2), []string{"version 0x0200", "want 0x0100"}},
		{"cut in X", good[:1000], []string{"864 are left", "cut off"}},
		{"cut before y", good[:128+len(compressed(x))], []string{"y there: false"}},
		{"cut in a tag", good[:len(good)-len(compressed(y))+5], []string{"type and size", "cut off"}},
		{"type of a variable", change(good, 128, 9), []string{"type 9", "want 14", "or 15"}},
		{"no zlib", change(good, 136, 0), []string{"compressed variable", "zlib"}},
		{"zlib checksum", matFile(badSum, y), []string{"checksum"}},
		{"after zlib", matFile(trailing, y), []string{"3 bytes follow"}},
		{"compressed twice", matFile(compressed(compressed(x)), y), []string{"type 15", "want 14"}},
		{"two in one", matFile(compressed(slices.Concat(x, y))), []string{"more bytes"}},
		{"array longer than its data", change(plain, 132, plain[132]+8), []string{"8 more bytes in a variable"}},
		{"array shorter than its data", change(plain, 133, plain[133]-1), []string{`"X"`, "image 4 of 5", "cut off"}},
		{"array flags", change(plain, 136, 5), []string{"array flags of type 5", "want type 6"}},
		{"text", image(4, []int32{32, 32, 3, 5}, matUint8, data), []string{`"X"`, "0x0004", "6 to 15"}},
		{"complex", image(matClassUint8|matFlagComplex, []int32{32, 32, 3, 5}, matUint8, data), []string{`"X"`, "0x0809", "real"}},
		{"other size", image(matClassUint8, []int32{28, 28, 3, 5}, matUint8, data), []string{`"X"`, "28x28x3x5", "32x32x3xN"}},
		{"grey", image(matClassUint8, []int32{32, 32, 15}, matUint8, data), []string{"32x32x15", "32x32x3xN"}},
		{"no images", image(matClassUint8, []int32{32, 32, 3, 0}, matUint8, nil), []string{"32x32x3x0", "from 1 to 131072"}},
		{"negative", image(matClassUint8, []int32{32, 32, 3, -1}, matUint8, data), []string{"32x32x3x-1", "from 1 to 131072"}},
		{"too many images", image(matClassUint8, []int32{32, 32, 3, 1 << 30}, matUint8, data), []string{"32x32x3x1073741824", "131072"}},
		{"too many dimensions", image(matClassUint8, make([]int32, 9), matUint8, data), []string{"dimensions", "36 bytes", "8 to 32"}},
		{"float images", image(matClassDouble, []int32{32, 32, 3, 5}, matUint8, data), []string{`"X"`, "class 6", "class 9 (uint8)"}},
		{"fewer pixels", image(matClassUint8, []int32{32, 32, 3, 5}, matUint8, data[:3072]), []string{"3072 bytes", "15360 bytes"}},
		{"a third variable", matFile(x, y, matVariable("z", true, matClassUint8, []int32{1, 1}, matUint8, []byte{1})), []string{`"z"`, "want X and y"}},
		{"X twice", matFile(x, x, y), []string{`"X"`, "once each"}},
		{"long name", matFile(matVariable(strings.Repeat("X", 64), false, matClassUint8, []int32{1, 1}, matUint8, []byte{1})), []string{"name", "64 bytes", "1 to 63"}},
		{"small element of 5", change(plain, 128+8+16+24+2, 5), []string{"small element of 5", "1 to 4"}},
		{"fewer labels", matFile(x, svhnY(labels[:4])), []string{"4 labels", "want 5"}},
		{"a row of labels", label([]int32{1, 5}, matUint8, svhnBytes(labels)), []string{`"y"`, "1x5", "Nx1"}},
		{"too many labels", label([]int32{1 << 30, 1}, matUint8, svhnBytes(labels)), []string{`"y"`, "1073741824x1", "131072"}},
		{"label bytes", label([]int32{5, 1}, matDouble, svhnBytes(labels)), []string{`"y"`, "5 bytes of type 9", "5 numbers"}},
		{"label type", label([]int32{5, 1}, matMatrix, svhnBytes(labels)), []string{`"y"`, "5 bytes of type 14", "5 numbers"}},
		{"label 0", label([]int32{2, 1}, matUint8, []byte{1, 0}), []string{`"y"`, "label 0 of image 1", "1 to 10"}},
		{"label 11", label([]int32{2, 1}, matUint8, []byte{11, 1}), []string{"label 11 of image 0", "1 to 10"}},
		{"half a label", label([]int32{1, 1}, matDouble, fraction), []string{"label 1.5 of image 0", "1 to 10"}},
		{"NaN label", label([]int32{1, 1}, matDouble, nan), []string{"label NaN of image 0", "1 to 10"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := svhnLike()
			wantError(t, s.readSVHN(memoryFile("F", c.b)), append(c.want, "F: ")...)
			if s.Pixels != nil || s.Labels != nil {
				t.Error("images beside the error")
			}
		})
	}
}

// Sizes may promise far more than there is, compressed or not: memory follows
// the content.
func TestReadSVHNDoesNotTrustSizes(t *testing.T) {
	x := matVariable("X", true, matClassUint8, []int32{32, 32, 3, maxSVHN}, matUint8, make([]byte, 5000))
	dataTag := len(x) - 5000 - 8
	binary.LittleEndian.PutUint32(x[dataTag+4:], maxSVHN*3072)
	binary.LittleEndian.PutUint32(x[4:], maxSVHN*3072+56)
	plain := matFile(x)
	f := memoryFile("F", plain)
	f.size = 1 << 40
	for name, f := range map[string]file{"compressed": memoryFile("F", matFile(compressed(x))), "plain": f} {
		allocated := allocatedBytes(func() {
			wantError(t, svhnLike().readSVHN(f), "F:", `"X"`, "image 1 of 131072", "cut off")
		})
		if allocated > 8<<20 {
			t.Errorf("%s: %d bytes allocated to read a file of %d", name, allocated, len(plain))
		}
	}
}

// Whatever the bytes: no panic, and what is accepted comes back after it is
// written again.
func FuzzReadSVHN(f *testing.F) {
	pixels, labels := synthetic(2, 10, Shape{3, 32, 32})
	f.Add(svhnFile(pixels, labels))
	f.Add(matFile(svhnX(pixels, 2), svhnY(labels)))
	f.Add(matFile(svhnY(labels)))
	f.Add(matFile())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := svhnLike()
		if err := s.readSVHN(memoryFile("f", b)); err != nil {
			return
		}
		if s.Len() == 0 || len(s.Pixels) != s.Len()*s.Shape.Len() || slices.Min(s.Labels) < 0 || slices.Max(s.Labels) > 9 {
			t.Fatalf("%d pixels, labels %v", len(s.Pixels), s.Labels)
		}
		again := svhnLike()
		if err := again.readSVHN(memoryFile("f", svhnFile(s.Pixels, s.Labels))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Pixels, s.Pixels) || !slices.Equal(again.Labels, s.Labels) {
			t.Error("images or labels differ from what was written")
		}
	})
}
