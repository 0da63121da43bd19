package dataset

import (
	"bytes"
	"slices"
	"testing"
)

func cifarLike() *Set {
	return &Set{Name: "cifar10", ClassNames: cifar10Names, Shape: Shape{3, 32, 32}}
}

func TestReadCIFAR10AppendsFiles(t *testing.T) {
	pixels, labels := synthetic(9, 10, Shape{3, 32, 32})
	s := cifarLike()
	for _, part := range [][2]int{{0, 4}, {4, 5}, {5, 9}} {
		from, to := part[0], part[1]
		if err := s.readCIFAR10(memoryFile("f", cifarFile(pixels[from*3072:to*3072], labels[from:to]))); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(s.Pixels, pixels) || !slices.Equal(s.Labels, labels) {
		t.Error("images or labels differ from what was written")
	}
}

func TestReadCIFAR10RefusesDamage(t *testing.T) {
	pixels, labels := synthetic(3, 10, Shape{3, 32, 32})
	good := cifarFile(pixels, labels)
	badLabel := bytes.Clone(good)
	badLabel[2*3073] = 10
	shrunk := memoryFile("F", good[:5000])
	shrunk.size = int64(len(good))
	gone := memoryFile("F", good[:3073])
	gone.size = int64(len(good))
	cases := []struct {
		name string
		f    file
		want []string
	}{
		{"empty", memoryFile("F", nil), []string{"F: 0 bytes", "3073", "30730000"}},
		{"cut off", memoryFile("F", good[:9000]), []string{"F: 9000 bytes", "3073", "30730000"}},
		{"two labels per image", memoryFile("F", make([]byte, 3074)), []string{"F: 3074 bytes", "3073"}},
		{"label out of range", memoryFile("F", badLabel), []string{"F: label 10 of image 2", "0 to 9"}},
		{"shorter inside an image", shrunk, []string{"F: image 1", "shorter"}},
		{"shorter between images", gone, []string{"F: image 1", "shorter"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantError(t, cifarLike().readCIFAR10(c.f), c.want...) })
	}
}

// Whatever the bytes: no panic, and what is accepted is what was written.
func FuzzReadCIFAR10(f *testing.F) {
	f.Add(cifarFile(synthetic(2, 10, Shape{3, 32, 32})))
	f.Add(make([]byte, 3072))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := cifarLike()
		if err := s.readCIFAR10(memoryFile("f", b)); err != nil {
			return
		}
		if s.Len() == 0 || !bytes.Equal(b, cifarFile(s.Pixels, s.Labels)) {
			t.Errorf("%d images that differ from the file when written again", s.Len())
		}
	})
}
