package autograd

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// tinyNet is a pre-activation residual network without modules: enough to
// exercise every way memory is shared.
type tinyNet struct {
	weights []*Variable // of 3x3 convolutions
	gamma   []*Variable
	beta    []*Variable
	running []*RunningStats
	linear  *Variable
	release bool
}

const (
	tinyChannels = 16
	tinyBlocks   = 4
)

func newTinyNet() *tinyNet {
	n := &tinyNet{linear: NewParameter(tensors(shape(10, tinyChannels))[0])}
	for i := range 2*tinyBlocks + 1 {
		in := tinyChannels
		if i == 0 {
			in = 3
		}
		w := tensors(shape(tinyChannels, in, 3, 3))[0].ToContiguous()
		kernels.Scale(w.Float32s(), w.Float32s(), 0.1)
		n.weights = append(n.weights, NewParameter(w))
		gamma, beta := tensor.New(tensor.Float32, tinyChannels), tensor.New(tensor.Float32, tinyChannels)
		gamma.Fill(1)
		n.gamma, n.beta = append(n.gamma, NewParameter(gamma)), append(n.beta, NewParameter(beta))
		n.running = append(n.running, &RunningStats{Mean: tensor.New(tensor.Float32, tinyChannels), Var: gamma.Clone()})
	}
	return n
}

func (n *tinyNet) parameters() []*Variable {
	return slices.Concat(n.weights, n.gamma, n.beta, []*Variable{n.linear})
}

// forward returns logits and feature.
func (n *tinyNet) forward(ctx *Context, x *Variable) (logits, feature *Variable) {
	release := func(vs ...*Variable) {
		if n.release {
			ctx.Release(vs...)
		}
	}
	bn := func(i int, x *Variable) *Variable {
		return BatchNorm2d(ctx, x, n.gamma[i], n.beta[i], n.running[i], BatchNormOptions{0.1, 1e-5, kernels.ActReLU}, nil)
	}
	conv := func(i int, x *Variable) *Variable {
		w := SpectralScale(ctx, n.weights[i], n.spectral(i))
		y := Conv2d(ctx, x, w, nil, Conv2dOptions{Stride: 1, Padding: 1})
		release(w)
		return y
	}
	h := conv(0, x)
	for b := range tinyBlocks {
		a := bn(2*b+1, h)
		c := conv(2*b+1, a)
		release(a)
		d := bn(2*b+2, c)
		release(c)
		e := Dropout(ctx, d, 0.3, uint64(b))
		release(d)
		f := conv(2*b+2, e)
		release(e)
		sum := Add(ctx, f, h)
		release(f, h)
		h = sum
	}
	last := bn(0, h)
	release(h)
	pooled := AvgPool2d(ctx, last, 8, 8)
	release(last)
	feature = Flatten(ctx, pooled)
	release(pooled)
	return Linear(ctx, feature, n.linear, nil), feature
}

// spectral returns options with arbitrary unit vectors and a sigma that
// rescales.
func (n *tinyNet) spectral(i int) SpectralScaleOptions {
	w := n.weights[i].Value
	o := SpectralScaleOptions{Sigma: 1.5, Coeff: 1, Eps: 1e-5, Conv: &ConvOperator{Stride: 1, Padding: 1},
		U: tensor.NewImage(tensor.Float32, 1, w.Dim(0), 8, 8), V: tensor.NewImage(tensor.Float32, 1, w.Dim(1), 8, 8)}
	o.U.Set(1, 0, 0, 0, 0)
	o.V.Set(1, 0, 0, 0, 0)
	return o
}

func tinyBatch(n int) (*Variable, []int) {
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i % 10
	}
	return Constant(tensors(shape(n, 3, 8, 8))[0]), labels
}

// step is one training step without optimiser.
func (n *tinyNet) step(tape *Tape, x *Variable, labels []int) (loss *Variable) {
	tape.Reset()
	for _, p := range n.parameters() {
		p.ZeroGrad()
	}
	logits, _ := n.forward(&Context{Tape: tape, Training: true, Key: 1}, x)
	loss = CrossEntropy(&Context{Tape: tape, Training: true}, logits, labels)
	tape.Backward(loss)
	return loss
}

