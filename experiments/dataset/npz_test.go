package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// npy writes an array as NumPy does, in a version of the format.
func npy(version byte, descr string, fortran bool, shape []int, data []byte) []byte {
	sides := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	if len(shape) == 1 {
		sides += ","
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", descr, map[bool]string{true: "True", false: "False"}[fortran], sides)
	prefix := 10
	if version > 1 {
		prefix = 12
	}
	header += strings.Repeat(" ", 63-(prefix+len(header))%64) + "\n"
	b := append([]byte("\x93NUMPY"), version, 0)
	if version > 1 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	}
	return append(append(b, header...), data...)
}

// npz writes arrays in an archive, by name, compressed or not.
func npz(t testing.TB, method uint16, arrays map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range arrays {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func labelArray(labels []int) []byte {
	return npy(1, "<i8", false, []int{len(labels)}, longBytes(labels))
}

// Every layout, order and type of the same images gives the same set.
func TestNPZLayouts(t *testing.T) {
	const n = 3
	shape := Shape{3, 5, 4}
	pixels, labels := synthetic(n, 10, shape)
	at := func(i, c, y, x int) uint8 { return pixels[((i*3+c)*5+y)*4+x] }
	floats := func(b []byte, value func(v uint8) []byte) (out []byte) {
		for _, v := range b {
			out = append(out, value(v)...)
		}
		return out
	}
	var last, fortran []byte
	for i := range n {
		for y := range 5 {
			for x := range 4 {
				for c := range 3 {
					last = append(last, at(i, c, y, x))
				}
			}
		}
	}
	for x := range 4 {
		for y := range 5 {
			for c := range 3 {
				for i := range n {
					fortran = append(fortran, at(i, c, y, x))
				}
			}
		}
	}
	f4 := func(order binary.AppendByteOrder) func(v uint8) []byte {
		return func(v uint8) []byte { return order.AppendUint32(nil, math.Float32bits(float32(v)/255)) }
	}
	f8 := func(v uint8) []byte {
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(float32(v)/255)))
	}
	for name, x := range map[string][]byte{
		"channels first":   npy(1, "|u1", false, []int{n, 3, 5, 4}, pixels),
		"channels last":    npy(2, "|u1", false, []int{n, 5, 4, 3}, last),
		"Fortran":          npy(3, "|u1", true, []int{n, 3, 5, 4}, fortran),
		"float32":          npy(1, "<f4", false, []int{n, 3, 5, 4}, floats(pixels, f4(binary.LittleEndian))),
		"float32, other":   npy(1, ">f4", false, []int{n, 3, 5, 4}, floats(pixels, f4(binary.BigEndian))),
		"float64, last":    npy(1, "<f8", false, []int{n, 5, 4, 3}, floats(last, f8)),
		"float32, Fortran": npy(1, "<f4", true, []int{n, 3, 5, 4}, floats(fortran, f4(binary.LittleEndian))),
	} {
		for _, method := range []uint16{zip.Store, zip.Deflate} {
			t.Run(fmt.Sprint(name, method), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "My Set.npz")
				write(t, npz(t, method, map[string][]byte{"x": x, "y": labelArray(labels)}), path)
				s, err := Open("npz:"+path, Options{OOD: true})
				if err != nil {
					t.Fatal(err)
				}
				if s.Name != "npz-my-set" || s.Shape != shape || s.Classes() != 8 || !slices.Equal(s.Labels, labels) || &s.Normalization.Mean[0] != &cifarNormalization.Mean[0] {
					t.Errorf("%v: %v, %d classes, labels %v", s, s.Shape, s.Classes(), s.Labels)
				}
				for i := range n {
					if !bytes.Equal(s.Image(i), pixels[i*60:(i+1)*60]) {
						t.Errorf("image %d differs", i)
					}
				}
			})
		}
	}
}

