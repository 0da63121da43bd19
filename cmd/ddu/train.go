package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/config"
)

// modelFlags describe the network, as in all published scripts.
type modelFlags struct {
	Model string  `default:"resnet50" placeholder:"NAME" help:"Network: lenet, resnet18, resnet50, resnet101, resnet110, resnet152, vgg11, vgg13, vgg16, vgg19 or wide_resnet (default: resnet50)."`
	SN    bool    `name:"sn" help:"Spectral normalisation. Also -sn."`
	Coeff float64 `default:"3.0" placeholder:"C" help:"Bound on the spectral norm of each layer (default: 3.0)."`
	Mod   bool    `name:"mod" help:"Leaky ReLU and average-pool shortcuts. Also -mod."`
	Depth int     `default:"28" placeholder:"N" help:"Layers of wide_resnet (default: 28)."`
	Widen int     `default:"10" placeholder:"N" help:"Width factor of wide_resnet (default: 10)."`
}

func (f modelFlags) add(s *settings) {
	s.text("--model", "model.name", strings.ReplaceAll(f.Model, "-", "_"))
	s.truth("-sn", "model.sn", f.SN)
	s.number("--coeff", "model.coeff", f.Coeff)
	s.truth("-mod", "model.mod", f.Mod)
	s.whole("--depth", "model.depth", f.Depth)
	s.whole("--widen", "model.widen", f.Widen)
}

// trainFlags are those of the published train.py, then ours.
type trainFlags struct {
	Seed        uint64 `required:"" placeholder:"N" help:"Seed of initial weights, batches and the validation split."`
	Dataset     string `default:"cifar10" placeholder:"NAME" help:"Data set to learn (default: cifar10)."`
	DatasetRoot string `name:"dataset-root" aliases:"data-root" placeholder:"DIR" help:"Folder of the data sets, or of the two files of Dirty-MNIST. Also --data-root (default: $$DDU_DATA, else ddu/data in the user's cache folder; for dirty-mnist ./ when it holds amnist_samples.pt)."`
	DataAug     bool   `default:"true" negatable:"" help:"The data set's usual augmentation (on unless --no-data-aug)."`
	Batch       int    `short:"b" default:"128" placeholder:"N" help:"Images per step (default: 128)."`
	TestBatch   int    `name:"tb" default:"128" placeholder:"N" help:"Images per pass over the validation images. Also -tb (default: 128)."`
	NoGPU       bool   `name:"no-gpu" help:"No effect: everything runs on the CPU."`
	modelFlags
	Epoch           int     `short:"e" default:"350" placeholder:"N" help:"Passes over the training images (default: 350)."`
	LR              float64 `name:"lr" default:"0.1" placeholder:"RATE" help:"Learning rate (default: 0.1)."`
	Mom             float64 `default:"0.9" placeholder:"M" help:"Momentum of SGD (default: 0.9)."`
	Nesterov        bool    `help:"Nesterov momentum of SGD."`
	Decay           float64 `default:"5e-4" placeholder:"L2" help:"Weight decay on every parameter (default: 5e-4)."`
	Opt             string  `default:"sgd" placeholder:"NAME" help:"Optimiser: sgd or adam (default: sgd)."`
	Loss            string  `default:"cross_entropy" placeholder:"NAME" help:"Loss: cross_entropy is the only one."`
	LossMean        bool    `help:"Divide the mean loss of a batch by its size once more."`
	LogInterval     *int    `placeholder:"N" help:"Steps between lines of progress (default: 50; on a terminal a bar shows every step)."`
	SaveInterval    int     `default:"25" placeholder:"N" help:"Epochs between files of weights; the last epoch is always saved (default: 25)."`
	SavedModelName  string  `placeholder:"FILE" help:"No effect, as in the published script: files are called NAME_SEED_EPOCH.model. Also --saved_model_name."`
	SavePath        string  `default:"./" placeholder:"DIR" help:"Folder for NAME_SEED_EPOCH.model and NAME_SEED_train_loss.json (default: ./)."`
	FirstMilestone  int     `default:"150" placeholder:"EPOCH" help:"Epoch after which the learning rate falls to a tenth (default: 150)."`
	SecondMilestone int     `default:"250" placeholder:"EPOCH" help:"The same once more (default: 250)."`

	Out       string `type:"path" placeholder:"DIR" help:"Run folder: checkpoints, curves, TensorBoard events (default: a new one in runs/)."`
	Resume    bool   `help:"Go on with the training in --out from its last checkpoint, to the same bits."`
	Force     bool   `help:"Replace files of weights that are there."`
	Quiet     bool   `short:"q" help:"No progress, only the files of weights."`
	JSON      bool   `name:"json" help:"Print the summary as one JSON line."`
	Precision string `default:"auto" placeholder:"TYPE" help:"Element type of activations: auto, fp32 or bf16 (default: auto)."`
	engineFlags
}

