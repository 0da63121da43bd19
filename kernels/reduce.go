package kernels

import "math"

// Flat sums run in float32 over at most reduceDepth terms, then in float64, in
// an order fixed by the length. A row is as wide as the strips of the widest
// level, so that memory is read in order.
const (
	reduceWidth = 64
	reduceDepth = 64
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

// sum adds up a kernel whose last stream is a row of sums.
func (k *vectorKernel) sum(operands ...[]float32) float64 {
	n := len(operands[0])
	partial := takeScratch[float64]((n + flatBlock - 1) / flatBlock)
	defer partial.drop()
	Parallel(len(partial.data), func(b int) {
		sums := takeScratch[float32](reduceWidth)
		defer sums.drop()
		partial.data[b] = 0
		for from, end := b*flatBlock, min((b+1)*flatBlock, n); from < end; from += reduceWidth * reduceDepth {
			partial.data[b] += k.shortSum(sums.data, from, min(from+reduceWidth*reduceDepth, end), operands)
		}
	})
	total := 0.0
	for _, p := range partial.data {
		total += p
	}
	return total
}

// shortSum sums the elements from to to, at most reduceDepth rows of sums.
func (k *vectorKernel) shortSum(sums []float32, from, to int, operands [][]float32) float64 {
	clear(sums)
	var streams [maxVectorStreams]vectorStream
	add := func(from, rows, cols int) {
		for i, o := range operands {
			streams[i] = matrix(o[from:], cols)
		}
		streams[len(operands)].data = sums
		k.call(rows, cols, 0, nil, streams[:len(operands)+1])
	}
	whole := (to - from) / reduceWidth
	add(from, whole, reduceWidth)
	rest := from + whole*reduceWidth
	add(rest, 1, to-rest)
	total := 0.0
	for _, s := range sums {
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
func SumRows[E Element](dst []float32, x []E, rows, c int, accumulate bool) {
	checkLengths("SumRows", c, length("dst", dst))
	checkLengths("SumRows", rows*c, length("x", x))
	sums := columnSums(kernelOf[E](&vecSumRows), rows, c, 1, matrix(x, c))
	defer sums.drop()
	for j, s := range sums.data {
		if accumulate {
			s += float64(dst[j])
		}
		dst[j] = float32(s)
	}
}

// columnSums runs a kernel whose last streams are count sums per column, after
// matrices [rows][c] and parameters [c] as in vectorKernel.channels: float32 sums
// over each block of rows, which are then added in float64 in the order of the
// blocks. The caller drops the result, [count][c].
func columnSums(k *vectorKernel, rows, c, count int, streams ...vectorStream) *scratch[float64] {
	size, width := rowBlock(c), rowFold(c)*c
	blocks := (rows + size - 1) / size
	partial := takeScratch[float32](blocks * count * width)
	defer partial.drop()
	clear(partial.data)
	for i := range count {
		streams = append(streams, vectorStream{data: partial.data[i*width:], block: count * width})
	}
	k.channels(rows, c, nil, streams...)
	return addBlocks(partial.data, blocks, c, count)
}

// addBlocks adds up sums [blocks][count][width] to [count][c], where width is c
// times rowFold, in parallel over columns.
func addBlocks(partial []float32, blocks, c, count int) *scratch[float64] {
	fold := rowFold(c)
	width := fold * c
	total := takeScratch[float64](count * c)
	clear(total.data)
	const columns = 128
	Parallel((c+columns-1)/columns, func(t int) {
		from, to := t*columns, min((t+1)*columns, c)
		for b := range blocks {
			for i := range count {
				sums := total.data[i*c+from : i*c+to]
				for f := range fold {
					at := (b*count+i)*width + f*c
					for j, v := range partial[at+from : at+to] {
						sums[j] += float64(v)
					}
				}
			}
		}
	})
	return total
}
