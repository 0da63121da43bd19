package experiments

import (
	"context"
	"fmt"
	"os"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// member is one network of an experiment: one of an ensemble, of one run.
type member struct {
	cfg      *config.Config
	sets     *sets
	folder   Folder
	observer Observer
	resume   bool
	replace  bool
	trace    func(*trace.Recorder) // nil: not this network
	seed     uint64
	weights  string // path of the trained network; "" when it is to be trained
	name     string // for phases: "" when there is only one
}

func newMember(cfg *config.Config, s *sets, o Options, run, number int) *member {
	m := &member{
		cfg: cfg, sets: s, observer: o.Observer, resume: o.Resume, replace: o.Replace,
		folder: o.Folder.member(run, number, cfg.Runs.Count, cfg.Runs.Ensemble),
		seed:   networkSeed(cfg, run, number),
	}
	if run == 0 && number == 0 {
		m.trace = o.Trace
	}
	if cfg.Runs.Count > 1 || cfg.Runs.Ensemble > 1 {
		m.name = fmt.Sprintf("network %d of %d: ", run*cfg.Runs.Ensemble+number+1, cfg.Runs.Count*cfg.Runs.Ensemble)
	}
	return m
}

func (m *member) phase(format string, args ...any) {
	m.observer.Phase(m.name + fmt.Sprintf(format, args...))
}

// run trains the network, or takes its weights from model.checkpoint, and
// returns its scores; none without methods to evaluate.
func (m *member) run(ctx context.Context) (report.Member, error) {
	if err := os.MkdirAll(string(m.folder), 0o755); err != nil {
		return report.Member{}, err
	}
	trainIndices, validateIndices, err := m.sets.train.Split(m.seed)
	if err != nil {
		return report.Member{}, m.cfg.At("seed", err)
	}
	train, validate := part{m.sets.train, trainIndices}, part{m.sets.train, validateIndices}
	network, err := buildNetwork(m.cfg, m.sets.train, m.seed)
	if err != nil {
		return report.Member{}, err
	}
	s := &scorer{member: m, network: network, train: train}
	if m.weights == "" {
		if err := m.train(ctx, network, train, validate); err != nil {
			return report.Member{}, err
		}
	} else {
		s.load = func() error { return m.cfg.At("model.checkpoint", loadNetwork(network, m.weights)) }
	}
	if len(m.cfg.Eval.Methods) == 0 {
		return report.Member{}, nil
	}
	return s.score(ctx, validate)
}

// train trains the network and draws its curves.
func (m *member) train(ctx context.Context, network models.Network, train, validate part) error {
	t, err := m.newTrainer(network, train, validate)
	if err != nil {
		return err
	}
	if m.resume {
		if err := t.restore(); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		if err := t.saveLate(m.replace); err != nil {
			return err
		}
	}
	if err := t.openEvents(); err != nil {
		return err
	}
	defer t.events.Close()
	from := ""
	if done := len(t.history); done > 0 {
		from = fmt.Sprintf(", go on after epoch %d of %d", done, m.cfg.Train.Epochs)
	}
	m.phase("train %s on %d images of %s, validate on %d%s", m.cfg.Model.RunName(), train.len(), train.set.Name, validate.len(), from)
	if err := t.run(ctx); err != nil {
		return err
	}
	return drawCurves(m.folder, m.cfg, t.history)
}

func (m *member) newTrainer(network models.Network, train, validate part) (*trainer, error) {
	c := m.cfg.Train
	options := dataset.LoaderOptions{Batch: c.Batch, Indices: train.indices, Shuffle: true, Seed: m.seed}
	if c.Augment {
		options.Augment = train.set.Augmentation
	}
	loader, err := dataset.NewLoader(train.set, options)
	if err != nil {
		return nil, m.cfg.At("train.batch", err)
	}
	schedule, err := newSchedule(c, loader.Batches())
	if err != nil {
		return nil, m.cfg.At("train.schedule", err)
	}
	optimizer, err := newOptimizer(c, nn.Parameters(network))
	if err != nil {
		return nil, m.cfg.At("train.optimizer", err)
	}
	return &trainer{
		cfg: m.cfg, seed: m.seed, network: network, optimizer: optimizer, schedule: schedule,
		train: loader, validate: validate, folder: m.folder, observer: m.observer,
		trace: newStepTrace(m.trace, loader.Batches()),
		tape:  autograd.NewTape(), pool: tensor.NewPool(), key: random.NewKey(m.seed, "dropout"),
	}, nil
}

// newSchedule counts in steps what the configuration counts in epochs.
func newSchedule(c config.Train, stepsPerEpoch int) (optim.Schedule, error) {
	milestones := make([]int, len(c.Milestones))
	for i, epoch := range c.Milestones {
		milestones[i] = epoch * stepsPerEpoch
	}
	return optim.NewSchedule(optim.ScheduleOptions{
		Name: c.Schedule, LearningRate: c.LR, Steps: c.Epochs * stepsPerEpoch,
		Milestones: milestones, Gamma: c.Gamma, Warmup: c.Warmup * stepsPerEpoch,
	})
}

func newOptimizer(c config.Train, parameters []nn.NamedParameter) (optim.Optimizer, error) {
	if c.Optimizer == "adam" {
		return optim.NewAdam(parameters, optim.AdamOptions{WeightDecay: c.WeightDecay})
	}
	return optim.NewSGD(parameters, optim.SGDOptions{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov})
}

// activations is the element type of a configuration whose precision is decided.
func activations(cfg *config.Config) tensor.DType {
	dt, err := nn.ParsePrecision(cfg.Precision)
	if err != nil {
		panic(err) // Run has parsed it
	}
	return dt
}
