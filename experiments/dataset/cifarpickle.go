package dataset

import (
	"fmt"
	"io"
	"slices"

	"github.com/deepuncertainty/ddu/experiments/dataset/internal/pickle"
)

// maxPickle bounds the size of a file of CIFAR's Python version, in bytes; the
// largest, CIFAR-100's training images, has 155 million.
const maxPickle = 1 << 28

// readCIFAR10Pickle appends the images of one file of the Python version of
// CIFAR-10 to s: a pickled dictionary with data, uint8 [N][3072] in the order
// that s keeps, and labels.
func (s *Set) readCIFAR10Pickle(f file) error {
	return s.readCIFARPickle(f, []cifarLabel{{"labels", s.Classes()}})
}

// readCIFAR100Pickle does the same for CIFAR-100, which has two lists of labels.
func (s *Set) readCIFAR100Pickle(f file) error {
	return s.readCIFARPickle(f, []cifarLabel{{"coarse_labels", cifar100Superclasses}, {"fine_labels", s.Classes()}})
}

// readCIFARPickle appends the images of a file. The last of the lists of labels
// has the classes; the others are only checked.
func (s *Set) readCIFARPickle(f file, lists []cifarLabel) error {
	if f.size > maxPickle {
		return fmt.Errorf("%s: %d bytes, want at most %d", f.name, f.size, maxPickle)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPickle))
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	value, err := pickle.Load(b)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	dict, ok := value.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("%s: a pickled %T, want a dictionary", f.name, value)
	}
	data, err := cifarArray(dict, s.Shape.Len())
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	var labels []int
	for _, list := range lists {
		if labels, err = pickledLabels(dict, list, data.Shape[0]); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	s.Pixels = append(slices.Grow(s.Pixels, len(data.Data)), data.Data...)
	s.Labels = append(s.Labels, labels...)
	return nil
}

// cifarArray returns the images.
func cifarArray(dict *pickle.Dict, size int) (*pickle.Array, error) {
	value, _ := dict.Get("data")
	data, ok := value.(*pickle.Array)
	if !ok {
		return nil, fmt.Errorf("data is a %T, want a NumPy array", value)
	}
	if data.Type != "|u1" || len(data.Shape) != 2 || data.Shape[0] == 0 || data.Shape[1] != size {
		return nil, fmt.Errorf("data is %s %v, want |u1 (uint8) [N %d]", data.Type, data.Shape, size)
	}
	return data, nil
}

// pickledLabels returns one list of labels, of n images.
func pickledLabels(dict *pickle.Dict, want cifarLabel, n int) ([]int, error) {
	value, _ := dict.Get(want.name)
	list, ok := value.(*pickle.List)
	if !ok {
		return nil, fmt.Errorf("%s is a %T, want a list", want.name, value)
	}
	if len(list.Items) != n {
		return nil, fmt.Errorf("%s has %d items, want %d, one for every image", want.name, len(list.Items), n)
	}
	labels := make([]int, n)
	for i, item := range list.Items {
		v, ok := item.(int64)
		if !ok || v < 0 || v >= int64(want.classes) {
			return nil, fmt.Errorf("%s: %v for image %d, want 0 to %d", want.name, item, i, want.classes-1)
		}
		labels[i] = int(v)
	}
	return labels, nil
}
