// Package report turns score files into results: accuracy, calibration and how
// well each uncertainty tells the sets out of distribution apart, as tables,
// figures and the JSON files of the published evaluation.
package report

import (
	"errors"
	"fmt"
	"slices"

	"github.com/deepuncertainty/ddu/experiments/scores"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// Member is what one network said about the images it learnt from a part of,
// and about the sets out of distribution.
type Member struct {
	Validation *scores.Set // fits the temperature
	Test       *scores.Set
	OOD        []*scores.Set
}

// Options say what to compute.
type Options struct {
	Methods         []string // of "softmax", "msp", "energy", "ddu", "ensemble"
	GridTemperature bool     // 0.1, 0.2 ... 10 instead of the exact minimum
}

// Run is the evaluation of one run: a network, or an ensemble of them.
type Run struct {
	Dataset      string
	Classes      int
	OOD          []string
	Temperatures []uncertainty.Temperature // one per member
	Types        []Type                    // in the order softmax, gmm, ensemble
	Scores       []MethodScores            // in the order of Methods
	Before       Calibration               // of the first of Types
	After        Calibration               // the same with its temperature
}

// Type is one row of results in the published sense: a model type and what it
// measured, by the published keys.
type Type struct {
	Name    string             // "softmax", "gmm" or "ensemble"
	Quality Metrics            // accuracy, ece, t_ece
	OOD     map[string]Metrics // by set out of distribution: all other keys
}

// Metrics are fractions by key.
type Metrics map[string]float64

// MethodScores are the uncertainties behind one row of the table.
type MethodScores struct {
	Method, Label string
	Higher        uncertainty.Direction
	In            []float64
	Out           [][]float64       // by set out of distribution, as Run.OOD
	Metrics       []uncertainty.OOD // the same
	modelType     string
}

// Calibration is confidence against accuracy on the test images.
type Calibration struct {
	ECE     float64
	Diagram uncertainty.ReliabilityDiagram
}

// Evaluate computes a run from the scores of its members; methods other than
// "ensemble" look at the first.
func Evaluate(members []Member, o Options) (*Run, error) {
	if err := check(members, o); err != nil {
		return nil, err
	}
	first := members[0]
	r := &Run{Dataset: first.Test.Dataset, Classes: first.Test.Classes}
	for _, s := range first.OOD {
		r.OOD = append(r.OOD, s.Dataset)
	}
	for i, m := range members {
		t, err := temperature(m.Validation, o.GridTemperature)
		if err != nil {
			return nil, fmt.Errorf("temperature of network %d: %w", i+1, err)
		}
		r.Temperatures = append(r.Temperatures, t)
	}
	for _, t := range modelTypes {
		if !slices.ContainsFunc(o.Methods, t.answers) {
			continue
		}
		if err := r.evaluate(t, members); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return r, r.selectScores(o.Methods)
}

func temperature(validation *scores.Set, grid bool) (uncertainty.Temperature, error) {
	fit := uncertainty.FitTemperature
	if grid {
		fit = uncertainty.GridTemperature
	}
	return fit(validation.LogitMatrix(), validation.Labels)
}

// check wants members that speak about the same images.
func check(members []Member, o Options) error {
	if len(members) == 0 {
		return errors.New("nothing to evaluate: no networks")
	}
	if len(o.Methods) == 0 {
		return errors.New("nothing to evaluate: no methods")
	}
	for _, m := range o.Methods {
		if !slices.ContainsFunc(modelTypes, func(t modelType) bool { return t.answers(m) }) {
			return fmt.Errorf("method %q, want softmax, msp, energy, ddu or ensemble", m)
		}
	}
	if slices.Contains(o.Methods, "ensemble") && len(members) < 2 {
		return errors.New("method ensemble: 1 network, want at least 2")
	}
	first := members[0]
	for i, m := range members {
		if m.Test == nil || m.Validation == nil {
			return fmt.Errorf("network %d: test and validation scores are both needed", i+1)
		}
		if m.Test.Dataset != m.Validation.Dataset {
			return fmt.Errorf("network %d: test images are of %s, validation images of %s", i+1, m.Test.Dataset, m.Validation.Dataset)
		}
		if err := sameImages(first.Test, m.Test); err != nil {
			return fmt.Errorf("network %d: %w", i+1, err)
		}
		if len(m.OOD) != len(first.OOD) {
			return fmt.Errorf("network %d: %d sets out of distribution, the first network has %d", i+1, len(m.OOD), len(first.OOD))
		}
		for j, s := range m.OOD {
			if err := sameImages(first.OOD[j], s); err != nil {
				return fmt.Errorf("network %d: %w", i+1, err)
			}
			if s.Classes != m.Test.Classes {
				return fmt.Errorf("network %d: %d logits per image of %s, %d of %s", i+1, s.Classes, s, m.Test.Classes, m.Test)
			}
		}
		if !slices.Contains(o.Methods, "ddu") || i > 0 {
			continue
		}
		for _, s := range append([]*scores.Set{m.Test}, m.OOD...) {
			if s.LogDensities == nil {
				return fmt.Errorf("method ddu: scores of %s hold no log densities", s)
			}
		}
	}
	return nil
}

func sameImages(a, b *scores.Set) error {
	switch {
	case a.Dataset != b.Dataset || a.Part != b.Part:
		return fmt.Errorf("scores of %s, want %s", b, a)
	case a.Classes != b.Classes:
		return fmt.Errorf("%d classes in the scores of %s, want %d", b.Classes, b, a.Classes)
	case !slices.Equal(a.Labels, b.Labels):
		return fmt.Errorf("the scores of %s are of other images than those of the first network", b)
	}
	return nil
}
