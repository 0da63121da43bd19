package autograd

import (
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Softmax returns exp(x)/sum(exp(x)) of each row of x [N, classes].
func Softmax(ctx *Context, x *Variable) *Variable { return rowwise(ctx, OpSoftmax, nil, x) }

// LogSoftmax returns x - log sum exp(x) of each row of x [N, classes].
func LogSoftmax(ctx *Context, x *Variable) *Variable { return rowwise(ctx, OpLogSoftmax, nil, x) }

// LogSumExp returns log sum exp(x) of each row of x [N, classes]: [N].
func LogSumExp(ctx *Context, x *Variable) *Variable { return rowwise(ctx, OpLogSumExp, nil, x) }

// CrossEntropy returns the mean over the rows of logits [N, classes] of
// -log softmax(row)[label], in nats: a scalar.
func CrossEntropy(ctx *Context, logits *Variable, labels []int) *Variable {
	return rowwise(ctx, OpCrossEntropy, slices.Clone(labels), logits)
}

func rowwise(ctx *Context, op Op, attrs any, x *Variable) *Variable {
	dense := ToContiguous(ctx, x)
	y := Apply(ctx, op, attrs, dense)
	converted(ctx, dense, x)
	return y
}

// wantRows checks that x is a matrix with at least one class.
func (n *Node) wantRows() (rows, classes int) {
	rows, classes = n.wantMatrix(0, "x")
	if classes == 0 {
		n.fail("x is %v, want at least one class", n.value(0).Shape())
	}
	return rows, classes
}

func softmaxForward(ctx *Context, n *Node) {
	rows, classes := n.wantRows()
	kernels.Softmax(ctx.newLike(n, n.value(0)).Float32s(), n.floats(0), rows, classes)
}

func softmaxBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	y := n.Output.Value
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		kernels.SoftmaxBackward(g.Float32s(), dy.Float32s(), y.Float32s(), y.Dim(0), y.Dim(1), accumulate)
	}
}

func logSoftmaxForward(ctx *Context, n *Node) {
	rows, classes := n.wantRows()
	kernels.LogSoftmax(ctx.newLike(n, n.value(0)).Float32s(), n.floats(0), rows, classes)
}

func logSoftmaxBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	y := n.Output.Value
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		kernels.LogSoftmaxBackward(g.Float32s(), dy.Float32s(), y.Float32s(), y.Dim(0), y.Dim(1), accumulate)
	}
}

func logSumExpForward(ctx *Context, n *Node) {
	rows, classes := n.wantRows()
	kernels.LogSumExp(ctx.newValue(n, rows).Float32s(), n.floats(0), rows, classes)
}

func logSumExpBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	x := n.value(0)
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		kernels.LogSumExpBackward(g.Float32s(), dy.Float32s(), x.Float32s(), n.Output.Value.Float32s(), x.Dim(0), x.Dim(1), accumulate)
	}
}

func crossEntropyForward(ctx *Context, n *Node) {
	rows, classes := n.wantRows()
	labels := n.Attrs.([]int)
	if len(labels) != rows || rows == 0 {
		n.fail("%d labels for logits %v, want one per row and at least one row", len(labels), n.value(0).Shape())
	}
	for i, l := range labels {
		if l < 0 || l >= classes {
			n.fail("label %d of row %d, want 0 to %d for logits %v", l, i, classes-1, n.value(0).Shape())
		}
	}
	logp := ctx.save(n, tensor.Float32, rows, classes)
	losses := ctx.scratch(rows)
	kernels.CrossEntropy(losses.Float32s(), logp.Float32s(), n.floats(0), labels, rows, classes)
	ctx.newValue(n).Float32s()[0] = float32(kernels.Sum(losses.Float32s()) / float64(rows))
	n.pool.Put(losses)
}

func crossEntropyBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	logp := n.saved[0]
	rows, classes := logp.Dim(0), logp.Dim(1)
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		scale := float32(dy.Item() / float64(rows))
		kernels.CrossEntropyBackward(g.Float32s(), logp.Float32s(), n.Attrs.([]int), scale, rows, classes, accumulate)
	}
}
