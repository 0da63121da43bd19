package report

import (
	"fmt"
	"slices"

	"github.com/deepuncertainty/ddu/experiments/figures"
	"github.com/deepuncertainty/ddu/experiments/scores"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// view is a data set as the members of a run saw it, at their temperatures.
type view struct {
	members      []*scores.Set
	temperatures []float64
}

// logits returns those of member i over its temperature.
func (v view) logits(i int) (uncertainty.Matrix, error) {
	m := v.members[i].LogitMatrix()
	if v.temperatures[i] == 1 {
		return m, nil
	}
	return uncertainty.ScaleLogits(m, v.temperatures[i])
}

func (v view) probabilities(i int) (uncertainty.Matrix, error) {
	logits, err := v.logits(i)
	if err != nil {
		return logits, err
	}
	return uncertainty.Softmax(logits)
}

func (v view) allProbabilities() ([]uncertainty.Matrix, error) {
	list := make([]uncertainty.Matrix, len(v.members))
	for i := range list {
		var err error
		if list[i], err = v.probabilities(i); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// measure is one uncertainty of every image.
type measure struct {
	method string // the row of the table, "" for none
	label  string
	higher uncertainty.Direction
	of     func(view) ([]float64, error)
}

// modelType is a way to predict and to be uncertain, as published: m1 and m2
// are its two measures.
type modelType struct {
	name    string
	predict func(view) (uncertainty.Matrix, error) // class probabilities
	m1, m2  measure
	more    []measure // not published; their keys begin with the method
}

// measures returns all of a type by the beginning of their keys.
func (t modelType) measures() (keys []string, list []measure) {
	keys, list = []string{"m1", "m2"}, []measure{t.m1, t.m2}
	for _, m := range t.more {
		keys, list = append(keys, m.method), append(list, m)
	}
	return keys, list
}

func (t modelType) answers(method string) bool {
	if method == "ensemble" {
		return t.name == "ensemble"
	}
	_, list := t.measures()
	return method != "" && slices.ContainsFunc(list, func(m measure) bool { return m.method == method })
}

var modelTypes = []modelType{
	{
		name:    "softmax",
		predict: func(v view) (uncertainty.Matrix, error) { return v.probabilities(0) },
		m1:      measure{"energy", "Energy", uncertainty.HigherIsID, ofLogits(uncertainty.Energy)},
		m2:      measure{"softmax", "Softmax entropy", uncertainty.HigherIsOOD, ofLogits(uncertainty.SoftmaxEntropy)},
		more:    []measure{{"msp", "Maximum softmax", uncertainty.HigherIsID, ofLogits(uncertainty.MaxSoftmax)}},
	},
	{
		name:    "gmm",
		predict: func(v view) (uncertainty.Matrix, error) { return v.probabilities(0) },
		m1:      measure{"ddu", "DDU density", uncertainty.HigherIsID, ofDensities(uncertainty.LogSumExp)},
		m2:      measure{"", "Entropy of the Gaussians' posterior", uncertainty.HigherIsOOD, ofDensities(uncertainty.SoftmaxEntropy)},
	},
	{
		name: "ensemble",
		predict: func(v view) (uncertainty.Matrix, error) {
			p, err := v.allProbabilities()
			if err != nil {
				return uncertainty.Matrix{}, err
			}
			return uncertainty.MeanProbabilities(p)
		},
		m1: measure{"ensemble_mi", "Ensemble MI", uncertainty.HigherIsOOD, ofMembers(uncertainty.MutualInformation)},
		m2: measure{"ensemble", "Ensemble PE", uncertainty.HigherIsOOD, ofMembers(uncertainty.PredictiveEntropy)},
	},
}

func ofLogits(score func(uncertainty.Matrix) ([]float64, error)) func(view) ([]float64, error) {
	return func(v view) ([]float64, error) {
		logits, err := v.logits(0)
		if err != nil {
			return nil, err
		}
		return score(logits)
	}
}

// ofDensities does not depend on the temperature.
func ofDensities(score func(uncertainty.Matrix) ([]float64, error)) func(view) ([]float64, error) {
	return func(v view) ([]float64, error) { return score(v.members[0].DensityMatrix()) }
}

func ofMembers(score func([]uncertainty.Matrix) ([]float64, error)) func(view) ([]float64, error) {
	return func(v view) ([]float64, error) {
		p, err := v.allProbabilities()
		if err != nil {
			return nil, err
		}
		return score(p)
	}
}

// evaluate adds the results of one model type.
func (r *Run) evaluate(t modelType, members []Member) error {
	result := Type{Name: t.name, Quality: Metrics{}, OOD: map[string]Metrics{}}
	for _, name := range r.OOD {
		result.OOD[name] = Metrics{}
	}
	for _, scaled := range []bool{false, true} {
		prefix := ""
		temperatures := make([]float64, len(members))
		for i := range temperatures {
			temperatures[i] = 1
			if scaled {
				prefix, temperatures[i] = "t_", r.Temperatures[i].T
			}
		}
		at := func(pick func(Member) *scores.Set) view {
			v := view{temperatures: temperatures}
			for _, m := range members {
				v.members = append(v.members, pick(m))
			}
			return v
		}
		test := at(func(m Member) *scores.Set { return m.Test })
		if err := r.quality(t, test, prefix, result.Quality); err != nil {
			return err
		}
		var ood []view
		for j := range r.OOD {
			ood = append(ood, at(func(m Member) *scores.Set { return m.OOD[j] }))
		}
		keys, list := t.measures()
		for i, m := range list {
			key := keys[i]
			s, err := r.separate(m, test, ood)
			if err != nil {
				return fmt.Errorf("%s: %w", m.label, err)
			}
			for j, name := range r.OOD {
				result.OOD[name].put(prefix, key, s.Metrics[j], m.higher)
			}
			if s.modelType = t.name; !scaled {
				r.Scores = append(r.Scores, s)
			}
		}
	}
	r.Types = append(r.Types, result)
	return nil
}

// quality adds accuracy and calibration error on the test images.
func (r *Run) quality(t modelType, test view, prefix string, into Metrics) error {
	p, err := t.predict(test)
	if err != nil {
		return err
	}
	labels := test.members[0].Labels
	accuracy, err := uncertainty.Accuracy(p, labels)
	if err != nil {
		return err
	}
	ece, err := uncertainty.ECE(p, labels, uncertainty.DefaultBins)
	if err != nil {
		return err
	}
	into[prefix+"ece"] = ece
	if prefix == "" {
		into["accuracy"] = accuracy
	}
	diagram := &r.Before
	if prefix != "" {
		diagram = &r.After
	}
	if diagram.Diagram != nil {
		return nil
	}
	diagram.ECE = ece
	diagram.Diagram, err = uncertainty.Reliability(p, labels, figures.ReliabilityBins)
	return err
}

// separate measures the test images and each set out of distribution.
func (r *Run) separate(m measure, test view, ood []view) (MethodScores, error) {
	s := MethodScores{Method: m.method, Label: m.label, Higher: m.higher}
	var err error
	if s.In, err = m.of(test); err != nil {
		return s, err
	}
	for j, v := range ood {
		out, err := m.of(v)
		if err != nil {
			return s, err
		}
		metrics, err := uncertainty.OODMetrics(s.In, out, m.higher)
		if err != nil {
			return s, fmt.Errorf("%s against %s: %w", r.Dataset, r.OOD[j], err)
		}
		s.Out = append(s.Out, out)
		s.Metrics = append(s.Metrics, metrics)
	}
	return s, nil
}

// put stores one comparison under the published keys, whose average precision
// takes the side that the measure is high for as positive. The keys beyond the
// published ones are those of m1; of m2 they carry its name.
func (m Metrics) put(prefix, key string, o uncertainty.OOD, higher uncertainty.Direction) {
	m[prefix+key+"_auroc"] = o.AUROC
	m[prefix+key+"_auprc"] = o.AUPROut
	if higher == uncertainty.HigherIsID {
		m[prefix+key+"_auprc"] = o.AUPRIn
	}
	if prefix != "" {
		return
	}
	if key == "m1" {
		key = ""
	} else {
		key += "_"
	}
	m[key+"auprc_in"], m[key+"auprc_out"], m[key+"fpr95"] = o.AUPRIn, o.AUPROut, o.FPR95
}

// selectScores keeps the scores of the methods that were asked for, in their
// order; an ensemble has two.
func (r *Run) selectScores(methods []string) error {
	var kept []MethodScores
	for _, method := range methods {
		for _, name := range []string{method, method + "_mi"} {
			i := slices.IndexFunc(r.Scores, func(s MethodScores) bool { return s.Method == name })
			if i >= 0 {
				kept = append(kept, r.Scores[i])
			} else if name == method {
				return fmt.Errorf("no scores of method %s", method)
			}
		}
	}
	r.Scores = kept
	return nil
}
