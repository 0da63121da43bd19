package dataset

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
)

// SHA-256 sums of what Pillow 11.3 makes of the same images (Image.resize to
// 32x32, BILINEAR); version 13 gives the first one too.
func TestResizeEqualsPillow(t *testing.T) {
	for _, c := range []struct {
		h, w int
		sum  string
	}{
		{64, 64, "6cee3fe06c10e27923a389a121e130b02328f7eb14ae14fb12fa01869cac19df"},
		{33, 17, "86527b485265ea0b8c68e70bd4d712ab6b39685e525b1e0c016335cb99ee205e"},
	} {
		src, _ := synthetic(1, 1, Shape{1, c.h, c.w})
		dst := make([]uint8, 32*32)
		resizePlane(dst, 32, 32, src, c.h, c.w)
		if sum := fmt.Sprintf("%x", sha256.Sum256(dst)); sum != c.sum {
			t.Errorf("%dx%d: SHA-256 %s, want %s", c.h, c.w, sum, c.sum)
		}
	}
}

// Halving weighs four pixels with 1, 3, 3, 1 eighths and leaves out what lies
// beyond the border: computed by hand.
func TestResizeHalves(t *testing.T) {
	dst := make([]uint8, 4)
	resizePlane(dst, 1, 4, []uint8{80, 0, 0, 160, 240, 0, 8, 200}, 1, 8)
	// (3*80 + 3*0 + 0)/7, (0 + 3*0 + 3*160 + 240)/8, (160 + 3*240 + 0 + 8)/8, (0 + 3*8 + 3*200)/7
	if want := []uint8{34, 90, 111, 89}; !slices.Equal(dst, want) {
		t.Errorf("%v, want %v", dst, want)
	}
	resizePlane(dst, 4, 1, []uint8{80, 0, 0, 160, 240, 0, 8, 200}, 8, 1)
	if want := []uint8{34, 90, 111, 89}; !slices.Equal(dst, want) {
		t.Errorf("down the rows %v, want %v", dst, want)
	}
}

// Doubling interpolates between the nearest two pixels: quarters by hand.
func TestResizeDoubles(t *testing.T) {
	dst := make([]uint8, 6)
	resizePlane(dst, 1, 6, []uint8{0, 100, 20}, 1, 3)
	if want := []uint8{0, 25, 75, 80, 40, 20}; !slices.Equal(dst, want) {
		t.Errorf("%v, want %v", dst, want)
	}
}

// Any size: one colour stays, the same size changes nothing, a mirror image
// gives the mirror image, and rows are treated like columns.
func TestResizeProperties(t *testing.T) {
	for _, c := range []struct{ h, w, dh, dw int }{{64, 64, 32, 32}, {5, 64, 7, 32}, {33, 17, 32, 32}, {1, 1, 3, 4}, {100, 3, 1, 1}} {
		for _, v := range []uint8{0, 1, 127, 254, 255} {
			dst := make([]uint8, c.dh*c.dw)
			resizePlane(dst, c.dh, c.dw, bytes.Repeat([]byte{v}, c.h*c.w), c.h, c.w)
			if !bytes.Equal(dst, bytes.Repeat([]byte{v}, c.dh*c.dw)) {
				t.Errorf("%v: an image of %d becomes %v", c, v, dst)
			}
		}
		src, _ := synthetic(1, 1, Shape{1, c.h, c.w})
		same := make([]uint8, len(src))
		if resizePlane(same, c.h, c.w, src, c.h, c.w); !bytes.Equal(same, src) {
			t.Errorf("%v: the same size changes the image", c)
		}
		dst, mirrored := make([]uint8, c.dh*c.dw), make([]uint8, c.dh*c.dw)
		resizePlane(dst, c.dh, c.dw, src, c.h, c.w)
		slices.Reverse(src) // both axes
		resizePlane(mirrored, c.dh, c.dw, src, c.h, c.w)
		slices.Reverse(mirrored)
		for i := range dst {
			// A half may be rounded either way: its weights add up in another order.
			if d := int(dst[i]) - int(mirrored[i]); d < -1 || d > 1 {
				t.Errorf("%v: pixel %d is %d, mirrored %d", c, i, dst[i], mirrored[i])
			}
		}
	}
}
