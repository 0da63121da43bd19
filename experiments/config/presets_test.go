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
