// Package config reads experiment files: TOML with the keys of Keys, checked
// strictly. A misspelt key, a value of the wrong type or one that cannot work
// is refused with its place and with what would be right, all of them at once.
package config

import (
	"fmt"
	"strings"
)

// Config is one experiment. Its fields hold the values to use: those that were
// written, and defaults for the others. Some defaults follow other keys (the
// activation follows mod, the density's options follow the protocol), and do so
// again after Set.
type Config struct {
	Seed      uint64 `toml:"seed"`
	Precision string `toml:"precision"`
	Threads   int    `toml:"threads"` // 0: all cores
	ISA       string `toml:"isa"`     // "auto" or the name of a kernels.Level
	Conv      string `toml:"conv"`    // the name of a kernels.ConvAlgorithm

	Data  Data  `toml:"data"`
	Model Model `toml:"model"`
	Train Train `toml:"train"`
	Eval  Eval  `toml:"eval"`
	Runs  Runs  `toml:"runs"`

	source  string            // file name in messages, "" for a Config made in code
	written map[string]origin // keys that are not defaults
}

// Data says which images to learn and which to tell apart from them.
type Data struct {
	Name  string   `toml:"name"` // as dataset.Open takes it, with hyphens
	OOD   []string `toml:"ood"`
	Shape string   `toml:"shape"` // of a folder's images; "" is that of dataset.FolderShape
	Root  string   `toml:"root"`  // "": $DDU_DATA or the user's cache folder
}

// Model describes the network.
type Model struct {
	Name            string  `toml:"name"`
	Depth           int     `toml:"depth"`
	Widen           int     `toml:"widen"`
	SN              bool    `toml:"sn"`
	Coeff           float64 `toml:"coeff"`
	PowerIterations int     `toml:"power_iterations"`
	Mod             bool    `toml:"mod"`
	Act             string  `toml:"act"`
	Dropout         float64 `toml:"dropout"`
	Checkpoint      string  `toml:"checkpoint"`
}

// Train describes the optimisation.
type Train struct {
	Epochs      int     `toml:"epochs"`
	Batch       int     `toml:"batch"`
	Optimizer   string  `toml:"optimizer"`
	LR          float64 `toml:"lr"`
	Momentum    float64 `toml:"momentum"`
	Nesterov    bool    `toml:"nesterov"`
	WeightDecay float64 `toml:"weight_decay"`
	Augment     bool    `toml:"augment"`
	Schedule    string  `toml:"schedule"`
	Milestones  []int   `toml:"milestones"`
	Gamma       float64 `toml:"gamma"`
	Warmup      int     `toml:"warmup"`
}

// Eval describes how uncertainty is measured.
type Eval struct {
	Methods     []string `toml:"methods"`
	Protocol    string   `toml:"protocol"`
	Priors      string   `toml:"priors"`
	Covariance  string   `toml:"covariance"`
	Temperature string   `toml:"temperature"`
}

// Runs says how often to repeat, and with how many networks each.
type Runs struct {
	Count    int `toml:"count"`
	Ensemble int `toml:"ensemble"`
}

// Default returns the published training settings. The data set and the
// network have no default: set data.name and model.name.
func Default() *Config {
	c := &Config{
		Seed: 1, Precision: "auto", ISA: "auto", Conv: "auto",
		Data:  Data{OOD: []string{}},
		Model: Model{Depth: 28, Widen: 10, Coeff: 3, PowerIterations: 1},
		Train: Train{
			Epochs: 350, Batch: 128, Optimizer: "sgd", LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4, Augment: true,
			Schedule: "step", Milestones: []int{150, 250}, Gamma: 0.1,
		},
		Eval:    Eval{Methods: []string{"softmax", "energy", "ddu"}, Protocol: "ddu"},
		Runs:    Runs{Count: 1},
		written: map[string]origin{},
	}
	c.derive()
	return c
}

// derive fills in the defaults that follow other keys.
func (c *Config) derive() {
	set := func(key string, field *string, value string) {
		if _, ok := c.written[key]; !ok {
			*field = value
		}
	}
	act, priors, covariance, temperature := "relu", "empirical", "auto", "exact"
	if c.Model.Mod && c.Model.Name != "lenet" {
		act = "leaky_relu"
	}
	if c.Eval.Protocol == "reference" {
		priors, covariance, temperature = "none", "jitter", "grid"
	}
	set("model.act", &c.Model.Act, act)
	set("eval.priors", &c.Eval.Priors, priors)
	set("eval.covariance", &c.Eval.Covariance, covariance)
	set("eval.temperature", &c.Eval.Temperature, temperature)
	if _, ok := c.written["model.dropout"]; !ok {
		c.Model.Dropout = 0
		if c.Model.Name == "wide_resnet" {
			c.Model.Dropout = 0.3
		}
	}
	if _, ok := c.written["runs.ensemble"]; !ok {
		c.Runs.Ensemble = 1
		if c.Uses("ensemble") {
			c.Runs.Ensemble = 5
		}
	}
}

// Uses reports whether eval.methods holds the method.
func (c *Config) Uses(method string) bool {
	for _, m := range c.Eval.Methods {
		if m == method {
			return true
		}
	}
	return false
}

// clone copies c deeply.
func (c *Config) clone() *Config {
	n := *c
	n.Data.OOD = append([]string{}, c.Data.OOD...)
	n.Train.Milestones = append([]int{}, c.Train.Milestones...)
	n.Eval.Methods = append([]string{}, c.Eval.Methods...)
	n.written = make(map[string]origin, len(c.written))
	for k, v := range c.written {
		n.written[k] = v
	}
	return &n
}

// RunName is the name of one trained network as the published scripts build it,
// without seed: "wide_resnet_sn_3.0_mod".
func (m Model) RunName() string {
	var b strings.Builder
	b.WriteString(m.Name)
	if m.SN {
		fmt.Fprintf(&b, "_sn_%s", pythonFloat(m.Coeff))
	}
	if m.Mod {
		b.WriteString("_mod")
	}
	return b.String()
}
