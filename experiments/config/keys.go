package config

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/dataset"
)

// Key describes one key of an experiment file.
type Key struct {
	Name    string // dotted: "train.lr"
	Type    string // "whole number", "number", "true or false", "text", "list of ..."
	Default string // as TOML, or in words when it follows other keys
	Want    string // the values that can work, "" for any of the type
	Doc     string
}

// Keys lists all keys in the order in which they are written.
func Keys() []Key {
	defaults := Default()
	list := make([]Key, len(keys))
	for i, k := range keys {
		list[i] = Key{Name: k.name, Type: typeName(k.field(defaults)), Default: k.deflt, Want: k.rule.want, Doc: k.doc}
		if k.deflt == "" {
			list[i].Default = formatValue(k.field(defaults))
		}
	}
	return list
}

// key is one row of the schema: field points into a Config at a *string, *bool,
// *int, *uint64, *float64, *[]string or *[]int.
type key struct {
	name  string
	field func(*Config) any
	rule  rule
	deflt string // "": that of Default
	doc   string
}

// rule says which values of the right type can work. Zero: all.
type rule struct {
	want string
	ok   func(v any) bool
}

// Seeds feed NumPy's generator, which takes 32 bits.
const maxSeed = math.MaxUint32

var (
	modelNames = []string{"lenet", "resnet18", "resnet50", "resnet101", "resnet110", "resnet152", "vgg11", "vgg13", "vgg16", "vgg19", "wide_resnet"}
	methods    = []string{"softmax", "energy", "ddu", "ensemble"}
)

