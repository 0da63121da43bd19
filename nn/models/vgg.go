package models

import (
	"fmt"
	"strconv"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
)

// vggNet is VGG with batch norm (Simonyan and Zisserman 2015, lists A, B, D and
// E, for small images); features [N, 512]. Its layers are numbered as in the
// published nn.Sequential: convolution, batch norm and activation have one
// number each, so has a max-pool.
type vggNet struct {
	classifier
	units []vggUnit
}

// vggUnit is a convolution with batch norm and activation, or a max-pool.
type vggUnit struct {
	conv nn.Layer // nil: the max-pool
	bn   *nn.BatchNorm2d
	act  nn.Activation
	pool nn.MaxPool2d
}

// vgg returns the builder for these numbers of convolutions in the five stages
// of 64, 128, 256, 512 and 512 channels. Each stage ends with a max-pool; for
// 28x28 the first is left out.
func vgg(convs ...int) func(b *builder) nn.Network {
	return func(b *builder) nn.Network {
		n := &vggNet{classifier: b.newClassifier("classifier", 512)}
		in, size, number := b.Input[0], b.Input[1], 0
		for i, count := range convs {
			out := min(64<<i, 512)
			for range count {
				n.units = append(n.units, vggUnit{
					conv: b.conv(fmt.Sprint("features.", number), size, in, out, 3, 1),
					bn:   nn.NewBatchNorm2d(out, 0),
					act:  nn.Activation{Func: b.act},
				})
				in, number = out, number+3
			}
			if i > 0 || b.Input != MNIST {
				n.units = append(n.units, vggUnit{pool: nn.MaxPool2d{Kernel: 2}})
				size, number = size/2, number+1
			}
		}
		n.normalized = nn.SpectralNorms(n)
		return n
	}
}

// Members implements nn.Module.
func (n *vggNet) Members() []nn.Member {
	return []nn.Member{{Name: "features", Module: vggFeatures(n.units)}, {Name: "classifier", Module: n.last}}
}

// vggFeatures numbers the layers.
type vggFeatures []vggUnit

// Members implements nn.Module.
func (f vggFeatures) Members() []nn.Member {
	var members []nn.Member
	add := func(m nn.Module) {
		members = append(members, nn.Member{Name: strconv.Itoa(len(members)), Module: m})
	}
	for _, u := range f {
		if u.conv == nil {
			add(u.pool)
			continue
		}
		add(u.conv)
		add(u.bn)
		add(u.act)
	}
	return members
}

// Forward implements nn.Network.
func (n *vggNet) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	return n.forward(ctx, x, n.body)
}

func (n *vggNet) body(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	y := x
	for _, u := range n.units {
		if u.conv == nil {
			y = nn.Then(ctx, x, y, u.pool.Forward(ctx, y))
		} else {
			y = nn.Then(ctx, x, y, nn.ConvNormAct(ctx, y, u.conv, u.bn, u.act.Func, nil))
		}
	}
	return nn.Then(ctx, x, y, nn.Flatten{}.Forward(ctx, y))
}
