package dataset

import (
	"bytes"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// imageOf encodes one colour as PNG, or as JPEG by the name.
func imageOf(t testing.TB, name string, w, h int, c color.Color) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		m.Set(i%w, i/w, c)
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	if filepath.Ext(name) != ".png" {
		b.Reset()
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	red   = color.NRGBA{250, 10, 20, 255}
	green = color.NRGBA{10, 240, 30, 255}
	blue  = color.NRGBA{5, 15, 230, 255}
)

// writeImages writes images of colours and odd sizes, by path below dir.
func writeImages(t testing.TB, dir string, images map[string]color.Color) {
	t.Helper()
	for name, c := range images {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, imageOf(t, name, 50, 37, c), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// wantColour checks that image i is of one colour, within what JPEG changes.
func wantColour(t *testing.T, s *Set, i int, c color.NRGBA) {
	t.Helper()
	size := s.Shape.H * s.Shape.W
	for p, v := range s.Image(i) {
		want := int([]uint8{c.R, c.G, c.B}[p/size])
		if d := int(v) - want; d < -3 || d > 3 {
			t.Fatalf("image %d, channel %d, pixel %d is %d, want %d", i, p/size, p%size, v, want)
		}
	}
}

// Classes and images come in alphabetical order, resized; what is hidden or no
// image is left out.
func TestFolderWithParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My_Things")
	writeImages(t, dir, map[string]color.Color{
		"train/Zebra/1.png": red, "train/apple/2.JPEG": green, "train/apple/1.jpg": blue,
		"val/apple/x.jpeg": green, "val/Zebra/x.PNG.png": red,
		"train/.hidden/1.png": red,
	})
	write(t, []byte("notes"), dir, "train", "apple", "notes.txt")
	write(t, []byte("notes"), dir, "train", "apple", ".png")
	train, err := Open("folder:"+dir, Options{Train: true})
	if err != nil {
		t.Fatal(err)
	}
	if train.Name != "folder-my-things" || train.Shape != (Shape{3, 32, 32}) || !slices.Equal(train.ClassNames, []string{"Zebra", "apple"}) || !slices.Equal(train.Labels, []int{0, 1, 1}) {
		t.Fatalf("%v: %v, classes %q, labels %v", train, train.Shape, train.ClassNames, train.Labels)
	}
	wantColour(t, train, 0, red)
	wantColour(t, train, 1, blue)
	wantColour(t, train, 2, green)
	test, err := Open("folder:"+dir, Options{})
	if err != nil || !slices.Equal(test.Labels, []int{0, 1}) || train.Augmentation != (Augmentation{4, true}) {
		t.Fatalf("labels %v, augmentation %v, %v", test.Labels, train.Augmentation, err)
	}
	grey, err := Open("folder:"+dir, Options{OOD: true, Shape: Shape{1, 28, 28}})
	if err != nil || grey.Shape != (Shape{1, 28, 28}) || grey.Augmentation != (Augmentation{}) {
		t.Fatal(grey, err)
	}
	// 0.299 R + 0.587 G + 0.114 B
	if v := grey.Image(0)[100]; v < 82 || v > 84 {
		t.Errorf("grey of red is %d, want 83", v)
	}
	other := filepath.Join(filepath.Dir(dir), "other")
	writeImages(t, other, map[string]color.Color{"train/a/1.png": red, "train/b/1.png": red, "test/c/1.png": red})
	_, err = Open("folder:"+other, Options{})
	wantError(t, err, "other/test", `class "c" has no training images`, "a, b")
	if ood, err := Open("folder:"+other, Options{OOD: true}); err != nil || ood.Len() != 1 {
		t.Errorf("classes of its own out of distribution: %v", err)
	}
}

// A folder without parts is divided once and for all; out of distribution it
// counts whole, even without classes.
func TestFolderWithoutParts(t *testing.T) {
	dir := t.TempDir()
	images := map[string]color.Color{}
	for i := range 20 {
		name := "a"
		if i%2 == 1 {
			name = "b"
		}
		images[filepath.Join(name, string(rune('a'+i))+".png")] = color.NRGBA{uint8(10 * i), 0, 0, 255}
	}
	writeImages(t, dir, images)
	seen := map[uint8]int{}
	for _, train := range []bool{true, false} {
		s, err := Open("folder:"+dir, Options{Train: train})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 16, false: 4}[train]; s.Len() != want || s.Classes() != 2 {
			t.Errorf("%d images of %d classes, want %d of 2", s.Len(), s.Classes(), want)
		}
		for i := range s.Len() {
			v := s.Image(i)[0]
			seen[v]++
			if int(v)/10%2 != s.Labels[i] {
				t.Errorf("image of red %d has label %d", v, s.Labels[i])
			}
		}
	}
	if len(seen) != 20 {
		t.Errorf("the parts have %d different images, want 20", len(seen))
	}
	if all, err := Open("folder:"+dir, Options{OOD: true}); err != nil || all.Len() != 20 {
		t.Errorf("out of distribution: %v", err)
	}
	if flat, err := Open("folder:"+filepath.Join(dir, "a"), Options{OOD: true}); err != nil || flat.Len() != 10 || flat.Classes() != 1 {
		t.Errorf("a folder of images out of distribution: %v", err)
	}
	_, err := Open("folder:"+filepath.Join(dir, "a"), Options{Train: true})
	wantError(t, err, "0 folders, want at least 2, one for each class")
}

func TestFolderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file    string
		content []byte
		want    []string
	}{
		"not an image":   {"a/x.png", []byte("hello"), []string{"a/x.png", `"hell"`, "want a PNG or JPEG image"}},
		"empty":          {"a/x.png", nil, []string{"a/x.png", "empty"}},
		"cut off":        {"a/x.png", imageOf(t, "x.png", 40, 40, red)[:60], []string{"a/x.png", "PNG"}},
		"another format": {"a/x.webp", []byte("RIFF"), []string{"a/x.webp", ".webp", "want .png, .jpg or .jpeg"}},
		"huge":           {"a/x.png", hugePNG(t), []string{"a/x.png: image of 1000000x1000000", "pixels"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeImages(t, dir, map[string]color.Color{"a/1.png": red, "a/2.png": red, "b/1.png": red, "b/2.png": red, "b/3.png": red})
			write(t, c.content, dir, filepath.FromSlash(c.file))
			_, err := Open("folder:"+dir, Options{OOD: true})
			wantError(t, err, c.want...)
		})
	}
	dir := t.TempDir()
	_, err := Open("folder:"+filepath.Join(dir, "none"), Options{})
	wantError(t, err, "folder:"+filepath.Join(dir, "none"), "no such file")
	_, err = Open("folder:"+dir, Options{OOD: true})
	wantError(t, err, dir, "0 images (.png, .jpg, .jpeg), want 1 to")
	writeImages(t, dir, map[string]color.Color{"train/a/1.png": red, "train/b/1.png": red})
	_, err = Open("folder:"+dir, Options{})
	wantError(t, err, "folder train there: true, test or val there: false")
}

