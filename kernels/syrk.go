package kernels

// SyrkFloat64 computes the symmetric C = A'A, or C += A'A with accumulate, for A
// stored k x n. All of C, n x n, is written; with accumulate it must be
// symmetric before.
func SyrkFloat64(n, k int, a []float64, lda int, accumulate bool, c []float64, ldc int) {
	checkMatrix("SyrkFloat64", "A", len(a), k, n, lda, false)
	checkMatrix("SyrkFloat64", "C", len(c), n, n, ldc, false)
	if clearEmptySum(n, n, k, accumulate, c, ldc) {
		return
	}
	g := matrixProduct[float64]{kern: brgemmOf[float64](), k: k, accumulate: accumulate, c: c, ldc: ldc, lower: true}
	g.takeA(a, lda, true, n, n)
	g.takeB(a, lda, false, n, n)
	defer g.drop()
	g.compute(n, n)
	// What lies above the diagonal, and was computed in part, is copied.
	const block = 64
	Parallel(ceilDiv(n, block), func(b int) {
		rows := blockSpan(block, n, b)
		for i := rows.from; i < rows.to; i++ {
			for j := i + 1; j < rows.to; j++ {
				c[i*ldc+j] = c[j*ldc+i]
			}
		}
		if below := n - rows.to; below > 0 {
			transpose(c[rows.from*ldc+rows.to:], ldc, c[rows.to*ldc+rows.from:], ldc, below, rows.len())
		}
	})
}
