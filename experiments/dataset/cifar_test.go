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

func cifar100Like() *Set {
	return &Set{Name: "cifar100", ClassNames: cifar100Names, Shape: Shape{3, 32, 32}}
}

// cifar100File encodes images as a file of CIFAR-100's binary version, with
// coarse labels that differ from the fine ones.
func cifar100File(pixels []uint8, labels []int) []byte {
	var b []byte
	for i, label := range labels {
		b = append(append(b, byte((label+i+1)%20), byte(label)), pixels[i*3072:(i+1)*3072]...)
	}
	return b
}

func TestReadCIFAR100(t *testing.T) {
	pixels, labels := synthetic(30, 100, Shape{3, 32, 32})
	s := cifar100Like()
	if err := s.readCIFAR100(memoryFile("f", cifar100File(pixels, labels))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Pixels, pixels) || !slices.Equal(s.Labels, labels) {
		t.Error("images or fine labels differ from what was written")
	}
}

func TestCIFAR100Names(t *testing.T) {
	if len(cifar100Names) != 100 || !slices.IsSorted(cifar100Names) || len(slices.Compact(slices.Clone(cifar100Names))) != 100 {
		t.Errorf("%d names, want 100 different ones in alphabetical order: %v", len(cifar100Names), cifar100Names)
	}
}

func TestReadCIFAR100RefusesDamage(t *testing.T) {
	pixels, labels := synthetic(3, 100, Shape{3, 32, 32})
	good := cifar100File(pixels, labels)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	shrunk := memoryFile("F", good[:3075])
	shrunk.size = int64(len(good))
	cases := []struct {
		name string
		f    file
		want []string
	}{
		{"empty", memoryFile("F", nil), []string{"F: 0 bytes", "3074", "30740000"}},
		{"cut off", memoryFile("F", good[:9000]), []string{"F: 9000 bytes", "3074", "30740000"}},
		{"CIFAR-10", memoryFile("F", make([]byte, 3073)), []string{"F: 3073 bytes", "3074"}},
		{"coarse label out of range", memoryFile("F", change(2*3074, 20)), []string{"F: coarse label 20 of image 2", "0 to 19"}},
		{"fine label out of range", memoryFile("F", change(3075, 100)), []string{"F: fine label 100 of image 1", "0 to 99"}},
		{"shorter between labels", shrunk, []string{"F: image 1", "shorter"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantError(t, cifar100Like().readCIFAR100(c.f), c.want...) })
	}
	train := cifar100Like()
	train.Train = true
	wantError(t, train.readCIFAR100(memoryFile("F", good[:1])), "F: 1 bytes", "153700000")
}

// Whatever the bytes: no panic, and what is accepted is what the records say.
func FuzzReadCIFAR100(f *testing.F) {
	f.Add(cifar100File(synthetic(2, 100, Shape{3, 32, 32})))
	f.Add(make([]byte, 3073))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := cifar100Like()
		if err := s.readCIFAR100(memoryFile("f", b)); err != nil {
			return
		}
		if s.Len() == 0 || s.Len()*3074 != len(b) {
			t.Fatalf("%d images from %d bytes", s.Len(), len(b))
		}
		for i, label := range s.Labels {
			if record := b[i*3074:]; int(record[1]) != label || !bytes.Equal(record[2:3074], s.Image(i)) {
				t.Errorf("image %d differs from its record", i)
			}
		}
	})
}
