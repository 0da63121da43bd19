package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The idx format of MNIST (http://yann.lecun.com/exdb/mnist/): a big-endian
// magic number 0x0000TTDD (type of the values, number of dimensions), the
// dimensions as uint32, then the values. TT is 08 for unsigned bytes.
const (
	idxImages = 0x00000803 // [N][H][W]
	idxLabels = 0x00000801 // [N]

	// maxImages bounds what a damaged header can make us expect; the largest
	// set of the MNIST family has 814,255 images.
	maxImages = 1 << 20
)

// readIDX appends the images and labels of one pair of idx streams to s, which
// says the shape of an image and the number of classes.
func (s *Set) readIDX(images, labels file) error {
	n, pixels, err := parseIDX(images, idxImages, s.Shape)
	if err != nil {
		return fmt.Errorf("%s: %w", images.name, err)
	}
	m, values, err := parseIDX(labels, idxLabels, Shape{1, 1, 1})
	if err != nil {
		return fmt.Errorf("%s: %w", labels.name, err)
	}
	if n != m {
		return fmt.Errorf("%s: %d labels, want %d, one for every image of %s", labels.name, m, n, images.name)
	}
	for i, v := range values {
		if int(v) >= s.Classes() {
			return fmt.Errorf("%s: label %d of image %d, want 0 to %d", labels.name, v, i, s.Classes()-1)
		}
		s.Labels = append(s.Labels, int(v))
	}
	s.Pixels = append(s.Pixels, pixels...)
	return nil
}

// parseIDX reads an idx stream, gzip-compressed or not, of items of the shape
// that the caller expects, and returns their number and bytes.
func parseIDX(r io.Reader, wantMagic uint32, item Shape) (n int, values []byte, err error) {
	plain, err := gunzip(r)
	if err != nil {
		return 0, nil, err
	}
	header := make([]uint32, 1+wantMagic&0xff)
	if err := binary.Read(plain, binary.BigEndian, header[:1]); err != nil {
		return 0, nil, cut("idx header", err)
	}
	if header[0] != wantMagic {
		return 0, nil, fmt.Errorf("magic number 0x%08x, want 0x%08x (idx, unsigned bytes, dimensions: %d)", header[0], wantMagic, wantMagic&0xff)
	}
	if err := binary.Read(plain, binary.BigEndian, header[1:]); err != nil {
		return 0, nil, cut("idx header", err)
	}
	if header[1] == 0 || header[1] > maxImages {
		return 0, nil, fmt.Errorf("%d items, want 1 to %d", header[1], maxImages)
	}
	if wantMagic == idxImages && (int64(header[2]) != int64(item.H) || int64(header[3]) != int64(item.W)) {
		return 0, nil, fmt.Errorf("images of %dx%d, want %dx%d", header[2], header[3], item.H, item.W)
	}
	n = int(header[1])
	values, err = readExactly(plain, n*item.Len())
	return n, values, err
}

// gunzip returns the plain content of r, which is gzip-compressed or not: idx
// streams begin with two zero bytes, gzip with 0x1f 0x8b.
func gunzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if start, err := b.Peek(2); err != nil || start[0] != 0x1f || start[1] != 0x8b {
		return b, nil // too short for gzip is for the format's parser to report
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return z, nil
}

// readExactly reads n bytes after which the stream must end. Memory grows with
// what is really there, not with what a damaged header promises.
func readExactly(r io.Reader, n int) ([]byte, error) {
	var b []byte
	for len(b) < n {
		step := min(n-len(b), max(len(b), 1<<20))
		b = slices.Grow(b, step)
		got, err := io.ReadFull(r, b[len(b):len(b)+step])
		b = b[:len(b)+got]
		if err != nil {
			return nil, cut(fmt.Sprintf("values: %d bytes, want %d", len(b), n), err)
		}
	}
	// Reading to the end also makes gzip check its checksum.
	switch extra, err := io.Copy(io.Discard, io.LimitReader(r, 1)); {
	case err != nil:
		return nil, err
	case extra > 0:
		return nil, fmt.Errorf("more bytes follow the %d that the header announces", n)
	}
	return b, nil
}

// cut tells a file that ends too early from one that cannot be read.
func cut(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: the file is cut off", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