// hugePNG announces a million rows and columns.
func hugePNG(t testing.TB) []byte {
	b := imageOf(t, "x.png", 4, 4, red)
	// Width and height follow the signature, the length and the name of the
	// first chunk; its checksum follows them and 5 bytes more.
	copy(b[16:], []byte{0, 0x0f, 0x42, 0x40, 0, 0x0f, 0x42, 0x40})
	crc := crc32.ChecksumIEEE(b[12:29])
	copy(b[29:], []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})
	return b
}

// Every kind of PNG gives the colours that Pillow's convert("RGB") gives:
// transparency is dropped, 16 bits lose the lower 8.
func TestImageKinds(t *testing.T) {
	r := image.Rect(0, 0, 1, 1)
	nrgba, deep, palette, grey := image.NewNRGBA(r), image.NewNRGBA64(r), image.NewPaletted(r, color.Palette{color.NRGBA{9, 8, 7, 0}}), image.NewGray(r)
	nrgba.Set(0, 0, color.NRGBA{200, 100, 50, 3})
	deep.Set(0, 0, color.NRGBA64{0x12ff, 0x34ff, 0x56ff, 0x0100})
	grey.Set(0, 0, color.Gray{77})
	for _, c := range []struct {
		m    image.Image
		want [3]uint8
	}{{nrgba, [3]uint8{200, 100, 50}}, {deep, [3]uint8{0x12, 0x34, 0x56}}, {palette, [3]uint8{9, 8, 7}}, {grey, [3]uint8{77, 77, 77}}} {
		var b bytes.Buffer
		if err := png.Encode(&b, c.m); err != nil {
			t.Fatal(err)
		}
		decoded, _, err := image.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		list := planes(decoded, 3)
		if got := [3]uint8{list[0][0], list[1][0], list[2][0]}; got != c.want {
			t.Errorf("%T is read as %v, want %v", c.m, got, c.want)
		}
	}
}

// Whatever the bytes: no panic.
func FuzzDecodeImage(f *testing.F) {
	f.Add(imageOf(f, "x.png", 3, 5, red))
	f.Add(imageOf(f, "x.jpg", 9, 2, green))
	f.Add(hugePNG(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		write(t, b, dir, "x.png")
		s, err := Open("folder:"+dir, Options{OOD: true, Shape: Shape{1, 4, 4}})
		if err == nil && (s.Len() != 1 || len(s.Pixels) != 16) {
			t.Errorf("%d images, %d pixels", s.Len(), len(s.Pixels))
		}
	})
}
