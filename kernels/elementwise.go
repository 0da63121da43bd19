package kernels

import "fmt"

// checkLengths panics with one line when a slice has not n elements.
func checkLengths(name string, n int, slices ...sliceLength) {
	for _, s := range slices {
		if s.got != n {
			panic(fmt.Sprintf("kernels: %s: %s has %d elements, want %d", name, s.name, s.got, n))
		}
	}
}

func length(name string, s []float32) sliceLength { return sliceLength{name: name, got: len(s)} }

// Add computes dst = a + b. dst may be a or b.
func Add(dst, a, b []float32) {
	checkLengths("Add", len(dst), length("a", a), length("b", b))
	vecAdd.flat(len(dst), nil, a, b, dst)
}

// Mul computes dst = a * b element by element. dst may be a or b.
func Mul(dst, a, b []float32) {
	checkLengths("Mul", len(dst), length("a", a), length("b", b))
	vecMul.flat(len(dst), nil, a, b, dst)
}

// Axpy computes dst += s*x.
func Axpy(dst []float32, s float32, x []float32) {
	checkLengths("Axpy", len(dst), length("x", x))
	vecAxpy.flat(len(dst), []float32{s}, dst, x)
}

// Scale computes dst = s*x. dst may be x.
func Scale(dst, x []float32, s float32) {
	checkLengths("Scale", len(dst), length("x", x))
	vecScale.flat(len(dst), []float32{s}, x, dst)
}

// Fill sets every element of dst to v.
func Fill(dst []float32, v float32) { vecFill.flat(len(dst), []float32{v}, dst) }

// AddBiasRows adds bias [c] to each row of x [rows][c].
func AddBiasRows(x, bias []float32, rows, c int) {
	checkLengths("AddBiasRows", rows*c, length("x", x))
	checkLengths("AddBiasRows", c, length("bias", bias))
	vecAddBias.channels(rows, c, nil, matrix(x, c), parameters(bias))
}

// PadChannels copies x [rows][c] to y [rows][cOut], the further channels zero.
func PadChannels(y, x []float32, rows, c, cOut int) {
	checkPadChannels("PadChannels", x, y, rows, c, cOut)
	eachRowBlock(rows, cOut, func(from, to int) {
		for r := from; r < to; r++ {
			row := y[r*cOut : (r+1)*cOut]
			clear(row[copy(row, x[r*c:(r+1)*c]):])
		}
	})
}

// PadChannelsBackward computes dx (+)= the first c channels of dy, for dx
// [rows][c] and dy [rows][cOut].
func PadChannelsBackward(dx, dy []float32, rows, c, cOut int, accumulate bool) {
	checkPadChannels("PadChannelsBackward", dx, dy, rows, c, cOut)
	if accumulate {
		vecAdd.rows(rows, c, nil, matrix(dx, c), matrix(dy, cOut), matrix(dx, c))
		return
	}
	vecScale.rows(rows, c, []float32{1}, matrix(dy, cOut), matrix(dx, c))
}

func checkPadChannels(name string, narrow, wide []float32, rows, c, cOut int) {
	if c < 1 || cOut < c || rows < 0 {
		panic(fmt.Sprintf("kernels: %s: %d rows of %d channels padded to %d, want no fewer channels than before", name, rows, c, cOut))
	}
	checkLengths(name, rows*c, length("the narrow side", narrow))
	checkLengths(name, rows*cOut, length("the wide side", wide))
}
