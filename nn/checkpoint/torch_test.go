package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fixture is a file that PyTorch wrote (testdata/make.py).
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ramp is the entry that make.py fills from start on.
func ramp(name string, dt DType, start int, shape ...int) Entry {
	n := 1
	for _, d := range shape {
		n *= d
	}
	at := make([]int, n)
	for i := range at {
		at[i] = start + i
	}
	return eighths(name, dt, at, shape...)
}

// eighths is an entry of numbers/8.
func eighths(name string, dt DType, numbers []int, shape ...int) Entry {
	e := Entry{Name: name, DType: dt, Shape: shape}
	for _, n := range numbers {
		v := float64(n) / 8
		switch dt {
		case F32:
			e.Data = binary.LittleEndian.AppendUint32(e.Data, math.Float32bits(float32(v)))
		case F64:
			e.Data = binary.LittleEndian.AppendUint64(e.Data, math.Float64bits(v))
		case BF16:
			e.Data = binary.LittleEndian.AppendUint16(e.Data, uint16(math.Float32bits(float32(v))>>16))
		case F16:
			e.Data = binary.LittleEndian.AppendUint16(e.Data, halfOf(v))
		}
	}
	return e
}

// halfOf returns a half that is exactly v, which is an eighth of a small integer.
func halfOf(v float64) uint16 {
	if v == 0 {
		return 0
	}
	fraction, exponent := math.Frexp(v) // v = fraction·2^exponent, fraction in [0.5, 1)
	return uint16(exponent-1+15)<<10 | uint16(fraction*2048)&1023
}

func networkEntries(prefix string) []Entry {
	entries := []Entry{
		ramp("conv.weight", F32, 0, 2, 1, 3, 3), ramp("conv.bias", F32, 1, 2),
		ramp("sn.weight_orig", F32, 2, 2, 1, 3, 3), ramp("sn.weight_u", F32, 3, 32), ramp("sn.weight_v", F32, 4, 16), ramp("sn.weight_sigma", F32, 5, 1),
		ramp("bn.weight", F32, 6, 2), ramp("bn.bias", F32, 7, 2), ramp("bn.running_mean", F32, 8, 2), ramp("bn.running_var", F32, 9, 2),
		NewInt64("bn.num_batches_tracked", []int64{41}),
		ramp("block.fc.bias", F32, 11, 2), ramp("block.fc.weight_orig", F32, 12, 2, 3), ramp("block.fc.weight_u", F32, 13, 2), ramp("block.fc.weight_v", F32, 14, 3),
	}
	for i := range entries {
		entries[i].Name = prefix + entries[i].Name
	}
	return entries
}

func TestReadTorch(t *testing.T) {
	small := []Entry{ramp("conv.weight", F32, 0, 2, 1, 2, 2), ramp("fc.bias", F32, 8, 3), NewInt64("steps", []int64{7})}
	types := []Entry{
		ramp("float16", F16, 0, 2, 3), ramp("bfloat16", BF16, 0, 2, 3), ramp("float32", F32, 0, 2, 3), ramp("float64", F64, 0, 2, 3),
		NewInt64("int64", []int64{math.MinInt64, -1, math.MaxInt64}, 3), NewFloat32("scalar", []float32{2.5}), NewFloat32("empty", nil, 0, 4),
	}
	columns := func(rows, columns, start, down, right int) (at []int) {
		for r := range rows {
			for c := range columns {
				at = append(at, start+r*down+c*right)
			}
		}
		return at
	}
	views := []Entry{
		ramp("base", F32, 0, 4, 6), eighths("transposed", F32, columns(6, 4, 0, 1, 6), 6, 4), eighths("column", F32, []int{2, 8, 14, 20}, 4),
		ramp("rows", F32, 6, 2, 6), eighths("step", F32, columns(2, 3, 1, 12, 2), 2, 3), eighths("one", F32, []int{23}),
		eighths("expanded", F32, []int{0, 1, 2, 0, 1, 2}, 2, 3), ramp("channels_last", F32, 0, 2, 3, 2, 2),
	}
	for name, want := range map[string][]Entry{
		"network.model": networkEntries(""), "parallel.model": networkEntries(Parallel), "legacy.model": networkEntries(""),
		"dict.pt": small, "protocol4.pt": small, "legacy_protocol4.pt": small, "parameters.pt": small,
		"nested.pt": small, "nested_legacy.pt": small,
		"types.pt": types, "types_legacy.pt": types, "views.pt": views, "views_legacy.pt": views,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			sameFile(t, got, &File{Entries: want})
		})
	}
}