// Parts: two files of a folder, four arrays of a file, or a fifth to test.
func TestNPZParts(t *testing.T) {
	pixels, labels := synthetic(100, 10, Shape{1, 4, 4})
	x := func(from, to int) []byte { return npy(1, "|u1", false, []int{to - from, 4, 4}, pixels[from*16:to*16]) }
	y := func(from, to int) []byte { return labelArray(labels[from:to]) }
	dir := t.TempDir()
	write(t, npz(t, zip.Deflate, map[string][]byte{"x": x(0, 70), "y": y(0, 70)}), dir, "two", "train.npz")
	write(t, npz(t, zip.Deflate, map[string][]byte{"x": x(70, 100), "y": y(70, 100)}), dir, "two", "test.npz")
	write(t, npz(t, zip.Deflate, map[string][]byte{"x_train": x(0, 70), "y_train": y(0, 70), "x_test": x(70, 100), "y_test": y(70, 100)}), dir, "four.npz")
	write(t, npz(t, zip.Deflate, map[string][]byte{"x": x(0, 100), "y": y(0, 100)}), dir, "one.npz")
	write(t, npz(t, zip.Deflate, map[string][]byte{"x": x(0, 100)}), dir, "nameless.npz")
	open := func(name string, o Options) *Set {
		t.Helper()
		s, err := Open("npz:"+filepath.Join(dir, name), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, name := range []string{"two", "four.npz"} {
		train, test, ood := open(name, Options{Train: true}), open(name, Options{}), open(name, Options{OOD: true})
		if !bytes.Equal(train.Pixels, pixels[:70*16]) || !bytes.Equal(test.Pixels, pixels[70*16:]) || !bytes.Equal(ood.Pixels, test.Pixels) || !train.Train || test.Train {
			t.Errorf("%s: %d training and %d test images, %d out of distribution", name, train.Len(), test.Len(), ood.Len())
		}
	}
	train, test, ood := open("one.npz", Options{Train: true}), open("one.npz", Options{}), open("one.npz", Options{OOD: true})
	if train.Len() != 80 || test.Len() != 20 || ood.Len() != 100 || train.Classes() != 10 || test.Classes() != 10 {
		t.Fatalf("%d training and %d test images, %d out of distribution", train.Len(), test.Len(), ood.Len())
	}
	seen := map[string]int{}
	for _, s := range []*Set{train, test} {
		for i := range s.Len() {
			seen[string(s.Image(i))]++
		}
	}
	for i := range 100 {
		if image := string(pixels[i*16 : (i+1)*16]); seen[image] != 1 {
			t.Fatalf("image %d is in the parts %d times, want once", i, seen[image])
		}
	}
	if nameless := open("nameless.npz", Options{OOD: true}); nameless.Len() != 100 {
		t.Errorf("%d images without labels", nameless.Len())
	}
	_, err := Open("npz:"+filepath.Join(dir, "nameless.npz"), Options{})
	wantError(t, err, "nameless.npz: no array y among", "x.npy")
}

func TestNPZRefusesDamage(t *testing.T) {
	pixels, labels := synthetic(10, 10, Shape{1, 4, 4})
	good, y := npy(1, "|u1", false, []int{10, 4, 4}, pixels), labelArray(labels)
	arrays := func(x, y []byte) map[string][]byte { return map[string][]byte{"x": x, "y": y} }
	f4 := func(v float32) []byte {
		return npy(1, "<f4", false, []int{1, 1, 2}, floatBytes([]float32{0, v}))
	}
	one := labelArray([]int{0})
	for name, c := range map[string]struct {
		arrays map[string][]byte
		want   []string
	}{
		"no x":             {map[string][]byte{"z": good}, []string{"no array x among"}},
		"both kinds":       {map[string][]byte{"x": good, "x_train": good}, []string{"arrays x and x_train or x_test"}},
		"no NumPy":         {arrays([]byte("hello hello"), y), []string{"array x", `"hello he"`, "NUMPY"}},
		"header cut off":   {arrays(good[:40], y), []string{"array x: NumPy header: the file is cut off"}},
		"cut off":          {arrays(good[:len(good)-5], y), []string{"array x: values: 155 bytes, want 160"}},
		"more":             {arrays(append(bytes.Clone(good), 1), y), []string{"array x: more bytes follow the 160"}},
		"record":           {arrays(npy(1, "|V8", false, []int{1}, nil), y), []string{"array x: NumPy header", "one plain type"}},
		"objects":          {arrays(npy(1, "|O", false, []int{1}, nil), y), []string{"array x: NumPy header"}},
		"complex":          {arrays(npy(1, "<c8", false, []int{10, 4, 4}, make([]byte, 1280)), y), []string{"array x: type c8, want uint8"}},
		"huge":             {arrays(npy(1, "|u1", false, []int{1 << 40, 1 << 40}, nil), y), []string{"array x: NumPy shape", "at most"}},
		"promises a lot":   {arrays(npy(1, "|u1", false, []int{1 << 20, 100, 100}, nil), y), []string{"array x: values: 0 bytes, want 10485760000"}},
		"flat":             {arrays(npy(1, "|u1", false, []int{10, 16}, pixels), y), []string{"array x: shape [10 16], want [N H W]"}},
		"channels of both": {arrays(npy(1, "|u1", false, []int{1, 3, 2, 3}, make([]byte, 18)), one), []string{"shape [1 3 2 3]"}},
		"none":             {arrays(npy(1, "|u1", false, []int{0, 4, 4}, nil), labelArray(nil)), []string{"shape [0 4 4], want 1 to"}},
		"integers":         {arrays(npy(1, "<i4", false, []int{10, 4, 4}, make([]byte, 640)), y), []string{"array x: type i4, want uint8 (u1), float32 (f4) or float64 (f8)"}},
		"0 to 255":         {arrays(f4(255), one), []string{"array x: value 255 in image 0, want 0 (black) to 1", "uint8"}},
		"below 0":          {arrays(f4(-0.5), one), []string{"value -0.5"}},
		"NaN":              {arrays(f4(float32(math.NaN())), one), []string{"value NaN"}},
		"fewer labels":     {arrays(good, labelArray(labels[:9])), []string{"9 labels y, want 10, one for every image of x"}},
		"negative label":   {arrays(good, labelArray(append(slices.Clone(labels[:9]), -1))), []string{"array y: element 9"}},
		"float labels":     {arrays(good, npy(1, "<f4", false, []int{10}, make([]byte, 40))), []string{"array y: element 0 of type f4 is no label"}},
		"one-hot labels":   {arrays(good, npy(1, "|u1", false, []int{10, 10}, make([]byte, 100))), []string{"array y has shape [10 10], want [N] or [N 1]"}},
		"one class":        {arrays(good, labelArray(make([]int, 10))), []string{"labels y of 1 class, want at least 2"}},
		"too few to split": {arrays(npy(1, "|u1", false, []int{2, 4, 4}, pixels[:32]), labelArray([]int{0, 1})), []string{"2 images, want at least 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "F.npz")
			write(t, npz(t, zip.Deflate, c.arrays), path)
			used := allocatedBytes(func() {
				s, err := Open("npz:"+path, Options{})
				if s != nil {
					t.Error("a set beside the error")
				}
				wantError(t, err, append(c.want, path)...)
			})
			if used > 64<<20 {
				t.Errorf("%d MB allocated", used>>20)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "F.npz")
	_, err := Open("npz:"+path, Options{})
	wantError(t, err, "npz:"+path, "no such file")
	write(t, []byte("no zip"), path)
	_, err = Open("npz:"+path, Options{})
	wantError(t, err, path, "want a zip file of NumPy arrays")
}

// Values come back bit for bit, whatever the shape.
func TestNPYRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape")
		n := 1
		for _, side := range shape {
			n *= side
		}
		values := rapid.SliceOfN(rapid.Float32(), n, n).Draw(t, "values")
		version := byte(rapid.IntRange(1, 3).Draw(t, "version"))
		fortran := rapid.Bool().Draw(t, "fortran")
		a, err := readNPY(bytes.NewReader(npy(version, "<f4", fortran, shape, floatBytes(values))))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.shape, shape) || a.fortran != fortran {
			t.Fatalf("shape %v, Fortran %t; want %v, %t", a.shape, a.fortran, shape, fortran)
		}
		for i, v := range values {
			if math.Float32bits(a.float(i)) != math.Float32bits(v) {
				t.Fatalf("value %d is %v, want %v", i, a.float(i), v)
			}
		}
	})
}

// Whatever the bytes: no panic, and the data fit the header.
func FuzzReadNPY(f *testing.F) {
	f.Add(npy(1, "|u1", false, []int{2, 3}, make([]byte, 6)))
	f.Add(npy(2, "<f8", true, []int{1}, make([]byte, 8)))
	f.Add(npy(3, "<i4", false, nil, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readNPY(bytes.NewReader(b))
		if err != nil {
			return
		}
		n := 1
		for _, side := range a.shape {
			n *= side
		}
		if size := int(a.kind[1] - '0'); len(a.kind) == 2 && len(a.data) != n*size {
			t.Errorf("%d bytes of %s%v", len(a.data), a.kind, a.shape)
		}
	})
}

// Whatever the archive: no panic, and what is accepted is a whole set.
func FuzzOpenNPZ(f *testing.F) {
	pixels, labels := synthetic(6, 3, Shape{1, 2, 2})
	f.Add(npz(f, zip.Store, map[string][]byte{"x": npy(1, "|u1", false, []int{6, 2, 2}, pixels), "y": labelArray(labels)}), false)
	f.Add(npz(f, zip.Store, map[string][]byte{"x": npy(1, "|u1", false, []int{6, 2, 2}, pixels)}), true)
	f.Fuzz(func(t *testing.T, b []byte, ood bool) {
		path := filepath.Join(t.TempDir(), "f.npz")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Open("npz:"+path, Options{OOD: ood})
		if err != nil {
			return
		}
		if s.Len() == 0 || len(s.Pixels)+len(s.Values) != s.Len()*s.Shape.Len() || slices.Max(s.Labels) >= s.Classes() {
			t.Errorf("%d images of %v, %d pixels, %d values", s.Len(), s.Shape, len(s.Pixels), len(s.Values))
		}
	})
}
