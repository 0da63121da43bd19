package nn_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

func smallLayer() nn.Sequential {
	return nn.Sequential{
		nn.NewSNConv2d(1, 2, 3, 3, 4, nn.SNConv2dOptions{Padding: 1}),
		nn.NewBatchNorm2d(3, 0),
		nn.Sequential{nn.Activation{}, nn.NewConv2d(2, 3, 2, 1, nn.Conv2dOptions{Bias: true})},
		nn.Flatten{},
		nn.NewSNLinear(3, 32, 2, nn.LinearOptions{}, nn.SpectralOptions{}),
	}
}

// The names, order and shapes are those of PyTorch's state_dict.
func TestStateDictNames(t *testing.T) {
	want := []string{
		"0.weight_orig [3 2 3 3]", "0.weight_u [48]", "0.weight_v [32]", "0.weight_sigma [1]",
		"1.weight [3]", "1.bias [3]", "1.running_mean [3]", "1.running_var [3]", "1.num_batches_tracked []",
		"2.1.weight [2 3 1 1]", "2.1.bias [2]",
		"4.bias [2]", "4.weight_orig [2 32]", "4.weight_u [2]", "4.weight_v [32]", "4.weight_sigma [1]",
	}
	var got []string
	for _, e := range nn.StateDict(smallLayer()) {
		got = append(got, fmt.Sprint(e.Name, " ", e.Shape))
	}
	if !slices.Equal(got, want) {
		t.Errorf("state dict\n%v\nwant\n%v", got, want)
	}
	var parameters []string
	for _, p := range nn.Parameters(smallLayer()) {
		parameters = append(parameters, p.Name)
	}
	if want := []string{"0.weight_orig", "1.weight", "1.bias", "2.1.weight", "2.1.bias", "4.bias", "4.weight_orig"}; !slices.Equal(parameters, want) {
		t.Errorf("parameters %v, want %v", parameters, want)
	}
}

func same(a, b []checkpoint.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b checkpoint.Entry) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) })
}

func TestLoadStateDict(t *testing.T) {
	from, to := smallLayer(), smallLayer()
	state := nn.StateDict(from)
	for i, e := range state {
		if e.DType == checkpoint.I64 {
			state[i] = checkpoint.NewInt64(e.Name, []int64{41})
			continue
		}
		v, err := e.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for j := range v {
			v[j] = float32(100*i + j)
		}
		state[i] = checkpoint.NewFloat32(e.Name, v, e.Shape...)
	}
	if err := nn.LoadStateDict(to, state); err != nil {
		t.Fatal(err)
	}
	if !same(nn.StateDict(to), state) {
		t.Error("what was loaded is not what StateDict returns")
	}
	prefixed := slices.Clone(state)
	for i := range prefixed {
		prefixed[i].Name = "module." + prefixed[i].Name
	}
	slices.Reverse(prefixed)
	again := smallLayer()
	if err := nn.LoadStateDict(again, prefixed); err != nil {
		t.Fatal(err)
	}
	if !same(nn.StateDict(again), state) {
		t.Error("the prefix module. or another order changes what is loaded")
	}
	version := nn.Parameters(again)[0].Parameter.Version()
	if err := nn.LoadStateDict(again, state); err != nil || nn.Parameters(again)[0].Parameter.Version() == version {
		t.Errorf("loading did not raise the version of a parameter (%v)", err)
	}
}

func TestLoadStateDictRefuses(t *testing.T) {
	layer := smallLayer()
	before := nn.StateDict(layer)
	for i, c := range []struct {
		change func(s []checkpoint.Entry) []checkpoint.Entry
		want   []string
	}{
		{func(s []checkpoint.Entry) []checkpoint.Entry { return s[2:] }, []string{"missing 0.weight_orig, 0.weight_u"}},
		{func(s []checkpoint.Entry) []checkpoint.Entry {
			return append(s, checkpoint.NewFloat32("extra", nil, 0))
		}, []string{"unexpected extra"}},
		{func(s []checkpoint.Entry) []checkpoint.Entry { return append(s, s[4]) }, []string{"twice 1.weight"}},
		{func(s []checkpoint.Entry) []checkpoint.Entry {
			s[1] = checkpoint.NewFloat32("0.weight_u", make([]float32, 47), 47)
			s[5].Name = "1.bios"
			return s
		}, []string{"missing 1.bias", "unexpected 1.bios", "wrong shape: 0.weight_u is [47], want [48]"}},
		{func(s []checkpoint.Entry) []checkpoint.Entry {
			s[4] = checkpoint.NewInt64("1.weight", []int64{1, 2, 3}, 3)
			return s
		}, []string{`"1.weight"`, "floating-point"}},
		{func(s []checkpoint.Entry) []checkpoint.Entry { return nil }, []string{"missing 0.weight_orig", "1.running_mean, 1.running_var and 8 more"}},
	} {
		changed := slices.Clone(before)
		for j := range changed {
			changed[j].Data = slices.Clone(changed[j].Data)
		}
		// Another first value, to see that nothing is loaded.
		changed[0].Data[0] ^= 1
		err := nn.LoadStateDict(layer, c.change(changed))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("case %d: error %v, want %q", i, err, want)
			}
		}
		if !same(nn.StateDict(layer), before) {
			t.Errorf("case %d changed the layer", i)
		}
	}
}
