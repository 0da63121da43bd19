package kernels

import (
	"fmt"
	"math"
)

var (
	batchNormForward = [numActivations][2]*vectorKernel{
		{&vecBatchNormNone, &vecBatchNormNoneResidual}, {&vecBatchNormReLU, &vecBatchNormReLUResidual},
		{&vecBatchNormLeakyReLU, &vecBatchNormLeakyReLUResidual}, {&vecBatchNormELU, &vecBatchNormELUResidual},
	}
	batchNormReduce = [numActivations]*vectorKernel{&vecBatchNormReduceNone, &vecBatchNormReduceReLU, &vecBatchNormReduceLeakyReLU, &vecBatchNormReduceELU}
	// By activation, evaluation, accumulate, and what happens to dresidual:
	// nothing, written, added to.
	batchNormBackward = [numActivations][2][2][3]*vectorKernel{
		{
			{{&vecBatchNormGradientNone, &vecBatchNormGradientNoneResidual, &vecBatchNormGradientNoneAddResidual},
				{&vecBatchNormGradientNoneAccumulate, &vecBatchNormGradientNoneAccumulateResidual, &vecBatchNormGradientNoneAccumulateAddResidual}},
			{{&vecBatchNormGradientNoneEval, &vecBatchNormGradientNoneEvalResidual, &vecBatchNormGradientNoneEvalAddResidual},
				{&vecBatchNormGradientNoneEvalAccumulate, &vecBatchNormGradientNoneEvalAccumulateResidual, &vecBatchNormGradientNoneEvalAccumulateAddResidual}},
		}, {
			{{&vecBatchNormGradientReLU, &vecBatchNormGradientReLUResidual, &vecBatchNormGradientReLUAddResidual},
				{&vecBatchNormGradientReLUAccumulate, &vecBatchNormGradientReLUAccumulateResidual, &vecBatchNormGradientReLUAccumulateAddResidual}},
			{{&vecBatchNormGradientReLUEval, &vecBatchNormGradientReLUEvalResidual, &vecBatchNormGradientReLUEvalAddResidual},
				{&vecBatchNormGradientReLUEvalAccumulate, &vecBatchNormGradientReLUEvalAccumulateResidual, &vecBatchNormGradientReLUEvalAccumulateAddResidual}},
		}, {
			{{&vecBatchNormGradientLeakyReLU, &vecBatchNormGradientLeakyReLUResidual, &vecBatchNormGradientLeakyReLUAddResidual},
				{&vecBatchNormGradientLeakyReLUAccumulate, &vecBatchNormGradientLeakyReLUAccumulateResidual, &vecBatchNormGradientLeakyReLUAccumulateAddResidual}},
			{{&vecBatchNormGradientLeakyReLUEval, &vecBatchNormGradientLeakyReLUEvalResidual, &vecBatchNormGradientLeakyReLUEvalAddResidual},
				{&vecBatchNormGradientLeakyReLUEvalAccumulate, &vecBatchNormGradientLeakyReLUEvalAccumulateResidual, &vecBatchNormGradientLeakyReLUEvalAccumulateAddResidual}},
		}, {
			{{&vecBatchNormGradientELU, &vecBatchNormGradientELUResidual, &vecBatchNormGradientELUAddResidual},
				{&vecBatchNormGradientELUAccumulate, &vecBatchNormGradientELUAccumulateResidual, &vecBatchNormGradientELUAccumulateAddResidual}},
			{{&vecBatchNormGradientELUEval, &vecBatchNormGradientELUEvalResidual, &vecBatchNormGradientELUEvalAddResidual},
				{&vecBatchNormGradientELUEvalAccumulate, &vecBatchNormGradientELUEvalAccumulateResidual, &vecBatchNormGradientELUEvalAccumulateAddResidual}},
		},
	}
)

// BatchNormStats computes mean and biased variance of each channel of x
// [rows][c]. Blocks of rows are summed about their own mean while they are in
// cache and then combined in float64 (Chan, Golub, LeVeque 1979), so neither a
// large mean nor many rows cost accuracy.
func BatchNormStats(mean, variance []float32, x []float32, rows, c int) {
	checkLengths("BatchNormStats", c, length("mean", mean), length("variance", variance))
	checkLengths("BatchNormStats", rows*c, length("x", x))
	if rows == 0 {
		panic("kernels: BatchNormStats: no rows, want at least 1")
	}
	size := rowBlock(c)
	blocks := (rows + size - 1) / size
	partial := takeScratch[float32](blocks * 2 * c)
	defer partial.drop()
	Parallel(blocks, func(b int) {
		from, to := b*size, min((b+1)*size, rows)
		mean, squares := partial.data[2*b*c:(2*b+1)*c], partial.data[(2*b+1)*c:(2*b+2)*c]
		clear(mean)
		clear(squares)
		vecSumRows.block(from, to, c, nil, vectorStream{mean, 0}, vectorStream{x, c})
		vecScale.block(0, 1, c, []float32{1 / float32(to-from)}, vectorStream{mean, 0}, vectorStream{mean, 0})
		vecSquaredDeviations.block(from, to, c, nil, vectorStream{squares, 0}, vectorStream{x, c}, vectorStream{mean, 0})
	})
	combineMoments(mean, variance, partial.data, rows, c, size)
}

