package bench

import (
	"fmt"
	"testing"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

// The convolutions of the published networks, by name: how often a forward pass
// has each.
func TestConvolutions(t *testing.T) {
	for _, test := range []struct {
		network string
		options models.Options
		long    bool
		shapes  int            // different ones
		total   int            // of a forward pass
		some    map[string]int // counts of some of them
	}{
		{"lenet", models.Options{}, false, 2, 2, map[string]int{"1x28x28-6-k5s1p0": 1, "6x12x12-16-k5s1p0": 1}},
		{"resnet18", models.Options{Mod: true}, false, 8, 17, map[string]int{"3x32x32-64-k3s1": 1, "64x32x32-64-k3s1": 4, "256x8x8-512-k3s2": 1, "512x4x4-512-k3s1": 3}},
		{"resnet18", models.Options{Input: models.MNIST}, false, 11, 20, map[string]int{"1x28x28-64-k3s1": 1, "64x28x28-128-k1s2": 1, "512x4x4-512-k3s1": 3}},
		{"vgg16", models.Options{Mod: true, SN: true}, false, 9, 13, map[string]int{"64x32x32-64-k3s1": 1, "512x4x4-512-k3s1": 2, "512x2x2-512-k3s1": 3}},
		{"resnet50", models.Options{Mod: true}, true, 20, 49, map[string]int{"64x32x32-256-k1s1": 3, "1024x8x8-256-k1s1": 5}},
		{"wide_resnet", models.Options{Mod: true}, true, 7, 25, map[string]int{"160x32x32-160-k3s1": 7, "640x8x8-640-k3s1": 7}},
	} {
		t.Run(fmt.Sprint(test.network, test.options.Input), func(t *testing.T) {
			if test.long && testing.Short() {
				t.Skip("-short traces the small networks")
			}
			all, err := Convolutions(test.network, test.options, 7)
			if err != nil {
				t.Fatal(err)
			}
			counts, total := map[string]int{}, 0
			for i, c := range all {
				if c.Shape.N != 7 || c.Shape.Check() != nil {
					t.Errorf("shape %+v", c.Shape)
				}
				if first := i == 0; first != (c.CountData == c.Count-1) || !first && c.CountData != c.Count {
					t.Errorf("%s: gradient of the input %d times of %d", trace.Conv2dName(c.Shape), c.CountData, c.Count)
				}
				counts[trace.Conv2dName(c.Shape)] += c.Count
				total += c.Count
			}
			if len(all) != test.shapes || len(counts) != test.shapes || total != test.total {
				t.Errorf("%d shapes, %d names, %d in all, want %d, %d and %d: %v", len(all), len(counts), total, test.shapes, test.shapes, test.total, counts)
			}
			for name, want := range test.some {
				if counts[name] != want {
					t.Errorf("%s: %d times, want %d", name, counts[name], want)
				}
			}
		})
	}
}

// Each case computes something, in the direction it says.
func TestConv2dCases(t *testing.T) {
	cases, err := Conv2dCases("lenet", models.Options{}, 3, tensor.Float32)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name      string
		direction trace.Direction
	}{
		{"1x28x28-6-k5s1p0", trace.Forward}, {"1x28x28-6-k5s1p0", trace.BackwardWeights},
		{"6x12x12-16-k5s1p0", trace.Forward}, {"6x12x12-16-k5s1p0", trace.BackwardData}, {"6x12x12-16-k5s1p0", trace.BackwardWeights},
	}
	if len(cases) != len(want) {
		t.Fatalf("cases %+v", cases)
	}
	for i, c := range cases {
		if trace.Conv2dName(c.Shape) != want[i].name || c.Direction != want[i].direction || c.Count != 1 || c.Flops() <= 0 {
			t.Errorf("case %d is %+v, want %+v", i, c, want[i])
		}
		c.Prepare()()
	}
	for _, batch := range []int{0, -1} {
		if _, err := Conv2dCases("lenet", models.Options{}, batch, tensor.Float32); err == nil {
			t.Errorf("batch %d is taken", batch)
		}
	}
}
