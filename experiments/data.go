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
	open := func(key, name string, o dataset.Options) (*dataset.Set, error) {
		o.Root = cfg.Data.Root
		s, err := dataset.Open(name, o)
		return s, cfg.At(key, err)
	}
	shape, err := folderShape(cfg.Data.Shape)
	if err != nil {
		return nil, cfg.At("data.shape", err)
	}
	var s sets
	if s.train, err = open("data.name", cfg.Data.Name, dataset.Options{Train: true, Shape: shape}); err != nil {
		return nil, err
	}
	if len(cfg.Eval.Methods) == 0 {
		return &s, nil // nothing is tested
	}
	if s.test, err = open("data.name", cfg.Data.Name, dataset.Options{Shape: shape}); err != nil {
		return nil, err
	}
	names := map[string]string{s.test.Name: cfg.Data.Name}
	for _, name := range cfg.Data.OOD {
		ood, err := open("data.ood", name, dataset.Options{OOD: true, Shape: s.test.Shape})
		if err != nil {
			return nil, err
		}
		if err := dataset.CheckShapes(s.test, ood); err != nil {
			return nil, cfg.At("data.ood", err)
		}
		if other, taken := names[ood.Name]; taken {
			return nil, cfg.At("data.ood", fmt.Errorf("%s and %s would both be called %s in tables and file names: rename one", other, name, ood.Name))
		}
		names[ood.Name] = name
		s.ood = append(s.ood, ood)
	}
	return &s, nil
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
