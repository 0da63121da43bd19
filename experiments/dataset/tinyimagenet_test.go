package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// wnid returns the WordNet number of class i; the file has them in another order.
func wnid(i int) string { return fmt.Sprintf("n%08d", 1000+i) }

func wnidLines() []byte {
	var b []byte
	for i := range tinyImageNetClasses {
		b = fmt.Appendln(b, wnid((i*37+5)%tinyImageNetClasses))
	}
	return b
}

// jpegOf encodes an image of one colour.
func jpegOf(t testing.TB, size int, c color.Color) []byte {
	t.Helper()
	var m interface {
		image.Image
		Set(x, y int, c color.Color)
	} = image.NewRGBA(image.Rect(0, 0, size, size))
	if _, grey := c.(color.Gray); grey {
		m = image.NewGray(image.Rect(0, 0, size, size))
	}
	for y := range size {
		for x := range size {
			m.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var tinyColours = []color.Color{color.RGBA{200, 30, 90, 255}, color.Gray{77}, color.RGBA{0, 255, 10, 255}}

// tinyFolder is a folder of the official layout: one training image in every
// class and three validation images of classes 7, 0 and 199, the last one
// sorted as the reference does.
func tinyFolder(t testing.TB) fstest.MapFS {
	m := fstest.MapFS{
		"wnids.txt": {Data: wnidLines()},
		"val/val_annotations.txt": {Data: fmt.Appendf(nil, "val_0.JPEG\t%s\t0\t32\t44\t62\nval_1.JPEG\t%s\t1\t2\t3\t4\nval_2.JPEG\t%s\t1\t2\t3\t4\n",
			wnid(7), wnid(0), wnid(199))},
		"val/images/val_0.JPEG":                       {Data: jpegOf(t, 64, tinyColours[0])},
		"val/images/val_1.JPEG":                       {Data: jpegOf(t, 64, tinyColours[1])},
		"val/images/" + wnid(199) + "/val_2.JPEG":     {Data: jpegOf(t, 64, tinyColours[2])},
		"train/" + wnid(3) + "/images/not_an_image":   {Data: []byte("x")},
		"train/" + wnid(3) + "/" + "something_else":   {Data: []byte("x")},
		"train/" + wnid(3) + "/images/z_second.JPEG":  {Data: jpegOf(t, 64, tinyColours[2])},
		"train/" + wnid(3) + "/" + wnid(3) + "_b.txt": {Data: []byte("x")},
	}
	for i := range tinyImageNetClasses {
		m[fmt.Sprintf("train/%s/images/%s_0.JPEG", wnid(i), wnid(i))] = &fstest.MapFile{Data: m["val/images/val_0.JPEG"].Data}
	}
	return m
}

func readTiny(t testing.TB, m fstest.MapFS, train bool) (*Set, error) {
	t.Helper()
	dir := folder{m, "D"}
	files, err := dir.open([]string{"wnids.txt", "val/val_annotations.txt"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	s := &Set{Name: "tiny-imagenet", Train: train, Shape: Shape{3, 32, 32}}
	return s, s.readTinyImageNet(input{folder: dir, files: files})
}

func TestReadTinyImageNet(t *testing.T) {
	test, err := readTiny(t, tinyFolder(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(test.Labels, []int{7, 0, 199}) || test.Classes() != 200 || !slices.IsSorted(test.ClassNames) {
		t.Errorf("labels %v of %d classes, want 7, 0 and 199 of 200 sorted ones", test.Labels, test.Classes())
	}
	for i, colour := range tinyColours {
		r, g, b, _ := colour.RGBA()
		for c, want := range []uint32{r >> 8, g >> 8, b >> 8} {
			for _, v := range test.Image(i)[c*1024 : (c+1)*1024] {
				if d := int(v) - int(want); d < -2 || d > 2 { // what YCbCr in bytes costs
					t.Fatalf("channel %d of image %d has %d, want %d", c, i, v, want)
				}
			}
		}
	}
	train, err := readTiny(t, tinyFolder(t), true)
	if err != nil {
		t.Fatal(err)
	}
	if train.Len() != 201 || train.Labels[3] != 3 || train.Labels[4] != 3 || train.Labels[200] != 199 {
		t.Errorf("%d training images with labels %v, want 201 in the order of the classes", train.Len(), train.Labels)
	}
}

// A gradient keeps its direction, so rows are rows, and no pixel moves.
func TestDecodeImageKeepsPlaces(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			m.SetGray(x, y, color.Gray{uint8(3*x + y/2)})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	dst := make([]uint8, 3*32*32)
	if err := decodeImage(dst, Shape{3, 32, 32}, folder{fstest.MapFS{"a": {Data: b.Bytes()}}, "D"}, []string{"a"}, checkTinyImage); err != nil {
		t.Fatal(err)
	}
	for y := 1; y < 31; y++ {
		for x := 1; x < 31; x++ {
			want := 3*(2*float64(x)+0.5) + (2*float64(y)+0.5)/2
			for c := range 3 {
				if d := float64(dst[(c*32+y)*32+x]) - want; d < -2 || d > 2 {
					t.Fatalf("pixel (%d, %d) of channel %d is %d, want about %.1f", y, x, c, dst[(c*32+y)*32+x], want)
				}
			}
		}
	}
}

// Every damage is one line with the file, what was found and what is right.
func TestReadTinyImageNetRefusesDamage(t *testing.T) {
	const list = "val/val_annotations.txt"
	good := jpegOf(t, 64, tinyColours[0])
	line := func(name, class string) string { return name + "\t" + class + "\t0\t0\t1\t1\n" }
	huge := bytes.Clone(good)
	at := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[at+5:], []byte{0xff, 0xff, 0xff, 0xff})
	for _, c := range []struct {
		name, file string
		content    []byte
		train      bool
		want       []string
	}{
		{"no classes", "wnids.txt", nil, false, []string{"D/wnids.txt: 0 different classes", "want 200"}},
		{"a class missing", "wnids.txt", wnidLines()[10:], false, []string{"199 different classes", "want 200"}},
		{"a class twice", "wnids.txt", append(wnidLines()[10:], wnidLines()[10:20]...), false, []string{"199 different classes", "want 200"}},
		{"more classes", "wnids.txt", append(wnidLines(), wnidLines()...), false, []string{"D/wnids.txt", "more than 200"}},
		{"a path as class", "wnids.txt", []byte("../../etc\n"), false, []string{"D/wnids.txt: line 1", `"../../etc"`, "n01443537"}},
		{"a line without end", "wnids.txt", make([]byte, 1<<20), false, []string{"D/wnids.txt: line 1", "too long"}},
		{"no list", list, nil, false, []string{"D/val/val_annotations.txt: no images"}},
		{"fields", list, []byte("val_0.JPEG n00001007\n"), false, []string{"line 1: 1 fields", "want 6"}},
		{"unknown class", list, []byte(line("val_0.JPEG", "n99999999")), false, []string{"line 1", `"n99999999"`, "wnids.txt"}},
		{"a path as name", list, []byte(line("../x.JPEG", wnid(0))), false, []string{"line 1", `"../x.JPEG"`}},
		{"the folder as name", list, []byte(line(".", wnid(0))), false, []string{"line 1", `"."`}},
		{"twice", list, []byte(line("val_0.JPEG", wnid(0)) + line("val_0.JPEG", wnid(1))), false, []string{"line 2", `"val_0.JPEG"`, "no other line"}},
		{"image missing", list, []byte(line("val_9.JPEG", wnid(0))), false, []string{"D/val/images/val_9.JPEG", "not exist"}},
		{"no JPEG", "val/images/val_1.JPEG", []byte("GIF89a"), false, []string{"D/val/images/val_1.JPEG", `"GIF8"`, "want a PNG or JPEG image"}},
		{"JPEG without content", "val/images/val_1.JPEG", nil, false, []string{"D/val/images/val_1.JPEG", "empty file", "want a PNG or JPEG image"}},
		{"JPEG cut off", "val/images/val_1.JPEG", good[:len(good)-30], false, []string{"D/val/images/val_1.JPEG: JPEG", "short Huffman data"}},
		{"size", "val/images/val_1.JPEG", jpegOf(t, 32, tinyColours[1]), false, []string{"D/val/images/val_1.JPEG: image of 32x32", "want 64x64"}},
		{"huge size", "val/images/val_1.JPEG", huge, false, []string{"image of 65535x65535", "want 64x64"}},
		{"training image", "train/" + wnid(3) + "/images/z_second.JPEG", good[:5], true, []string{"D/train/" + wnid(3) + "/images/z_second.JPEG", "JPEG"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tinyFolder(t)
			m[c.file] = &fstest.MapFile{Data: c.content}
			_, err := readTiny(t, m, c.train)
			wantError(t, err, c.want...)
		})
	}
	t.Run("class folder missing", func(t *testing.T) {
		m := tinyFolder(t)
		for name := range m {
			if strings.HasPrefix(name, "train/"+wnid(9)+"/") {
				delete(m, name)
			}
		}
		_, err := readTiny(t, m, true)
		wantError(t, err, "D/train/"+wnid(9)+"/images", "200 classes", "not exist")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error("the error is not fs.ErrNotExist")
		}
	})
	t.Run("first of several", func(t *testing.T) {
		m := tinyFolder(t)
		for i := 50; i < tinyImageNetClasses; i++ {
			m[fmt.Sprintf("train/%s/images/%s_0.JPEG", wnid(i), wnid(i))].Data = []byte("x")
		}
		_, err := readTiny(t, m, true)
		wantError(t, err, wnid(50)+"_0.JPEG")
	})
}

// Whatever the lists say: no panic, nothing outside of val/images, valid labels.
func FuzzReadTinyImageNetLists(f *testing.F) {
	m := tinyFolder(f)
	f.Add(m["wnids.txt"].Data, m["val/val_annotations.txt"].Data)
	f.Add(wnidLines(), []byte("..\tn00001000\t0\t0\t0\t0\n"))
	f.Add([]byte("n00001000\n"), []byte{})
	f.Fuzz(func(t *testing.T, wnids, list []byte) {
		classes, err := readWnids(memoryFile("w", wnids))
		if err != nil {
			return
		}
		images, err := readValAnnotations(memoryFile("v", list), classes)
		if err != nil {
			return
		}
		for _, i := range images {
			if i.class < 0 || i.class >= tinyImageNetClasses || !fs.ValidPath(i.paths[0]) || strings.Count(i.paths[0], "/") != 2 {
				t.Errorf("%+v", i)
			}
		}
	})
}
