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

// By activation, and accumulate.
var (
	batchNormReduceFromInput   = [numActivations]*vectorKernel{ActReLU: &vecBatchNormReduceFromInputReLU, ActLeakyReLU: &vecBatchNormReduceFromInputLeakyReLU}
	batchNormBackwardFromInput = [numActivations][2]*vectorKernel{
		ActReLU:      {&vecBatchNormGradientFromInputReLU, &vecBatchNormGradientFromInputReLUAccumulate},
		ActLeakyReLU: {&vecBatchNormGradientFromInputLeakyReLU, &vecBatchNormGradientFromInputLeakyReLUAccumulate},
	}
)

// BatchNormStats computes mean and biased variance of each channel of x
// [rows][c]. Blocks of rows are summed about a mean of their own and then
// combined in float64 (Chan, Golub, LeVeque 1979), so neither a large mean nor
// many rows cost accuracy.
func BatchNormStats[E Element](mean, variance []float32, x []E, rows, c int) {
	checkLengths("BatchNormStats", c, length("mean", mean), length("variance", variance))
	checkLengths("BatchNormStats", rows*c, length("x", x))
	if rows == 0 {
		panic("kernels: BatchNormStats: no rows, want at least 1")
	}
	m := newMoments(mean, variance, x, rows, c)
	defer m.drop()
	momentsLoop.parallel(m.count(), m)
	m.finish()
}

// moments are those of the columns of x, on the way.
type moments struct {
	sum, deviations *vectorKernel
	mean, variance  []float32
	x               vectorStream
	rows, c         int

	// Of each block of rows the centre, the sum of deviations from it, and that of
	// their squares, all [rowFold(c)*c].
	blocks *scratch[float32]
}

func newMoments[E Element](mean, variance []float32, x []E, rows, c int) moments {
	m := moments{
		sum: kernelOf[E](&vecSumRows), deviations: kernelOf[E](&vecDeviations),
		mean: mean, variance: variance, x: matrix(x, c), rows: rows, c: c,
	}
	m.blocks = takeScratch[float32](m.count() * 3 * rowFold(c) * c)
	clear(m.blocks.data)
	return m
}

func (m *moments) drop() { m.blocks.drop() }

// count is the number of blocks.
func (m *moments) count() int { return ceilDiv(m.rows, rowBlock(m.c)) }

// finish computes mean and variance once all blocks are summed up.
func (m *moments) finish() { combineMomentsLoop.parallel(ceilDiv(m.c, momentsColumns), *m) }

var (
	momentsLoop        = newLoop((*moments).block)
	combineMomentsLoop = newLoop((*moments).combine)
)

// block sums up one block of rows.
func (m *moments) block(b int) {
	c, width := m.c, rowFold(m.c)*m.c
	rows := blockSpan(rowBlock(c), m.rows, b)
	part := func(i int) vectorStream { return vectorStream{data: m.blocks.data[i*width:], block: 3 * width} }
	head := centreRows(rows.len(), c)
	m.sum.foldedBlock(rows.from, rows.from+head, c, nil, []vectorStream{m.x, part(0)})
	centre(m.blocks.data[b*3*width:][:width], c, head)
	m.deviations.foldedBlock(rows.from, rows.to, c, nil, []vectorStream{m.x, part(0), part(1), part(2)})
}

// centreRows is how many of the first n rows give the centre of a block: an
// eighth. Their mean is all but the block's, or where it is not the variance is
// large: in units of the block's variance the squared distance of the two means
// is at most (1-f)/f for a part f of the rows. So a block is read once and taking
// that square off the sum of squares loses three bits at the worst.
func centreRows(n, c int) int {
	fold := rowFold(c)
	return min(n, (n/8+fold)/fold*fold)
}

// centre turns sums over n rows, folded to several sums per channel, into the
// mean, repeated as often.
func centre(sums []float32, c, n int) {
	for at := c; at < len(sums); at += c {
		for j, v := range sums[at : at+c] {
			sums[j] += v
		}
	}
	factor := 1 / float32(n)
	for j := range c {
		sums[j] *= factor
	}
	repeat(sums[c:], sums[:c])
}

// momentsColumns is for how many channels a task merges the blocks.
const momentsColumns = 64

