package experiments

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/tensorboard"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// trainer trains one network, epoch by epoch, and can be stopped after any of
// them and taken up again to the same bits.
type trainer struct {
	cfg       *config.Config
	seed      uint64
	network   models.Network
	optimizer optim.Optimizer
	schedule  optim.Schedule
	train     *dataset.Loader
	validate  part // empty: no validation
	history   []EpochMetrics
	folder    Folder
	observer  Observer

	tape  *autograd.Tape
	pool  *tensor.Pool
	trace stepTrace
	key   random.Key // of dropout

	events *tensorboard.Writer
}

// run trains what is left to train. Each epoch ends with its checkpoint on disk.
func (t *trainer) run(ctx context.Context) error {
	for epoch := len(t.history) + 1; epoch <= t.cfg.Train.Epochs; epoch++ {
		metrics, err := t.epoch(ctx, epoch)
		if err != nil {
			return err
		}
		t.history = append(t.history, metrics)
		if err := t.save(); err != nil {
			return fmt.Errorf("checkpoint of epoch %d: %w", epoch, err)
		}
		t.observer.Epoch(metrics)
		// After the checkpoint: no trained epoch is lost to a folder that cannot be
		// written, and what a stop in between leaves out is made up by saveLate.
		if err := t.savePublished(); err != nil {
			return err
		}
	}
	return nil
}

// epoch runs over the training images once and then over the validation images.
func (t *trainer) epoch(ctx context.Context, epoch int) (EpochMetrics, error) {
	var sum runningMean
	speed, start := newPace(), time.Now()
	total, at, lr := t.train.Len(), (epoch-1)*t.train.Batches(), 0.0
	t.trace.next()
	for batch, err := range t.train.Epoch(ctx, epoch) {
		if err != nil {
			return EpochMetrics{}, err
		}
		t.trace.loaded(len(batch.Labels))
		lr = t.schedule.LearningRate(at)
		loss, correct, err := t.step(batch, lr, at)
		if err != nil {
			return EpochMetrics{}, fmt.Errorf("epoch %d, step %d: %w", epoch, at%t.train.Batches()+1, err)
		}
		t.trace.done()
		at++
		sum.add(loss, correct, len(batch.Labels))
		speed.add(len(batch.Labels))
		t.observer.Batch(Progress{
			Epoch: epoch, Epochs: t.cfg.Train.Epochs, Images: sum.images, Total: total,
			ImagesPerSecond: speed.imagesPerSecond(), Loss: sum.loss(), Accuracy: sum.accuracy(),
			Remaining: speed.remaining((t.cfg.Train.Epochs-epoch+1)*total - sum.images),
		})
		if at < epoch*t.train.Batches() {
			t.trace.next()
		}
	}
	m := EpochMetrics{
		Epoch: epoch, LearningRate: lr, TrainLoss: sum.loss(), TrainAccuracy: sum.accuracy(),
		ImagesPerSecond: speed.imagesPerSecond(),
	}
	if t.validate.len() > 0 {
		loss, accuracy, err := t.validation(ctx, epoch)
		if err != nil {
			return m, err
		}
		m.ValidationLoss, m.ValidationAccuracy = &loss, &accuracy
	}
	m.Seconds = time.Since(start).Seconds()
	return m, nil
}

// step is one optimiser step. It returns the batch's mean loss and how many
// images it got right.
func (t *trainer) step(batch *dataset.Batch, lr float64, at int) (loss float64, correct int, err error) {
	t.tape.Trace = t.trace.recorder
	defer t.tape.Reset()
	ctx := &autograd.Context{Tape: t.tape, Training: true, Key: t.key.Fold(uint64(at)), Pool: t.pool, DType: activations(t.cfg)}
	logits, _, err := t.network.Forward(ctx, autograd.Constant(batch.Images))
	if err != nil {
		return 0, 0, err
	}
	mean := autograd.CrossEntropy(ctx, logits, batch.Labels)
	loss = mean.Value.At()
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, 0, fmt.Errorf("the loss is %v at learning rate %g: training diverged; a smaller train.lr may help", loss, lr)
	}
	correct = countCorrect(logits.Value.Float32s(), batch.Labels)
	objective := mean
	if t.cfg.Train.LossMean {
		objective = autograd.Scale(ctx, mean, 1/float32(len(batch.Labels)))
	}
	t.tape.Backward(objective)
	optim.TraceStep(t.trace.recorder, t.optimizer, lr)
	t.optimizer.ZeroGrad()
	return loss, correct, nil
}

// runningMean gathers an epoch's losses and hits.
type runningMean struct {
	images, correct int
	lossSum         float64
}

func (r *runningMean) add(meanLoss float64, correct, images int) {
	r.lossSum += meanLoss * float64(images)
	r.correct += correct
	r.images += images
}

func (r *runningMean) loss() float64     { return r.lossSum / float64(max(r.images, 1)) }
func (r *runningMean) accuracy() float64 { return float64(r.correct) / float64(max(r.images, 1)) }

// countCorrect counts the rows of logits whose first largest entry is the label.
func countCorrect(logits []float32, labels []int) int {
	if len(labels) == 0 {
		return 0
	}
	classes, correct := len(logits)/len(labels), 0
	for i, label := range labels {
		if argmax(logits[i*classes:(i+1)*classes]) == label {
			correct++
		}
	}
	return correct
}

func argmax(row []float32) int {
	best := 0
	for j, v := range row {
		if v > row[best] {
			best = j
		}
	}
	return best
}
