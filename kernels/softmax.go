package kernels

import (
	"fmt"
	"math"
)

// Rows of x are samples, columns classes. All functions subtract the largest
// entry first, so that nothing overflows.

func checkRows(name string, rows, c int, slices ...sliceLength) {
	if c < 1 || rows < 0 {
		panic(fmt.Sprintf("kernels: %s: %d rows of %d columns, want at least one column", name, rows, c))
	}
	checkLengths(name, rows*c, slices...)
}

// LogSumExp computes dst[r] = log sum exp(x[r]). A row of -Inf gives -Inf, a row
// with +Inf and without NaN +Inf.
func LogSumExp(dst, x []float32, rows, c int) {
	checkRows("LogSumExp", rows, c, length("x", x))
	checkLengths("LogSumExp", rows, length("dst", dst))
	eachRowBlock(rows, c, func(from, to int) {
		sums := takeScratch[float32](to - from)
		defer sums.drop()
		largest := dst[from:to]
		maxAndSum(&vecSumExp, largest, sums.data, from, to, c, x)
		for r, s := range sums.data {
			if m := float64(largest[r]); !math.IsInf(m, 0) {
				largest[r] = float32(m + math.Log(float64(s)))
			} else if row := x[(from+r)*c : (from+r+1)*c]; hasNaN(row) {
				largest[r] = float32(math.NaN())
			}
		}
	})
}

// maxAndSum computes the largest entry of each row and the sum over the row of
// exp(x - largest), which the kernel may store to further streams.
func maxAndSum(k *vectorKernel, largest, sums []float32, from, to, c int, x []float32, further ...vectorStream) {
	in := matrix(x[from*c:], c)
	vecMaxRow.block(0, to-from, c, nil, in, perRow(largest))
	k.block(0, to-from, c, nil, append([]vectorStream{in, perRow(largest), perRow(sums)}, further...)...)
}

func hasNaN(row []float32) bool {
	for _, v := range row {
		if v != v {
			return true
		}
	}
	return false
}

// Softmax computes y = exp(x) / sum exp(x) of each row. Terms below the normal
// float32 numbers are 0. y may be x.
func Softmax(y, x []float32, rows, c int) {
	checkRows("Softmax", rows, c, length("y", y), length("x", x))
	eachRowBlock(rows, c, func(from, to int) {
		numbers := takeScratch[float32](2 * (to - from))
		defer numbers.drop()
		largest, sums := numbers.data[:to-from], numbers.data[to-from:]
		out := matrix(y[from*c:], c)
		maxAndSum(&vecExpSum, largest, sums, from, to, c, x, out)
		for r, s := range sums {
			sums[r] = 1 / s
		}
		vecScaleRow.block(0, to-from, c, nil, out, perRow(sums), out)
	})
}

// LogSoftmax computes y = x - log sum exp(x) of each row. y may be x.
func LogSoftmax(y, x []float32, rows, c int) {
	checkRows("LogSoftmax", rows, c, length("y", y), length("x", x))
	eachRowBlock(rows, c, func(from, to int) {
		numbers := takeScratch[float32](2 * (to - from))
		defer numbers.drop()
		largest, sums := numbers.data[:to-from], numbers.data[to-from:]
		maxAndSum(&vecSumExp, largest, sums, from, to, c, x)
		for r, s := range sums {
			sums[r] = float32(math.Log(float64(s)))
		}
		// The largest entry is subtracted first, exactly where entries are near
		// each other: log sum exp(x) itself may be too large to hold the sum.
		vecShiftRow.block(0, to-from, c, nil, matrix(x[from*c:], c), perRow(largest), perRow(sums), matrix(y[from*c:], c))
	})
}

// SoftmaxBackward computes dx (+)= y*(dy - sum(dy*y)) from the output y. dx may
// be dy or y.
func SoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	checkRows("SoftmaxBackward", rows, c, length("dx", dx), length("dy", dy), length("y", y))
	k := [2]*vectorKernel{&vecSoftmaxGradient, &vecSoftmaxGradientAccumulate}[index(accumulate)]
	eachRowBlock(rows, c, func(from, to int) {
		dots := takeScratch[float32](to - from)
		defer dots.drop()
		g, p := matrix(dy[from*c:], c), matrix(y[from*c:], c)
		vecDotRow.block(0, to-from, c, nil, g, p, perRow(dots.data))
		k.block(0, to-from, c, nil, p, g, perRow(dots.data), matrix(dx[from*c:], c))
	})
}

// LogSoftmaxBackward computes dx (+)= dy - exp(y)*sum(dy) from the output y. dx
// may be dy or y.
func LogSoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	checkRows("LogSoftmaxBackward", rows, c, length("dx", dx), length("dy", dy), length("y", y))
	k := [2]*vectorKernel{&vecLogSoftmaxGradient, &vecLogSoftmaxGradientAccumulate}[index(accumulate)]
	eachRowBlock(rows, c, func(from, to int) {
		sums := takeScratch[float32](to - from)
		defer sums.drop()
		g := matrix(dy[from*c:], c)
		vecSumRow.block(0, to-from, c, nil, g, perRow(sums.data))
		k.block(0, to-from, c, nil, matrix(y[from*c:], c), g, perRow(sums.data), matrix(dx[from*c:], c))
	})
}

// LogSumExpBackward computes dx (+)= dy*exp(x - lse), dy and lse [rows]. dx may
// be x.
func LogSumExpBackward(dx, dy, x, lse []float32, rows, c int, accumulate bool) {
	checkRows("LogSumExpBackward", rows, c, length("dx", dx), length("x", x))
	checkLengths("LogSumExpBackward", rows, length("dy", dy), length("lse", lse))
	k := [2]*vectorKernel{&vecLogSumExpGradient, &vecLogSumExpGradientAccumulate}[index(accumulate)]
	k.rows(rows, c, nil, matrix(x, c), perRow(lse), perRow(dy), matrix(dx, c))
}

// CrossEntropy computes logp = log softmax(x) and loss[r] = -logp[r][label], in
// nats. Labels are in [0, c). logp may be x.
func CrossEntropy(loss, logp, x []float32, labels []int, rows, c int) {
	checkRows("CrossEntropy", rows, c, length("logp", logp), length("x", x))
	checkLengths("CrossEntropy", rows, length("loss", loss))
	checkLabels("CrossEntropy", labels, rows, c)
	LogSoftmax(logp, x, rows, c)
	for r, l := range labels {
		loss[r] = -logp[r*c+l]
	}
}

func checkLabels(name string, labels []int, rows, c int) {
	checkLengths(name, rows, sliceLength{name: "labels", got: len(labels)})
	for r, l := range labels {
		if l < 0 || l >= c {
			panic(fmt.Sprintf("kernels: %s: label %d of row %d, want 0 to %d", name, l, r, c-1))
		}
	}
}

// CrossEntropyBackward computes dx (+)= (softmax - onehot(label))*scale from the
// log softmax.
func CrossEntropyBackward(dx, logp []float32, labels []int, scale float32, rows, c int, accumulate bool) {
	checkRows("CrossEntropyBackward", rows, c, length("dx", dx), length("logp", logp))
	checkLabels("CrossEntropyBackward", labels, rows, c)
	k := [2]*vectorKernel{&vecCrossEntropyGradient, &vecCrossEntropyGradientAccumulate}[index(accumulate)]
	k.flat(rows*c, []float32{scale}, logp, dx)
	for r, l := range labels {
		dx[r*c+l] -= scale
	}
}
