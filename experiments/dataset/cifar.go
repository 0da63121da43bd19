package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// readCIFAR10 appends the records of one file of the binary version of CIFAR-10
// (https://www.cs.toronto.edu/~kriz/cifar.html) to s: one byte of label, then
// the red, green and blue planes, which is the order s keeps.
func (s *Set) readCIFAR10(f file) error {
	record := 1 + s.Shape.Len()
	if f.size%int64(record) != 0 || f.size == 0 {
		return fmt.Errorf("%s: %d bytes, want a multiple of %d, one record (the official file has %d)", f.name, f.size, record, 10_000*record)
	}
	n := int(f.size / int64(record))
	s.Pixels = slices.Grow(s.Pixels, n*s.Shape.Len())
	s.Labels = slices.Grow(s.Labels, n)
	r := bufio.NewReaderSize(f, 1<<16)
	for i := range n {
		label, err := r.ReadByte()
		if err != nil {
			return readFailed(f.name, i, err)
		}
		if int(label) >= s.Classes() {
			return fmt.Errorf("%s: label %d of image %d, want 0 to %d", f.name, label, i, s.Classes()-1)
		}
		end := len(s.Pixels)
		if _, err := io.ReadFull(r, s.Pixels[end:end+s.Shape.Len()]); err != nil {
			return readFailed(f.name, i, err)
		}
		s.Pixels = s.Pixels[:end+s.Shape.Len()]
		s.Labels = append(s.Labels, int(label))
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
