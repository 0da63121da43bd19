package autograd

import (
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Kernels exist per element type. Here, and only here and in conv_weights.go, a rule
// is led to the one for its tensors: half tells which. Functions are those of package
// kernels, on tensors of the same names.

func half(t *tensor.Tensor) bool { return t.DType() == tensor.BFloat16 }

// halves and floats give the elements of a tensor, nil of none.
func halves(t *tensor.Tensor) []uint16 {
	if t == nil {
		return nil
	}
	return t.BFloat16s()
}

func floats(t *tensor.Tensor) []float32 {
	if t == nil {
		return nil
	}
	return t.Float32s()
}

func add(y, a, b *tensor.Tensor) {
	if half(y) {
		kernels.Add(halves(y), halves(a), halves(b))
		return
	}
	kernels.Add(floats(y), floats(a), floats(b))
}

func mul(y, a, b *tensor.Tensor) {
	if half(y) {
		kernels.Mul(halves(y), halves(a), halves(b))
		return
	}
	kernels.Mul(floats(y), floats(a), floats(b))
}

func scale(y, x *tensor.Tensor, factor float32) {
	if half(y) {
		kernels.Scale(halves(y), halves(x), factor)
		return
	}
	kernels.Scale(floats(y), floats(x), factor)
}

// axpyInto adds s·x to g, of equal layout.
func axpyInto(g *tensor.Tensor, s float32, x *tensor.Tensor) {
	if half(g) {
		kernels.Axpy(halves(g), s, halves(x))
		return
	}
	kernels.Axpy(floats(g), s, floats(x))
}

func sumRows(sums []float32, x *tensor.Tensor, rows, columns int, accumulate bool) {
	if half(x) {
		kernels.SumRows(sums, halves(x), rows, columns, accumulate)
		return
	}
	kernels.SumRows(sums, floats(x), rows, columns, accumulate)
}

func activationForward(y, x *tensor.Tensor, act kernels.Activation) {
	if half(y) {
		kernels.ActivationForward(halves(y), halves(x), act)
		return
	}
	kernels.ActivationForward(floats(y), floats(x), act)
}

func activationBackward(dx, dy, y *tensor.Tensor, act kernels.Activation, accumulate bool) {
	if half(dx) {
		kernels.ActivationBackward(halves(dx), halves(dy), halves(y), act, accumulate)
		return
	}
	kernels.ActivationBackward(floats(dx), floats(dy), floats(y), act, accumulate)
}

func dropout(y, x *tensor.Tensor, a DropoutAttrs) {
	if half(y) {
		kernels.Dropout(halves(y), halves(x), a.Key, a.P)
		return
	}
	kernels.Dropout(floats(y), floats(x), a.Key, a.P)
}

func dropoutGradient(dx, dy *tensor.Tensor, a DropoutAttrs, accumulate bool) {
	if half(dx) {
		kernels.DropoutBackward(halves(dx), halves(dy), a.Key, a.P, accumulate)
		return
	}
	kernels.DropoutBackward(floats(dx), floats(dy), a.Key, a.P, accumulate)
}

func maxPool(y, index, x *tensor.Tensor, s kernels.Pool2dShape) {
	if half(y) {
		kernels.MaxPool2dForward(halves(y), index.Int32s(), halves(x), s)
		return
	}
	kernels.MaxPool2dForward(floats(y), index.Int32s(), floats(x), s)
}

func maxPoolGradient(dx, dy, index *tensor.Tensor, s kernels.Pool2dShape, accumulate bool) {
	if half(dx) {
		kernels.MaxPool2dBackward(halves(dx), halves(dy), index.Int32s(), s, accumulate)
		return
	}
	kernels.MaxPool2dBackward(floats(dx), floats(dy), index.Int32s(), s, accumulate)
}

func avgPool(y, x *tensor.Tensor, s kernels.Pool2dShape) {
	if half(y) {
		kernels.AvgPool2dForward(halves(y), halves(x), s)
		return
	}
	kernels.AvgPool2dForward(floats(y), floats(x), s)
}

func avgPoolGradient(dx, dy *tensor.Tensor, s kernels.Pool2dShape, accumulate bool) {
	if half(dx) {
		kernels.AvgPool2dBackward(halves(dx), halves(dy), s, accumulate)
		return
	}
	kernels.AvgPool2dBackward(floats(dx), floats(dy), s, accumulate)
}

func padChannels(y, x *tensor.Tensor, rows, c, cOut int) {
	if half(y) {
		kernels.PadChannels(halves(y), halves(x), rows, c, cOut)
		return
	}
	kernels.PadChannels(floats(y), floats(x), rows, c, cOut)
}

func padChannelsGradient(dx, dy *tensor.Tensor, rows, c, cOut int, accumulate bool) {
	if half(dx) {
		kernels.PadChannelsBackward(halves(dx), halves(dy), rows, c, cOut, accumulate)
		return
	}
	kernels.PadChannelsBackward(floats(dx), floats(dy), rows, c, cOut, accumulate)
}

func batchNormStats(mean, variance []float32, x *tensor.Tensor, rows, c int) {
	if half(x) {
		kernels.BatchNormStats(mean, variance, halves(x), rows, c)
		return
	}
	kernels.BatchNormStats(mean, variance, floats(x), rows, c)
}

// normalize is kernels.BatchNormForward.
func normalize(y, x *tensor.Tensor, scale, shift []float32, residual *tensor.Tensor, act kernels.Activation, rows, c int) {
	if half(y) {
		kernels.BatchNormForward(halves(y), halves(x), scale, shift, halves(residual), act, rows, c)
		return
	}
	kernels.BatchNormForward(floats(y), floats(x), scale, shift, floats(residual), act, rows, c)
}

// batchNormSums is kernels.BatchNormBackwardReduce.
func batchNormSums(sumDz, sumDzXhat []float32, dy, y, x *tensor.Tensor, mean, invstd []float32, act kernels.Activation, rows, c int) {
	if half(dy) {
		kernels.BatchNormBackwardReduce(sumDz, sumDzXhat, halves(dy), halves(y), halves(x), mean, invstd, act, rows, c)
		return
	}
	kernels.BatchNormBackwardReduce(sumDz, sumDzXhat, floats(dy), floats(y), floats(x), mean, invstd, act, rows, c)
}

// batchNormSumsFromInput is kernels.BatchNormBackwardReduceFromInput.
func batchNormSumsFromInput(sumDz, sumDzXhat []float32, dy, x *tensor.Tensor, scale, shift, mean, invstd []float32, act kernels.Activation, rows, c int) {
	if half(dy) {
		kernels.BatchNormBackwardReduceFromInput(sumDz, sumDzXhat, halves(dy), halves(x), scale, shift, mean, invstd, act, rows, c)
		return
	}
	kernels.BatchNormBackwardReduceFromInput(sumDz, sumDzXhat, floats(dy), floats(x), scale, shift, mean, invstd, act, rows, c)
}

// batchNormGradientFromInput is kernels.BatchNormBackwardFromInput.
func batchNormGradientFromInput(dx, dy, x *tensor.Tensor, scale, shift, mean, invstd, gamma, sumDz, sumDzXhat []float32, act kernels.Activation, rows, c int, accumulate bool) {
	if half(dx) {
		kernels.BatchNormBackwardFromInput(halves(dx), halves(dy), halves(x), scale, shift, mean, invstd, gamma, sumDz, sumDzXhat, act, rows, c, accumulate)
		return
	}
	kernels.BatchNormBackwardFromInput(floats(dx), floats(dy), floats(x), scale, shift, mean, invstd, gamma, sumDz, sumDzXhat, act, rows, c, accumulate)
}

// batchNormGradient is kernels.BatchNormBackward.
func batchNormGradient(dx, dresidual, dy, y, x *tensor.Tensor, mean, invstd, gamma, sumDz, sumDzXhat []float32, act kernels.Activation, rows, c int, training, accumulate, accumulateResidual bool) {
	if half(dx) {
		kernels.BatchNormBackward(halves(dx), halves(dresidual), halves(dy), halves(y), halves(x), mean, invstd, gamma, sumDz, sumDzXhat,
			act, rows, c, training, accumulate, accumulateResidual)
		return
	}
	kernels.BatchNormBackward(floats(dx), floats(dresidual), floats(dy), floats(y), floats(x), mean, invstd, gamma, sumDz, sumDzXhat,
		act, rows, c, training, accumulate, accumulateResidual)
}
