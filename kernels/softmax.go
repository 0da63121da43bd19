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

// LogSumExp computes dst[r] = log sum exp(x[r]). A row of -Inf gives -Inf.
func LogSumExp(dst, x []float32, rows, c int) {
	checkRows("LogSumExp", rows, c, length("x", x))
	checkLengths("LogSumExp", rows, length("dst", dst))
	eachRowBlock(rows, c, func(from, to int) {
		e := takeScratch[float32]((to - from) * c)
		defer e.drop()
		shift := dst[from:to]
		for r := range shift {
			shift[r] = rowMax(x[(from+r)*c : (from+r+1)*c])
		}
		vecExp.block(0, to-from, c, nil, vectorStream{x[from*c:], c}, vectorStream{shift, 1}, vectorStream{e.data, c})
		for r, m := range shift {
			if !math.IsInf(float64(m), 0) {
				shift[r] = float32(float64(m) + math.Log(rowSum(e.data[r*c:(r+1)*c])))
			}
		}
	})
}

func rowMax(row []float32) float32 {
	m := row[0]
	for _, v := range row[1:] {
		if v > m || v != v {
			m = v
		}
	}
	return m
}

func rowSum(row []float32) float64 {
	s := 0.0
	for _, v := range row {
		s += float64(v)
	}
	return s
}

// Softmax computes y = exp(x) / sum exp(x) of each row. y may be x.
func Softmax(y, x []float32, rows, c int) {
	checkRows("Softmax", rows, c, length("y", y), length("x", x))
	eachRowBlock(rows, c, func(from, to int) {
		shift := takeScratch[float32](to - from)
		defer shift.drop()
		for r := range shift.data {
			shift.data[r] = rowMax(x[(from+r)*c : (from+r+1)*c])
		}
		vecExp.block(0, to-from, c, nil, vectorStream{x[from*c:], c}, vectorStream{shift.data, 1}, vectorStream{y[from*c:], c})
		for r := from; r < to; r++ {
			row := y[r*c : (r+1)*c]
			vecScale.block(0, 1, c, []float32{float32(1 / rowSum(row))}, vectorStream{row, 0}, vectorStream{row, 0})
		}
	})
}

// LogSoftmax computes y = x - log sum exp(x) of each row. y may be x.
func LogSoftmax(y, x []float32, rows, c int) {
	checkRows("LogSoftmax", rows, c, length("y", y), length("x", x))
	lse := takeScratch[float32](rows)
	defer lse.drop()
	LogSumExp(lse.data, x, rows, c)
	eachRowBlock(rows, c, func(from, to int) {
		for i := from * c; i < to*c; i++ {
			y[i] = x[i] - lse.data[i/c]
		}
	})
}

// SoftmaxBackward computes dx (+)= y*(dy - sum(dy*y)) from the output y.
func SoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	checkRows("SoftmaxBackward", rows, c, length("dx", dx), length("dy", dy), length("y", y))
	rowGradient(&vecSoftmaxGradient, dx, dy, y, rows, c, accumulate, func(r int) float64 {
		s := 0.0
		for j := r * c; j < (r+1)*c; j++ {
			s += float64(dy[j]) * float64(y[j])
		}
		return s
	})
}

// LogSoftmaxBackward computes dx (+)= dy - exp(y)*sum(dy) from the output y.
func LogSoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	checkRows("LogSoftmaxBackward", rows, c, length("dx", dx), length("dy", dy), length("y", y))
	rowGradient(&vecLogSoftmaxGradient, dx, dy, y, rows, c, accumulate, func(r int) float64 { return rowSum(dy[r*c : (r+1)*c]) })
}

// rowGradient runs a kernel with the streams dx, y, dy and a number per row.
func rowGradient(k *vectorKernel, dx, dy, y []float32, rows, c int, accumulate bool, number func(r int) float64) {
	numbers := takeScratch[float32](rows)
	defer numbers.drop()
	for r := range rows {
		numbers.data[r] = float32(number(r))
	}
	addTo(dx, accumulate, func(g []float32) {
		k.rows(rows, c, nil, vectorStream{g, c}, vectorStream{y, c}, vectorStream{dy, c}, vectorStream{numbers.data, 1})
	})
}

// addTo lets f write to dx, or with accumulate adds what f writes.
func addTo(dx []float32, accumulate bool, f func(g []float32)) {
	if !accumulate {
		f(dx)
		return
	}
	g := takeScratch[float32](len(dx))
	defer g.drop()
	f(g.data)
	Add(dx, dx, g.data)
}

// LogSumExpBackward computes dx (+)= dy*exp(x - lse), dy and lse [rows].
func LogSumExpBackward(dx, dy, x, lse []float32, rows, c int, accumulate bool) {
	checkRows("LogSumExpBackward", rows, c, length("dx", dx), length("x", x))
	checkLengths("LogSumExpBackward", rows, length("dy", dy), length("lse", lse))
	addTo(dx, accumulate, func(g []float32) {
		eachRowBlock(rows, c, func(from, to int) {
			vecExp.block(from, to, c, nil, vectorStream{x, c}, vectorStream{lse, 1}, vectorStream{g, c})
			for r := from; r < to; r++ {
				row := g[r*c : (r+1)*c]
				vecScale.block(0, 1, c, []float32{dy[r]}, vectorStream{row, 0}, vectorStream{row, 0})
			}
		})
	})
}

// CrossEntropy computes logp = log softmax(x) and loss[r] = -logp[r][label], in
// nats. Labels are in [0, c).
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
	addTo(dx, accumulate, func(g []float32) {
		vecCrossEntropyGradient.flat(rows*c, []float32{scale}, logp, g)
		for r, l := range labels {
			g[r*c+l] -= scale
		}
	})
}
