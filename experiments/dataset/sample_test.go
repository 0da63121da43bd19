package dataset

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// samples says what is in the program and where it comes from.
var samples = []struct {
	name, original string
	train          bool
	n              int
	perClass       []int
	sum            string // SHA-256 of pixels, then one byte per label
}{
	{"mnist-sample", "mnist", true, 10_000, []int{1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978}, "2e49afdffc567fd5f9f306a04e2bafced2432146ae04f4b9a58b25505ba05b2e"},
	{"mnist-sample", "mnist", false, 2_000, []int{175, 234, 219, 207, 217, 179, 178, 205, 192, 194}, "df444787d999dd3af3cacedb8feeb744f04b8b3303b18a61cff27a0ffc9b5b4c"},
	{"fashion-mnist-sample", "fashion-mnist", false, 2_000, []int{200, 203, 214, 190, 219, 195, 197, 200, 194, 188}, "5e916b2e91811fe46845f5b34d536fd2cb7788e5c5bc5531b5e3b9ee89e9bad9"},
}

func openSample(t testing.TB, name string, train bool) *Set {
	t.Helper()
	s, err := Open(name, Options{Train: train, Root: "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSampleContent(t *testing.T) {
	for _, c := range samples {
		t.Run(describe(c.name, c.train), func(t *testing.T) {
			s := openSample(t, c.name, c.train)
			perClass := make([]int, s.Classes())
			for _, label := range s.Labels {
				perClass[label]++
			}
			if s.Len() != c.n || !slices.Equal(perClass, c.perClass) {
				t.Errorf("%d images, per class %v; want %d, %v", s.Len(), perClass, c.n, c.perClass)
			}
			if sum := fmt.Sprintf("%x", sha256.Sum256(append(slices.Clip(s.Pixels), toBytes(s.Labels)...))); sum != c.sum {
				t.Errorf("SHA-256 %s, want %s", sum, c.sum)
			}
		})
	}
}

// The sample is the beginning of the published files.
func TestSampleIsTheOriginal(t *testing.T) {
	for _, c := range samples {
		t.Run(describe(c.name, c.train), func(t *testing.T) {
			original, s := realData(t, c.original, c.train), openSample(t, c.name, c.train)
			if !bytes.Equal(s.Pixels, original.Pixels[:len(s.Pixels)]) || !slices.Equal(s.Labels, original.Labels[:s.Len()]) {
				t.Error("the sample differs from the first images of the original")
			}
		})
	}
}

func TestSampleIsSmallAndLicensed(t *testing.T) {
	entries, err := fs.ReadDir(sampleFiles, "sample")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if len(entries) != 6 || total > 3_000_000 {
		t.Errorf("%d files of %d bytes, want 6 of at most 3,000,000", len(entries), total)
	}
	licences, err := os.ReadFile("sample/LICENSE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Yann LeCun and Corinna Cortes", "Attribution-ShareAlike 3.0", "Zalando SE", "Permission is hereby granted"} {
		if !strings.Contains(string(licences), want) {
			t.Errorf("sample/LICENSE.md does not say %q", want)
		}
	}
}