var keys = []key{
	{"seed", func(c *Config) any { return &c.Seed }, seedRule, "", "Seed of the first network; the others of an ensemble and of repeated runs follow it one by one."},
	{"precision", func(c *Config) any { return &c.Precision }, precisionRule, "", "Element type of activations: `bf16` takes half the memory and is much faster where the processor multiplies bfloat16 (AMX), somewhat slower elsewhere. Weights, statistics, features and checkpoints are float32 in either case. `auto` takes `bf16` with AMX, else `fp32`."},
	{"threads", func(c *Config) any { return &c.Threads }, atLeast(0), "", "Threads to use; 0 takes all cores. Results do not depend on it."},
	{"isa", func(c *Config) any { return &c.ISA }, oneOf("auto", "portable", "neon", "avx2", "avx512", "amx"), "", "Highest instruction-set level to use; `auto` takes the best the CPU has."},
	{"conv", func(c *Config) any { return &c.Conv }, oneOf("auto", "direct", "winograd"), "", "How 3x3 convolutions with stride 1 are computed; `auto` takes Winograd's algorithm where it is faster."},

	{"data.name", func(c *Config) any { return &c.Data.Name }, datasetRule, "required", "Data set to learn: a name of `ddu data list` (`_` and `-` are equal), `folder:PATH` (images, one folder per class) or `npz:PATH` (NumPy arrays)."},
	{"data.ood", func(c *Config) any { return &c.Data.OOD }, datasetsRule, "", "Data sets to tell apart from it, each against its test images; folders are resized to its images."},
	{"data.shape", func(c *Config) any { return &c.Data.Shape }, shapeRule, "`\"3x32x32\"` for `folder:PATH`", "Channels, height and width to which the images of a `folder:PATH` in `data.name` are resized."},
	{"data.root", func(c *Config) any { return &c.Data.Root }, rule{}, "", "Folder of the data sets; empty takes `$DDU_DATA`, else `ddu/data` in the user's cache folder."},

	{"model.name", func(c *Config) any { return &c.Model.Name }, oneOf(modelNames...), "required", "Network."},
	{"model.depth", func(c *Config) any { return &c.Model.Depth }, depthRule, "", "Layers of `wide_resnet`; other networks ignore it."},
	{"model.widen", func(c *Config) any { return &c.Model.Widen }, atLeast(1), "", "Width factor of `wide_resnet`; other networks ignore it."},
	{"model.sn", func(c *Config) any { return &c.Model.SN }, rule{}, "", "Spectral normalisation (`lenet` ignores it)."},
	{"model.coeff", func(c *Config) any { return &c.Model.Coeff }, positive, "", "Bound on the spectral norm of each layer."},
	{"model.power_iterations", func(c *Config) any { return &c.Model.PowerIterations }, atLeast(1), "", "Power iterations per training step."},
	{"model.mod", func(c *Config) any { return &c.Model.Mod }, rule{}, "", "Leaky ReLU everywhere and average-pool shortcuts (`lenet` ignores it)."},
	{"model.act", func(c *Config) any { return &c.Model.Act }, oneOf("relu", "leaky_relu", "elu"), "`\"leaky_relu\"` with `mod` (but for `lenet`), else `\"relu\"`", "Activation."},
	{"model.dropout", func(c *Config) any { return &c.Model.Dropout }, rangeRule("at least 0 and below 1", func(v float64) bool { return v >= 0 && v < 1 }), "0.3 for `wide_resnet`, else 0", "Dropout probability inside the blocks of `wide_resnet`; other networks ignore it."},
	{"model.checkpoint", func(c *Config) any { return &c.Model.Checkpoint }, rule{}, "", "Weights of a trained network to evaluate, PyTorch's .model, .pt and .pth or safetensors; empty where one is trained."},

	{"train.epochs", func(c *Config) any { return &c.Train.Epochs }, atLeast(1), "", "Passes over the training images."},
	{"train.batch", func(c *Config) any { return &c.Train.Batch }, atLeast(1), "", "Images per step; the last, short batch is kept."},
	{"train.optimizer", func(c *Config) any { return &c.Train.Optimizer }, oneOf("sgd", "adam"), "", "Optimiser."},
	{"train.lr", func(c *Config) any { return &c.Train.LR }, positive, "", "Learning rate; the largest one of `onecycle`."},
	{"train.momentum", func(c *Config) any { return &c.Train.Momentum }, rangeRule("at least 0 and below 1", func(v float64) bool { return v >= 0 && v < 1 }), "", "Momentum of `sgd`."},
	{"train.nesterov", func(c *Config) any { return &c.Train.Nesterov }, rule{}, "", "Nesterov momentum of `sgd`."},
	{"train.weight_decay", func(c *Config) any { return &c.Train.WeightDecay }, notNegative, "", "L2 penalty on every parameter, as PyTorch adds it to the gradient."},
	{"train.augment", func(c *Config) any { return &c.Train.Augment }, rule{}, "", "The data set's usual augmentation (CIFAR: random crop with padding 4 and mirror; digits: none)."},
	{"train.schedule", func(c *Config) any { return &c.Train.Schedule }, oneOf("step", "cosine", "onecycle", "constant"), "", "How the learning rate changes."},
	{"train.milestones", func(c *Config) any { return &c.Train.Milestones }, milestonesRule, "", "Epochs after which `step` multiplies the learning rate by `gamma`."},
	{"train.gamma", func(c *Config) any { return &c.Train.Gamma }, positive, "", "Factor of `step`."},
	{"train.warmup", func(c *Config) any { return &c.Train.Warmup }, atLeast(0), "", "Epochs over which the learning rate first rises in a straight line; `onecycle` has its own rise."},

	{"eval.methods", func(c *Config) any { return &c.Eval.Methods }, listOf(methods...), "", "What to report: `softmax` (entropy), `energy` (logsumexp of the logits), `ddu` (feature density), `ensemble` (predictive entropy and mutual information)."},
	{"eval.protocol", func(c *Config) any { return &c.Eval.Protocol }, oneOf("ddu", "reference"), "", "`reference` makes the next three keys follow the published code."},
	{"eval.priors", func(c *Config) any { return &c.Eval.Priors }, oneOf("empirical", "none"), "`\"empirical\"`, or `\"none\"` with `protocol = \"reference\"`", "Whether the density weighs classes by how often they occur."},
	{"eval.covariance", func(c *Config) any { return &c.Eval.Covariance }, oneOf("auto", "oas", "jitter"), "`\"auto\"`, or `\"jitter\"` with `protocol = \"reference\"`", "Covariances: as they are where they can be inverted, else shrunk (`auto`); all shrunk (`oas`); all with one absolute jitter (`jitter`)."},
	{"eval.temperature", func(c *Config) any { return &c.Eval.Temperature }, oneOf("exact", "grid"), "`\"exact\"`, or `\"grid\"` with `protocol = \"reference\"`", "Minimum of the validation NLL: exact, or on the grid 0.1, 0.2 ... 10."},

	{"runs.count", func(c *Config) any { return &c.Runs.Count }, atLeast(1), "", "Repetitions with seeds of their own; the result has their mean and standard error."},
	{"runs.ensemble", func(c *Config) any { return &c.Runs.Ensemble }, atLeast(1), "5 when `eval.methods` has `\"ensemble\"`, else 1", "Networks per run."},
}

