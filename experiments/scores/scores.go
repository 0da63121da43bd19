// Package scores keeps what a network said about a data set, so that every
// metric, table and figure is computed from files and the network runs over
// each set once.
//
// A file is safetensors, which Python reads too: logits F32 [N][K], features
// F32 [N][D], labels I64 [N] and, once the density is fitted, log_densities F64
// [N][K]. The metadata name the data set and its part.
package scores

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// Set holds one network's outputs for one part of a data set, row i for its
// image i.
type Set struct {
	Dataset string // "mnist-sample"
	Part    Part
	Source  string // fingerprint of the weights and images; "" is none

	Classes  int       // K, of the network
	Labels   []int     // [N]; of a set out of distribution in classes of its own
	Logits   []float32 // [N][K]
	Features []float32 // [N][D], the penultimate layer; nil when they were not kept
	Width    int       // D; 0 without features

	// LogDensities [N][K] are those of the class Gaussians, log priors included
	// (uncertainty.Density.ClassLogDensities), nats; -Inf is a density of zero.
	// Nil before the density is fitted.
	LogDensities []float64
}

// Part is a part of a data set.
type Part string

// The parts: the training split without its validation images, these, and the
// test images.
const (
	Train      Part = "train"
	Validation Part = "validation"
	Test       Part = "test"
)

// Len returns the number of images.
func (s *Set) Len() int { return len(s.Labels) }

// LogitMatrix views the logits as uncertainty takes them.
func (s *Set) LogitMatrix() uncertainty.Matrix {
	return uncertainty.NewMatrix(s.Len(), s.Classes, s.Logits)
}

// FeatureMatrix views the features as uncertainty takes them.
func (s *Set) FeatureMatrix() uncertainty.Matrix {
	return uncertainty.NewMatrix(s.Len(), s.Width, s.Features)
}

// DensityMatrix views the log densities of the classes as uncertainty takes
// them.
func (s *Set) DensityMatrix() uncertainty.Matrix {
	return uncertainty.NewMatrix(s.Len(), s.Classes, s.LogDensities)
}

// String names the set and its part: "mnist-sample (test)".
func (s *Set) String() string { return fmt.Sprintf("%s (%s)", s.Dataset, s.Part) }

// Check tells what is wrong with a set, naming the image.
func (s *Set) Check() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("scores of %s: %w", s, err)
	}
	return nil
}