func TestReadTensor(t *testing.T) {
	alone := filepath.Join(t.TempDir(), "alone.safetensors")
	if err := Write(alone, &File{Entries: []Entry{ramp("", F32, 0, 3, 1, 2, 2)}}, Safetensors); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Entry{
		"testdata/samples.pt":       ramp("", F32, 0, 3, 1, 2, 2),
		"testdata/labels_legacy.pt": NewInt64("", []int64{0, 1, 2, 3, 4, 5}, 3, 2),
		alone:                       ramp("", F32, 0, 3, 1, 2, 2),
	} {
		got, err := ReadTensor(path)
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, &File{Entries: []Entry{got}}, &File{Entries: []Entry{want}})
	}
	for path, want := range map[string]string{
		"testdata/dict.pt":                "it holds a dict, want one tensor",
		"testdata/malicious.model":        "posix.system",
		"testdata/malicious_legacy.model": "posix.system",
		"testdata/nothing.pt":             "no such file",
		"../../testdata/golden/meta.json": "neither a file of torch.save nor safetensors",
		writeSafetensors(t, &File{}):      "0 tensors, want one",
		writeSafetensors(t, example()):    "6 tensors, want one",
	} {
		if _, err := ReadTensor(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: error is %v, want one that names the file and says %q", path, err, want)
		}
	}
}

func writeSafetensors(t *testing.T, f *File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.safetensors")
	if err := Write(path, f, Safetensors); err != nil {
		t.Fatal(err)
	}
	return path
}

func encodeTorch(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.EncodeTorch(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// records returns the contents of an archive by name, without its folder.
func records(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range archive.File {
		offset, err := f.DataOffset()
		if err != nil || offset%recordAlignment != 0 || f.Method != zip.Store {
			t.Errorf("%s: offset %d (%v), method %d; want it stored at a multiple of %d", f.Name, offset, err, f.Method, recordAlignment)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(f.Name, "/")
		all[name] = content
	}
	return all
}

// What PyTorch wrote and we read and write again is, record by record and byte by
// byte, what PyTorch wrote: also _metadata, which is made anew.
func TestWriteTorchEqualsPyTorch(t *testing.T) {
	for _, name := range []string{"network.model", "parallel.model"} {
		data := fixture(t, name)
		f, err := ParseTorch(data)
		if err != nil {
			t.Fatal(err)
		}
		got, want := records(t, encodeTorch(t, f)), records(t, data)
		if len(got) != len(want) {
			t.Errorf("%s: %d records, want %d", name, len(got), len(want))
		}
		for record, content := range want {
			if !bytes.Equal(got[record], content) {
				t.Errorf("%s: record %s is\n%q, want\n%q", name, record, got[record], content)
			}
		}
	}
}

// More names than a byte can number and than Python puts into one batch.
func TestTorchRoundTripOfManyEntries(t *testing.T) {
	f := new(File)
	for i := range 2001 {
		f.Entries = append(f.Entries, NewInt64(fmt.Sprintf("layer%d.weight", i), []int64{int64(i)}))
	}
	got, err := ParseTorch(encodeTorch(t, f))
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got, f)
}

// Any entries survive being written and read.
func TestTorchRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := new(File)
		many := rapid.SampledFrom([]int{0, 1, 2, 20}).Draw(r, "entries")
		for i := range many {
			dt := rapid.SampledFrom([]DType{F32, F64, BF16, F16, I64}).Draw(r, "type")
			shape := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 5).Draw(r, "shape")
			size, err := byteSize(dt, shape)
			if err != nil {
				r.Fatal(err)
			}
			data := make([]byte, size)
			for j := range data {
				data[j] = byte(i + j)
			}
			name := fmt.Sprintf("%s%d.weight", rapid.SampledFrom([]string{"", "module.", "a.b.", "ä"}).Draw(r, "path"), i)
			f.Entries = append(f.Entries, Entry{name, dt, shape, data})
		}
		var b bytes.Buffer
		if err := f.EncodeTorch(&b); err != nil {
			r.Fatal(err)
		}
		got, err := ParseTorch(b.Bytes())
		if err != nil {
			r.Fatal(err)
		}
		sameFile(t, got, f)
	})
}

