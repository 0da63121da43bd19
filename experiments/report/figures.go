package report

import (
	"fmt"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/figures"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// Picture is a figure with the name of its file, without .png.
type Picture struct {
	Name   string // "entropy", "density", "roc_SET", "reliability"
	Figure *figures.Figure
}

// Pictures draws what a run has scores for: histograms of the softmax entropy
// and of the log density, a ROC curve per set out of distribution, and the
// reliability diagram.
func Pictures(r *Run) ([]Picture, error) {
	var list []Picture
	add := func(name string, f *figures.Figure, err error) error {
		if err != nil {
			return fmt.Errorf("figure %s: %w", name, err)
		}
		list = append(list, Picture{name, f})
		return nil
	}
	for _, s := range r.Scores {
		in, out := r.samples(s)
		switch s.Method {
		case "softmax":
			f, err := figures.EntropyHistogram("Softmax entropy: "+r.comparison(), r.Classes, in, out...)
			if err := add("entropy", f, err); err != nil {
				return nil, err
			}
		case "ddu":
			f, err := figures.DensityHistogram("Feature density: "+r.comparison(), in, out...)
			if err := add("density", f, err); err != nil {
				return nil, err
			}
		}
	}
	for j, ood := range r.OOD {
		f, err := figures.ROC(fmt.Sprintf("ROC: %s against %s", r.Dataset, ood), r.detectors(j))
		if err := add("roc_"+ood, f, err); err != nil {
			return nil, err
		}
	}
	after := "After scaling"
	if r.Types[0].Name != "ensemble" {
		after += fmt.Sprintf(", T = %.3g", r.Temperatures[0].T)
	}
	f, err := figures.Reliability(fmt.Sprintf("Calibration on %s (test)", r.Dataset),
		figures.Calibration{Label: "Before temperature scaling", ECE: r.Before.ECE, Diagram: r.Before.Diagram},
		figures.Calibration{Label: after, ECE: r.After.ECE, Diagram: r.After.Diagram})
	return list, add("reliability", f, err)
}

func (r *Run) comparison() string {
	if len(r.OOD) == 0 {
		return r.Dataset
	}
	return r.Dataset + " against " + strings.Join(r.OOD, ", ")
}

func (r *Run) samples(s MethodScores) (in figures.Sample, out []figures.Sample) {
	for j, values := range s.Out {
		out = append(out, figures.Sample{Label: r.OOD[j], Values: values})
	}
	return figures.Sample{Label: r.Dataset + " (in distribution)", Values: s.In}, out
}

// detectors turns the scores against one set so that higher means further out.
func (r *Run) detectors(j int) []figures.Detector {
	var list []figures.Detector
	for _, s := range r.Scores {
		d := figures.Detector{Method: s.Method, Label: s.Label, In: s.In, Out: s.Out[j], AUROC: s.Metrics[j].AUROC}
		if s.Higher == uncertainty.HigherIsID {
			d.In, d.Out = negated(d.In), negated(d.Out)
		}
		list = append(list, d)
	}
	return list
}

func negated(values []float64) []float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = -v
	}
	return list
}
