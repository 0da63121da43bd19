package dataset

import (
	"fmt"
	"io"
	"slices"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// maxAmbiguous bounds the size of the files of Ambiguous-MNIST, in bytes: 12,000
// images of 28x28 as float32 are 38 million.
const maxAmbiguous = 1 << 28

// readDirtyMNIST reads Dirty-MNIST: MNIST, which has been read already, then
// Ambiguous-MNIST.
func (s *Set) readDirtyMNIST(in input) error {
	s.Pixels, s.Labels = in.base.Pixels, in.base.Labels
	for i := range in.base.Len() {
		s.Rows = append(s.Rows, int32(i))
	}
	return s.readAmbiguousMNIST(in)
}

// readAmbiguousMNIST appends a part of Ambiguous-MNIST
// (https://github.com/BlackHC/ddu_dirty_mnist): images float32 [2M,1,28,28] from
// 0 to 1 and labels int64 [2M,L] of both parts, M images with L labels each.
// Image i counts L times, once with each of its labels.
func (s *Set) readAmbiguousMNIST(in input) error {
	images, err := readTensor(in.files[0])
	if err != nil {
		return err
	}
	labels, err := readTensor(in.files[1])
	if err != nil {
		return err
	}
	shape := s.Shape
	if d := images.Shape; images.DType != checkpoint.F32 || len(d) != 4 || d[0] < 2 || d[0]%2 != 0 || !slices.Equal(d[1:], []int{shape.C, shape.H, shape.W}) {
		return fmt.Errorf("%s: tensor %s %v, want F32 [N %d %d %d] with an even N", in.files[0].name, images.DType, d, shape.C, shape.H, shape.W)
	}
	n := images.Shape[0]
	if d := labels.Shape; labels.DType != checkpoint.I64 || len(d) != 2 || d[0] != n || d[1] < 1 {
		return fmt.Errorf("%s: tensor %s %v, want I64 [%d L], the labels of every image", in.files[1].name, labels.DType, d, n)
	}
	first, last := n/2, n
	if s.Train {
		first, last = 0, n/2
	}
	if err := s.addValues(images, first, last, in.files[0].name); err != nil {
		return err
	}
	return s.addLabels(labels, first, last, in.files[1].name)
}

// addValues appends images first to last, without last.
func (s *Set) addValues(images checkpoint.Entry, first, last int, name string) error {
	values, err := images.Float32s()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	size := s.Shape.Len()
	s.Values = slices.Clone(values[first*size : last*size])
	for i, v := range s.Values {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s: value %v in image %d, want 0 to 1", name, v, first+i/size)
		}
	}
	return nil
}

// addLabels appends the labels of images first to last, which are the last that
// are stored.
func (s *Set) addLabels(labels checkpoint.Entry, first, last int, name string) error {
	values, err := labels.Int64s()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	each := labels.Shape[1]
	row := len(s.Pixels) / s.Shape.Len()
	for i, v := range values[first*each : last*each] {
		if v < 0 || v >= int64(s.Classes()) {
			return fmt.Errorf("%s: label %d of image %d, want 0 to %d", name, v, first+i/each, s.Classes()-1)
		}
		s.Labels = append(s.Labels, int(v))
		s.Rows = append(s.Rows, int32(row+i/each))
	}
	return nil
}

// readTensor reads a tensor that torch.save has written.
func readTensor(f file) (checkpoint.Entry, error) {
	if f.size > maxAmbiguous {
		return checkpoint.Entry{}, fmt.Errorf("%s: %d bytes, want at most %d", f.name, f.size, maxAmbiguous)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAmbiguous))
	if err != nil {
		return checkpoint.Entry{}, fmt.Errorf("%s: %w", f.name, err)
	}
	tensor, err := checkpoint.ParseTorchTensor(b)
	if err != nil {
		return checkpoint.Entry{}, fmt.Errorf("%s: %w", f.name, err)
	}
	return tensor, nil
}
