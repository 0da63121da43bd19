package models

import (
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
)

// A file that PyTorch's values were written to loads, and holds what the
// formula says, element by element.
func TestGoldenCheckpoint(t *testing.T) {
	f, err := checkpoint.ReadSafetensors(golden.Path(t, "checkpoints/lenet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	loaded, want := build(t, "lenet", Options{Seed: 1}), build(t, "lenet", Options{Seed: 2})
	if err := nn.LoadStateDict(loaded, f.Entries); err != nil {
		t.Fatal(err)
	}
	golden.FillState(t, want, golden.Tag(t))
	got, expected := nn.StateDict(loaded), nn.StateDict(want)
	for i, e := range expected {
		if got[i].Name != e.Name || f.Entries[i].Name != e.Name || !slices.Equal(got[i].Shape, e.Shape) || !slices.Equal(got[i].Data, e.Data) {
			t.Errorf("entry %d is %s %v (in the file %s), want %s %v with the formula's values", i, got[i].Name, got[i].Shape, f.Entries[i].Name, e.Name, e.Shape)
		}
	}
}

func build(t testing.TB, name string, o Options) Network {
	t.Helper()
	net, err := Build(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return net
}
