package autograd

import (
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Linear returns x·weightᵀ + bias for x [N, in], weight [out, in] and bias
// [out], which may be nil: [N, out].
func Linear(ctx *Context, x, weight, bias *Variable) *Variable {
	dense := ToContiguous(ctx, x)
	y := Apply(ctx, OpLinear, nil, dense, weight, bias)
	converted(ctx, dense, x)
	return y
}

// MatMul returns the matrix product of a [M, K] and b [K, N].
func MatMul(ctx *Context, a, b *Variable) *Variable {
	denseA, denseB := ToContiguous(ctx, a), ToContiguous(ctx, b)
	y := Apply(ctx, OpMatMul, nil, denseA, denseB)
	converted(ctx, denseA, a)
	converted(ctx, denseB, b)
	return y
}

func linearForward(ctx *Context, n *Node) {
	rows, in := n.wantMatrix(0, "x")
	out, want := n.wantMatrix(1, "weight")
	if in != want {
		n.fail("x %v has %d features, weight %v wants %d", n.value(0).Shape(), in, n.value(1).Shape(), want)
	}
	y := ctx.newValue(n, rows, out).Float32s()
	kernels.Gemm(false, true, rows, out, in, n.floats(0), in, n.floats(1), in, false, y, out)
	if n.value(2) != nil {
		n.wantVector(2, "bias", out)
		kernels.AddBiasRows(y, n.floats(2), rows, out)
	}
}

func linearBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	rows, in, out := dy.Dim(0), n.value(1).Dim(1), dy.Dim(1)
	if g, accumulate := t.target(n.Inputs[1]); g != nil {
		kernels.Gemm(true, false, out, in, rows, dy.Float32s(), out, n.floats(0), in, accumulate, g.Float32s(), in)
	}
	biasBackward(t, n, dy, rows, out)
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		kernels.Gemm(false, false, rows, in, out, dy.Float32s(), out, n.floats(1), in, accumulate, g.Float32s(), in)
	}
}

func matMulForward(ctx *Context, n *Node) {
	m, k := n.wantMatrix(0, "a")
	rows, columns := n.wantMatrix(1, "b")
	if k != rows {
		n.fail("a %v has %d columns, b %v has %d rows, want equal numbers", n.value(0).Shape(), k, n.value(1).Shape(), rows)
	}
	y := ctx.newValue(n, m, columns).Float32s()
	kernels.Gemm(false, false, m, columns, k, n.floats(0), k, n.floats(1), columns, false, y, columns)
}

func matMulBackward(t *Tape, n *Node, dy *tensor.Tensor) {
	m, columns, k := dy.Dim(0), dy.Dim(1), n.value(0).Dim(1)
	if g, accumulate := t.target(n.Inputs[0]); g != nil {
		kernels.Gemm(false, true, m, k, columns, dy.Float32s(), columns, n.floats(1), columns, accumulate, g.Float32s(), k)
	}
	if g, accumulate := t.target(n.Inputs[1]); g != nil {
		kernels.Gemm(true, false, k, columns, m, n.floats(0), k, dy.Float32s(), columns, accumulate, g.Float32s(), columns)
	}
}