var (
	seedRule      = rule{fmt.Sprintf("a whole number from 0 to %d", uint64(maxSeed)), func(v any) bool { return v.(uint64) <= maxSeed }}
	precisionRule = oneOf("auto", "fp32", "bf16")
	datasetRule   = rule{"a data set name" + datasetForms, func(v any) bool { return isDataset(v.(string)) }}
	datasetsRule  = rule{"data set names" + datasetForms + ", each once", func(v any) bool {
		list := v.([]string)
		for i, s := range list {
			if !isDataset(s) || slices.Contains(list[:i], s) {
				return false
			}
		}
		return true
	}}
	shapeRule   = rule{`"3x32x32" or "1x28x28"`, func(v any) bool { return slices.Contains([]string{"", "3x32x32", "1x28x28"}, v.(string)) }}
	positive    = rangeRule("above 0", func(v float64) bool { return v > 0 })
	notNegative = rangeRule("at least 0", func(v float64) bool { return v >= 0 })
	depthRule   = rule{"6n+4 with n of at least 1 (10, 16, 22, 28, ...)", func(v any) bool { return v.(int) >= 10 && (v.(int)-4)%6 == 0 }}

	milestonesRule = rule{"rising epochs of at least 1", func(v any) bool {
		list := v.([]int)
		for i, m := range list {
			if m < 1 || i > 0 && m <= list[i-1] {
				return false
			}
		}
		return true
	}}
)

func oneOf(names ...string) rule {
	return rule{"one of " + strings.Join(names, ", "), func(v any) bool { return slices.Contains(names, v.(string)) }}
}

// listOf wants at least one of the names, each at most once.
func listOf(names ...string) rule {
	return rule{"some of " + strings.Join(names, ", ") + ", each once", func(v any) bool {
		list := v.([]string)
		for i, s := range list {
			if !slices.Contains(names, s) || slices.Contains(list[:i], s) {
				return false
			}
		}
		return len(list) > 0
	}}
}

func atLeast(low int) rule {
	return rule{fmt.Sprintf("a whole number of at least %d", low), func(v any) bool { return v.(int) >= low }}
}

func rangeRule(want string, ok func(float64) bool) rule {
	return rule{"a number " + want, func(v any) bool {
		f := v.(float64)
		return ok(f) && !math.IsInf(f, 0)
	}}
}

const datasetForms = " of letters, digits and hyphens, folder:PATH or npz:PATH"

func isDataset(s string) bool {
	if dataset.IsPath(s) {
		return true
	}
	ok := s != ""
	for _, r := range s {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	return ok
}

func findKey(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// sections lists the tables of an experiment file.
func sections() []string {
	var list []string
	for _, k := range keys {
		if table, _, ok := strings.Cut(k.name, "."); ok && !slices.Contains(list, table) {
			list = append(list, table)
		}
	}
	return list
}
