package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func example() *File {
	return &File{
		Metadata: map[string]string{"epoch": "3", "quoted": `a "b" <c>`},
		Entries: []Entry{
			NewFloat32("conv1.weight", []float32{1, -2.5, float32(math.Inf(1)), 0, 5, 6}, 2, 3),
			NewInt64("bn1.num_batches_tracked", []int64{math.MinInt64}),
			NewFloat64("lr", []float64{math.Pi}, 1),
			NewFloat32("empty", nil, 0, 4),
			{Name: "half", DType: F16, Shape: []int{2}, Data: []byte{0, 0x3c, 1, 0}},
			{Name: "brain", DType: BF16, Shape: []int{1}, Data: []byte{0xc0, 0x3f}},
		},
	}
}

func encode(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sameFile(t testing.TB, got, want *File) {
	t.Helper()
	if len(got.Metadata) != len(want.Metadata) || len(got.Entries) != len(want.Entries) {
		t.Fatalf("got %d metadata and %d entries, want %d and %d", len(got.Metadata), len(got.Entries), len(want.Metadata), len(want.Entries))
	}
	for k, v := range want.Metadata {
		if got.Metadata[k] != v {
			t.Errorf("metadata %q is %q, want %q", k, got.Metadata[k], v)
		}
	}
	for i, w := range want.Entries {
		g := got.Entries[i]
		if g.Name != w.Name || g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
			t.Errorf("entry %d is %q %s%v %v, want %q %s%v %v", i, g.Name, g.DType, g.Shape, g.Data, w.Name, w.DType, w.Shape, w.Data)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.safetensors")
	want := example()
	if err := WriteSafetensors(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got, want)
	if _, ok := got.Entry("lr"); !ok {
		t.Error("Entry does not find lr")
	}
	if _, ok := got.Entry("nothing"); ok {
		t.Error("Entry finds what is not there")
	}
	if n := binary.LittleEndian.Uint64(encode(t, want)); n%8 != 0 {
		t.Errorf("the header has %d bytes, want a multiple of 8", n)
	}
}

func TestConversions(t *testing.T) {
	f := example()
	float := func(name string) []float32 {
		e, _ := f.Entry(name)
		v, err := e.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := float("half"); v[0] != 1 || v[1] != 1.0/(1<<24) {
		t.Errorf("half: %v", v)
	}
	if v := float("brain"); v[0] != 1.5 {
		t.Errorf("bfloat16: %v", v)
	}
	if v := float("lr"); v[0] != float32(math.Pi) {
		t.Errorf("float64: %v", v)
	}
	if v, err := f.Entries[2].Float64s(); err != nil || v[0] != math.Pi {
		t.Errorf("float64 kept: %v %v", v, err)
	}
	if v, err := f.Entries[0].Float64s(); err != nil || v[1] != -2.5 {
		t.Errorf("float32 to float64: %v %v", v, err)
	}
	if v, err := f.Entries[1].Int64s(); err != nil || v[0] != math.MinInt64 {
		t.Errorf("int64: %v %v", v, err)
	}
	if _, err := f.Entries[1].Float32s(); err == nil || !strings.Contains(err.Error(), "num_batches_tracked") {
		t.Errorf("integers as float32: %v", err)
	}
	if v, err := NewFloat32("n", []float32{7}).Int64s(); err != nil || v[0] != 7 {
		t.Errorf("whole float to int64: %v %v", v, err)
	}
	if _, err := NewFloat32("n", []float32{7.5}).Int64s(); err == nil {
		t.Error("7.5 passes for a whole number")
	}
}

// Every half against its definition.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		sign, e, m := 1.0, h>>10&31, float64(h&1023)
		if h>>15 == 1 {
			sign = -1
		}
		var want float64
		switch {
		case e == 0:
			want = sign * math.Ldexp(m, -24)
		case e == 31 && m == 0:
			want = math.Inf(int(sign))
		case e == 31:
			want = math.NaN()
		default:
			want = sign * math.Ldexp(1024+m, e-25)
		}
		got := float64(float32FromHalf(uint16(h)))
		if got != want && !(got != got && want != want) || math.Signbit(got) != (sign < 0) {
			t.Fatalf("half %#04x is %v, want %v", h, got, want)
		}
	}
}

// file builds a safetensors file from a header and a number of data bytes.
func file(header string, body int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, body)...)
}

