package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// maxSVHN bounds what a damaged file can make us expect; the larger part of the
// cropped digits, for training, has 73,257.
const maxSVHN = 1 << 17

// readSVHN appends the cropped digits of Street View House Numbers
// (http://ufldl.stanford.edu/housenumbers/, format 2) to s: a MAT-file with the
// images X, uint8 [32,32,3,N] column-major, and the labels y, [N,1], where 10
// stands for digit 0.
func (s *Set) readSVHN(f file) error {
	var pixels []uint8
	var labels []int
	err := readMAT(f, func(a *matArray) (err error) {
		switch {
		case a.name == "X" && pixels == nil:
			pixels, err = svhnImages(a, s.Shape)
		case a.name == "y" && labels == nil:
			labels, err = svhnLabels(a)
		default:
			err = errors.New("want X and y, once each")
		}
		return err
	})
	if err != nil {
		return err
	}
	if pixels == nil || labels == nil {
		return fmt.Errorf("%s: images X there: %t, labels y there: %t, want both", f.name, pixels != nil, labels != nil)
	}
	if n := len(pixels) / s.Shape.Len(); len(labels) != n {
		return fmt.Errorf("%s: %d labels y, want %d, one for every image of X", f.name, len(labels), n)
	}
	s.Pixels, s.Labels = append(s.Pixels, pixels...), append(s.Labels, labels...)
	return nil
}

// svhnImages reads X. The first index, the row, runs fastest, so every channel
// comes transposed.
func svhnImages(a *matArray, shape Shape) ([]uint8, error) {
	dims := a.dims
	if len(dims) == 3 {
		dims = append(dims, 1) // MATLAB drops the last dimension of a single image
	}
	if len(dims) != 4 || !slices.Equal(dims[:3], []int64{int64(shape.H), int64(shape.W), int64(shape.C)}) || dims[3] < 1 || dims[3] > maxSVHN {
		return nil, fmt.Errorf("size %s, want %dx%dx%dxN with N from 1 to %d", a.size(), shape.H, shape.W, shape.C, maxSVHN)
	}
	n, size := int(dims[3]), shape.Len()
	if a.class != matClassUint8 || a.kind != matUint8 || a.bytes != int64(n*size) {
		return nil, fmt.Errorf("class %d, %d bytes of type %d; want class %d (uint8), %d bytes of type %d", a.class, a.bytes, a.kind, matClassUint8, n*size, matUint8)
	}
	r := bufio.NewReaderSize(a.data, 1<<16)
	image := make([]uint8, size)
	var pixels []uint8
	for i := range n {
		if _, err := io.ReadFull(r, image); err != nil {
			return nil, cut(fmt.Sprintf("image %d of %d", i, n), err)
		}
		if len(pixels)+size > cap(pixels) {
			// Memory follows what is really there, not what the size promises.
			pixels = slices.Grow(pixels, min((n-i)*size, max(len(pixels), 1<<20/size*size)))
		}
		for c := range shape.C {
			plane := image[c*shape.H*shape.W:]
			for y := range shape.H {
				for x := range shape.W {
					pixels = append(pixels, plane[x*shape.H+y])
				}
			}
		}
	}
	return pixels, nil
}

// svhnLabels reads y, whatever its type: MATLAB stores whole numbers of class
// double as bytes.
func svhnLabels(a *matArray) ([]int, error) {
	if len(a.dims) != 2 || a.dims[1] != 1 || a.dims[0] < 1 || a.dims[0] > maxSVHN {
		return nil, fmt.Errorf("size %s, want Nx1 with N from 1 to %d", a.size(), maxSVHN)
	}
	number, ok := matNumbers[a.kind]
	n := int(a.dims[0])
	if !ok || a.bytes != int64(n*number.bytes) {
		return nil, fmt.Errorf("%d bytes of type %d, want %d numbers", a.bytes, a.kind, n)
	}
	r := bufio.NewReader(a.data)
	b := make([]byte, number.bytes)
	var labels []int
	for i := range n {
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, cut(fmt.Sprintf("label %d of %d", i, n), err)
		}
		switch v := number.value(b); {
		case v == 10:
			labels = append(labels, 0)
		case v >= 1 && v <= 9 && v == math.Trunc(v):
			labels = append(labels, int(v))
		default:
			return nil, fmt.Errorf("label %v of image %d, want 1 to 10, where 10 is digit 0", v, i)
		}
	}
	return labels, nil
}
