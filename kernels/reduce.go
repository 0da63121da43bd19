package kernels

import "math"

// Sums run in float32 over at most reduceDepth terms, then in float64, in an
// order fixed by the length.
const (
	reduceWidth = 512
	reduceDepth = 32
	reduceBlock = reduceWidth * reduceDepth
)

// Dot returns the sum of a*b.
func Dot(a, b []float32) float64 {
	checkLengths("Dot", len(a), length("b", b))
	return vecDotRows.sum(a, b)
}

// SumSquares returns the sum of x*x.
func SumSquares(x []float32) float64 { return vecSumSquaresRows.sum(x) }

// Sum returns the sum of x.
func Sum(x []float32) float64 { return vecSumRows.sum(x) }

// sum adds up a kernel whose first stream is a row of sums.
func (k *vectorKernel) sum(operands ...[]float32) float64 {
	n := len(operands[0])
	blocks := (n + reduceBlock - 1) / reduceBlock
	if blocks == 1 {
		return k.blockSum(0, n, operands)
	}
	partial := make([]float64, blocks)
	Parallel(blocks, func(b int) { partial[b] = k.blockSum(b*reduceBlock, min((b+1)*reduceBlock, n), operands) })
	total := 0.0
	for _, p := range partial {
		total += p
	}
	return total
}

func (k *vectorKernel) blockSum(from, to int, operands [][]float32) float64 {
	sums := takeScratch[float32](reduceWidth)
	defer sums.drop()
	clear(sums.data)
	add := func(from, rows, cols int) {
		streams := []vectorStream{{sums.data, 0}}
		for _, o := range operands {
			streams = append(streams, vectorStream{o[from:], cols})
		}
		k.block(0, rows, cols, nil, streams...)
	}
	rows := (to - from) / reduceWidth
	if rows > 0 {
		add(from, rows, reduceWidth)
	}
	if rest := from + rows*reduceWidth; rest < to {
		add(rest, 1, to-rest)
	}
	total := 0.0
	for _, s := range sums.data {
		total += float64(s)
	}
	return total
}

// Normalize computes dst = x / max(norm, eps) and returns the Euclidean norm of
// x. dst may be x.
func Normalize(dst, x []float32, eps float32) float64 {
	checkLengths("Normalize", len(dst), length("x", x))
	norm := math.Sqrt(SumSquares(x))
	Scale(dst, x, float32(1/math.Max(norm, float64(eps))))
	return norm
}

// SumRows computes dst (+)= the sum of the rows of x [rows][c].
func SumRows(dst, x []float32, rows, c int, accumulate bool) {
	checkLengths("SumRows", c, length("dst", dst))
	checkLengths("SumRows", rows*c, length("x", x))
	sums := columnSums(rows, c, 1, func(sums []float32, from, to int) {
		vecSumRows.block(from, to, c, nil, vectorStream{sums, 0}, vectorStream{x, c})
	})
	defer sums.drop()
	for j, s := range sums.data {
		if accumulate {
			s += float64(dst[j])
		}
		dst[j] = float32(s)
	}
}

// columnSums adds up count sums per column over rows: f adds the rows from to to
// of its block to float32 sums [count][c], which are then added in float64 in
// the order of the blocks. The caller drops the result, [count][c].
func columnSums(rows, c, count int, f func(sums []float32, from, to int)) *scratch[float64] {
	size := rowBlock(c)
	blocks := (rows + size - 1) / size
	partial := takeScratch[float32](blocks * count * c)
	defer partial.drop()
	Parallel(blocks, func(b int) {
		sums := partial.data[b*count*c : (b+1)*count*c]
		clear(sums)
		f(sums, b*size, min((b+1)*size, rows))
	})
	total := takeScratch[float64](count * c)
	clear(total.data)
	for b := range blocks {
		for j, v := range partial.data[b*count*c : (b+1)*count*c] {
			total.data[j] += float64(v)
		}
	}
	return total
}
