package experiments

import (
	"context"
	"fmt"
	"os"

	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/experiments/scores"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/uncertainty"
)

// scorer runs a trained network over sets of images.
type scorer struct {
	*member
	network nn.Network
	load    func() error // gives the network its weights; nil: it has them
	train   part
	fitted  string // fingerprint of weights and training images, once these are there

	predictor *nn.Predictor        // nil until it is needed
	density   *uncertainty.Density // nil until it is needed
}

// score fits the density and scores all sets. What an earlier start of the same
// run has scored is read back: the network runs once over each set.
func (s *scorer) score(ctx context.Context, validate part) (r report.Member, err error) {
	if r.Validation, err = s.part(ctx, validate, scores.Validation); err != nil {
		return r, err
	}
	if r.Test, err = s.part(ctx, part{set: s.sets.test}, scores.Test); err != nil {
		return r, err
	}
	for _, ood := range s.sets.ood {
		set, err := s.part(ctx, part{set: ood}, scores.Test)
		if err != nil {
			return r, err
		}
		r.OOD = append(r.OOD, set)
	}
	return r, nil
}

func (m *member) scoresFolder() string { return m.folder.path("scores") }

// ready gives the network its weights, once.
func (s *scorer) ready() error {
	if s.fitted != "" {
		return nil
	}
	if s.load != nil {
		if err := s.load(); err != nil {
			return err
		}
	}
	s.fitted = weightsFingerprint(s.network) + " " + s.train.fingerprint()
	return nil
}

// prepare freezes the network and fits the density, once.
func (s *scorer) prepare(ctx context.Context) (err error) {
	if s.predictor != nil {
		return nil
	}
	if s.predictor, err = nn.FreezeAs(s.network, activations(s.cfg)); err != nil {
		return err
	}
	if !s.cfg.Uses("ddu") {
		return nil
	}
	if s.resume {
		var source string
		if s.density, source, err = loadDensity(s.folder); err == nil && source == s.fitted {
			return nil
		}
	}
	s.density, err = s.fit(ctx)
	return err
}

// kept returns the scores of a part as an earlier start of the run left them,
// nil when they are not there, lack something or are of other weights or images.
func (s *scorer) kept(p part, name scores.Part, source string) *scores.Set {
	if !s.resume {
		return nil
	}
	set, err := scores.Load(s.scoresFolder(), p.set.Name, name)
	if err != nil || set.Source != source || set.Len() != p.len() || s.wantsDensity(name) && set.LogDensities == nil {
		return nil
	}
	return set
}

// wantsDensity tells whether the density is wanted of a part's images: the
// validation images only fit the temperature.
func (s *scorer) wantsDensity(name scores.Part) bool { return s.cfg.Uses("ddu") && name == scores.Test }

// fit streams the features of the training images into one Gaussian per class.
func (s *scorer) fit(ctx context.Context) (*uncertainty.Density, error) {
	train := s.train
	s.phase("fit the feature density on %d images of %s", train.len(), train.set.Name)
	fit, err := uncertainty.NewGaussianFit(train.set.Classes(), s.predictor.FeatureDim())
	if err != nil {
		return nil, err
	}
	options := dataset.LoaderOptions{Batch: s.cfg.Eval.Batch, Indices: train.indices, Seed: s.seed}
	if s.cfg.Eval.Augment {
		options.Augment = train.set.Augmentation
	}
	err = s.each(ctx, train.set, options, func(b *dataset.Batch, _, features []float32) error {
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
	return density, saveDensity(s.folder, density, s.fitted)
}

// part scores some images and keeps the result on disk.
func (s *scorer) part(ctx context.Context, p part, name scores.Part) (*scores.Set, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	source := s.fitted + " " + p.fingerprint()
	if set := s.kept(p, name, source); set != nil {
		return set, nil
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.phase("score %d images of %s (%s)", p.len(), p.set.Name, name)
	set := &scores.Set{Dataset: p.set.Name, Part: name, Source: source, Classes: s.predictor.Classes(), Labels: p.labels()}
	options := dataset.LoaderOptions{Batch: s.cfg.Eval.Batch, Indices: p.indices, NormalizeAs: s.sets.train}
	err := s.each(ctx, p.set, options, func(_ *dataset.Batch, logits, features []float32) error {
		set.Logits = append(set.Logits, logits...)
		if s.wantsDensity(name) {
			set.Features = append(set.Features, features...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.wantsDensity(name) {
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

// each passes the logits and features of every batch to f.
func (s *scorer) each(ctx context.Context, set *dataset.Set, o dataset.LoaderOptions, f func(b *dataset.Batch, logits, features []float32) error) error {
	loader, err := dataset.NewLoader(set, o)
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
	loader, err := dataset.NewLoader(t.validate.set, dataset.LoaderOptions{Batch: t.cfg.Eval.Batch, Indices: t.validate.indices})
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