func TestSteadyStateAllocatesNoActivations(t *testing.T) {
	net, tape := newTinyNet(), NewTape()
	const batch = 16
	x, labels := tinyBatch(batch)
	for range 3 {
		net.step(tape, x, labels)
	}
	before := tape.Pool().Stats()
	var mem, memAfter runtime.MemStats
	runtime.ReadMemStats(&mem)
	const steps = 5
	for range steps {
		net.step(tape, x, labels)
	}
	runtime.ReadMemStats(&memAfter)
	if after := tape.Pool().Stats(); after.Allocations != before.Allocations || after.Gets == before.Gets {
		t.Errorf("%d new buffers in steady state", after.Allocations-before.Allocations)
	}
	// Headers, nodes and task descriptions, but no element.
	nodes := len(tape.Nodes())
	perNode := int(memAfter.TotalAlloc-mem.TotalAlloc) / steps / nodes
	activation := batch * tinyChannels * 8 * 8 * 4
	if perNode > activation/4 && !raceEnabled {
		t.Errorf("%d heap bytes per operation and step, an activation has %d", perNode, activation)
	}
	// A shorter last batch fits into the same memory.
	short, shortLabels := tinyBatch(7)
	net.step(tape, short, shortLabels)
	net.step(tape, x, labels)
	if after := tape.Pool().Stats(); after.Bytes > before.Bytes+before.Bytes/50 {
		t.Errorf("a short batch grew the pool from %d to %d bytes", before.Bytes, after.Bytes)
	}
}

// TestPeakMemory counts activations: what backward needs, and little more.
func TestPeakMemory(t *testing.T) {
	const batch = 16
	activation := float64(batch * tinyChannels * 8 * 8 * 4)
	x, labels := tinyBatch(batch)
	peak := func(release bool) float64 {
		net, tape := newTinyNet(), NewTape()
		net.release = release
		for range 3 {
			net.step(tape, x, labels)
		}
		return float64(tape.Pool().Stats().Bytes) / activation
	}
	// Backward reads, per block, the block's input, one convolution's output and
	// the dropped-out result: 3; the normalised results, here read by a convolution
	// and by a dropout, it makes again, as the scaled weights. On top come the first
	// convolution's output, four gradients and remade results at a time, and for each
	// convolution its u and v.
	const perConv = 4 * 2 * tinyChannels * 8 * 8
	allowed := 3*tinyBlocks + 1 + 4 + (2*tinyBlocks+1)*perConv/activation + 1
	if got := peak(true); got > allowed {
		t.Errorf("%.1f activations of memory with Release, want at most %.1f", got, allowed)
	}
	if kept, released := peak(false), peak(true); released > kept-tinyBlocks+2 {
		t.Errorf("releasing saves %.1f activations, want one per block", kept-released)
	}
}

// TestReleaseDoesNotChangeResults compares gradients with and without.
func TestReleaseDoesNotChangeResults(t *testing.T) {
	x, labels := tinyBatch(8)
	run := func(release bool) [][]float32 {
		net := newTinyNet()
		net.release = release
		tape := NewTape()
		net.step(tape, x, labels)
		net.step(tape, x, labels)
		var grads [][]float32
		for _, p := range net.parameters() {
			grads = append(grads, p.Grad().Float32s())
		}
		return grads
	}
	a, b := run(false), run(true)
	for i := range a {
		if !slices.Equal(a[i], b[i]) {
			t.Errorf("gradient %d differs", i)
		}
	}
}

