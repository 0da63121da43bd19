package nn

import (
	"slices"
	"time"
	"unsafe"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
)

// plan is a frozen network ready to run: steps in order, and the buffers that
// they write to.
type plan struct {
	steps   []step
	slots   []int // words per sample of each buffer
	largest int   // elements per sample of the largest pooled map
}

// step runs one kernel.
type step struct {
	run   kernel
	span  spanOf
	reads []place
	write place
}

// kernel computes y from x for n samples. It holds what is constant. Its arguments
// are memory, in words of four bytes; of gives the elements in it.
type kernel func(f *frame, n int, y []float32, x [][]float32)

// of returns the first n elements in memory.
func of[E kernels.Element](memory []float32, n int) []E {
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)*4/int(unsafe.Sizeof(*new(E))))[:n]
}

// place is where a value lies: in a buffer of the frame (0 and up), the input,
// or a result that the caller gets.
type place int

const (
	inInput place = -1 - iota
	inLogits
	inFeatures
)

// loweredOp is an operation as a kernel on values, not yet on places.
type loweredOp struct {
	kernel
	span    spanOf
	reads   []int
	write   int
	inPlace bool // y may be the memory of the first x
}

// compile turns the graph into kernels and decides where every value lies.
func (g *graph) compile() (*plan, error) {
	var ops []loweredOp
	alias := make([]int, len(g.values))
	for i := range alias {
		alias[i] = i
	}
	p := new(plan)
	for i := range g.ops {
		o := &g.ops[i]
		if o.dropped || g.sameMemory(o) {
			alias[o.output] = alias[o.inputs[0]]
			continue
		}
		l, err := g.lower(o)
		if err != nil {
			return nil, err
		}
		l.span = g.span(o)
		for j, id := range l.reads {
			l.reads[j] = alias[id]
		}
		if o.op == autograd.OpMaxPool2d {
			p.largest = max(p.largest, g.values[o.output].size)
		}
		ops = append(ops, l)
	}
	ops = append(ops, g.outputCopies(alias)...)
	p.place(g, ops, alias)
	return p, nil
}

// sameMemory tells whether o only renames its input.
func (g *graph) sameMemory(o *operation) bool {
	switch o.op {
	case autograd.OpReshape:
		in, out := g.values[o.inputs[0]], g.values[o.output]
		return !in.permuted || slices.Equal(in.shape, out.shape)
	case autograd.OpToImage, autograd.OpToContiguous:
		return g.values[o.inputs[0]].permuted == g.values[o.output].permuted
	}
	return false
}

// outputCopies makes results that would share memory with the input or with each
// other values of their own.
func (g *graph) outputCopies(alias []int) []loweredOp {
	var copies []loweredOp
	for i, id := range g.outputs {
		root := alias[id]
		if root == g.input || i == 1 && root == alias[g.outputs[0]] {
			v := g.values[id]
			g.values = append(g.values, v)
			g.outputs[i] = len(g.values) - 1
			copies = append(copies, loweredOp{kernel: copyKernel, span: copySpan(v), reads: []int{root}, write: g.outputs[i]})
		} else {
			g.outputs[i] = root
		}
	}
	return copies
}

// place goes through the operations in order and gives each result the smallest
// free buffer that fits, else makes the largest free one larger. A buffer is
// free after the last operation that reads what is in it.
func (p *plan) place(g *graph, ops []loweredOp, alias []int) {
	last := make([]int, len(g.values))
	for i, o := range ops {
		for _, id := range o.reads {
			last[id] = i
		}
	}
	places := map[int]place{g.input: inInput}
	fixed := map[int]place{g.outputs[0]: inLogits, g.outputs[1]: inFeatures}
	var free []int
	for i, o := range ops {
		s := step{run: o.kernel, span: o.span}
		for _, id := range o.reads {
			s.reads = append(s.reads, places[id])
		}
		size := g.values[o.write].words()
		at, isResult := fixed[o.write]
		switch {
		case isResult:
			s.write = at
		case o.inPlace && last[o.reads[0]] == i && s.reads[0] >= 0 && g.values[o.reads[0]].words() == size && g.values[o.reads[0]].half == g.values[o.write].half:
			s.write = s.reads[0]
		default:
			s.write = p.take(&free, size)
		}
		places[o.write] = s.write
		p.steps = append(p.steps, s)
		for _, at := range dying(o.reads, s.reads, last, i) {
			if at != s.write {
				free = append(free, int(at))
			}
		}
	}
}

// dying returns the buffers that step i is the last to read, each once.
func dying(values []int, at []place, last []int, i int) []place {
	var buffers []place
	for j, id := range values {
		if last[id] == i && at[j] >= 0 && !slices.Contains(buffers, at[j]) {
			buffers = append(buffers, at[j])
		}
	}
	return buffers
}

// take returns a free buffer of at least size words per sample.
func (p *plan) take(free *[]int, size int) place {
	best := -1
	for i, slot := range *free {
		if best < 0 || better(p.slots[slot], p.slots[(*free)[best]], size) {
			best = i
		}
	}
	if best < 0 {
		p.slots = append(p.slots, size)
		return place(len(p.slots) - 1)
	}
	slot := (*free)[best]
	*free = slices.Delete(*free, best, best+1)
	p.slots[slot] = max(p.slots[slot], size)
	return place(slot)
}

// better prefers the smallest buffer that fits, else the largest.
func better(a, b, size int) bool {
	if (a >= size) != (b >= size) {
		return a >= size
	}
	return (a < b) == (a >= size) && a != b
}

// frame is the memory of one call.
type frame struct {
	slots   [][]float32
	indices []int32 // of max-pooling, which evaluation does not need
	reads   [3][]float32
}

// run executes p on n samples.
func (f *frame) run(r *trace.Recorder, p *plan, n int, input []float32, results [2][]float32) {
	f.reserve(p, n)
	at := func(where place) []float32 {
		switch where {
		case inInput:
			return input
		case inLogits:
			return results[0]
		case inFeatures:
			return results[1]
		}
		return f.slots[where]
	}
	for i := range p.steps {
		s := &p.steps[i]
		for j, where := range s.reads {
			f.reads[j] = at(where)
		}
		start := r.Start()
		s.run(f, n, at(s.write), f.reads[:len(s.reads)])
		if r != nil {
			r.Add(time.Since(start), s.span(n))
		}
	}
	f.reads = [3][]float32{} // keep nothing of the caller's
}

func (f *frame) reserve(p *plan, n int) {
	if f.slots == nil {
		f.slots = make([][]float32, len(p.slots))
	}
	for i, size := range p.slots {
		if len(f.slots[i]) < n*size {
			f.slots[i] = make([]float32, n*size)
		}
	}
	if len(f.indices) < n*p.largest {
		f.indices = make([]int32, n*p.largest)
	}
}
