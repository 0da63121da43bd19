package nn

import (
	"fmt"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// graph is a recorded forward pass: operations in order, on values by number.
type graph struct {
	values  []value
	ops     []operation
	input   int
	outputs [2]int // logits, features
}

// value is a constant, or something that each sample has its own of.
type value struct {
	shape    []int // of one sample; of the whole if constant
	size     int   // elements of one sample
	permuted bool  // an image whose memory order is not the row-major one
	half     bool  // bfloat16
	constant *tensor.Tensor
}

// operation is one recorded operation. Folding sets affine or drops it.
type operation struct {
	op      autograd.Op
	attrs   any
	inputs  []int // none for those left out
	output  int
	affine  *affine            // of a batch norm: what it does in evaluation
	act     kernels.Activation // of a convolution: applied to its result and the residual, input 3
	dropped bool               // the output is the first input
}

const none = -1

// traceBatch is the number of samples of the recorded pass. With one sample an
// image of one channel would look row-major too, and a step that is needed for
// other batches would be missing.
const traceBatch = 2

// words is how many words of memory, of four bytes, one sample takes.
func (v value) words() int {
	if v.half {
		return (v.size + 1) / 2
	}
	return v.size
}

// traceForward records one forward pass of network on zeros, with activations of
// type dt.
func traceForward(network Network, dt tensor.DType) (*graph, error) {
	shape := append([]int{traceBatch}, network.InputShape()...)
	zeros := tensor.New(tensor.Float32, shape...)
	if len(shape) == 4 {
		zeros = zeros.ToImage()
	}
	x := autograd.Constant(zeros)
	tape := autograd.NewTape()
	logits, features, err := network.Forward(&autograd.Context{Tape: tape, DType: dt}, x)
	if err != nil {
		return nil, err
	}
	t := tracer{known: map[*autograd.Variable]int{}}
	if t.input, err = t.add(x, "the input"); err != nil {
		return nil, err
	}
	for _, n := range tape.Nodes() {
		if err := t.record(n); err != nil {
			return nil, err
		}
	}
	for i, v := range []*autograd.Variable{logits, features} {
		id, ok := t.known[v]
		if want := []int{network.Classes(), network.FeatureDim()}[i]; !ok || t.values[id].constant != nil || len(t.values[id].shape) != 1 || t.values[id].size != want {
			return nil, fmt.Errorf("the forward pass gave %v, want a result of shape [N %d] that depends on the input", v.Value, want)
		}
		if t.values[id].half {
			return nil, fmt.Errorf("the forward pass gave %v, want float32 results: Cast them", v.Value)
		}
		t.outputs[i] = id
	}
	return &t.graph, nil
}

// tracer numbers the variables of a pass.
type tracer struct {
	graph
	known map[*autograd.Variable]int
}

// add numbers a variable that depends on the input.
func (t *tracer) add(v *autograd.Variable, what string) (int, error) {
	shape := v.Value.Shape()
	if len(shape) < 2 || shape[0] != traceBatch {
		return 0, fmt.Errorf("%s has shape %v for a batch of %d: it is not computed per sample", what, shape, traceBatch)
	}
	t.known[v] = len(t.values)
	t.values = append(t.values, value{shape: shape[1:], size: v.Value.Len() / traceBatch, permuted: !v.Value.Contiguous(), half: v.Value.DType() == tensor.BFloat16})
	return t.known[v], nil
}

// constant numbers a variable that does not depend on the input.
func (t *tracer) constant(v *autograd.Variable, fixed *tensor.Tensor) int {
	t.known[v] = len(t.values)
	t.values = append(t.values, value{shape: fixed.Shape(), constant: fixed})
	return t.known[v]
}

// record takes over one node. What depends on constants only is computed again,
// since the pass may have given its memory back.
func (t *tracer) record(n autograd.Node) error {
	inputs := make([]int, len(n.Inputs))
	depends := false
	for i, in := range n.Inputs {
		inputs[i] = none
		if in == nil {
			continue
		}
		id, ok := t.known[in]
		if !ok {
			id = t.constant(in, in.Value.Clone())
		}
		inputs[i] = id
		depends = depends || t.values[id].constant == nil
	}
	if !depends {
		fixed := make([]*autograd.Variable, len(inputs))
		for i, id := range inputs {
			if id != none {
				fixed[i] = autograd.Constant(t.values[id].constant)
			}
		}
		t.constant(n.Output, autograd.Apply(new(autograd.Context), n.Op, n.Attrs, fixed...).Value)
		return nil
	}
	output, err := t.add(n.Output, "a result of "+n.Op.String())
	t.ops = append(t.ops, operation{op: n.Op, attrs: n.Attrs, inputs: inputs, output: output})
	return err
}

// uses counts how often each value is read, results of the network included.
func (g *graph) uses() []int {
	uses := make([]int, len(g.values))
	for _, o := range g.ops {
		for _, id := range o.inputs {
			if id != none {
				uses[id]++
			}
		}
	}
	for _, id := range g.outputs {
		uses[id]++
	}
	return uses
}
