package experiments

import (
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
// not found out hours later.
func openSets(cfg *config.Config) (*sets, error) {
	open := func(key, name string, train bool) (*dataset.Set, error) {
		s, err := dataset.Open(name, dataset.Options{Root: cfg.Data.Root, Train: train})
		return s, cfg.At(key, err)
	}
	var s sets
	var err error
	if s.train, err = open("data.name", cfg.Data.Name, true); err != nil {
		return nil, err
	}
	if s.test, err = open("data.name", cfg.Data.Name, false); err != nil {
		return nil, err
	}
	for _, name := range cfg.Data.OOD {
		ood, err := open("data.ood", name, false)
		if err == nil {
			err = cfg.At("data.ood", dataset.CheckShapes(s.test, ood))
		}
		if err != nil {
			return nil, err
		}
		s.ood = append(s.ood, ood)
	}
	return &s, nil
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
