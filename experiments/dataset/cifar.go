package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// cifar100Superclasses is the number of coarse labels of CIFAR-100.
const cifar100Superclasses = 20

// readCIFAR10 appends the records of one file of the binary version of CIFAR-10
// (https://www.cs.toronto.edu/~kriz/cifar.html) to s: one byte of label, then
// the red, green and blue planes, which is the order s keeps.
func (s *Set) readCIFAR10(f file) error {
	return s.readCIFAR(f, 10_000, []cifarLabel{{"label", s.Classes()}})
}

// readCIFAR100 does the same for the binary version of CIFAR-100: a coarse label
// comes before the fine one, which is the class.
func (s *Set) readCIFAR100(f file) error {
	images := 10_000
	if s.Train {
		images = 50_000
	}
	return s.readCIFAR(f, images, []cifarLabel{{"coarse label", cifar100Superclasses}, {"fine label", s.Classes()}})
}

// cifarLabel is one of the label bytes at the beginning of a record.
type cifarLabel struct {
	name    string
	classes int
}

// readCIFAR appends the records of a file: label bytes, of which the last is the
// class, then an image. The published file has official images.
func (s *Set) readCIFAR(f file, official int, labels []cifarLabel) error {
	record := len(labels) + s.Shape.Len()
	if f.size%int64(record) != 0 || f.size == 0 {
		return fmt.Errorf("%s: %d bytes, want a multiple of %d, one record (the official file has %d)", f.name, f.size, record, official*record)
	}
	n := int(f.size / int64(record))
	s.Pixels = slices.Grow(s.Pixels, n*s.Shape.Len())
	s.Labels = slices.Grow(s.Labels, n)
	r := bufio.NewReaderSize(f, 1<<16)
	for i := range n {
		var class int
		for _, label := range labels {
			v, err := r.ReadByte()
			if err != nil {
				return readFailed(f.name, i, err)
			}
			if class = int(v); class >= label.classes {
				return fmt.Errorf("%s: %s %d of image %d, want 0 to %d", f.name, label.name, v, i, label.classes-1)
			}
		}
		end := len(s.Pixels)
		if _, err := io.ReadFull(r, s.Pixels[end:end+s.Shape.Len()]); err != nil {
			return readFailed(f.name, i, err)
		}
		s.Pixels = s.Pixels[:end+s.Shape.Len()]
		s.Labels = append(s.Labels, class)
	}
	return nil
}

// readFailed reports an error inside record i. The size was checked before, so
// an early end means that the file changed while it was read.
func readFailed(name string, i int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file became shorter while it was read")
	}
	return fmt.Errorf("%s: image %d: %w", name, i, err)
}