func TestParseRefuses(t *testing.T) {
	one := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing", "0 bytes", nil},
		{"huge header", "limit", []byte{255, 255, 255, 255, 255, 255, 255, 127}},
		{"truncated header", "truncated", file("{"+one+"}", 0)[:20]},
		{"truncated data", "truncated", file("{"+one+"}", 3)},
		{"data left over", "5 bytes of data", file("{"+one+"}", 5)},
		{"a zip archive", "header", []byte("PK\x03\x04PK\x03\x04")},
		{"not JSON", "does not start", file("hello", 0)},
		{"broken JSON", "header", file("{"+one, 4)},
		{"JSON goes on", "follows", file("{"+one+"}{}", 4)},
		{"control character", `"\x1b"`, file(`{"\u001b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4)},
		{"name twice", "appears twice", file("{"+one+","+one+"}", 4)},
		{"unknown type", `"F8"`, file(`{"a":{"dtype":"F8","shape":[4],"data_offsets":[0,4]}}`, 4)},
		{"wrong size", "wants 4 bytes", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8)},
		{"backwards", "wants 4 bytes", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4)},
		{"negative size", "negative", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4)},
		{"overflow", "memory", file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 0)},
		{"gap", "want 0", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
		{"overlap", "no overlap", file("{"+one+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, 6)},
		{"no shape", "want dtype, shape", file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4)},
		{"unknown field", "unknown field", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4)},
		{"metadata no strings", "__metadata__", file(`{"__metadata__":{"a":1}}`, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSafetensors(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestParseKeepsOrderOfData(t *testing.T) {
	f, err := ParseSafetensors(file(`{"b":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8))
	if err != nil {
		t.Fatal(err)
	}
	if f.Entries[0].Name != "a" || f.Entries[1].Name != "b" {
		t.Errorf("order %s, %s", f.Entries[0].Name, f.Entries[1].Name)
	}
}

func TestEncodeRefuses(t *testing.T) {
	a := NewFloat32("a", []float32{1}, 1)
	for name, f := range map[string]*File{
		"twice":     {Entries: []Entry{a, a}},
		"metadata":  {Entries: []Entry{{Name: metadataName, DType: F32, Shape: []int{0}}}},
		"wrong len": {Entries: []Entry{{Name: "a", DType: F32, Shape: []int{2}, Data: make([]byte, 4)}}},
		"type":      {Entries: []Entry{{Name: "a", DType: "X"}}},
	} {
		if err := f.Encode(io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A write that fails leaves the old file and nothing else.
func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "last")
	write := func(s string, fail error) error {
		return WriteFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return errors.Join(err, fail)
		})
	}
	if err := write("old", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("out of luck")
	if err := write("new", broken); !errors.Is(err, broken) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s and wraps the cause", err, path)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("file holds %q (%v), want the old content", got, err)
	}
	if err := write("newer", nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "newer" {
		t.Errorf("file holds %q, want the new content", got)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("folder holds %v (%v), want one file", files, err)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "x"), func(io.Writer) error { return nil }); err == nil {
		t.Error("writing into a missing folder gives no error")
	}
}

// What parses is well formed and survives being written and parsed again.
func FuzzParseSafetensors(f *testing.F) {
	f.Add(encode(f, example()))
	f.Add(encode(f, &File{}))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(file(`{"a":{"dtype":"F64","shape":[0,9223372036854775807],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseSafetensors(data)
		if err != nil {
			return
		}
		for _, e := range got.Entries {
			if err := e.check(); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Float64s(); (err != nil) != (e.DType == I64) {
				t.Fatalf("%q as float64: %v", e.Name, err)
			}
			_, _ = e.Int64s() // must not panic; NaN and fractions are errors
		}
		again, err := ParseSafetensors(encode(t, got))
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, again, got)
	})
}