// combine merges the blocks of some channels. A centre is only near the mean of its
// block: the sum of deviations from it puts that right.
func (m *moments) combine(t int) {
	c, size, width := m.c, rowBlock(m.c), rowFold(m.c)*m.c
	var mean, s [momentsColumns]float64
	first, last := t*momentsColumns, min((t+1)*momentsColumns, c)
	for at := 0; at < m.rows; at += size {
		n := float64(min(size, m.rows-at))
		weight := n / (float64(at) + n)
		between, inverse := float64(at)*weight, 1/n
		block := m.blocks.data[at/size*3*width:][:3*width]
		for j := first; j < last; j++ {
			var sum, squares float64
			for i := j; i < width; i += c {
				sum += float64(block[width+i])
				squares += float64(block[2*width+i])
			}
			d := float64(block[j]) + sum*inverse - mean[j-first]
			mean[j-first] += d * weight
			s[j-first] += squares - sum*sum*inverse + d*d*between
		}
	}
	for j := first; j < last; j++ {
		m.mean[j], m.variance[j] = float32(mean[j-first]), float32(max(0, s[j-first])/float64(m.rows))
	}
}

// BatchNormForward computes y = act(x*scale + shift + residual) for x [rows][c],
// scale and shift [c], residual [rows][c] or nil. y may be x or residual.
func BatchNormForward[E Element](y, x []E, scale, shift []float32, residual []E, act Activation, rows, c int) {
	act.check("BatchNormForward")
	checkLengths("BatchNormForward", rows*c, length("y", y), length("x", x))
	checkLengths("BatchNormForward", c, length("scale", scale), length("shift", shift))
	streams := append(make([]vectorStream, 0, maxVectorStreams), matrix(y, c), matrix(x, c), parameters(scale), parameters(shift))
	if residual != nil {
		checkLengths("BatchNormForward", rows*c, length("residual", residual))
		streams = append(streams, matrix(residual, c))
	}
	kernelOf[E](batchNormForward[act][index(residual != nil)]).channels(rows, c, nil, streams...)
}

// BatchNormBackwardReduce computes the sums over rows of dz = dy*act'(z) and of
// dz*xhat, xhat = (x-mean)*invstd. The derivative is taken from the output y,
// which ActNone does not read.
func BatchNormBackwardReduce[E Element](sumDz, sumDzXhat []float32, dy, y, x []E, mean, invstd []float32, act Activation, rows, c int) {
	checkBatchNormBackward("BatchNormBackwardReduce", dy, y, x, act, rows, c)
	checkLengths("BatchNormBackwardReduce", c, length("sumDz", sumDz), length("sumDzXhat", sumDzXhat), length("mean", mean), length("invstd", invstd))
	if act == ActNone {
		y = nil
	}
	batchNormSums(sumDz, sumDzXhat, invstd, columnSums(kernelOf[E](batchNormReduce[act]), rows, c, 2,
		matrix(dy, c), matrix(y, c), matrix(x, c), parameters(mean)))
}

// batchNormSums takes the sums of dz and dz*(x-mean) from sums, and drops them.
func batchNormSums(sumDz, sumDzXhat, invstd []float32, sums *scratch[float64]) {
	c := len(sumDz)
	for j := range c {
		sumDz[j], sumDzXhat[j] = float32(sums.data[j]), float32(sums.data[c+j]*float64(invstd[j]))
	}
	sums.drop()
}

// BatchNormBackwardReduceFromInput is BatchNormBackwardReduce where y is
// act(x*scale + shift), which need not be read: the sign of the sum is enough for
// activations that pass act.SignSuffices. It is that of y, unless rounding y to bfloat16
// made it 0.
func BatchNormBackwardReduceFromInput[E Element](sumDz, sumDzXhat []float32, dy, x []E, scale, shift, mean, invstd []float32, act Activation, rows, c int) {
	const name = "BatchNormBackwardReduceFromInput"
	checkBatchNormFromInput(name, dy, x, scale, shift, act, rows, c)
	checkLengths(name, c, length("sumDz", sumDz), length("sumDzXhat", sumDzXhat), length("mean", mean), length("invstd", invstd))
	batchNormSums(sumDz, sumDzXhat, invstd, columnSums(kernelOf[E](batchNormReduceFromInput[act]), rows, c, 2,
		matrix(dy, c), matrix(x, c), parameters(scale), parameters(shift), parameters(mean)))
}

func checkBatchNormFromInput[E Element](name string, dy, x []E, scale, shift []float32, act Activation, rows, c int) {
	act.check(name)
	if !act.SignSuffices() {
		panic(fmt.Sprintf("kernels: %s: activation %v, want one whose derivative depends on a sign", name, act))
	}
	checkLengths(name, rows*c, length("dy", dy), length("x", x))
	checkLengths(name, c, length("scale", scale), length("shift", shift))
}

