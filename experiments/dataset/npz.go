package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// maxClasses bounds the number of classes that a label can mean.
const maxClasses = 1 << 16

// npzPart is where one part of a set is: two arrays of a file.
type npzPart struct {
	file, images, labels string
}

// openNPZ reads arrays that numpy.savez or savez_compressed has written: x and y
// of a file, which divide divides; or x_train, y_train, x_test and y_test of a
// file; or x and y of the files train.npz and test.npz in a folder.
func openNPZ(path string, o Options) (*Set, error) {
	train, test, err := npzParts(path)
	if err != nil {
		return nil, fmt.Errorf("data set npz:%s: %w", path, err)
	}
	from, other := test, train
	if o.Train {
		from, other = train, test
	}
	x, err := from.read(from.images)
	if err != nil {
		return nil, err
	}
	labels, err := from.readLabels()
	if o.OOD && errors.Is(err, fs.ErrNotExist) && len(x.shape) > 0 {
		labels, err = make([]int, x.shape[0]), nil
	}
	if err != nil {
		return nil, err
	}
	layout, err := layoutOf(x)
	if err != nil {
		return nil, fmt.Errorf("%s: array %s: %w", from.file, from.images, err)
	}
	s := npzKind.emptySet(path, o.Train, layout.shape)
	s.Labels = labels
	if len(labels) != layout.n {
		return nil, fmt.Errorf("%s: %d labels %s, want %d, one for every image of %s", from.file, len(labels), from.labels, layout.n, from.images)
	}
	if err := s.takeNPZ(x, layout); err != nil {
		return nil, fmt.Errorf("%s: array %s: %w", from.file, from.images, err)
	}
	if o.OOD {
		s.ClassNames = numbered(labels)
		return s, nil
	}
	if train == test {
		s.ClassNames = numbered(labels)
		err = s.keep(divide(s.Len(), o.Train))
	} else {
		err = s.nameClasses(other)
	}
	if err == nil && s.Classes() < 2 {
		err = fmt.Errorf("labels %s of %d class, want at least 2", from.labels, s.Classes())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from.file, err)
	}
	return s, nil
}

// npzParts finds the arrays of both parts; they are the same when the file is
// not divided.
func npzParts(path string) (train, test npzPart, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return train, test, errors.Unwrap(err)
	}
	if info.IsDir() {
		return npzPart{filepath.Join(path, "train.npz"), "x", "y"}, npzPart{filepath.Join(path, "test.npz"), "x", "y"}, nil
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return train, test, fmt.Errorf("want a zip file of NumPy arrays: %w", err)
	}
	defer z.Close()
	has := func(array string) bool {
		return slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == array+".npy" })
	}
	divided := has("x_train") || has("x_test")
	switch {
	case divided && has("x"):
		return train, test, errors.New("arrays x and x_train or x_test: want x and y, or x_train, y_train, x_test and y_test")
	case divided:
		return npzPart{path, "x_train", "y_train"}, npzPart{path, "x_test", "y_test"}, nil
	}
	return npzPart{path, "x", "y"}, npzPart{path, "x", "y"}, nil
}

// read returns one array of the part's file.
func (p npzPart) read(name string) (*npyArray, error) {
	z, err := zip.OpenReader(p.file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.file, err)
	}
	defer z.Close()
	i := slices.IndexFunc(z.File, func(f *zip.File) bool { return f.Name == name+".npy" })
	if i < 0 {
		var names []string
		for _, f := range z.File {
			names = append(names, f.Name)
		}
		return nil, fmt.Errorf("%s: no array %s among %.200q: %w", p.file, name, names, fs.ErrNotExist)
	}
	r, err := z.File[i].Open()
	if err != nil {
		return nil, fmt.Errorf("%s: array %s: %w", p.file, name, err)
	}
	defer r.Close()
	a, err := readNPY(r)
	if err != nil {
		return nil, fmt.Errorf("%s: array %s: %w", p.file, name, err)
	}
	return a, nil
}

