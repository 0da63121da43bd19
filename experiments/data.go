package experiments

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/nn/models"
)

// sets are the images of an experiment.
type sets struct {
	train, test *dataset.Set
	ood         []*dataset.Set
}

// openSets reads all sets before anything is trained, so that a missing one is
// not found out hours later. All that are missing are told at once.
func openSets(cfg *config.Config) (*sets, error) {
	open := func(name string, o dataset.Options) (*dataset.Set, error) {
		o.Root = cfg.Data.Root
		return dataset.Open(name, o)
	}
	shape, err := folderShape(cfg.Data.Shape)
	if err != nil {
		return nil, cfg.At("data.shape", err)
	}
	var s sets
	s.train, err = open(cfg.Data.Name, dataset.Options{Train: true, Shape: shape})
	if len(cfg.Eval.Methods) == 0 { // nothing is tested
		return &s, cfg.At("data.name", err)
	}
	if err == nil || isMissing(err) {
		var testErr error
		s.test, testErr = open(cfg.Data.Name, dataset.Options{Shape: shape})
		err = bothMissing(cfg.Data.Name, err, testErr)
	}
	problems := []error{cfg.At("data.name", err)}
	names := map[string]string{}
	if s.test != nil {
		names[s.test.Name] = cfg.Data.Name
	}
	for _, name := range cfg.Data.OOD {
		if err := errors.Join(problems...); err != nil && !isMissing(err) {
			return nil, err
		}
		o := dataset.Options{OOD: true}
		if s.test != nil {
			o.Shape = s.test.Shape
		}
		ood, err := open(name, o)
		if err == nil && s.test != nil {
			err = dataset.CheckShapes(s.test, ood)
		}
		if err == nil {
			if other, taken := names[ood.Name]; taken {
				err = fmt.Errorf("%s and %s would both be called %s in tables and file names: rename one", other, name, ood.Name)
			} else {
				names[ood.Name] = name
			}
		}
		problems = append(problems, cfg.At("data.ood", err))
		s.ood = append(s.ood, ood)
	}
	return &s, errors.Join(problems...)
}

func isMissing(err error) bool {
	var missing *dataset.MissingError
	return errors.As(err, &missing)
}

// bothMissing makes one error of those of the two parts of a set.
func bothMissing(name string, train, test error) error {
	var a, b *dataset.MissingError
	if !errors.As(train, &a) || !errors.As(test, &b) {
		return cmp.Or(train, test)
	}
	both := *a
	both.Set, both.Files = name, slices.Concat(a.Files, b.Files)
	return &both
}

// folderShape reads "3x32x32"; "" is the zero Shape.
func folderShape(text string) (s dataset.Shape, err error) {
	if text == "" {
		return s, nil
	}
	if _, err := fmt.Sscanf(text, "%dx%dx%d", &s.C, &s.H, &s.W); err != nil {
		return s, fmt.Errorf("found %q, want channels, height and width as in 3x32x32", text)
	}
	return s, nil
}

// part is some images of a set, in order.
type part struct {
	set     *dataset.Set
	indices []int // nil: all
}

func (p part) len() int {
	if p.indices == nil {
		return p.set.Len()
	}
	return len(p.indices)
}

// labels returns the labels of the part's images.
func (p part) labels() []int {
	if p.indices == nil {
		return slices.Clone(p.set.Labels)
	}
	labels := make([]int, len(p.indices))
	for i, at := range p.indices {
		labels[i] = p.set.Labels[at]
	}
	return labels
}

// buildNetwork builds the network of the configuration for images like those of
// set.
func buildNetwork(cfg *config.Config, set *dataset.Set, seed uint64) (models.Network, error) {
	m := cfg.Model
	network, err := models.Build(m.Name, models.Options{
		Classes: set.Classes(), Input: [3]int{set.Shape.C, set.Shape.H, set.Shape.W},
		Depth: m.Depth, Widen: m.Widen, Dropout: m.Dropout,
		SN: m.SN, Coeff: m.Coeff, PowerIterations: m.PowerIterations, Mod: m.Mod, Act: m.Act, Seed: seed,
	})
	if err != nil {
		return nil, cfg.At("model.name", fmt.Errorf("%w (images of %s)", err, set.Name))
	}
	return network, nil
}