func TestModuleVersions(t *testing.T) {
	f := func(name string, shape ...int) Entry {
		size, _ := byteSize(F32, shape)
		return Entry{name, F32, shape, make([]byte, size)}
	}
	for name, test := range map[string]struct {
		entries []Entry
		want    []moduleVersion
	}{
		"nothing":     {nil, nil},
		"own weights": {[]Entry{f("weight", 2)}, []moduleVersion{{path: "", version: 1}}},
		"nested":      {[]Entry{f("a.b.c.weight", 2), f("a.d.weight")}, []moduleVersion{{path: "", version: 1}, {path: "a", version: 1}, {path: "a.b", version: 1}, {path: "a.b.c", version: 1}, {path: "a.d", version: 1}}},
		"batch norm":  {[]Entry{f("n.weight", 2), f("n.num_batches_tracked")}, []moduleVersion{{path: "", version: 1}, {path: "n", version: 2}}},
		"operator":    {[]Entry{f("c.weight_orig", 4, 2, 3, 3), f("c.weight_u", 64), f("c.weight_v", 32)}, []moduleVersion{{path: "", version: 1}, {"c", 1, "spectral_norm_conv", "weight"}}},
		"1x1":         {[]Entry{f("c.weight_orig", 4, 2, 1, 1), f("c.weight_u", 4), f("c.weight_v", 2)}, []moduleVersion{{path: "", version: 1}, {"c", 1, "spectral_norm", "weight"}}},
		"linear":      {[]Entry{f("weight_orig", 4, 2), f("weight_u", 4), f("weight_v", 2)}, []moduleVersion{{"", 1, "spectral_norm", "weight"}}},
		"only a name": {[]Entry{f("weight_orig", 4, 2)}, []moduleVersion{{path: "", version: 1}}},
	} {
		if got := moduleVersions(test.entries); !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestWithPrefix(t *testing.T) {
	file := func(names ...string) *File {
		f := new(File)
		for _, n := range names {
			f.Entries = append(f.Entries, NewFloat32(n, []float32{1}, 1))
		}
		return f
	}
	for _, test := range []struct {
		from   []string
		prefix string
		want   []string
	}{
		{[]string{"a", "b.c"}, "module.", []string{"module.a", "module.b.c"}},
		{[]string{"module.a", "module.b"}, "module.", []string{"module.a", "module.b"}},
		{[]string{"module.a", "module.b"}, "", []string{"a", "b"}},
		{[]string{"module.a", "b"}, "", []string{"module.a", "b"}},
		{[]string{"a"}, "net.", []string{"net.a"}},
		{nil, "module.", nil},
	} {
		from := file(test.from...)
		sameFile(t, from.WithPrefix(test.prefix), file(test.want...))
		sameFile(t, from, file(test.from...))
	}
}

func TestFormatOf(t *testing.T) {
	for path, want := range map[string]Format{"a.model": Torch, "x/a.PT": Torch, "a.pth": Torch, "a.b.safetensors": Safetensors, "a.txt": "", "model": "", "": ""} {
		got, err := FormatOf(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", path, got, err, want)
		}
	}
	if err := Write(filepath.Join(t.TempDir(), "x"), new(File), "onnx"); err == nil {
		t.Error("an unknown format is written")
	}
}

// change returns a file of torch.save with one record replaced, added or, if it
// is nil, left out.
func change(t testing.TB, data []byte, name string, content []byte) []byte {
	t.Helper()
	all := records(t, data)
	if all[name] = content; content == nil {
		delete(all, name)
	}
	return archive(t, all, zip.Store)
}

func archive(t testing.TB, all map[string][]byte, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range all {
		r, err := w.CreateHeader(&zip.FileHeader{Name: "archive/" + name, Method: method})
		if err == nil {
			_, err = r.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseTorchRefuses(t *testing.T) {
	plain, legacy := fixture(t, "dict.pt"), fixture(t, "legacy.model")
	damaged := bytes.Clone(plain)
	at := bytes.Index(damaged, records(t, plain)["data/0"])
	damaged[at] ^= 1
	// pickled is a zip file whose pickle is this.
	pickled := func(code string) []byte { return change(t, plain, "data.pkl", []byte("\x80\x02"+code)) }
	// item is a tensor of a dict: elements in the storage, offset, shape and strides.
	item := func(class, elements, offset, shape, strides string) string {
		return "X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n" + class + "\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" +
			elements + "tQ" + offset + shape + strides + "\x89}tRs"
	}
	one := func(class, elements, offset, shape, strides string) []byte {
		return pickled("}" + item(class, elements, offset, shape, strides) + ".")
	}
	eight := item("FloatStorage", "K\x08", "K\x00", "K\x08\x85", "K\x01\x85")
	const huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"malicious", fixture(t, "malicious.model"), `asks for "posix.system", which is no part of a state dict`},
		{"malicious, legacy", fixture(t, "malicious_legacy.model"), "Nothing in the file was run"},
		{"whole module", fixture(t, "whole_module.pt"), `"torch.nn.modules.linear.Linear"`},
		{"TorchScript", fixture(t, "script.pt"), "TorchScript"},
		{"one tensor", fixture(t, "samples.pt"), "it holds a tensor, want a state dict"},
		{"other elements", fixture(t, "bool.pt"), `tensor "mask": its elements are those of torch.BoolStorage`},
		{"no tensors", pickled("}X\x01\x00\x00\x00aK\x01s."), "a dict without tensors"},
		{"a number among tensors", pickled(nested("X\x05\x00\x00\x00epochK\x01s")), `"epoch" is an integer, want a tensor`},
		{"nameless", pickled(nested("K\x01K\x01s")), "a key of the state dict is an integer"},
		{"name twice", pickled("}" + eight + eight + "."), `"a" appears twice`},
		{"storage in two ways", pickled("}" + eight + item("FloatStorage", "K\x07", "K\x00", ")", ")") + "."), "in two ways"},
		{"control character", pickled(nested("X\x01\x00\x00\x00\x1bK\x01s")), `"\x1b"`},
		{"truncated", plain[:len(plain)/2], "truncated or damaged"},
		{"truncated, legacy", legacy[:len(legacy)-1], "truncated"},
		{"pickle truncated, legacy", legacy[:200], "the pickle ends"},
		{"flipped bit", damaged, "does not have its checksum"},
		{"no pickle", change(t, plain, "data.pkl", nil), `no record "data.pkl"`},
		{"no storage", change(t, plain, "data/1", nil), `no record "data/1"`},
		{"short storage", change(t, plain, "data/1", make([]byte, 8)), "has 8 bytes, its 3 elements of torch.FloatStorage take 12"},
		{"big endian", change(t, plain, "byteorder", []byte("big")), `byte order "big"`},
		{"two folders", bytes.ReplaceAll(plain, []byte("dict/version"), []byte("tcid/version")), "in another folder"},
		{"compressed", archive(t, records(t, plain), zip.Deflate), "compressed"},
		{"empty pickle", pickled(""), "the pickle ends"},
		{"unknown opcode", pickled("i."), "opcode 0x69"},
		{"nothing on the stack", pickled("."), "stack"},
		{"below the mark", pickled("K\x01(0."), "stack"},
		{"lying length", pickled("X\xff\xff\xff\xffabc."), "the pickle ends"},
		{"lying length, 8 bytes", pickled("\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc."), "the pickle ends"},
		{"no such memo", pickled("h\x07."), "value 7"},
		{"call of a storage", pickled("ctorch\nFloatStorage\n)R."), "no function"},
		{"call of a number", pickled("K\x01)R."), "an integer is called with a tuple"},
		{"attributes of a number", pickled("K\x01}b."), "attributes are given to an integer"},
		{"other persistent id", pickled("K\x01Q."), "a persistent id is an integer"},
		{"negative storage", one("FloatStorage", "J\xff\xff\xff\xff", "K\x00", "K\x01\x85", "K\x01\x85"), "a storage is not described"},
		{"huge storage", one("FloatStorage", huge, "K\x00", "K\x01\x85", "K\x01\x85"), "a storage is not described"},
		{"offset outside", one("FloatStorage", "K\x08", "K\x08", "K\x01\x85", "K\x01\x85"), "leave its storage of 8 elements"},
		{"shape outside", one("FloatStorage", "K\x08", "K\x00", "K\x02K\x05\x86", "K\x04K\x01\x86"), "leave its storage of 8 elements"},
		{"huge stride", one("FloatStorage", "K\x08", "K\x00", "K\x03\x85", huge+"\x85"), "leave its storage"},
		{"huge offset", one("FloatStorage", "K\x08", huge, "K\x03\x85", huge+"\x85"), "leave its storage"},
		{"huge shape", one("FloatStorage", "K\x08", "K\x00", huge+huge+"\x86", "K\x00K\x00\x86"), "more elements than memory"},
		{"many views of one number", one("FloatStorage", "K\x08", "K\x00", "J\x00\x00\x00\x04\x85", "K\x00\x85"), "more than four times the file"},
		{"negative shape", one("FloatStorage", "K\x08", "K\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85"), "at least 0"},
		{"strides missing", one("FloatStorage", "K\x08", "K\x00", "K\x02\x85", ")"), "as many strides"},
		{"too many dimensions", one("FloatStorage", "K\x08", "K\x00", "("+strings.Repeat("K\x01", 65)+"t", "("+strings.Repeat("K\x01", 65)+"t"), "a tensor is not made"},
		{"endless", pickled(strings.Repeat("N0", maxPickleSteps/2+1) + "."), "steps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseTorch(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("error is %v, want one line with %q", err, c.want)
			}
		})
	}
	if _, err := os.Stat("pwned"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made by reading: %v", err)
	}
}

// nested is a pickle of {"state_dict": {...}}.
func nested(item string) string {
	return "}X\x0a\x00\x00\x00state_dict}" + item + "s."
}

// Records that lie upon each other would let a small file seem large.
func TestOverlappingRecordsAreRefused(t *testing.T) {
	content := make([]byte, 4000)
	var pickle strings.Builder
	pickle.WriteString("\x80\x02}(")
	for i := range 2 {
		fmt.Fprintf(&pickle, "X\x01\x00\x00\x00%dctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00%dX\x03\x00\x00\x00cpuM\xe8\x03tQK\x00M\xe8\x03\x85K\x01\x85\x89}tR", i, i)
	}
	pickle.WriteString("u.")
	data := archive(t, map[string][]byte{"data.pkl": []byte(pickle.String()), "data/0": content, "data/1": {}}, zip.Store)
	// Make the directory's entry of data/1 another one of data/0.
	directory := bytes.LastIndex(data, []byte("archive/data/0")) - 46
	other := bytes.LastIndex(data, []byte("archive/data/1")) - 46
	copy(data[other+16:other+28], data[directory+16:directory+28]) // checksum and sizes
	copy(data[other+42:other+46], data[directory+42:directory+46]) // place
	if crc32.ChecksumIEEE(content) != binary.LittleEndian.Uint32(data[other+16:]) {
		t.Fatal("the directory is not where it was looked for")
	}
	if _, err := ParseTorch(data); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("error is %v, want one about overlapping records", err)
	}
}