func (s *Set) check() error {
	n := s.Len()
	switch {
	case s.Dataset == "" || s.Dataset != filepath.Base(s.Dataset):
		return fmt.Errorf("data set name %q, want a plain name", s.Dataset)
	case !slices.Contains([]Part{Train, Validation, Test}, s.Part):
		return fmt.Errorf("part %q, want %s, %s or %s", s.Part, Train, Validation, Test)
	case n == 0:
		return errors.New("no images")
	case s.Classes < 2:
		return fmt.Errorf("%d classes, want at least 2", s.Classes)
	case len(s.Logits) != n*s.Classes:
		return fmt.Errorf("%d logits, want %d: %d images of %d classes", len(s.Logits), n*s.Classes, n, s.Classes)
	case (s.Features == nil) != (s.Width == 0) || len(s.Features) != n*s.Width:
		return fmt.Errorf("%d features, want %d: %d images of %d features", len(s.Features), n*s.Width, n, s.Width)
	case s.LogDensities != nil && len(s.LogDensities) != n*s.Classes:
		return fmt.Errorf("%d log densities, want %d: %d images of %d classes", len(s.LogDensities), n*s.Classes, n, s.Classes)
	}
	for i, l := range s.Labels {
		if l < 0 {
			return fmt.Errorf("label %d of image %d, want at least 0", l, i)
		}
	}
	for i, v := range s.Logits {
		if !finite(float64(v)) {
			return fmt.Errorf("logit %d of image %d is %v", i%s.Classes, i/s.Classes, v)
		}
	}
	for i, v := range s.Features {
		if !finite(float64(v)) {
			return fmt.Errorf("feature %d of image %d is %v", i%s.Width, i/s.Width, v)
		}
	}
	for i, v := range s.LogDensities {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			return fmt.Errorf("log density %d of image %d is %v", i%s.Classes, i/s.Classes, v)
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

const (
	formatKey   = "format"
	format      = "ddu-scores-1"
	datasetKey  = "dataset"
	partKey     = "part"
	sourceKey   = "source"
	labelsName  = "labels"
	logitsName  = "logits"
	featureName = "features"
	densityName = "log_densities"
)

// FileName is the name of a set's file: "mnist-sample_test.safetensors".
func FileName(dataset string, part Part) string {
	return fmt.Sprintf("%s_%s.safetensors", dataset, part)
}

// Save checks a set and writes it into dir under its FileName, whole or not at
// all.
func Save(dir string, s *Set) error {
	if err := s.Check(); err != nil {
		return err
	}
	labels := make([]int64, s.Len())
	for i, l := range s.Labels {
		labels[i] = int64(l)
	}
	file := &checkpoint.File{
		Metadata: map[string]string{formatKey: format, datasetKey: s.Dataset, partKey: string(s.Part)},
		Entries: []checkpoint.Entry{
			checkpoint.NewInt64(labelsName, labels, s.Len()),
			checkpoint.NewFloat32(logitsName, s.Logits, s.Len(), s.Classes),
		},
	}
	if s.Source != "" {
		file.Metadata[sourceKey] = s.Source
	}
	if s.Features != nil {
		file.Entries = append(file.Entries, checkpoint.NewFloat32(featureName, s.Features, s.Len(), s.Width))
	}
	if s.LogDensities != nil {
		file.Entries = append(file.Entries, checkpoint.NewFloat64(densityName, s.LogDensities, s.Len(), s.Classes))
	}
	return checkpoint.WriteSafetensors(filepath.Join(dir, FileName(s.Dataset, s.Part)), file)
}

// Load reads and checks the file of a set in dir.
func Load(dir, dataset string, part Part) (*Set, error) {
	path := filepath.Join(dir, FileName(dataset, part))
	file, err := checkpoint.ReadSafetensors(path)
	if err != nil {
		return nil, err
	}
	s, err := decode(file)
	if err == nil && (s.Dataset != dataset || s.Part != part) {
		err = fmt.Errorf("holds %s", s)
	}
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func decode(file *checkpoint.File) (*Set, error) {
	if got := file.Metadata[formatKey]; got != format {
		return nil, fmt.Errorf("format is %q, want %q: not a score file of this program", got, format)
	}
	s := &Set{Dataset: file.Metadata[datasetKey], Part: Part(file.Metadata[partKey]), Source: file.Metadata[sourceKey]}
	for _, e := range file.Entries {
		var err error
		switch e.Name {
		case labelsName:
			err = s.decodeLabels(e)
		case logitsName:
			s.Logits, s.Classes, err = decodeRows(e, e.Float32s)
		case featureName:
			s.Features, s.Width, err = decodeRows(e, e.Float32s)
		case densityName:
			s.LogDensities, _, err = decodeRows(e, e.Float64s)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) decodeLabels(e checkpoint.Entry) error {
	values, err := e.Int64s()
	if err != nil {
		return err
	}
	s.Labels = make([]int, len(values))
	for i, v := range values {
		if s.Labels[i] = int(v); v > math.MaxInt32 {
			return fmt.Errorf("label %d of image %d", v, i)
		}
	}
	return nil
}

// decodeRows returns the elements of a matrix and its number of columns.
func decodeRows[T any](e checkpoint.Entry, elements func() ([]T, error)) ([]T, int, error) {
	if len(e.Shape) != 2 {
		return nil, 0, fmt.Errorf("tensor %s has shape %v, want two dimensions", e.Name, e.Shape)
	}
	values, err := elements()
	return values, e.Shape[1], err
}
