package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// synthetic returns n images of a shape, all pixels and labels different enough
// that a wrong index shows.
func synthetic(n, classes int, shape Shape) (pixels []uint8, labels []int) {
	pixels, labels = make([]uint8, n*shape.Len()), make([]int, n)
	for i := range pixels {
		pixels[i] = uint8((uint64(i+1) * 0x9e3779b97f4a7c15) >> 56)
	}
	for i := range labels {
		labels[i] = (i*7 + 3) % classes
	}
	return pixels, labels
}

func syntheticSet(n int, shape Shape) *Set {
	s := &Set{Name: "synthetic", Train: true, ClassNames: digitNames, Shape: shape, Normalization: mnistNormalization}
	if shape.C == 3 {
		s.Normalization = cifarNormalization
	}
	s.Pixels, s.Labels = synthetic(n, 10, shape)
	return s
}

// idx encodes dimensions and values as the official files do.
func idx(magic uint32, dims []uint32, values []byte) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, magic)
	binary.Write(&b, binary.BigEndian, dims)
	b.Write(values)
	return b.Bytes()
}

func idxPair(n int) (images, labels []byte) {
	pixels, classes := synthetic(n, 10, Shape{1, 28, 28})
	return idx(idxImages, []uint32{uint32(n), 28, 28}, pixels), idx(idxLabels, []uint32{uint32(n)}, toBytes(classes))
}

func toBytes(labels []int) []byte {
	b := make([]byte, len(labels))
	for i, v := range labels {
		b[i] = byte(v)
	}
	return b
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// cifarFile encodes images as one file of CIFAR-10's binary version.
func cifarFile(pixels []uint8, labels []int) []byte {
	var b []byte
	size := len(pixels) / len(labels)
	for i, label := range labels {
		b = append(append(b, byte(label)), pixels[i*size:(i+1)*size]...)
	}
	return b
}

func write(t *testing.T, b []byte, elements ...string) {
	t.Helper()
	path := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// memoryFile is a file that a loader can read.
func memoryFile(name string, b []byte) file {
	return file{Reader: bytes.NewReader(b), name: name, size: int64(len(b))}
}

// wantError checks that err is one line with all the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is longer than a line", err)
	}
}

// allocatedBytes returns how much f allocates on the heap, in all goroutines.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
