package experiments

import (
	"context"
	"fmt"
	"os"

	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/experiments/scores"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// scorer runs a frozen network over sets of images.
type scorer struct {
	*member
	predictor *nn.Predictor
	density   *uncertainty.Density // nil without the method ddu
}

// score fits the density and scores all sets. What an earlier start of the same
// run has scored is read back.
func (m *member) score(ctx context.Context, network nn.Network, train, validate part) (report.Member, error) {
	if m.resume {
		if done, err := m.readScores(); err == nil {
			return done, nil
		}
	}
	predictor, err := nn.FreezeAs(network, activations(m.cfg))
	if err != nil {
		return report.Member{}, err
	}
	s := &scorer{member: m, predictor: predictor}
	if m.cfg.Uses("ddu") {
		if s.density, err = s.fit(ctx, train); err != nil {
			return report.Member{}, err
		}
	}
	var r report.Member
	if r.Validation, err = s.part(ctx, validate, scores.Validation); err != nil {
		return r, err
	}
	if r.Test, err = s.part(ctx, part{set: m.sets.test}, scores.Test); err != nil {
		return r, err
	}
	for _, ood := range m.sets.ood {
		set, err := s.part(ctx, part{set: ood}, scores.Test)
		if err != nil {
			return r, err
		}
		r.OOD = append(r.OOD, set)
	}
	return r, nil
}

func (m *member) scoresFolder() string { return m.folder.path("scores") }

func (m *member) readScores() (r report.Member, err error) {
	load := func(set *dataset.Set, p scores.Part) (*scores.Set, error) {
		return scores.Load(m.scoresFolder(), set.Name, p)
	}
	if r.Validation, err = load(m.sets.train, scores.Validation); err != nil {
		return r, err
	}
	if r.Test, err = load(m.sets.test, scores.Test); err != nil {
		return r, err
	}
	for _, ood := range m.sets.ood {
		set, err := load(ood, scores.Test)
		if err != nil {
			return r, err
		}
		r.OOD = append(r.OOD, set)
	}
	return r, nil
}

// fit streams the features of the training images into one Gaussian per class.
func (s *scorer) fit(ctx context.Context, train part) (*uncertainty.Density, error) {
	s.phase("fit the feature density on %d images of %s", train.len(), train.set.Name)
	fit, err := uncertainty.NewGaussianFit(train.set.Classes(), s.predictor.FeatureDim())
	if err != nil {
		return nil, err
	}
	err = s.each(ctx, train, func(b *dataset.Batch, _, features []float32) error {
		return fit.Add(uncertainty.NewMatrix(len(b.Labels), s.predictor.FeatureDim(), features), b.Labels)
	})
	if err != nil {
		return nil, err
	}
	density, err := fit.Fit(uncertainty.FitOptions{
		Priors: uncertainty.Priors(s.cfg.Eval.Priors), Covariance: uncertainty.Covariance(s.cfg.Eval.Covariance), Consume: true,
	})
	if err != nil {
		return nil, fmt.Errorf("feature density: %w", err)
	}
	for _, note := range densityNotes(density.Report(), s.cfg.Eval.Covariance) {
		s.observer.Note(s.name + "feature density: " + note)
	}
	return density, saveDensity(s.folder, density)
}

// saveDensity writes what uncertainty.NewDensity takes.
func saveDensity(f Folder, d *uncertainty.Density) error {
	classes, dim := d.Classes(), d.Dim()
	entries := []checkpoint.Entry{
		checkpoint.NewFloat64("means", d.Means().Float64s(), classes, dim),
		checkpoint.NewFloat64("log_priors", d.LogPriors(), classes),
	}
	for c, factor := range d.Factors() {
		entries = append(entries, checkpoint.NewFloat64(fmt.Sprintf("factors.%d", c), factor.Float64s(), dim, dim))
	}
	return checkpoint.WriteSafetensors(f.path("density.safetensors"), &checkpoint.File{Entries: entries})
}

// part scores some images and keeps the result on disk.
func (s *scorer) part(ctx context.Context, p part, name scores.Part) (*scores.Set, error) {
	s.phase("score %d images of %s (%s)", p.len(), p.set.Name, name)
	set := &scores.Set{Dataset: p.set.Name, Part: name, Classes: s.predictor.Classes(), Labels: p.labels()}
	keepFeatures := s.density != nil && name == scores.Test
	err := s.each(ctx, p, func(_ *dataset.Batch, logits, features []float32) error {
		set.Logits = append(set.Logits, logits...)
		if keepFeatures {
			set.Features = append(set.Features, features...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if keepFeatures {
		set.Width = s.predictor.FeatureDim()
		densities, err := s.density.ClassLogDensities(set.FeatureMatrix())
		if err != nil {
			return nil, fmt.Errorf("feature density of %s: %w", p.set.Name, err)
		}
		set.LogDensities = densities.Float64s()
	}
	if err := os.MkdirAll(s.scoresFolder(), 0o755); err != nil {
		return nil, err
	}
	return set, scores.Save(s.scoresFolder(), set)
}

// each passes the logits and features of every batch of a part to f.
func (s *scorer) each(ctx context.Context, p part, f func(b *dataset.Batch, logits, features []float32) error) error {
	loader, err := dataset.NewLoader(p.set, dataset.LoaderOptions{Batch: s.cfg.Train.Batch, Indices: p.indices, NormalizeAs: s.sets.train})
	if err != nil {
		return err
	}
	speed := newPace()
	for batch, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return err
		}
		logits, features, err := s.predictor.Predict(batch.Images)
		if err != nil {
			return err
		}
		if err := f(batch, logits.Float32s(), features.Float32s()); err != nil {
			return err
		}
		speed.add(len(batch.Labels))
		s.observer.Batch(Progress{
			Images: speed.done, Total: loader.Len(), ImagesPerSecond: speed.imagesPerSecond(), Remaining: speed.remaining(loader.Len() - speed.done),
		})
	}
	return nil
}

// validation returns the mean loss and the accuracy on the validation images, in
// evaluation mode.
func (t *trainer) validation(ctx context.Context, epoch int) (loss, accuracy float64, err error) {
	predictor, err := nn.FreezeAs(t.network, activations(t.cfg))
	if err != nil {
		return 0, 0, err
	}
	loader, err := dataset.NewLoader(t.validate.set, dataset.LoaderOptions{Batch: t.cfg.Train.Batch, Indices: t.validate.indices})
	if err != nil {
		return 0, 0, err
	}
	var sum runningMean
	speed := newPace()
	for batch, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return 0, 0, err
		}
		logits, _, err := predictor.Predict(batch.Images)
		if err != nil {
			return 0, 0, err
		}
		nll, err := uncertainty.NLL(uncertainty.NewMatrix(len(batch.Labels), predictor.Classes(), logits.Float32s()), batch.Labels)
		if err != nil {
			return 0, 0, err
		}
		sum.add(nll, countCorrect(logits.Float32s(), batch.Labels), len(batch.Labels))
		speed.add(len(batch.Labels))
		t.observer.Batch(Progress{
			Epoch: epoch, Epochs: t.cfg.Train.Epochs, Validation: true, Images: sum.images, Total: loader.Len(),
			ImagesPerSecond: speed.imagesPerSecond(), Loss: sum.loss(), Accuracy: sum.accuracy(),
			Remaining: speed.remaining(loader.Len() - sum.images),
		})
	}
	return sum.loss(), sum.accuracy(), nil
}
