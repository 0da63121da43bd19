package models

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/tensor"
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

// goldenCheckpoint returns a file of the golden checkpoints, which are not all in
// this repository.
func goldenCheckpoint(t *testing.T, name string) string {
	t.Helper()
	path := golden.Path(t, "checkpoints/"+name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("set DDU_GOLDEN: %v", err)
	}
	return path
}

// Files of torch.save load: both formats, types, views, prefixes, nesting. The
// values are those of the formula in the file's type, and a frozen network
// computes what the network does.
func TestGoldenTorchCheckpoints(t *testing.T) {
	lenet := Options{Seed: 1}
	for name, test := range map[string]struct {
		network string
		options Options
		bits    int // of a number's fraction
	}{
		"lenet.safetensors": {"lenet", lenet, 24}, "lenet_1_350.model": {"lenet", lenet, 24}, "lenet_legacy.model": {"lenet", lenet, 24},
		"lenet_dataparallel.model": {"lenet", lenet, 24}, "lenet_nested.model": {"lenet", lenet, 24}, "lenet_strided.model": {"lenet", lenet, 24},
		"lenet_half.model": {"lenet", lenet, 11}, "lenet_bfloat16.model": {"lenet", lenet, 8},
		"wide_resnet_10_1_sn_3.0_mod_dataparallel.model": {"wide_resnet", Options{Seed: 1, Depth: 10, Widen: 1, SN: true, Mod: true, Coeff: 3, Input: CIFAR}, 24},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := checkpoint.Read(goldenCheckpoint(t, name))
			if err != nil {
				t.Fatal(err)
			}
			loaded, want := build(t, test.network, test.options), build(t, test.network, test.options)
			if err := nn.LoadStateDict(loaded, f.Entries); err != nil {
				t.Fatal(err)
			}
			golden.FillState(t, want, golden.Tag(t))
			compareStates(t, loaded, want, test.bits)
			checkFrozen(t, loaded)
		})
	}
}

// compareStates tells where got differs from want by more than half a unit of
// the last of so many bits. A half has no normal numbers below 2^-14.
func compareStates(t *testing.T, got, want Network, fraction int) {
	t.Helper()
	g := nn.StateDict(got)
	for i, e := range nn.StateDict(want) {
		if e.DType == checkpoint.I64 {
			if !slices.Equal(g[i].Data, e.Data) {
				t.Errorf("%s differs", e.Name)
			}
			continue
		}
		have, err := g[i].Float64s()
		if err != nil {
			t.Fatal(err)
		}
		expected, err := e.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		for j, w := range expected {
			tolerance := math.Max(math.Abs(w), 1.0/(1<<14)) * math.Ldexp(1, -fraction)
			if fraction == 24 {
				tolerance = 0
			}
			if math.Abs(have[j]-w) > tolerance {
				t.Fatalf("%s[%d] is %v, want %v within %v", e.Name, j, have[j], w, tolerance)
			}
		}
	}
}

// checkFrozen compares the frozen network with the network.
func checkFrozen(t *testing.T, network Network) {
	t.Helper()
	shape := append([]int{2}, network.InputShape()...)
	x := tensor.FromFloat32(golden.Tensor("input", 2*shape[1]*shape[2]*shape[3], 1, 0), shape...)
	want, _, err := network.Forward(&autograd.Context{}, autograd.Constant(x))
	if err != nil {
		t.Fatal(err)
	}
	predictor, err := nn.Freeze(network)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := predictor.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	golden.Close(t, "frozen logits", golden.Float64s(got.ToContiguous().Float32s()), golden.Float64s(want.Value.ToContiguous().Float32s()), 2e-5)
}

// What does not fit, or is not whole, or is no state dict is refused in one line.
func TestGoldenTorchCheckpointsRefused(t *testing.T) {
	before, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"truncated.model":         "truncated or damaged",
		"malicious.model":         `asks for "posix.system"`,
		"lenet_missing_key.model": "missing fc3.bias",
		"lenet_wrong_shape.model": "wrong shape: fc3.weight is [7 84], want [10 84]",
	} {
		t.Run(name, func(t *testing.T) {
			network := build(t, "lenet", Options{Seed: 1})
			f, err := checkpoint.Read(goldenCheckpoint(t, name))
			if err == nil {
				err = nn.LoadStateDict(network, f.Entries)
			}
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one line with %q", err, want)
			}
			compareStates(t, network, build(t, "lenet", Options{Seed: 1}), 24)
		})
	}
	if after, err := os.ReadDir("."); err != nil || len(after) != len(before) {
		t.Errorf("the folder holds %d files, %d before (%v)", len(after), len(before), err)
	}
}

// Every network's state dict is written and read again under the same names, and
// with DataParallel's.
func TestStateDictsAsTorchFiles(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		network string
		options Options
	}{
		{"lenet", Options{Seed: 3}},
		{"wide_resnet", Options{Seed: 3, Depth: 10, Widen: 1, SN: true}},
	} {
		from := build(t, test.network, test.options)
		for name, prefix := range map[string]string{"plain.model": "", "parallel.pth": checkpoint.Parallel} {
			path := filepath.Join(dir, name)
			file := &checkpoint.File{Entries: nn.StateDict(from)}
			if err := checkpoint.Write(path, file.WithPrefix(prefix), checkpoint.Torch); err != nil {
				t.Fatal(err)
			}
			f, err := checkpoint.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			test.options.Seed = 4
			to := build(t, test.network, test.options)
			if err := nn.LoadStateDict(to, f.Entries); err != nil {
				t.Fatal(err)
			}
			compareStates(t, to, from, 24)
		}
	}
}
