package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/experiments/dataset"
	"github.com/deepuncertainty/ddu/nn/models"
)

// Every network that can be built can be named, and no other.
func TestModelNames(t *testing.T) {
	names := slices.Sorted(slices.Values(modelNames))
	if !slices.Equal(names, models.Names()) {
		t.Errorf("config knows the networks %v, models %v", names, models.Names())
	}
}

// Every data set that can be opened can be named.
func TestDataSetNames(t *testing.T) {
	for _, name := range dataset.Names() {
		if !isDataset(name) {
			t.Errorf("data set %s cannot be named in an experiment file", name)
		}
	}
}

// The presets that are built in must load, say what they are, and cover the
// paper's run.
func TestBuiltInPresets(t *testing.T) {
	presets := os.DirFS("..")
	list, err := Presets(presets)
	if err != nil || len(list) < 2 {
		t.Fatalf("presets are %v, %v", list, err)
	}
	for _, p := range list {
		if p.Doc == "" || strings.Contains(p.Doc, "=") {
			t.Errorf("%s begins without a comment that says what it is: %q", p.Name, p.Doc)
		}
		if _, err := LoadPreset(presets, p.Name); err != nil {
			t.Error(err)
		}
	}
	c, err := LoadPreset(presets, "cifar10_wrn_sn")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Model, (Model{Name: "wide_resnet", Depth: 28, Widen: 10, SN: true, Coeff: 3, PowerIterations: 1, Mod: true, Act: "leaky_relu", Dropout: 0.3}); got != want {
		t.Errorf("the paper's network is %+v, want %+v", got, want)
	}
}

// The presets cover the paper's table: each data set with each network as
// baseline, with both changes and each alone, and as an ensemble.
func TestPresetsCoverTheTable(t *testing.T) {
	presets := os.DirFS("..")
	type variant struct{ sn, mod, ddu, ensemble bool }
	variants := map[string]variant{
		"": {ddu: true}, "_sn": {sn: true, mod: true, ddu: true}, "_sn_only": {sn: true, ddu: true}, "_mod_only": {mod: true, ddu: true},
		"_ensemble": {ensemble: true},
	}
	for _, set := range []string{"cifar10", "cifar100"} {
		for short, network := range map[string]string{"wrn": "wide_resnet", "resnet50": "resnet50", "vgg16": "vgg16"} {
			for suffix, want := range variants {
				c, err := LoadPreset(presets, set+"_"+short+suffix)
				if err != nil {
					t.Error(err)
					continue
				}
				got := variant{c.Model.SN, c.Model.Mod, c.Uses("ddu"), c.Uses("ensemble")}
				if got != want || c.Model.Name != network || c.Data.Name != set || !slices.Contains(c.Data.OOD, "svhn") || c.Runs.Ensemble > 1 != want.ensemble {
					t.Errorf("%s is %+v of %s on %s against %v", c, got, c.Model.Name, c.Data.Name, c.Data.OOD)
				}
				// Trained as published.
				if d := Default(); !slices.Equal(c.Train.Milestones, d.Train.Milestones) || c.Train.Epochs != d.Train.Epochs || c.Train.LR != d.Train.LR || c.Train.WeightDecay != d.Train.WeightDecay {
					t.Errorf("%s trains with %+v", c, c.Train)
				}
			}
		}
	}
	for _, name := range []string{"cifar10_resnet18_sn_30ep", "cifar10_wrn_sn_30ep"} {
		c, err := LoadPreset(presets, name)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.Train.Epochs != 30 || c.Train.Schedule != "onecycle" || !c.Model.SN || !c.Model.Mod || !c.Train.Nesterov {
			t.Errorf("%s is %+v, %+v", name, c.Model, c.Train)
		}
	}
}
