package autograd

import (
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/tensor"
)

// Tape records operations so that Backward can go through them in reverse. It
// serves one goroutine.
//
// Results of recorded operations live in pooled memory: Backward gives each
// back once its last reader has run, except the loss, the inputs of the
// operations that made it (the logits), and results on which Retain was called;
// those live until Reset. Parameters and their gradients are never pooled.
type Tape struct {
	// Trace records every operation that runs while it is not nil, forward and
	// backward. It may be set and taken away at any time.
	Trace *trace.Recorder

	pool  *tensor.Pool
	nodes []Node
	done  bool // Backward has run
}

// Node is one recorded operation. It holds data only, no function, so that a
// tape can be inspected and its operations applied again to other inputs.
type Node struct {
	Op     Op
	Attrs  any         // the operation's options, of the type its constructor names
	Inputs []*Variable // in the order of the operation's arguments, nil where left out
	Output *Variable

	saved [maxSaved]*tensor.Tensor // what backward needs besides inputs and output
	pool  *tensor.Pool             // that saved came from

	// repeatable tells that the output can be computed again, cheaply, from inputs
	// that the backward rule reads, parameters and what was saved. It is dropped
	// when the forward pass is done with it, and made again when backward wants it.
	repeatable bool
}

// maxSaved is how much an operation may save.
const maxSaved = 2

// NewTape returns an empty tape.
func NewTape() *Tape { return new(Tape) }

// Nodes returns what was recorded, in order. It is valid until Reset.
func (t *Tape) Nodes() []Node { return t.nodes }

// Pool returns the pool that results take their memory from when their context
// names none.
func (t *Tape) Pool() *tensor.Pool {
	if t.pool == nil {
		t.pool = tensor.NewPool()
	}
	return t.pool
}

// Reset forgets everything recorded and gives the memory of all results back to
// their pool. The tape can then record the next step.
func (t *Tape) Reset() {
	for i := range t.nodes {
		n := &t.nodes[i]
		t.dropGradient(n.Output)
		n.dropSaved()
		n.Output.root().free()
	}
	clear(t.nodes)
	t.nodes = t.nodes[:0]
	t.done = false
}

// record keeps a copy of n, whose forward has run.
func (t *Tape) record(n *Node) {
	if t.done {
		panic("autograd: " + n.Op.String() + ": this tape has run Backward, call Reset before recording more")
	}
	if t.pool == nil {
		t.pool = n.pool
	}
	if n.Output.requiresGrad {
		reads := rules[n.Op].reads(n)
		n.readers(reads, func(root *Variable) { root.memory.readers++ })
		n.Output.memory.repeatable = n.repeatable
		n.Output.memory.node = len(t.nodes)
	} else {
		n.dropSaved()
	}
	t.nodes = append(t.nodes, *n)
}

// reads tells which values a backward rule reads: bit i stands for input i.
type reads uint

const readsOutput reads = 1 << 15

// readers calls f with the owner of every value that backward reads.
func (n *Node) readers(r reads, f func(root *Variable)) {
	for i, in := range n.Inputs {
		if in != nil && r>>i&1 == 1 && in.root().memory.pool != nil {
			f(in.root())
		}
	}
	if r&readsOutput != 0 && n.Output.root().memory.pool != nil {
		f(n.Output.root())
	}
}

func (n *Node) dropSaved() {
	for i, s := range n.saved {
		n.pool.Put(s)
		n.saved[i] = nil
	}
}

// Backward computes the gradient of loss, a single number, for every parameter
// that it depends on.
func (t *Tape) Backward(loss *Variable) {
	if loss.Value.Len() != 1 {
		panic("autograd: Backward: the loss is " + loss.Value.String() + ", want a single number (BackwardFrom takes a gradient of any shape)")
	}
	one := tensor.New(tensor.Float32, loss.Value.Shape()...)
	one.Fill(1)
	t.BackwardFrom(loss, one)
}

// BackwardFrom computes the gradient of sum(y·dy) for every parameter that y
// depends on. dy has the shape of y, in any layout, and is not changed.
func (t *Tape) BackwardFrom(y *Variable, dy *tensor.Tensor) {
	if !slices.Equal(y.Value.Shape(), dy.Shape()) {
		panic("autograd: BackwardFrom: the gradient is " + dy.String() + ", the result is " + y.Value.String() + ", want equal shapes")
	}
	if t.done {
		panic("autograd: Backward has run on this tape and freed its values, call Reset and record again")
	}
	if t.producer(y) == nil {
		panic("autograd: Backward: the result was not recorded on this tape")
	}
	t.done = true
	t.retainWithInputs(y)
	if y.requiresGrad {
		g, _ := t.target(y)
		g.CopyFrom(dy)
	}
	for i := range t.nodes {
		root := t.nodes[i].Output.root()
		root.memory.handles = 0
		root.freeIfUnused()
	}
	for i := len(t.nodes) - 1; i >= 0; i-- {
		t.step(&t.nodes[i])
	}
}