// TestEverythingReturnsToThePool: after Reset nothing is handed out any more.
func TestEverythingReturnsToThePool(t *testing.T) {
	for name, run := range map[string]func(tape *Tape, net *tinyNet){
		"training":        func(tape *Tape, net *tinyNet) { x, l := tinyBatch(4); net.step(tape, x, l) },
		"without Release": func(tape *Tape, net *tinyNet) { net.release = false; x, l := tinyBatch(4); net.step(tape, x, l) },
		"no backward":     func(tape *Tape, net *tinyNet) { x, _ := tinyBatch(4); net.forward(&Context{Tape: tape}, x) },
		"gradient stops early": func(tape *Tape, net *tinyNet) {
			x, _ := tinyBatch(4)
			ctx := &Context{Tape: tape, Training: true}
			_, feature := net.forward(ctx, x)
			net.forward(ctx, x) // no gradient reaches this one
			tape.Backward(Sum(ctx, Mul(ctx, feature, feature)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			net, tape := newTinyNet(), NewTape()
			net.release = true
			for range 2 {
				run(tape, net)
				tape.Reset()
			}
			if s := tape.Pool().Stats(); s.FreeBytes != s.Bytes || s.Bytes == 0 {
				t.Errorf("%d of %d bytes came back", s.FreeBytes, s.Bytes)
			}
		})
	}
}

// TestEvaluationWithPool: without a tape Release hands memory on at once.
func TestEvaluationWithPool(t *testing.T) {
	net := newTinyNet()
	net.release = true
	pool := tensor.NewPool()
	x, _ := tinyBatch(16)
	logits, feature := net.forward(&Context{Pool: pool}, x)
	want, _ := net.forward(&Context{}, x)
	if !slices.Equal(logits.Value.Float32s(), want.Value.Float32s()) {
		t.Error("the pool changes the result")
	}
	// Three activations are alive together, and a scaled weight; keeping everything
	// would take 25.
	activation := int64(16 * tinyChannels * 8 * 8 * 4)
	if s := pool.Stats(); s.Bytes > 4*activation {
		t.Errorf("evaluation took %d bytes, an activation has %d", s.Bytes, activation)
	}
	ctx := &Context{Pool: pool}
	ctx.Release(logits, feature)
}

func TestValuesAfterBackward(t *testing.T) {
	net, tape := newTinyNet(), NewTape()
	x, labels := tinyBatch(4)
	ctx := &Context{Tape: tape, Training: true}
	logits, feature := net.forward(ctx, x)
	other := Scale(ctx, feature, 2)
	other.Retain()
	loss := Scale(ctx, CrossEntropy(ctx, logits, labels), 0.5)
	want := slices.Clone(logits.Value.Float32s())
	wantOther := slices.Clone(other.Value.Float32s())
	tape.Backward(loss)
	if !slices.Equal(logits.Value.Float32s(), want) || !slices.Equal(other.Value.Float32s(), wantOther) {
		t.Error("logits or a retained result changed")
	}
	if loss.Value.Item() <= 0 {
		t.Errorf("loss %v", loss.Value.Item())
	}
	expectPanic(t, "given back to its pool", func() { feature.Value.Float32s() })
	grad := net.linear.Grad()
	tape.Reset()
	expectPanic(t, "given back to its pool", func() { logits.Value.Float32s() })
	if net.linear.Grad() != grad || grad.At(0, 0) != grad.At(0, 0) {
		t.Error("Reset took a parameter's gradient")
	}
	net.linear.ZeroGrad()
	if net.linear.Grad() != nil {
		t.Error("a gradient is left after ZeroGrad")
	}
}

// TestSharedMemoryIsFreedOnce: a view keeps its base alive, and the base is
// freed when both are released.
func TestSharedMemoryIsFreedOnce(t *testing.T) {
	pool := tensor.NewPool()
	ctx := &Context{Pool: pool}
	h := Scale(ctx, Constant(tensors(shape(3, 4))[0]), 2)
	view := Reshape(ctx, h, 12)
	viewOfView := Reshape(ctx, view, 2, 6)
	ctx.Release(h, view)
	if s := pool.Stats(); s.FreeBytes != 0 {
		t.Fatal("the base of a view in use was freed")
	}
	_ = viewOfView.Value.Float32s()
	ctx.Release(viewOfView)
	if s := pool.Stats(); s.FreeBytes != s.Bytes {
		t.Error("the last view did not free the memory")
	}
	expectPanic(t, "given back", func() { viewOfView.Value.Float32s() })
	expectPanic(t, "released before", func() { ctx.Release(view) })
	expectPanic(t, "was released before", func() { Scale(ctx, view, 1) })
}

func expectPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if msg, _ := recover().(string); !strings.Contains(msg, want) {
			t.Errorf("panic %q, want it to say %q", msg, want)
		}
	}()
	f()
}