func checkBatchNormBackward[E Element](name string, dy, y, x []E, act Activation, rows, c int) {
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
func BatchNormBackward[E Element](dx, dresidual, dy, y, x []E, mean, invstd, gamma, sumDz, sumDzXhat []float32, act Activation, rows, c int, training, accumulate, accumulateResidual bool) {
	checkBatchNormBackward("BatchNormBackward", dy, y, x, act, rows, c)
	checkLengths("BatchNormBackward", rows*c, length("dx", dx))
	checkLengths("BatchNormBackward", c, length("invstd", invstd), length("gamma", gamma))
	if training {
		checkLengths("BatchNormBackward", c, length("mean", mean), length("sumDz", sumDz), length("sumDzXhat", sumDzXhat))
		if x == nil {
			panic(fmt.Sprintf("kernels: BatchNormBackward: training without x, want %d elements", rows*c))
		}
	}
	f := newBatchNormFactors(mean, invstd, gamma, sumDz, sumDzXhat, rows, training)
	defer f.memory.drop()
	streams := append(make([]vectorStream, 0, maxVectorStreams), matrix(dy, c), matrix(y, c), matrix(x, c),
		parameters(f.b), parameters(f.c), parameters(f.a), matrix(dx, c))
	if act == ActNone {
		streams[1] = vectorStream{}
	}
	if !training {
		streams[2] = vectorStream{}
	}
	residual := 0
	if dresidual != nil {
		checkLengths("BatchNormBackward", rows*c, length("dresidual", dresidual))
		streams = append(streams, matrix(dresidual, c))
		residual = 1 + index(accumulateResidual)
	}
	kernelOf[E](batchNormBackward[act][index(!training)][index(accumulate)][residual]).channels(rows, c, nil, streams...)
}

// BatchNormBackwardFromInput is BatchNormBackward in training, without a residual, where
// y is act(x*scale + shift), which need not be read: see
// BatchNormBackwardReduceFromInput. dx may be dy.
func BatchNormBackwardFromInput[E Element](dx, dy, x []E, scale, shift, mean, invstd, gamma, sumDz, sumDzXhat []float32, act Activation, rows, c int, accumulate bool) {
	const name = "BatchNormBackwardFromInput"
	checkBatchNormFromInput(name, dy, x, scale, shift, act, rows, c)
	checkLengths(name, rows*c, length("dx", dx))
	checkLengths(name, c, length("mean", mean), length("invstd", invstd), length("gamma", gamma), length("sumDz", sumDz), length("sumDzXhat", sumDzXhat))
	f := newBatchNormFactors(mean, invstd, gamma, sumDz, sumDzXhat, rows, true)
	defer f.memory.drop()
	kernelOf[E](batchNormBackwardFromInput[act][index(accumulate)]).channels(rows, c, nil, matrix(dy, c), matrix(x, c),
		parameters(scale), parameters(shift), parameters(f.a), parameters(f.b), parameters(f.c), matrix(dx, c))
}

// batchNormFactors are those of dx = a*dz + b*x + c, by channel. In evaluation b and c are
// not set, and not read.
type batchNormFactors struct {
	a, b, c []float32
	memory  *scratch[float32]
}

func newBatchNormFactors(mean, invstd, gamma, sumDz, sumDzXhat []float32, rows int, training bool) batchNormFactors {
	n := len(gamma)
	memory := takeScratch[float32](3 * n)
	f := batchNormFactors{memory.data[:n], memory.data[n : 2*n], memory.data[2*n : 3*n], memory}
	for j := range n {
		scale := float64(gamma[j]) * float64(invstd[j])
		f.a[j] = float32(scale)
		if training {
			slope := -scale * float64(invstd[j]) * float64(sumDzXhat[j]) / float64(rows)
			f.b[j] = float32(slope)
			f.c[j] = float32(-scale*float64(sumDz[j])/float64(rows) - slope*float64(mean[j]))
		}
	}
	return f
}

// InvStd computes dst = 1/sqrt(variance + eps).
func InvStd(dst, variance []float32, eps float64) {
	checkLengths("InvStd", len(dst), length("variance", variance))
	for j, v := range variance {
		dst[j] = float32(1 / math.Sqrt(float64(v)+eps))
	}
}
