package scores

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

func some() *Set {
	return &Set{
		Dataset: "mnist-sample", Part: Test, Classes: 2, Labels: []int{0, 1, 1},
		Logits: []float32{1, -1, 0.5, 2, -3, 4}, Features: []float32{1, 2, 3}, Width: 1,
		LogDensities: []float64{-1, -2, math.Inf(-1), -1e300, 5, math.Pi},
	}
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	bare := some()
	bare.Part, bare.Features, bare.Width, bare.LogDensities = Validation, nil, 0, nil
	for _, want := range []*Set{some(), bare} {
		if err := Save(dir, want); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir, want.Dataset, want.Part)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read back %+v, want %+v", got, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "mnist-sample_test.safetensors" {
		t.Errorf("folder holds %v, %v", entries, err)
	}
	if m := some().FeatureMatrix(); m.Rows() != 3 || m.Cols() != 1 || m.At(2, 0) != 3 {
		t.Errorf("feature matrix is %+v", m)
	}
}

func TestSaveRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*Set)
		want  string
	}{
		"NaN logit":        {func(s *Set) { s.Logits[3] = float32(math.NaN()) }, "scores of mnist-sample (test): logit 1 of image 1 is NaN"},
		"infinite feature": {func(s *Set) { s.Features[2] = float32(math.Inf(1)) }, "feature 0 of image 2 is +Inf"},
		"NaN density":      {func(s *Set) { s.LogDensities[1] = math.NaN() }, "log density 1 of image 0 is NaN"},
		"density +Inf":     {func(s *Set) { s.LogDensities[1] = math.Inf(1) }, "log density 1 of image 0 is +Inf"},
		"short logits":     {func(s *Set) { s.Logits = s.Logits[1:] }, "5 logits, want 6: 3 images of 2 classes"},
		"short features":   {func(s *Set) { s.Features = s.Features[1:] }, "2 features, want 3"},
		"no width":         {func(s *Set) { s.Width = 0 }, "3 features, want 0"},
		"short densities":  {func(s *Set) { s.LogDensities = s.LogDensities[1:] }, "5 log densities, want 6"},
		"negative label":   {func(s *Set) { s.Labels[1] = -1 }, "label -1 of image 1"},
		"no images":        {func(s *Set) { *s = Set{Dataset: "x", Part: Test, Classes: 2} }, "no images"},
		"one class":        {func(s *Set) { s.Classes = 1 }, "1 classes"},
		"part":             {func(s *Set) { s.Part = "tset" }, `part "tset", want train, validation or test`},
		"path as name":     {func(s *Set) { s.Dataset = "../x" }, `data set name "../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), some()
			test.spoil(s)
			if err := Save(dir, s); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
				t.Errorf("refused scores left %v, %v", entries, err)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir, "mnist", Test); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want that there is no such file", err)
	}
	meta := map[string]string{formatKey: format, datasetKey: "x", partKey: "test"}
	labels := checkpoint.NewInt64(labelsName, []int64{0}, 1)
	logits := checkpoint.NewFloat32(logitsName, []float32{1, 2}, 1, 2)
	for name, test := range map[string]struct {
		file checkpoint.File
		want string
	}{
		"other format": {checkpoint.File{Entries: []checkpoint.Entry{labels, logits}}, `format is "", want "ddu-scores-1"`},
		"no logits":    {checkpoint.File{Metadata: meta, Entries: []checkpoint.Entry{labels}}, "0 classes"},
		"no labels":    {checkpoint.File{Metadata: meta, Entries: []checkpoint.Entry{logits}}, "no images"},
		"flat logits":  {checkpoint.File{Metadata: meta, Entries: []checkpoint.Entry{labels, checkpoint.NewFloat32(logitsName, []float32{1, 2}, 2)}}, "shape [2]"},
		"float labels": {checkpoint.File{Metadata: meta, Entries: []checkpoint.Entry{checkpoint.NewFloat32(labelsName, []float32{0.5}, 1), logits}}, "labels"},
		"huge label":   {checkpoint.File{Metadata: meta, Entries: []checkpoint.Entry{checkpoint.NewInt64(labelsName, []int64{1 << 40}, 1), logits}}, "label 1099511627776"},
		"other part":   {checkpoint.File{Metadata: map[string]string{formatKey: format, datasetKey: "x", partKey: "train"}, Entries: []checkpoint.Entry{labels, logits}}, "holds x (train)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, FileName("x", Test))
			if err := checkpoint.WriteSafetensors(path, &test.file); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir, "x", Test); err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}
