package bench

import (
	"slices"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

// Convolution is one convolution shape of a network.
type Convolution struct {
	Shape kernels.Conv2dShape
	Count int // how often a forward pass computes it
	// CountData is how often a training step computes the gradient of its input:
	// the first convolution of a network needs none.
	CountData int
}

// Convolutions returns the convolutions of a network at a batch size, each shape
// once, in the order of the forward pass. They are read off a recorded pass of
// the network that models.Build makes of these options.
func Convolutions(network string, o models.Options, batch int) ([]Convolution, error) {
	if err := checkBatch(batch); err != nil {
		return nil, err
	}
	o.SN = false // it adds none, and makes the pass slower
	net, err := models.Build(network, o)
	if err != nil {
		return nil, err
	}
	tape, in := autograd.NewTape(), net.InputShape()
	x := tensor.NewImage(tensor.Float32, 1, in[0], in[1], in[2])
	if _, _, err := net.Forward(&autograd.Context{Tape: tape}, autograd.Constant(x)); err != nil {
		return nil, err
	}
	var all []Convolution
	for _, n := range tape.Nodes() {
		if n.Op != autograd.OpConv2d {
			continue
		}
		s := conv2dShape(n, batch)
		i := slices.IndexFunc(all, func(c Convolution) bool { return c.Shape == s })
		if i < 0 {
			i, all = len(all), append(all, Convolution{Shape: s})
		}
		all[i].Count++
		if n.Inputs[0].RequiresGrad() {
			all[i].CountData++
		}
	}
	return all, nil
}

// conv2dShape is the shape of a recorded convolution at another batch size.
func conv2dShape(n autograd.Node, batch int) kernels.Conv2dShape {
	o := n.Attrs.(autograd.Conv2dOptions)
	x, w := n.Inputs[0].Value.Shape(), n.Inputs[1].Value.Shape()
	return kernels.Conv2dShape{N: batch, C: x[1], H: x[2], W: x[3], OC: w[0], KH: w[2], KW: w[3], Stride: o.Stride, Padding: o.Padding}
}