// What parses is well formed, survives being written and parsed again, and takes
// no more memory than is promised.
func FuzzParseTorch(f *testing.F) {
	files, err := filepath.Glob("testdata/*.[mp]*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if !strings.HasSuffix(name, ".py") {
			f.Add(fixture(f, filepath.Base(name)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := ParseTorchTensor(data); err == nil {
			if err := e.check(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ParseTorch(data)
		if err != nil {
			return
		}
		total := 0
		for _, e := range got.Entries {
			if err := e.check(); err != nil {
				t.Fatal(err)
			}
			total += len(e.Data)
		}
		if total > torchBudget(data) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
		again, err := ParseTorch(encodeTorch(t, got))
		if err != nil {
			t.Fatal(err)
		}
		sameFile(t, again, got)
	})
}

// The pickle alone: a zip file's checksums keep a fuzzer out.
func FuzzUnpickle(f *testing.F) {
	for _, name := range []string{"network.model", "views.pt", "nested.pt", "protocol4.pt", "parameters.pt", "malicious.model"} {
		data := fixture(f, name)
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			f.Fatal(err)
		}
		r, err := archive.File[0].Open()
		if err != nil {
			f.Fatal(err)
		}
		pickle, err := io.ReadAll(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pickle)
	}
	f.Fuzz(func(t *testing.T, pickle []byte) {
		root, err := newTorchUnpickler(pickle).load()
		if err != nil {
			return
		}
		dict, err := stateDict(root)
		if err != nil {
			return
		}
		budget := 1 << 20
		zeros := func(s *torchStorage) error {
			if s.bytes() > 1<<20 {
				return errors.New("too large")
			}
			s.data = make([]byte, s.bytes())
			return nil
		}
		for _, v := range dict.values {
			if tensor, ok := v.(*torchTensor); ok {
				if e, err := tensor.entry("x", &budget, zeros); err == nil {
					if err := e.check(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}
