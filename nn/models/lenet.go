package models

import (
	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
)

// leNet is LeNet-5 with max pooling; features [N, 84].
type leNet struct {
	classifier
	conv1, conv2 *nn.Conv2d
	fc1, fc2     *nn.Linear
	body         nn.Sequential
}

func newLeNet(b *builder) nn.Network {
	bias := nn.Conv2dOptions{Bias: true}
	n := &leNet{
		classifier: b.newClassifier("fc3", 84),
		conv1:      nn.NewConv2d(b.key("conv1"), 1, 6, 5, bias),
		conv2:      nn.NewConv2d(b.key("conv2"), 6, 16, 5, bias),
		fc1:        nn.NewLinear(b.key("fc1"), 256, 120, nn.LinearOptions{}),
		fc2:        nn.NewLinear(b.key("fc2"), 120, 84, nn.LinearOptions{}),
	}
	act, pool := nn.Activation{Func: b.act}, nn.MaxPool2d{Kernel: 2}
	// Activations are monotone: behind the pooling they are the same, of a quarter.
	n.body = nn.Sequential{n.conv1, pool, act, n.conv2, pool, act, nn.Flatten{}, n.fc1, act, n.fc2, act}
	return n
}

// Members implements nn.Module.
func (n *leNet) Members() []nn.Member {
	return []nn.Member{
		{Name: "conv1", Module: n.conv1}, {Name: "conv2", Module: n.conv2},
		{Name: "fc1", Module: n.fc1}, {Name: "fc2", Module: n.fc2}, {Name: "fc3", Module: n.last},
	}
}

// Forward implements nn.Network.
func (n *leNet) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	return n.forward(ctx, x, n.body.Forward)
}
