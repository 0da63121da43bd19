package kernels

import (
	"fmt"
	"unsafe"
)

// Gemm computes C = op(A)*op(B), or C += op(A)*op(B) with accumulate, for
// row-major matrices with the given row strides. op(A) is m x k and op(B) k x n:
// with transA, A is stored k x m, with transB, B is stored n x k. Without
// accumulate C may hold anything, NaN included. Every element is summed in the
// order of k.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, accumulate bool, c []float32, ldc int) {
	gemm("Gemm", transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
}

// GemmFloat64 is Gemm for float64.
func GemmFloat64(transA, transB bool, m, n, k int, a []float64, lda int, b []float64, ldb int, accumulate bool, c []float64, ldc int) {
	gemm("GemmFloat64", transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
}

// gemmTaskRows and gemmTaskFlops cut C into tasks: small enough for several
// threads to share the work, large enough that B panels are reused.
const (
	gemmTaskRows = 256
	gemmMinFlops = 1 << 16 // below this one thread is faster
	gemmBlockK   = 512     // k is cut into blocks: a B panel stays in cache
)

func gemm[T float](name string, transA, transB bool, m, n, k int, a []T, lda int, b []T, ldb int, accumulate bool, c []T, ldc int) {
	checkMatrix(name, "A", len(a), m, k, lda, transA)
	checkMatrix(name, "B", len(b), k, n, ldb, transB)
	checkMatrix(name, "C", len(c), m, n, ldc, false)
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		if !accumulate {
			for i := range m {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	kern, elem := brgemmOf[T](), elemSize[T]()
	bp := b
	bK, panelStride := ldb, kern.nr // of unpacked B
	// Packing B pays when several row tiles use it; what the micro-kernel
	// cannot read in place is always packed.
	if transB || m > 4*kern.mr || (!kern.masked && n%kern.lanes != 0) {
		panels := (n + kern.nr - 1) / kern.nr
		packed := takeScratch[T](panels * kern.nr * k)
		defer packed.drop()
		packB(packed.data, b, ldb, transB, k, n, kern.nr)
		bp, bK, panelStride = packed.data, kern.nr, kern.nr*k
	}
	rowTasks := (m + gemmTaskRows - 1) / gemmTaskRows
	panels := (n + kern.nr - 1) / kern.nr
	task := func(t int) {
		rows := split(m, rowTasks, t/panels)
		j := t % panels
		args := brgemmArgs{bK: bK * elem, cRow: ldc * elem, aRow: lda * elem, aK: lda * elem, numTaps: 1, taps: new(brgemmTap)}
		for k0 := 0; k0 < k; k0 += gemmBlockK {
			args.k = min(gemmBlockK, k-k0)
			ai := rows.from*lda + k0
			if transA {
				ai = k0*lda + rows.from
			}
			args.a, args.b, args.c = unsafe.Pointer(&a[ai]), unsafe.Pointer(&bp[j*panelStride+k0*bK]), unsafe.Pointer(&c[rows.from*ldc+j*kern.nr])
			args.accumulate = 1
			if k0 == 0 && !accumulate {
				args.accumulate = 0
			}
			kern.run(transA, elem, rows.to-rows.from, min(kern.nr, n-j*kern.nr), &args)
		}
	}
	tasks := rowTasks * panels
	if 2*m*n*k < gemmMinFlops {
		for t := range tasks {
			task(t)
		}
		return
	}
	Parallel(tasks, task)
}

// packB copies op(B), k x n, into panels of nr columns, [panel][k][nr]. The last
// panel is filled up with zeros.
func packB[T float](dst, b []T, ldb int, transB bool, k, n, nr int) {
	pack := func(p int) {
		panel := dst[p*k*nr : (p+1)*k*nr]
		cols := min(nr, n-p*nr)
		for i := range k {
			row := panel[i*nr : (i+1)*nr]
			if transB {
				for j := range cols {
					row[j] = b[(p*nr+j)*ldb+i]
				}
			} else {
				copy(row, b[i*ldb+p*nr:i*ldb+p*nr+cols])
			}
			clear(row[cols:])
		}
	}
	panels := (n + nr - 1) / nr
	if n*k < 1<<14 {
		for p := range panels {
			pack(p)
		}
		return
	}
	Parallel(panels, pack)
}

// span is a half-open range.
type span struct{ from, to int }

// split cuts n into parts whose lengths differ by one at most and returns part i.
func split(n, parts, i int) span { return span{n * i / parts, n * (i + 1) / parts} }

// checkMatrix panics unless a rows x cols matrix, or its transpose, with row
// stride ld lies within length elements.
func checkMatrix(name, matrix string, length, rows, cols, ld int, transposed bool) {
	if rows < 0 || cols < 0 {
		panic(fmt.Sprintf("kernels: %s: %s is %d x %d, want sizes of at least 0", name, matrix, rows, cols))
	}
	if transposed {
		rows, cols = cols, rows
	}
	if rows == 0 || cols == 0 {
		return
	}
	if ld < cols {
		panic(fmt.Sprintf("kernels: %s: row stride of %s is %d, want at least %d", name, matrix, ld, cols))
	}
	if want := (rows-1)*ld + cols; length < want {
		panic(fmt.Sprintf("kernels: %s: %s has %d elements, want %d for %d x %d with row stride %d", name, matrix, length, want, rows, cols, ld))
	}
}
