package autograd

import (
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// Context carries what a forward pass needs besides its inputs. Each goroutine
// uses its own. The zero value evaluates: nothing is recorded and no model is
// written to.
type Context struct {
	Tape     *Tape        // where operations are recorded; nil: nowhere
	Training bool         // batch statistics, dropout and power iteration are on
	Key      random.Key   // of this step's random numbers
	Pool     *tensor.Pool // where results take their memory; nil: the tape's own, without a tape the Go heap

	// DType is the element type of activations, Float32 or BFloat16: networks
	// convert their input to it. Parameters, statistics, features, logits and the
	// loss are float32 in either case.
	DType tensor.DType
}

func (c *Context) pool() *tensor.Pool {
	if c.Pool == nil && c.Tape != nil {
		return c.Tape.Pool()
	}
	return c.Pool
}

// Release tells that the caller will not use these results again. Their memory
// goes back to the pool as soon as no recorded backward rule reads it, without
// a tape at once. Releasing is never necessary, it lowers the peak. Leaves are
// left alone.
func (c *Context) Release(vs ...*Variable) {
	for _, v := range vs {
		if v == nil || v.memory.pool == nil && v.memory.base == nil {
			continue
		}
		if v.memory.released {
			panic("autograd: Release: the variable of shape " + v.Value.String() + " was released before")
		}
		v.memory.released = true
		root := v.root()
		root.memory.handles--
		root.freeIfUnused()
	}
}

// memory is what is known about the memory of a result.
type memory struct {
	pool     *tensor.Pool // that Value's memory came from; nil: not to be given back
	base     *Variable    // the result whose memory Value shares; nil: its own
	views    []*Variable  // results that share this one's memory
	handles  int          // of the caller: the result itself and its views, less those released
	readers  int          // backward rules yet to run that read the elements
	released bool         // the caller will not use this result again
	retained bool         // until Tape.Reset, whatever the counts say
	freed    bool

	repeatable bool // the node that made it, by its place on the tape, can do so again
	node       int
	dropped    bool // freed though backward reads it
}

// root returns the variable that owns the memory of v.
func (v *Variable) root() *Variable {
	if v.memory.base != nil {
		return v.memory.base
	}
	return v
}

func (v *Variable) freeIfUnused() {
	m := &v.memory
	if m.handles > 0 || m.retained || m.freed {
		return
	}
	if m.readers > 0 {
		if !m.repeatable || len(m.views) > 0 {
			return
		}
		// Once made again it stays until its last reader has run.
		m.dropped, m.repeatable = true, false
	}
	v.free()
}

// free gives the memory of a root back. The values of v and its views panic
// from now on when their elements are used.
func (v *Variable) free() {
	m := &v.memory
	if m.pool == nil || m.freed {
		return
	}
	m.freed = true
	if v.moments != nil { // that nobody took
		m.pool.Put(v.moments)
		v.moments = nil
	}
	for _, view := range m.views {
		view.Value.Invalidate()
	}
	m.pool.Put(v.Value)
}

// newValue gives the output of n a contiguous value.
func (c *Context) newValue(n *Node, shape ...int) *tensor.Tensor {
	return c.own(n, c.pool().Get(tensor.Float32, shape...))
}

// newImage gives the output of n a value in image layout, of the type of input 0.
func (c *Context) newImage(n *Node, batch, channels, h, w int) *tensor.Tensor {
	return c.own(n, c.pool().GetImage(n.value(0).DType(), batch, channels, h, w))
}

// newLike gives the output of n a value with the shape and layout of t.
func (c *Context) newLike(n *Node, t *tensor.Tensor) *tensor.Tensor {
	return c.own(n, c.pool().GetLike(t))
}

func (c *Context) own(n *Node, value *tensor.Tensor) *tensor.Tensor {
	n.Output.Value = value
	n.Output.memory = memory{pool: c.pool(), handles: 1}
	return value
}

// share makes value, a view of x's, the output of n.
func (c *Context) share(n *Node, x *Variable, value *tensor.Tensor) {
	n.Output.Value = value
	if root := x.root(); root.memory.pool != nil {
		n.Output.memory.base = root
		root.memory.views = append(root.memory.views, n.Output)
		root.memory.handles++
	}
}

// save allocates a vector or index that backward will need; it is given back
// after the backward rule ran.
func (c *Context) save(n *Node, dt tensor.DType, shape ...int) *tensor.Tensor {
	t := c.pool().Get(dt, shape...)
	n.keep(t)
	return t
}

// keep saves t, which came from the node's pool.
func (n *Node) keep(t *tensor.Tensor) {
	for i, s := range n.saved {
		if s == nil {
			n.saved[i] = t
			return
		}
	}
	n.fail("more than %d tensors to save", maxSaved)
}

// scratch returns n float32 that live until the caller puts the tensor back.
func (c *Context) scratch(n int) *tensor.Tensor { return c.pool().Get(tensor.Float32, n) }
