// Package models builds the networks of deep deterministic uncertainty: LeNet,
// ResNet, VGG and WideResNet, with or without spectral normalisation, as the
// published PyTorch code defines them, down to the names of their parameters.
package models

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
)

// Network is a classifier that also shows its penultimate features.
type Network = nn.Network

// The input shapes [C H W] that the networks are built for.
var (
	CIFAR = [3]int{3, 32, 32}
	MNIST = [3]int{1, 28, 28}
)

// Options say which variant of a network to build. Zero numbers mean the
// published values, except that of Dropout.
type Options struct {
	Classes         int     // 0: 10
	Input           [3]int  // CIFAR or MNIST; zero: CIFAR, for lenet MNIST
	Depth           int     // of wide_resnet, 6n+4; 0: 28
	Widen           int     // of wide_resnet; 0: 10
	Dropout         float64 // of wide_resnet, between the convolutions of a block; published: 0.3
	SN              bool    // spectral normalisation of all convolutions
	Coeff           float64 // its bound; 0: 3
	PowerIterations int     // per training forward; 0: 1
	Mod             bool    // leaky ReLU, and shortcuts that pool and pad
	Act             string  // "relu", "leaky_relu" or "elu"; empty: leaky_relu with Mod, else relu
	Temp            float64 // logits are divided by it; 0: 1
	Seed            uint64  // of the initial weights
}

// builders are all networks by name. LeNet ignores SN and Mod, as published.
var builders = map[string]func(b *builder) nn.Network{
	"lenet":       newLeNet,
	"resnet18":    resNet(false, 2, 2, 2, 2),
	"resnet50":    resNet(true, 3, 4, 6, 3),
	"resnet101":   resNet(true, 3, 4, 23, 3),
	"resnet110":   resNet(true, 3, 4, 26, 3),
	"resnet152":   resNet(true, 3, 8, 36, 3),
	"vgg11":       vgg(1, 1, 2, 2, 2),
	"vgg13":       vgg(2, 2, 2, 2, 2),
	"vgg16":       vgg(2, 2, 3, 3, 3),
	"vgg19":       vgg(2, 2, 4, 4, 4),
	"wide_resnet": newWideResNet,
}

// Names returns the names that Build knows, sorted.
func Names() []string {
	names := make([]string, 0, len(builders))
	for name := range builders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Build returns the network of that name with initial weights drawn from
// o.Seed.
func Build(name string, o Options) (Network, error) {
	build, ok := builders[name]
	if !ok {
		return nil, fmt.Errorf("unknown network %q, want one of %s", name, strings.Join(Names(), ", "))
	}
	o = o.withDefaults(name)
	act, err := o.check(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return build(&builder{Options: o, name: name, act: act}), nil
}

func (o Options) withDefaults(name string) Options {
	if o.Classes == 0 {
		o.Classes = 10
	}
	if o.Depth == 0 {
		o.Depth = 28
	}
	if o.Widen == 0 {
		o.Widen = 10
	}
	if o.Coeff == 0 {
		o.Coeff = 3
	}
	if o.PowerIterations == 0 {
		o.PowerIterations = 1
	}
	if o.Temp == 0 {
		o.Temp = 1
	}
	if o.Act == "" {
		o.Act = "relu"
		if o.Mod && name != "lenet" {
			o.Act = "leaky_relu"
		}
	}
	if o.Input == [3]int{} {
		o.Input = CIFAR
		if name == "lenet" {
			o.Input = MNIST
		}
	}
	return o
}

func (o Options) check(name string) (kernels.Activation, error) {
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }
	switch {
	case name == "lenet" && o.Input != MNIST:
		return 0, fmt.Errorf("input %s, want %s", dimensions(o.Input), dimensions(MNIST))
	case o.Input != MNIST && o.Input != CIFAR:
		return 0, fmt.Errorf("input %s, want %s or %s", dimensions(o.Input), dimensions(CIFAR), dimensions(MNIST))
	case o.Classes < 1:
		return 0, fmt.Errorf("%d classes, want at least 1", o.Classes)
	case name == "wide_resnet" && (o.Depth < 10 || (o.Depth-4)%6 != 0):
		return 0, fmt.Errorf("depth %d, want 10, 16, 22, 28 or another 6n+4", o.Depth)
	case name == "wide_resnet" && o.Widen < 1:
		return 0, fmt.Errorf("widen %d, want at least 1", o.Widen)
	case !(o.Dropout >= 0 && o.Dropout < 1):
		return 0, fmt.Errorf("dropout %v, want at least 0 and below 1", o.Dropout)
	case !positive(o.Coeff):
		return 0, fmt.Errorf("coeff %v, want it positive", o.Coeff)
	case o.PowerIterations < 1:
		return 0, fmt.Errorf("%d power iterations, want at least 1", o.PowerIterations)
	case !positive(o.Temp):
		return 0, fmt.Errorf("temp %v, want it positive", o.Temp)
	}
	return nn.ParseActivation(o.Act)
}

func dimensions(input [3]int) string { return fmt.Sprintf("%dx%dx%d", input[0], input[1], input[2]) }