// producer returns the node whose output is v, nil if v was not recorded.
func (t *Tape) producer(v *Variable) *Node {
	i := slices.IndexFunc(t.nodes, func(n Node) bool { return n.Output == v })
	if i < 0 {
		return nil
	}
	return &t.nodes[i]
}

// retainWithInputs keeps a loss and what it was computed from; where that is a
// single number too, such as a loss before scaling, also its inputs.
func (t *Tape) retainWithInputs(y *Variable) {
	y.Retain()
	n := t.producer(y)
	if n == nil {
		return
	}
	for _, in := range n.Inputs {
		if in == nil {
			continue
		}
		in.Retain()
		if in.Value.Len() == 1 {
			t.retainWithInputs(in)
		}
	}
}

// step runs the backward rule of n if a gradient has reached its output, then
// gives back what no earlier node reads.
func (t *Tape) step(n *Node) {
	if !n.Output.requiresGrad {
		return
	}
	rule := &rules[n.Op]
	if n.Output.grad.buffer != nil {
		n.readers(rule.reads(n), t.restore)
		if t.Trace != nil {
			n.traceBackward(t, n.Output.grad.value)
		} else {
			rule.backward(t, n, n.Output.grad.value)
		}
		t.dropGradient(n.Output)
	}
	n.readers(rule.reads(n), func(root *Variable) {
		root.memory.readers--
		root.freeIfUnused()
	})
	n.dropSaved()
}

// restore computes a result again that was dropped.
func (t *Tape) restore(root *Variable) {
	if !root.memory.dropped {
		return
	}
	root.memory.dropped, root.memory.freed = false, false
	n := &t.nodes[root.memory.node]
	n.readers(rules[n.Op].reads(n)&^readsOutput, t.restore)
	start := t.Trace.Start()
	root.Value = root.memory.pool.GetLike(root.Value)
	rules[n.Op].again(n, root.Value)
	if t.Trace != nil {
		t.Trace.Add(time.Since(start), n.span(trace.Again, n.forwardBytes()))
	}
}

// gradient of a result. Several results may share one buffer as long as nobody
// writes to it.
type gradient struct {
	value  *tensor.Tensor // with the shape and layout of the result
	buffer *gradBuffer
}

type gradBuffer struct {
	memory *tensor.Tensor // as it came from the pool
	shared int            // by how many gradients
}

func (t *Tape) newGradient(like *tensor.Tensor) gradient {
	g := t.Pool().GetLike(like)
	return gradient{value: g, buffer: &gradBuffer{memory: g, shared: 1}}
}

func (t *Tape) dropGradient(v *Variable) {
	b := v.grad.buffer
	v.grad = gradient{}
	if b == nil {
		return
	}
	if b.shared--; b.shared == 0 {
		t.Pool().Put(b.memory)
	}
}

// target returns where a rule writes its contribution to the gradient of v and
// whether it must add to what is there; nil if v takes no gradient.
func (t *Tape) target(v *Variable) (g *tensor.Tensor, accumulate bool) {
	switch {
	case v == nil || !v.requiresGrad:
		return nil, false
	case v.param != nil:
		p := v.param
		if p.grad == nil {
			p.grad = tensor.NewLike(v.Value)
		}
		accumulate, p.hasGrad = p.hasGrad, true
		return p.grad, accumulate
	case v.grad.buffer == nil:
		v.grad = t.newGradient(v.Value)
		return v.grad.value, false
	case v.grad.buffer.shared > 1:
		own := t.newGradient(v.Value)
		own.value.CopyFrom(v.grad.value)
		t.dropGradient(v)
		v.grad = own
	}
	return v.grad.value, true
}

// targetInPlace is target for rules that may write their contribution over the
// gradient of n's output, element by element: v takes over its buffer if v has
// no gradient yet and nobody else reads the buffer.
func (t *Tape) targetInPlace(n *Node, v *Variable) (g *tensor.Tensor, accumulate bool) {
	dy := n.Output.grad
	if v == nil || !v.requiresGrad || v.param != nil || v.grad.buffer != nil || dy.buffer.shared > 1 {
		return t.target(v)
	}
	dy.buffer.shared++
	v.grad = dy
	return dy.value, false
}

// pass adds dy, the gradient of n's output seen with the shape of v, to the
// gradient of v. The first contribution to a result is shared, not copied.
func (t *Tape) pass(n *Node, v *Variable, dy *tensor.Tensor) {
	if v != nil && v.requiresGrad && v.param == nil && v.grad.buffer == nil {
		n.Output.grad.buffer.shared++
		v.grad = gradient{value: dy, buffer: n.Output.grad.buffer}
		return
	}
	if g, accumulate := t.target(v); g != nil {
		if accumulate {
			add(g, g, dy)
		} else {
			g.CopyFrom(dy)
		}
	}
}