type trainCommand struct{ trainFlags }

type trainEnsembleCommand struct {
	trainFlags
	Ensemble int `default:"5" placeholder:"N" help:"Networks to train, with seeds that follow one another (default: 5)."`
}

func (c *trainCommand) Run(ctx context.Context, term terminal) error {
	return c.train(ctx, term, 1)
}

func (c *trainEnsembleCommand) Run(ctx context.Context, term terminal) error {
	return c.train(ctx, term, c.Ensemble)
}

// train runs the experiment that the flags describe: one that only trains.
func (c *trainFlags) train(ctx context.Context, term terminal, networks int) error {
	if strings.ReplaceAll(c.Loss, "-", "_") != "cross_entropy" {
		return fmt.Errorf("--loss: found %q, want cross_entropy", c.Loss)
	}
	if c.LogInterval != nil && *c.LogInterval < 1 {
		return fmt.Errorf("--log-interval: found %d, want at least 1", *c.LogInterval)
	}
	s := c.settings(networks)
	cfg, err := s.config()
	if err != nil {
		return err
	}
	o := outcome{quiet: c.Quiet, json: c.JSON, folder: c.Out, resume: c.Resume, replace: c.Force, every: stepLines{steps: 50}}
	if c.LogInterval != nil {
		o.every = stepLines{steps: *c.LogInterval, besideBar: true}
	}
	if err := o.choose(networkName(cfg)); err != nil {
		return err
	}
	o.without(term, "--no-gpu", c.NoGPU, "everything runs on the CPU")
	o.without(term, "--saved_model_name", c.SavedModelName != "", "files are called NAME_SEED_EPOCH.model")
	_, err = o.run(ctx, term, cfg, s.named)
	return err
}

// settings gives every flag its key.
func (c *trainFlags) settings(networks int) settings {
	var s settings
	s.text("--seed", "seed", fmt.Sprint(c.Seed))
	s.text("--dataset", "data.name", c.Dataset)
	s.text("--dataset-root", "data.root", c.root())
	s.truth("--data-aug", "train.augment", c.DataAug)
	s.whole("-b", "train.batch", c.Batch)
	s.whole("-tb", "eval.batch", c.TestBatch)
	c.modelFlags.add(&s)
	s.whole("-e", "train.epochs", c.Epoch)
	s.number("--lr", "train.lr", c.LR)
	s.number("--mom", "train.momentum", c.Mom)
	s.truth("--nesterov", "train.nesterov", c.Nesterov)
	s.number("--decay", "train.weight_decay", c.Decay)
	s.text("--opt", "train.optimizer", c.Opt)
	s.truth("--loss-mean", "train.loss_mean", c.LossMean)
	s.whole("--save-interval", "train.save_interval", c.SaveInterval)
	s.text("--save-path", "train.save_path", c.SavePath)
	s.text("--first-milestone, --second-milestone", "train.milestones", fmt.Sprintf("%d,%d", c.FirstMilestone, c.SecondMilestone))
	s.text("--precision", "precision", c.Precision)
	s.engine(c.engineFlags)
	s.text("", "eval.methods", "")
	s.whole("--ensemble", "runs.ensemble", networks)
	return s
}

// root is the folder of the data sets. The published scripts look for the files
// of Dirty-MNIST in the current folder.
func (c *trainFlags) root() string {
	if c.DatasetRoot == "" && strings.ReplaceAll(c.Dataset, "_", "-") == "dirty-mnist" {
		if _, err := os.Stat("amnist_samples.pt"); err == nil {
			return "./"
		}
	}
	return c.DatasetRoot
}

// networkName is the network with its seed: "wide_resnet_sn_3.0_mod_1".
func networkName(cfg *config.Config) string {
	return fmt.Sprintf("%s_%d", cfg.Model.RunName(), cfg.Seed)
}
