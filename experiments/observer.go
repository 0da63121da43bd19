package experiments

import "time"

// Observer is told how a run goes on. Calls come from one goroutine. Embedders
// that do not care pass nil.
type Observer interface {
	// Phase names what starts now: "train", "score cifar10 test".
	Phase(name string)
	// Note tells something the user should know about the result.
	Note(text string)
	// Batch follows every batch of a phase.
	Batch(Progress)
	// Epoch follows every training epoch, once its checkpoint is on disk.
	Epoch(EpochMetrics)
}

// Progress is how far a phase has come.
type Progress struct {
	Epoch, Epochs   int  // 0 outside training
	Validation      bool // the validation images, at the end of an epoch
	Images, Total   int  // of this epoch, or of this data set
	ImagesPerSecond float64
	Loss, Accuracy  float64       // running means of this epoch; accuracy is a fraction
	Remaining       time.Duration // of all epochs, or of these images
}

// EpochMetrics is one line of metrics.jsonl. Losses are nats per image,
// accuracies fractions. Validation figures are absent without a validation
// split.
type EpochMetrics struct {
	Epoch              int      `json:"epoch"`
	LearningRate       float64  `json:"lr"`
	TrainLoss          float64  `json:"train_loss"`
	TrainAccuracy      float64  `json:"train_accuracy"`
	ValidationLoss     *float64 `json:"val_loss,omitempty"`
	ValidationAccuracy *float64 `json:"val_accuracy,omitempty"`
	ImagesPerSecond    float64  `json:"images_per_second"`
	Seconds            float64  `json:"seconds"`
}

// silent is the Observer of those who pass none.
type silent struct{}

func (silent) Phase(string)       {}
func (silent) Note(string)        {}
func (silent) Batch(Progress)     {}
func (silent) Epoch(EpochMetrics) {}

// pace measures a phase: images per second and the time left.
type pace struct {
	start time.Time
	done  int
}

func newPace() *pace { return &pace{start: time.Now()} }

func (p *pace) add(images int) { p.done += images }

func (p *pace) imagesPerSecond() float64 {
	if s := time.Since(p.start).Seconds(); s > 0 {
		return float64(p.done) / s
	}
	return 0
}

func (p *pace) remaining(images int) time.Duration {
	if p.done == 0 {
		return 0
	}
	return time.Duration(float64(time.Since(p.start)) / float64(p.done) * float64(images))
}
