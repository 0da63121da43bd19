// Package dataset opens labelled image sets and turns them into batches: files
// in their official formats or the sample built into the program, the
// train/validation split of the reference, normalisation, augmentation and a
// loader that prepares batches while the network computes.
package dataset

import "fmt"

// Set is a labelled image data set in memory. It is not changed after Open, so
// any number of loaders and goroutines may share one.
type Set struct {
	Name       string   // canonical name, with hyphens: "fashion-mnist"
	Train      bool     // training or test images
	ClassNames []string // one per class, in the order of the labels
	Shape      Shape    // of every image
	Labels     []int    // [N], each in [0, Classes())

	// The images are stored as Pixels, [M][C][H][W] without gaps, 0 (black) to
	// 255; behind these, with numbers from M on, as Values, [K][C][H][W], 0 to 1,
	// where bytes would round them. Either may be empty.
	Pixels []uint8
	Values []float32
	// Rows [N] says which stored image a label belongs to, where one has several
	// labels; nil: image i has label i.
	Rows []int32

	// Normalization is the one this set is trained with. Out-of-distribution
	// sets take that of the in-distribution set instead: see LoaderOptions.NormalizeAs.
	Normalization Normalization
	// Augmentation is the one this set is usually trained with; the zero value
	// (none) for digits and other images that a mirror or a crop would change.
	Augmentation Augmentation
}

// Len returns the number of images.
func (s *Set) Len() int { return len(s.Labels) }

// Classes returns the number of classes.
func (s *Set) Classes() int { return len(s.ClassNames) }

// Image returns the pixels of image i, [C][H][W]: shared with the set, or
// rounded from its values.
func (s *Set) Image(i int) []uint8 {
	pixels, values := s.stored(i)
	if pixels != nil {
		return pixels
	}
	pixels = make([]uint8, len(values))
	for p, v := range values {
		pixels[p] = uint8(v*255 + 0.5)
	}
	return pixels
}

// stored returns image i in the one of the two forms in which it is there.
func (s *Set) stored(i int) (pixels []uint8, values []float32) {
	if s.Rows != nil {
		i = int(s.Rows[i])
	}
	size := s.Shape.Len()
	if at := i * size; at < len(s.Pixels) {
		return s.Pixels[at : at+size : at+size], nil
	}
	at := i*size - len(s.Pixels)
	return nil, s.Values[at : at+size : at+size]
}

// String names the set and its part: "cifar10 (test)".
func (s *Set) String() string { return describe(s.Name, s.Train) }

func describe(name string, train bool) string {
	if train {
		return name + " (training)"
	}
	return name + " (test)"
}

// Shape is the size of one image.
type Shape struct{ C, H, W int }

// Len returns the number of values of one image.
func (s Shape) Len() int { return s.C * s.H * s.W }

// String writes channels, height and width: "3x32x32".
func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.C, s.H, s.W) }

// CheckShapes returns an error that names both shapes when images of ood cannot
// be fed to a network trained on in.
func CheckShapes(in, ood *Set) error {
	if in.Shape != ood.Shape {
		return fmt.Errorf("out-of-distribution set %s has images of %v, want %v like %s", ood, ood.Shape, in.Shape, in)
	}
	return nil
}
