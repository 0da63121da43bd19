package autograd

import (
	"math"
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// RunningStats are the statistics that batch normalisation gathers in training
// and uses in evaluation. Training forwards write them, so two of one model
// must not run at once.
type RunningStats struct {
	Mean, Var *tensor.Tensor // [C]; Var unbiased
	Batches   *int64         // training forwards so far (num_batches_tracked); may be nil
}

// BatchNormOptions are PyTorch's momentum and eps, and the activation applied to
// the result.
type BatchNormOptions struct {
	Momentum, Eps float64
	Activation    kernels.Activation
}

// BatchNormAttrs are the attributes of a recorded batch normalisation.
type BatchNormAttrs struct {
	BatchNormOptions
	Running  *RunningStats
	Training bool
}

// BatchNorm2d returns act((x - mean)/sqrt(variance + eps)·weight + bias + residual)
// for x [N, C, H, W], weight and bias [C] and residual like x or nil, as one
// operation. In training mean and (biased) variance are those of the batch and
// running is updated with the mean and the unbiased variance:
// running = (1-momentum)·running + momentum·batch. Else running is used and
// nothing written.
func BatchNorm2d(ctx *Context, x, weight, bias *Variable, running *RunningStats, o BatchNormOptions, residual *Variable) *Variable {
	image, other := ToImage(ctx, x), residual
	if residual != nil {
		other = ToImage(ctx, residual)
	}
	y := Apply(ctx, OpBatchNorm2d, BatchNormAttrs{o, running, ctx.Training}, image, weight, bias, other)
	converted(ctx, image, x)
	converted(ctx, other, residual)
	return y
}

// batchNormReads: x gives the normalised values again. The activation's derivative comes
// from x too where that is enough, else from the output. Weight is a parameter, which
// nobody frees, but it could be the result of an operation.
func batchNormReads(n *Node) reads {
	if n.Attrs.(BatchNormAttrs).Activation == kernels.ActNone || batchNormSlopesFromInput(n) {
		return 1 | 2
	}
	return 1 | 2 | readsOutput
}

// batchNormSlopesFromInput tells whether backward takes the activation's derivative from
// x, which it reads anyway: two tensors to read in place of three. Its sign is that of the
// output as long as the instruction-set level is that of forward.
func batchNormSlopesFromInput(n *Node) bool {
	a := n.Attrs.(BatchNormAttrs)
	return a.Training && a.Activation.SignSuffices() && n.value(3) == nil
}

func batchNormForward(ctx *Context, n *Node) {
	a := n.Attrs.(BatchNormAttrs)
	batch, c, h, w := n.wantImage(0, "x")
	rows := batch * h * w
	n.wantVector(1, "weight", c)
	n.wantVector(2, "bias", c)
	if a.Running == nil || a.Running.Mean.Len() != c || a.Running.Var.Len() != c {
		n.fail("the running statistics do not fit x %v, want [%d] each", n.value(0).Shape(), c)
	}
	if r := n.value(3); r != nil {
		if n.wantImage(3, "residual"); !slices.Equal(r.Shape(), n.value(0).Shape()) {
			n.fail("residual %v, want %v like x", r.Shape(), n.value(0).Shape())
		}
	}
	mean, invstd, scale, shift := batchNormSaved(ctx.save(n, tensor.Float32, 4, c))
	if a.Training {
		if rows < 2 {
			n.fail("x %v has one value per channel, training wants more", n.value(0).Shape())
		}
		if !n.takeMoments(mean, invstd) {
			batchNormStats(mean, invstd, n.value(0), rows, c)
		}
		a.update(mean, invstd, rows)
	} else {
		copy(mean, a.Running.Mean.Float32s())
		copy(invstd, a.Running.Var.Float32s())
	}
	a.affine(scale, shift, mean, invstd, n.floats(1), n.floats(2))
	y := ctx.newLike(n, n.value(0))
	normalize(y, n.value(0), scale, shift, n.value(3), a.Activation, rows, c)
	// The residual may be gone by then.
	n.repeatable = n.value(3) == nil
}

// takeMoments copies what the convolution that made input 0 gathered, if it did.
func (n *Node) takeMoments(mean, variance []float32) bool {
	x := n.Inputs[0]
	if x.moments == nil {
		return false
	}
	m, v := splitMoments(x.moments)
	copy(mean, m)
	copy(variance, v)
	n.pool.Put(x.moments)
	x.moments = nil
	return true
}

// batchNormSaved are the rows of what a node saves.
func batchNormSaved(t *tensor.Tensor) (mean, invstd, scale, shift []float32) {
	s, c := t.Float32s(), t.Dim(1)
	return s[:c], s[c : 2*c], s[2*c : 3*c], s[3*c:]
}

// batchNormAgain: the pass over x costs a hundredth of the convolution that reads
// its result, and lets half of the activations go.
func batchNormAgain(n *Node, y *tensor.Tensor) {
	c := y.Dim(1)
	_, _, scale, shift := batchNormSaved(n.saved[0])
	normalize(y, n.value(0), scale, shift, nil, n.Attrs.(BatchNormAttrs).Activation, y.Len()/c, c)
}

// addVector adds dv to the gradient of v.
func (t *Tape) addVector(v *Variable, dv []float32) {
	if g, accumulate := t.target(v); accumulate {
		kernels.Add(g.Float32s(), g.Float32s(), dv)
	} else if g != nil {
		copy(g.Float32s(), dv)
	}
}

// update moves the running statistics towards those of the batch.
func (a *BatchNormAttrs) update(mean, variance []float32, rows int) {
	m, v := a.Running.Mean.Float32s(), a.Running.Var.Float32s()
	unbiased := float64(rows) / float64(rows-1)
	for i := range mean {
		m[i] = float32((1-a.Momentum)*float64(m[i]) + a.Momentum*float64(mean[i]))
		v[i] = float32((1-a.Momentum)*float64(v[i]) + a.Momentum*float64(variance[i])*unbiased)
	}
	if a.Running.Batches != nil {
		*a.Running.Batches++
	}
}

// affine turns the variance into 1/sqrt(variance + eps), in place, and sets
// scale and shift so that x·scale + shift is the normalised result.
func (a *BatchNormAttrs) affine(scale, shift, mean, variance, weight, bias []float32) {
	for i, v := range variance {
		invstd := 1 / math.Sqrt(float64(v)+a.Eps)
		s := float64(weight[i]) * invstd
		variance[i] = float32(invstd)
		scale[i] = float32(s)
		shift[i] = float32(float64(bias[i]) - s*float64(mean[i]))
	}
}

// batchNormBackward needs, with dz = dy·act'(y) and xhat the normalised x, the
// sums of dz and dz·xhat, which are also the gradients of bias and weight. The
// gradient of x is written over dy where nobody else reads it.
func batchNormBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	a := n.Attrs.(BatchNormAttrs)
	x, residual := n.Inputs[0], (*Variable)(nil)
	if n.value(3) != nil {
		residual = n.Inputs[3]
	}
	c := x.Value.Dim(1)
	rows := x.Value.Len() / c
	mean, invstd, scale, shift := batchNormSaved(n.saved[0])
	sums := n.pool.Get(tensor.Float32, 2*c)
	defer n.pool.Put(sums)
	sumDz, sumDzXhat := sums.Float32s()[:c], sums.Float32s()[c:]
	if batchNormSlopesFromInput(n) {
		batchNormSumsFromInput(sumDz, sumDzXhat, dy, x.Value, scale, shift, mean, invstd, a.Activation, rows, c)
		t.addVector(n.Inputs[1], sumDzXhat)
		t.addVector(n.Inputs[2], sumDz)
		if g, accumulate := t.targetInPlace(n, x); g != nil {
			batchNormGradientFromInput(g, dy, x.Value, scale, shift, mean, invstd, n.floats(1), sumDz, sumDzXhat, a.Activation, rows, c, accumulate)
		}
		return
	}
	y := dy // any tensor of the length: without activation nobody looks
	if a.Activation != kernels.ActNone {
		y = n.Output.Value
	}
	batchNormSums(sumDz, sumDzXhat, dy, y, x.Value, mean, invstd, a.Activation, rows, c)
	t.addVector(n.Inputs[1], sumDzXhat)
	t.addVector(n.Inputs[2], sumDz)

	wantsResidual := residual != nil && residual.requiresGrad
	if wantsResidual && (a.Activation == kernels.ActNone || residual == x || !x.requiresGrad) {
		// The plain forms: no activation, so the residual's gradient is dy
		// itself; or the two gradients cannot be written in one pass.
		if a.Activation == kernels.ActNone {
			t.pass(n, residual, dy)
		} else {
			g, accumulate := t.target(residual)
			activationBackward(g, dy, y, a.Activation, accumulate)
		}
		wantsResidual = false
	}
	var dresidual *tensor.Tensor
	var accumulateResidual bool
	if wantsResidual {
		dresidual, accumulateResidual = t.target(residual)
	}
	if g, accumulate := t.targetInPlace(n, x); g != nil {
		batchNormGradient(g, dresidual, dy, y, x.Value, mean, invstd, n.floats(1), sumDz, sumDzXhat,
			a.Activation, rows, c, a.Training, accumulate, accumulateResidual)
	}
}
