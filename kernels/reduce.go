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
	s := flatSum{kernel: k, n: n, partial: partial.data, used: len(operands)}
	copy(s.operands[:], operands)
	flatSumLoop.parallel(len(partial.data), s)
	total := 0.0
	for _, p := range partial.data {
		total += p
	}
	return total
}

// flatSum is a call of vectorKernel.sum.
type flatSum struct {
	kernel   *vectorKernel
	n        int
	partial  []float64 // of each block
	operands [2][]float32
	used     int // how many operands
}

var flatSumLoop = newLoop((*flatSum).block)

func (s *flatSum) block(b int) {
	sums := takeScratch[float32](reduceWidth)
	defer sums.drop()
	s.partial[b] = 0
	for from, end := b*flatBlock, min((b+1)*flatBlock, s.n); from < end; from += reduceWidth * reduceDepth {
		s.partial[b] += s.kernel.shortSum(sums.data, from, min(from+reduceWidth*reduceDepth, end), s.operands[:s.used])
	}
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
	all := append(make([]vectorStream, 0, maxVectorStreams), streams...)
	for i := range count {
		all = append(all, vectorStream{data: partial.data[i*width:], block: count * width})
	}
	k.channels(rows, c, nil, all...)
	return addBlocks(partial.data, blocks, c, count)
}

// addBlocks adds up sums [blocks][count][width] to [count][c], where width is c
// times rowFold, in parallel over columns.
func addBlocks(partial []float32, blocks, c, count int) *scratch[float64] {
	total := takeScratch[float64](count * c)
	clear(total.data)
	addBlocksLoop.parallel(ceilDiv(c, addBlocksColumns), blocksToAdd{partial, total.data, blocks, c, count})
	return total
}

// addBlocksColumns is how many columns a task adds up.
const addBlocksColumns = 128

// blocksToAdd is a call of addBlocks.
type blocksToAdd struct {
	partial          []float32
	total            []float64
	blocks, c, count int
}

var addBlocksLoop = newLoop((*blocksToAdd).columns)

func (a *blocksToAdd) columns(t int) {
	c, fold := a.c, rowFold(a.c)
	columns := blockSpan(addBlocksColumns, c, t)
	for b := range a.blocks {
		for i := range a.count {
			sums := a.total[i*c+columns.from : i*c+columns.to]
			for f := range fold {
				at := (b*a.count+i)*fold*c + f*c
				for j, v := range a.partial[at+columns.from : at+columns.to] {
					sums[j] += float64(v)
				}
			}
		}
	}
}
