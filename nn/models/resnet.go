package models

import (
	"fmt"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/tensor"
)

// residualNet is a ResNet: a 3x3 stem and four stages of 64, 128, 256 and 512
// channels (times 4 with bottlenecks) at strides 1, 2, 2, 2 (He et al. 2016, for
// small images); features [N, 512] or [N, 2048].
type residualNet struct {
	classifier
	conv1  nn.Layer
	bn1    *nn.BatchNorm2d
	act    kernels.Activation
	stages [4]nn.Sequential
}

// resNet returns the builder for these numbers of blocks.
func resNet(bottleneck bool, blocks ...int) func(b *builder) nn.Network {
	return func(b *builder) nn.Network {
		expansion := 1
		if bottleneck {
			expansion = 4
		}
		in, size := 64, b.Input[1]
		n := &residualNet{
			classifier: b.newClassifier("fc", 512*expansion),
			conv1:      b.conv("conv1", size, b.Input[0], in, 3, 1),
			bn1:        nn.NewBatchNorm2d(in, 0),
			act:        b.act,
		}
		for i, count := range blocks {
			for j := range count {
				stride := 1
				if i > 0 && j == 0 {
					stride = 2
				}
				name := fmt.Sprintf("layer%d.%d.", i+1, j)
				n.stages[i] = append(n.stages[i], b.residualBlock(name, size, in, 64<<i, expansion, stride))
				size, in = halved(size, stride), (64<<i)*expansion
			}
		}
		n.normalized = nn.SpectralNorms(n)
		return n
	}
}

// Members implements nn.Module.
func (n *residualNet) Members() []nn.Member {
	return []nn.Member{
		{Name: "conv1", Module: n.conv1}, {Name: "bn1", Module: n.bn1},
		{Name: "layer1", Module: n.stages[0]}, {Name: "layer2", Module: n.stages[1]},
		{Name: "layer3", Module: n.stages[2]}, {Name: "layer4", Module: n.stages[3]},
		{Name: "fc", Module: n.last},
	}
}

// Forward implements nn.Network.
func (n *residualNet) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	return n.forward(ctx, x, n.body)
}

func (n *residualNet) body(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := nn.ConvNormAct(ctx, x, n.conv1, n.bn1, n.act, nil)
	for _, stage := range n.stages {
		y = nn.Then(ctx, x, y, stage.Forward(ctx, y))
	}
	return globalAverage(ctx, y, 4)
}

// residualBlock is act(branch(x) + shortcut(x)); the branch is two 3x3
// convolutions, or 1x1, 3x3, 1x1, each with batch norm.
type residualBlock struct {
	convs    []nn.Layer
	norms    []*nn.BatchNorm2d
	act      kernels.Activation
	shortcut nn.Sequential // empty: the identity
}

func (b *builder) residualBlock(name string, size, in, width, expansion, stride int) *residualBlock {
	r := &residualBlock{act: b.act}
	add := func(size, in, out, kernel, stride int) {
		r.convs = append(r.convs, b.conv(fmt.Sprintf("%sconv%d", name, len(r.convs)+1), size, in, out, kernel, stride))
		r.norms = append(r.norms, nn.NewBatchNorm2d(out, 0))
	}
	after, out := halved(size, stride), width*expansion
	if expansion > 1 {
		add(size, in, width, 1, 1)
		add(size, width, width, 3, stride)
		add(after, width, out, 1, 1)
	} else {
		add(size, in, width, 3, stride)
		add(after, width, width, 3, 1)
	}
	switch {
	case stride == 1 && in == out:
	case b.Mod:
		r.shortcut = nn.Sequential{poolShortcut{stride, out - in}}
	default:
		r.shortcut = nn.Sequential{b.conv(name+"shortcut.0", size, in, out, 1, stride), nn.NewBatchNorm2d(out, 0)}
	}
	return r
}

// Members implements nn.Module.
func (r *residualBlock) Members() []nn.Member {
	var members []nn.Member
	for i := range r.convs {
		members = append(members, nn.Member{Name: fmt.Sprint("conv", i+1), Module: r.convs[i]}, nn.Member{Name: fmt.Sprint("bn", i+1), Module: r.norms[i]})
	}
	return append(members, nn.Member{Name: "shortcut", Module: r.shortcut})
}

// Forward implements nn.Layer.
func (r *residualBlock) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y, last := x, len(r.convs)-1
	for i := range last {
		y = nn.Then(ctx, x, y, nn.ConvNormAct(ctx, y, r.convs[i], r.norms[i], r.act, nil))
	}
	added := r.shortcut.Forward(ctx, x)
	sum := nn.Then(ctx, x, y, nn.ConvNormAct(ctx, y, r.convs[last], r.norms[last], r.act, added))
	return nn.Then(ctx, x, added, sum)
}

// globalAverage averages the whole map of size x size, releasing x: [N, C] in
// float32, so that features are not rounded.
func globalAverage(ctx *autograd.Context, x *autograd.Variable, size int) *autograd.Variable {
	exact := autograd.Cast(ctx, x, tensor.Float32)
	if exact != x {
		ctx.Release(x)
	}
	pooled := autograd.AvgPool2d(ctx, exact, size, size)
	ctx.Release(exact)
	y := autograd.Flatten(ctx, pooled)
	ctx.Release(pooled)
	return y
}
