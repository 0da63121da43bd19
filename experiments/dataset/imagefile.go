package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // formats that image.Decode knows
	_ "image/png"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"
)

const (
	maxImageFile   = 1 << 28 // bytes
	maxImagePixels = 1 << 26 // of an image before it is resized
)

// labelledFile is one image: the slash-separated places where it may be, and its class.
type labelledFile struct {
	paths []string
	class int
}

// decodeImages fills s with images in the order of the list, on all cores. check
// tells what is wrong with the size of an image, if anything. Of several errors
// it returns that of the first image.
func (s *Set) decodeImages(dir folder, images []labelledFile, check func(image.Config) error) error {
	size := s.Shape.Len()
	s.Pixels = make([]uint8, len(images)*size)
	s.Labels = make([]int, len(images))
	workers := min(runtime.GOMAXPROCS(0), len(images))
	failed := make([]int, workers)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(images); i += workers {
				s.Labels[i] = images[i].class
				if err := decodeImage(s.Pixels[i*size:(i+1)*size], s.Shape, dir, images[i].paths, check); err != nil {
					failed[w], errs[w] = i, err
					return
				}
			}
		})
	}
	wg.Wait()
	var first error
	at := len(images)
	for w, err := range errs {
		if err != nil && failed[w] < at {
			at, first = failed[w], err
		}
	}
	return first
}

// decodeImage reads an image from the first of the places that has it, resizes
// it to shape and writes it to dst, [C][H][W].
func decodeImage(dst []uint8, shape Shape, dir folder, places []string, check func(image.Config) error) error {
	var r fs.File
	var err error
	for _, name := range places {
		if r, err = dir.fs.Open(name); !isAbsent(err) {
			break
		}
	}
	name := dir.path(places[0])
	if err != nil {
		return fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	defer r.Close()
	// The header comes first, so that no size in it makes the decoder allocate.
	var head strings.Builder
	limited := io.LimitReader(r, maxImageFile)
	config, kind, err := image.DecodeConfig(io.TeeReader(limited, &head))
	switch {
	case errors.Is(err, image.ErrFormat) && head.Len() == 0:
		return fmt.Errorf("%s: an empty file, want a PNG or JPEG image", name)
	case errors.Is(err, image.ErrFormat):
		return fmt.Errorf("%s: begins with %.4q, want a PNG or JPEG image", name, head.String())
	case err != nil:
		return fmt.Errorf("%s: %w", name, cut("image header", err))
	}
	if err := check(config); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	decoded, _, err := image.Decode(io.MultiReader(strings.NewReader(head.String()), limited))
	if err != nil {
		return fmt.Errorf("%s: %w", name, cut(strings.ToUpper(kind), err))
	}
	for c, plane := range planes(decoded, shape.C) {
		resizePlane(dst[c*shape.H*shape.W:][:shape.H*shape.W], shape.H, shape.W, plane, config.Height, config.Width)
	}
	return nil
}

// planes returns an image as red, green and blue, or as grey with the weights of
// ITU-R 601 in Pillow's arithmetic. Transparency is dropped, as Pillow drops it.
func planes(m image.Image, channels int) [][]uint8 {
	b := m.Bounds()
	list := make([][]uint8, channels)
	for c := range list {
		list[c] = make([]uint8, b.Dx()*b.Dy())
	}
	at := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			rgb := rgbOf(m, x, y)
			if channels == 1 {
				list[0][at] = uint8((19595*uint32(rgb[0]) + 38470*uint32(rgb[1]) + 7471*uint32(rgb[2]) + 1<<15) >> 16)
			} else {
				list[0][at], list[1][at], list[2][at] = rgb[0], rgb[1], rgb[2]
			}
			at++
		}
	}
	return list
}

// rgbOf returns one pixel without its transparency.
func rgbOf(m image.Image, x, y int) [3]uint8 {
	switch m := m.(type) {
	case *image.YCbCr:
		v := m.YCbCrAt(x, y)
		r, g, b := color.YCbCrToRGB(v.Y, v.Cb, v.Cr)
		return [3]uint8{r, g, b}
	case *image.Gray:
		v := m.GrayAt(x, y).Y
		return [3]uint8{v, v, v}
	case *image.NRGBA:
		v := m.NRGBAAt(x, y)
		return [3]uint8{v.R, v.G, v.B}
	case *image.NRGBA64:
		v := m.NRGBA64At(x, y)
		return [3]uint8{uint8(v.R >> 8), uint8(v.G >> 8), uint8(v.B >> 8)}
	case *image.Paletted:
		if v, ok := m.At(x, y).(color.NRGBA); ok {
			return [3]uint8{v.R, v.G, v.B}
		}
	}
	r, g, b, _ := m.At(x, y).RGBA()
	return [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}
}