// readLabels reads the labels: whole numbers of any type, [N] or [N,1].
func (p npzPart) readLabels() ([]int, error) {
	y, err := p.read(p.labels)
	if err != nil {
		return nil, err
	}
	if len(y.shape) == 2 && y.shape[1] == 1 {
		y.shape = y.shape[:1]
	}
	if len(y.shape) != 1 {
		return nil, fmt.Errorf("%s: array %s has shape %v, want [N] or [N 1]", p.file, p.labels, y.shape)
	}
	labels := make([]int, y.shape[0])
	for i := range labels {
		v, ok := y.whole(i)
		if !ok || v < 0 || v >= maxClasses {
			return nil, fmt.Errorf("%s: array %s: element %d of type %s is no label, want whole numbers from 0 to %d", p.file, p.labels, i, y.kind, maxClasses-1)
		}
		labels[i] = int(v)
	}
	return labels, nil
}

// layout says where the pixels of an array are: element n, c, y, x of the images
// is at the sum of each times its step.
type layout struct {
	n     int
	shape Shape
	step  [4]int // of image, channel, row and column
}

// layoutOf tells images [N,H,W] and [N,H,W,C] from [N,C,H,W] by which side is 1
// or 3.
func layoutOf(x *npyArray) (layout, error) {
	var axes [4]int // of N, C, H, W in the array; -1: none
	isChannels := func(n int) bool { return n == 1 || n == 3 }
	switch d := x.shape; {
	case len(d) == 3:
		axes = [4]int{0, -1, 1, 2}
	case len(d) == 4 && isChannels(d[1]) && !isChannels(d[3]):
		axes = [4]int{0, 1, 2, 3}
	case len(d) == 4 && isChannels(d[3]) && !isChannels(d[1]):
		axes = [4]int{0, 3, 1, 2}
	default:
		return layout{}, fmt.Errorf("shape %v, want [N H W], [N C H W] or [N H W C] with 1 or 3 channels C", d)
	}
	l := layout{shape: Shape{C: 1}}
	sides := [4]*int{&l.n, &l.shape.C, &l.shape.H, &l.shape.W}
	strides := x.strides()
	for i, axis := range axes {
		if axis >= 0 {
			*sides[i], l.step[i] = x.shape[axis], strides[axis]
		}
	}
	if l.n < 1 || l.n > maxImages || l.shape.H < 1 || l.shape.W < 1 {
		return layout{}, fmt.Errorf("shape %v, want 1 to %d images of at least 1x1", x.shape, maxImages)
	}
	return l, nil
}

// takeNPZ copies the images into s: bytes as they are, floating-point numbers
// from 0 to 1.
func (s *Set) takeNPZ(x *npyArray, l layout) error {
	switch x.kind {
	case "u1":
		s.Pixels = gather(l, func(i int) uint8 { return x.data[i] })
		return nil
	case "f4", "f8":
		s.Values = gather(l, x.float)
		for i, v := range s.Values {
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("value %v in image %d, want 0 (black) to 1; or save bytes from 0 to 255 as uint8", v, i/l.shape.Len())
			}
		}
		return nil
	}
	return fmt.Errorf("type %s, want uint8 (u1), float32 (f4) or float64 (f8)", x.kind)
}

// gather puts images into the order [N][C][H][W].
func gather[T any](l layout, at func(i int) T) []T {
	out := make([]T, 0, l.n*l.shape.Len())
	for n := range l.n {
		for c := range l.shape.C {
			for y := range l.shape.H {
				first := n*l.step[0] + c*l.step[1] + y*l.step[2]
				for x := range l.shape.W {
					out = append(out, at(first+x*l.step[3]))
				}
			}
		}
	}
	return out
}

// nameClasses numbers the classes of both parts.
func (s *Set) nameClasses(other npzPart) error {
	labels, err := other.readLabels()
	if err != nil {
		return err
	}
	s.ClassNames = numbered(slices.Concat(s.Labels, labels))
	return nil
}

// numbered names classes by their numbers.
func numbered(labels []int) []string {
	names := make([]string, slices.Max(labels)+1)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

// keep drops all images but some.
func (s *Set) keep(images []int, err error) error {
	if err != nil {
		return err
	}
	size := s.Shape.Len()
	s.Pixels, s.Values = pick(s.Pixels, size, images), pick(s.Values, size, images)
	s.Labels = pick(s.Labels, 1, images)
	return nil
}

// pick returns some of the items of a list, each of size elements.
func pick[T any](list []T, size int, items []int) []T {
	if len(list) == 0 {
		return nil
	}
	out := make([]T, 0, len(items)*size)
	for _, i := range items {
		out = append(out, list[i*size:(i+1)*size]...)
	}
	return out
}
