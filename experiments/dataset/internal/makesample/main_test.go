package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	images := append([]byte{0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2}, "aaaabbbbcccc"...)
	var got bytes.Buffer
	if err := cut(&got, bytes.NewReader(images), 2); err != nil {
		t.Fatal(err)
	}
	want := append([]byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2}, "aaaabbbb"...)
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("cut to % x, want % x", got.Bytes(), want)
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"few":       {images[:], "3 items, want at least 4"},
		"not idx":   {[]byte("PK\x03\x04PK\x03\x04"), "magic number 0x504b0304"},
		"cut short": {append([]byte{0, 0, 8, 1, 0, 0, 0, 9}, 1, 2), "EOF"},
	} {
		if err := cut(io.Discard, bytes.NewReader(c.file), 4); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The committed sample is what this program makes of the official files.
func TestMakeSample(t *testing.T) {
	root, out := os.Getenv("DDU_DATA"), t.TempDir()
	for _, p := range parts {
		if _, err := os.Stat(filepath.Join(root, p.set, p.name+"-images-idx3-ubyte.gz")); root == "" || err != nil {
			t.Skip("$DDU_DATA does not hold the official files")
		}
	}
	if err := makeSample(root, out); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(filepath.Join(out, "*.gz"))
	if err != nil || len(made) != 6 {
		t.Fatalf("%d files made, want 6 (%v)", len(made), err)
	}
	for _, path := range made {
		committed := filepath.Join("..", "..", "sample", filepath.Base(path))
		if !bytes.Equal(content(t, path), content(t, committed)) {
			t.Errorf("%s differs from the one made now", committed)
		}
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
