package dataset

import (
	"bytes"
	"slices"
	"testing"
)

func mnistLike() *Set { return &Set{Name: "mnist", ClassNames: digitNames, Shape: Shape{1, 28, 28}} }

func TestReadIDX(t *testing.T) {
	images, labels := idxPair(23)
	wantPixels, wantLabels := synthetic(23, 10, Shape{1, 28, 28})
	for name, pair := range map[string][2][]byte{
		"plain": {images, labels},
		"gzip":  {zipped(images), zipped(labels)},
		"a mix": {images, zipped(labels)},
	} {
		t.Run(name, func(t *testing.T) {
			s := mnistLike()
			if err := s.readIDX(memoryFile("i", pair[0]), memoryFile("l", pair[1])); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Pixels, wantPixels) || !slices.Equal(s.Labels, wantLabels) {
				t.Error("images or labels differ from what was written")
			}
			if s.Len() != 23 || !bytes.Equal(s.Image(22), wantPixels[22*784:]) {
				t.Errorf("%d images, the last one right: %v", s.Len(), bytes.Equal(s.Image(22), wantPixels[22*784:]))
			}
		})
	}
}

// Every damage is one line with the file, what was found and what is right.
func TestReadIDXRefusesDamage(t *testing.T) {
	images, labels := idxPair(5)
	change := func(b []byte, at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	badSum := zipped(images)
	badSum[len(badSum)-8] ^= 1
	cases := []struct {
		name           string
		images, labels []byte
		want           []string
	}{
		{"empty", nil, labels, []string{"I:", "header", "cut off"}},
		{"half a header", images[:9], labels, []string{"I:", "header", "cut off"}},
		{"labels for images", labels, labels, []string{"I:", "0x00000801", "0x00000803"}},
		{"images for labels", images, images, []string{"L:", "0x00000803", "0x00000801"}},
		{"floats", change(images, 2, 0x0d), labels, []string{"I:", "0x00000d03", "0x00000803"}},
		{"no images", change(images, 7, 0), labels, []string{"I:", "0 items", "1 to"}},
		{"absurd count", change(images, 4, 0xff), labels, []string{"I:", "4278190085 items", "1048576"}},
		{"other height", change(images, 11, 27), labels, []string{"I:", "27x28", "28x28"}},
		{"other width", change(images, 15, 32), labels, []string{"I:", "28x32", "28x28"}},
		{"cut images", images[:len(images)-1], labels, []string{"I:", "3919 bytes", "3920", "cut off"}},
		{"cut labels", images, labels[:len(labels)-2], []string{"L:", "3 bytes", "want 5", "cut off"}},
		{"longer images", append(bytes.Clone(images), 0), labels, []string{"I:", "more bytes", "3920"}},
		{"count too small", change(images, 7, 4), labels, []string{"I:", "more bytes", "3136"}},
		{"fewer labels", images, idx(idxLabels, []uint32{4}, []byte{1, 2, 3, 4}), []string{"L:", "4 labels", "want 5", "I"}},
		{"label out of range", images, change(labels, 10, 10), []string{"L:", "label 10 of image 2", "0 to 9"}},
		{"cut gzip", zipped(images)[:100], labels, []string{"I:", "want 3920", "cut off"}},
		{"gzip without content", zipped(images)[:5], labels, []string{"I:", "gzip"}},
		{"gzip checksum", badSum, labels, []string{"I:", "checksum"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := mnistLike()
			wantError(t, s.readIDX(memoryFile("I", c.images), memoryFile("L", c.labels)), c.want...)
		})
	}
}

// A header may promise far more than there is: memory follows the content.
func TestReadIDXDoesNotTrustTheCount(t *testing.T) {
	b := idx(idxImages, []uint32{maxImages, 28, 28}, make([]byte, 100))
	allocated := allocatedBytes(func() {
		if _, _, err := parseIDX(bytes.NewReader(b), idxImages, Shape{1, 28, 28}); err == nil {
			t.Error("no error for a file of 116 bytes that announces a million images")
		}
	})
	if allocated > 8<<20 {
		t.Errorf("%d bytes allocated to read a file of 116", allocated)
	}
}

// Whatever the bytes: no panic, and what is accepted is what was written.
func FuzzReadIDX(f *testing.F) {
	images, labels := idxPair(2)
	f.Add(images, labels)
	f.Add(zipped(images), zipped(labels))
	f.Add(images[:20], labels)
	f.Add([]byte{0x1f, 0x8b}, []byte{})
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		s := mnistLike()
		if err := s.readIDX(memoryFile("i", images), memoryFile("l", labels)); err != nil {
			return
		}
		if len(s.Pixels) != s.Len()*s.Shape.Len() || s.Len() == 0 {
			t.Fatalf("%d pixels for %d images of %v", len(s.Pixels), s.Len(), s.Shape)
		}
		n := uint32(s.Len())
		if !bytes.HasPrefix(images, []byte{0x1f, 0x8b}) && !bytes.Equal(images, idx(idxImages, []uint32{n, 28, 28}, s.Pixels)) {
			t.Error("the images written again differ from those read")
		}
		if !bytes.HasPrefix(labels, []byte{0x1f, 0x8b}) && !bytes.Equal(labels, idx(idxLabels, []uint32{n}, toBytes(s.Labels))) {
			t.Error("the labels written again differ from those read")
		}
	})
}