// combineMoments merges blocks of size rows, each with its mean and its sum of
// squared deviations.
func combineMoments(mean, variance, blocks []float32, rows, c, size int) {
	total := takeScratch[float64](2 * c)
	defer total.drop()
	m, s := total.data[:c], total.data[c:]
	clear(total.data)
	for at := 0; at < rows; at += size {
		n := float64(min(size, rows-at))
		weight := n / (float64(at) + n)
		between := float64(at) * weight
		block := blocks[at/size*2*c:]
		for j := range c {
			d := float64(block[j]) - m[j]
			m[j] += d * weight
			s[j] += float64(block[c+j]) + d*d*between
		}
	}
	for j := range c {
		mean[j], variance[j] = float32(m[j]), float32(s[j]/float64(rows))
	}
}

// BatchNormForward computes y = act(x*scale + shift + residual) for x [rows][c],
// scale and shift [c], residual [rows][c] or nil. y may be x or residual.
func BatchNormForward(y, x, scale, shift, residual []float32, act Activation, rows, c int) {
	act.check("BatchNormForward")
	checkLengths("BatchNormForward", rows*c, length("y", y), length("x", x))
	checkLengths("BatchNormForward", c, length("scale", scale), length("shift", shift))
	streams := []vectorStream{{y, c}, {x, c}, {scale, 0}, {shift, 0}}
	if residual != nil {
		checkLengths("BatchNormForward", rows*c, length("residual", residual))
		streams = append(streams, vectorStream{residual, c})
	}
	batchNormForward[act][index(residual != nil)].rows(rows, c, nil, streams...)
}

// BatchNormBackwardReduce computes the sums over rows of dz = dy*act'(z) and of
// dz*xhat, xhat = (x-mean)*invstd. The derivative is taken from the output y,
// which ActNone does not read.
func BatchNormBackwardReduce(sumDz, sumDzXhat []float32, dy, y, x, mean, invstd []float32, act Activation, rows, c int) {
	checkBatchNormBackward("BatchNormBackwardReduce", dy, y, x, act, rows, c)
	checkLengths("BatchNormBackwardReduce", c, length("sumDz", sumDz), length("sumDzXhat", sumDzXhat), length("mean", mean), length("invstd", invstd))
	sums := columnSums(rows, c, 2, func(sums []float32, from, to int) {
		batchNormReduce[act].block(from, to, c, nil, vectorStream{dy, c}, vectorStream{y, c}, vectorStream{x, c}, vectorStream{mean, 0},
			vectorStream{sums[:c], 0}, vectorStream{sums[c:], 0})
	})
	defer sums.drop()
	for j := range c {
		sumDz[j], sumDzXhat[j] = float32(sums.data[j]), float32(sums.data[c+j]*float64(invstd[j]))
	}
}

func checkBatchNormBackward(name string, dy, y, x []float32, act Activation, rows, c int) {
	act.check(name)
	checkLengths(name, rows*c, length("dy", dy))
	if act != ActNone {
		checkLengths(name, rows*c, length("y", y))
	}
	if x != nil {
		checkLengths(name, rows*c, length("x", x))
	}
}

// BatchNormBackward computes the gradients of y = act(batchnorm(x) + residual).
// With dz = dy*act'(z), in training, where mean and invstd are those of the batch,
//
//	dx (+)= gamma*invstd*(dz - sumDz/rows - xhat*sumDzXhat/rows),
//
// in evaluation dx (+)= gamma*invstd*dz, and dresidual (+)= dz unless it is nil.
// dx may be dy; dresidual may be dy if dx is not.
func BatchNormBackward(dx, dresidual, dy, y, x, mean, invstd, gamma, sumDz, sumDzXhat []float32, act Activation, rows, c int, training, accumulate, accumulateResidual bool) {
	checkBatchNormBackward("BatchNormBackward", dy, y, x, act, rows, c)
	checkLengths("BatchNormBackward", rows*c, length("dx", dx))
	checkLengths("BatchNormBackward", c, length("invstd", invstd), length("gamma", gamma))
	if training {
		checkLengths("BatchNormBackward", c, length("mean", mean), length("sumDz", sumDz), length("sumDzXhat", sumDzXhat))
		if x == nil {
			panic(fmt.Sprintf("kernels: BatchNormBackward: training without x, want %d elements", rows*c))
		}
	}
	coefficients := takeScratch[float32](3 * c)
	defer coefficients.drop()
	a, b, shift := coefficients.data[:c], coefficients.data[c:2*c], coefficients.data[2*c:]
	for j := range c {
		scale := float64(gamma[j]) * float64(invstd[j])
		a[j] = float32(scale)
		if training {
			slope := -scale * float64(invstd[j]) * float64(sumDzXhat[j]) / float64(rows)
			b[j] = float32(slope)
			shift[j] = float32(-scale*float64(sumDz[j])/float64(rows) - slope*float64(mean[j]))
		}
	}
	streams := []vectorStream{{dy, c}, {y, c}, {x, c}, {b, 0}, {shift, 0}, {a, 0}, {dx, c}}
	if !training {
		streams[2].data = nil
	}
	residual := 0
	if dresidual != nil {
		checkLengths("BatchNormBackward", rows*c, length("dresidual", dresidual))
		streams = append(streams, vectorStream{dresidual, c})
		residual = 1 + index(accumulateResidual)
	}
	batchNormBackward[act][index(!training)][index(accumulate)][residual].rows(rows, c, nil, streams...)
}

// InvStd computes dst = 1/sqrt(variance + eps).
func InvStd(dst, variance []float32, eps float64) {
	checkLengths("InvStd", len(dst), length("variance", variance))
	for j, v := range variance {
		dst[j] = float32(1 / math.Sqrt(float64(v)+eps))
	}
}
