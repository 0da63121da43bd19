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

func length[E Element](name string, s []E) sliceLength { return sliceLength{name: name, got: len(s)} }

// Add computes dst = a + b. dst may be a or b.
func Add[E Element](dst, a, b []E) {
	checkLengths("Add", len(dst), length("a", a), length("b", b))
	kernelOf[E](&vecAdd).elements(len(dst), nil, parameters(a), parameters(b), parameters(dst))
}

// Mul computes dst = a * b element by element. dst may be a or b.
func Mul[E Element](dst, a, b []E) {
	checkLengths("Mul", len(dst), length("a", a), length("b", b))
	kernelOf[E](&vecMul).elements(len(dst), nil, parameters(a), parameters(b), parameters(dst))
}

// Axpy computes dst += s*x.
func Axpy[E Element](dst []E, s float32, x []E) {
	checkLengths("Axpy", len(dst), length("x", x))
	kernelOf[E](&vecAxpy).elements(len(dst), []float32{s}, parameters(dst), parameters(x))
}

// Scale computes dst = s*x. dst may be x.
func Scale[E Element](dst, x []E, s float32) {
	checkLengths("Scale", len(dst), length("x", x))
	kernelOf[E](&vecScale).elements(len(dst), []float32{s}, parameters(x), parameters(dst))
}

// Fill sets every element of dst to v.
func Fill[E Element](dst []E, v float32) {
	kernelOf[E](&vecFill).elements(len(dst), []float32{v}, parameters(dst))
}

// AddBiasRows adds bias [c] to each row of x [rows][c].
func AddBiasRows[E Element](x []E, bias []float32, rows, c int) {
	checkLengths("AddBiasRows", rows*c, length("x", x))
	checkLengths("AddBiasRows", c, length("bias", bias))
	kernelOf[E](&vecAddBias).channels(rows, c, nil, matrix(x, c), parameters(bias))
}

// PadChannels copies x [rows][c] to y [rows][cOut], the further channels zero.
func PadChannels[E Element](y, x []E, rows, c, cOut int) {
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
func PadChannelsBackward[E Element](dx, dy []E, rows, c, cOut int, accumulate bool) {
	checkPadChannels("PadChannelsBackward", dx, dy, rows, c, cOut)
	if accumulate {
		kernelOf[E](&vecAdd).rows(rows, c, nil, matrix(dx, c), matrix(dy, cOut), matrix(dx, c))
		return
	}
	kernelOf[E](&vecScale).rows(rows, c, []float32{1}, matrix(dy, cOut), matrix(dx, c))
}

func checkPadChannels[E Element](name string, narrow, wide []E, rows, c, cOut int) {
	if c < 1 || cOut < c || rows < 0 {
		panic(fmt.Sprintf("kernels: %s: %d rows of %d channels padded to %d, want no fewer channels than before", name, rows, c, cOut))
	}
	checkLengths(name, rows*c, length("the narrow side", narrow))
	checkLengths(name, rows*cOut, length("the wide side", wide))
}
