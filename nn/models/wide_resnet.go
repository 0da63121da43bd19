package models

import (
	"fmt"
	"math"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
)

// wideMomentum is that of the published network's batch norms.
const wideMomentum = 0.01

// wideResNet is WideResNet-depth-widen (Zagoruyko and Komodakis 2016):
// pre-activation blocks in three stages of 16, 32 and 64 times widen channels;
// features [N, 64·widen].
type wideResNet struct {
	classifier
	conv1  nn.Layer
	stages [3]nn.Sequential
	bn1    *nn.BatchNorm2d
	act    kernels.Activation
	pool   int // side of the last maps
}

func newWideResNet(b *builder) nn.Network {
	gain := math.Sqrt2
	if b.act == kernels.ActLeakyReLU {
		gain = math.Sqrt(2 / (1 + 0.01*0.01))
	}
	b.init = nn.KaimingNormalFanOut(gain)
	in, size := 16, b.Input[1]
	n := &wideResNet{
		classifier: b.newClassifier("linear", 64*b.Widen),
		conv1:      b.conv("conv1", size, b.Input[0], in, 3, 1),
		act:        b.act,
	}
	n.last.Bias.Value.Fill(0)
	for i := range n.stages {
		for j := range (b.Depth - 4) / 6 {
			stride := 1
			if i > 0 && j == 0 {
				stride = 2
			}
			out := (16 << i) * b.Widen
			n.stages[i] = append(n.stages[i], b.wideBlock(fmt.Sprintf("layer%d.%d.", i+1, j), size, in, out, stride))
			in, size = out, halved(size, stride)
		}
	}
	n.bn1, n.pool = nn.NewBatchNorm2d(in, wideMomentum), size
	n.normalized = nn.SpectralNorms(n)
	return n
}

// Members implements nn.Module.
func (n *wideResNet) Members() []nn.Member {
	return []nn.Member{
		{Name: "conv1", Module: n.conv1},
		{Name: "layer1", Module: n.stages[0]}, {Name: "layer2", Module: n.stages[1]}, {Name: "layer3", Module: n.stages[2]},
		{Name: "bn1", Module: n.bn1}, {Name: "linear", Module: n.last},
	}
}

// Forward implements nn.Network.
func (n *wideResNet) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	return n.forward(ctx, x, n.body)
}

func (n *wideResNet) body(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := n.conv1.Forward(ctx, x)
	for _, stage := range n.stages {
		y = nn.Then(ctx, x, y, stage.Forward(ctx, y))
	}
	y = nn.Then(ctx, x, y, n.bn1.ForwardFused(ctx, y, n.act, nil))
	return globalAverage(ctx, y, n.pool)
}

// wideBlock is conv2(drop(act(bn2(conv1(act(bn1(x))))))) + shortcut(x). The
// shortcut takes x before its batch norm.
type wideBlock struct {
	bn1, bn2     *nn.BatchNorm2d
	conv1, conv2 nn.Layer
	drop         nn.Dropout
	act          kernels.Activation
	shortcut     nn.Layer // nil: the identity
}

func (b *builder) wideBlock(name string, size, in, out, stride int) *wideBlock {
	w := &wideBlock{
		bn1: nn.NewBatchNorm2d(in, wideMomentum), conv1: b.conv(name+"conv1", size, in, out, 3, stride),
		bn2: nn.NewBatchNorm2d(out, wideMomentum), conv2: b.conv(name+"conv2", halved(size, stride), out, out, 3, 1),
		drop: b.dropout(b.Dropout), act: b.act,
	}
	switch {
	case stride == 1 && in == out:
	case b.Mod:
		w.shortcut = poolShortcut{stride, out - in}
	default:
		w.shortcut = b.conv(name+"shortcut", size, in, out, 1, stride)
	}
	return w
}

// Members implements nn.Module.
func (w *wideBlock) Members() []nn.Member {
	members := []nn.Member{
		{Name: "bn1", Module: w.bn1}, {Name: "conv1", Module: w.conv1},
		{Name: "bn2", Module: w.bn2}, {Name: "conv2", Module: w.conv2},
	}
	if w.shortcut != nil {
		members = append(members, nn.Member{Name: "shortcut", Module: w.shortcut})
	}
	return members
}

// Forward implements nn.Layer.
func (w *wideBlock) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := w.bn1.ForwardFused(ctx, x, w.act, nil)
	y = nn.Then(ctx, x, y, nn.ConvNormAct(ctx, y, w.conv1, w.bn2, w.act, nil))
	y = nn.Then(ctx, x, y, w.drop.Forward(ctx, y))
	y = nn.Then(ctx, x, y, w.conv2.Forward(ctx, y))
	added := x
	if w.shortcut != nil {
		added = w.shortcut.Forward(ctx, x)
	}
	sum := nn.Then(ctx, x, y, autograd.Add(ctx, y, added))
	return nn.Then(ctx, x, added, sum)
}
