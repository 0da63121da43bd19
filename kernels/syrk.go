package kernels

import "unsafe"

// SyrkFloat64 computes the symmetric C = A'A, or C += A'A with accumulate, for A
// stored k x n. All of C, n x n, is written; with accumulate it must be
// symmetric before.
func SyrkFloat64(n, k int, a []float64, lda int, accumulate bool, c []float64, ldc int) {
	checkMatrix("SyrkFloat64", "A", len(a), k, n, lda, false)
	checkMatrix("SyrkFloat64", "C", len(c), n, n, ldc, false)
	if n == 0 {
		return
	}
	if k == 0 {
		if !accumulate {
			for i := range n {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	kern := brgemmOf[float64]()
	panels := (n + kern.nr - 1) / kern.nr
	packed := takeScratch[float64](panels * kern.nr * k)
	defer packed.drop()
	packB(packed.data, a, lda, false, k, n, kern.nr)
	// Panel j of the columns needs the rows from its first column on; the
	// transpose of the rest is copied. Long panels first.
	Parallel(panels, func(j int) {
		from, cols := j*kern.nr, min(kern.nr, n-j*kern.nr)
		args := brgemmArgs{bK: kern.nr * 8, cRow: ldc * 8, aK: lda * 8, numTaps: 1, taps: new(brgemmTap)}
		for k0 := 0; k0 < k; k0 += gemmBlockK {
			args.k = min(gemmBlockK, k-k0)
			args.a, args.b, args.c = unsafe.Pointer(&a[k0*lda+from]), unsafe.Pointer(&packed.data[(j*k+k0)*kern.nr]), unsafe.Pointer(&c[from*ldc+from])
			args.accumulate = 1
			if k0 == 0 && !accumulate {
				args.accumulate = 0
			}
			kern.run(true, 8, n-from, cols, &args)
		}
	})
	const block = 64
	blocks := (n + block - 1) / block
	Parallel(blocks, func(b int) {
		for i := b * block; i < min((b+1)*block, n); i++ {
			for j := i + 1; j < n; j++ {
				c[i*ldc+j] = c[j*ldc+i]
			}
		}
	})
}
