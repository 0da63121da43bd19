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
	open := func(name string, train bool) (*dataset.Set, error) {
		return dataset.Open(name, dataset.Options{Root: cfg.Data.Root, Train: train})
	}
	var s sets
	var err, testErr error
	s.train, err = open(cfg.Data.Name, true)
	if err == nil || isMissing(err) {
		s.test, testErr = open(cfg.Data.Name, false)
		err = bothMissing(cfg.Data.Name, err, testErr)
	}
	problems := []error{cfg.At("data.name", err)}
	for _, name := range cfg.Data.OOD {
		if err := errors.Join(problems...); err != nil && !isMissing(err) {
			return nil, err
		}
		ood, err := open(name, false)
		if err == nil && s.test != nil {
			err = dataset.CheckShapes(s.test, ood)
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
