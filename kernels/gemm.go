package kernels

import (
	"fmt"
	"iter"
	"unsafe"
)

// Gemm computes C = op(A)*op(B), or C += op(A)*op(B) with accumulate, for
// row-major matrices with the given row strides. op(A) is m x k and op(B) k x n:
// with transA, A is stored k x m, with transB, B is stored n x k. Without
// accumulate C may hold anything, NaN included. Every element is the sum, in order,
// of sums over maxRun terms.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, accumulate bool, c []float32, ldc int) {
	gemm("Gemm", transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
}

// GemmFloat64 is Gemm for float64.
func GemmFloat64(transA, transB bool, m, n, k int, a []float64, lda int, b []float64, ldb int, accumulate bool, c []float64, ldc int) {
	gemm("GemmFloat64", transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
}

// A block of A, gemmBlockRows rows by maxRun of k, stays in the second-level cache
// while panels of B pass by.
const (
	gemmBlockRows = 128
	gemmMinTasks  = 32
	gemmMinFlops  = 1 << 16 // below this one thread is faster
)

func gemm[T float](name string, transA, transB bool, m, n, k int, a []T, lda int, b []T, ldb int, accumulate bool, c []T, ldc int) {
	checkMatrix(name, "A", len(a), m, k, lda, transA)
	checkMatrix(name, "B", len(b), k, n, ldb, transB)
	checkMatrix(name, "C", len(c), m, n, ldc, false)
	if clearEmptySum(m, n, k, accumulate, c, ldc) {
		return
	}
	if m == 1 && transB {
		// A matrix times a vector: the rows of B are read in place as those of
		// an A, and C is a column.
		m, n, a, lda, b, ldb, ldc = n, 1, b, ldb, a, lda, 1
		transA, transB = false, !transA
		if transB { // a vector is its own transpose
			transB, ldb = false, 1
		}
	}
	g := matrixProduct[T]{kern: brgemmOf[T](), k: k, accumulate: accumulate, c: c, ldc: ldc}
	g.takeA(a, lda, transA, m, n)
	g.takeB(b, ldb, transB, m, n)
	defer g.drop()
	g.compute(m, n)
}

// clearEmptySum tells whether there is nothing to multiply; C is then done.
func clearEmptySum[T float](m, n, k int, accumulate bool, c []T, ldc int) bool {
	if k == 0 && !accumulate && n > 0 {
		for i := range m {
			clear(c[i*ldc : i*ldc+n])
		}
	}
	return m == 0 || n == 0 || k == 0
}

// matrixProduct is a product with its operands as the micro-kernels read them.
type matrixProduct[T float] struct {
	kern *brgemmKernels
	k    int

	lower bool // only the lower triangle is wanted

	a         []T
	cut       rowCut // of the rows of A and C
	column    bool   // A is in column form
	aRow, aK  int    // in A: from one row to the next, and along k
	b         []T
	panels    int // of columns of B
	panel, bK int // in B: from one panel to the next, and along k

	// Packed operands lie run by run, the tiles or panels of a run side by side: at
	// a distance of a power of two they would share few sets of a cache.
	packedA, packedB *scratch[T]
	accumulate       bool
	c                []T
	ldc              int
}

// takeA decides how op(A) is read: in place, unless enough panels of B use it.
// Packed it is in column form.
func (g *matrixProduct[T]) takeA(a []T, lda int, trans bool, m, n int) {
	g.a, g.column, g.cut = a, trans, cutRows(m, g.kern.mr)
	switch {
	case trans && (n <= 2*g.kern.nr || lda <= 2*g.kern.mr):
		g.aRow, g.aK = 1, lda
	case !trans && n <= 8*g.kern.nr:
		g.aRow, g.aK, g.cut = lda, 1, cutRows(m, g.kern.rowsAt(lda*elemSize[T]()))
	default:
		g.packA(a, lda, trans, m)
	}
}

func (g *matrixProduct[T]) packA(a []T, lda int, trans bool, m int) {
	g.column = true
	g.aK = g.kern.tileRows()
	g.packedA = takeScratch[T](g.cut.tiles * g.k * g.aK)
	g.a = g.packedA.data
	g.packRows(m*g.k, func(rows span) {
		if trans {
			g.cut.each(span{0, g.cut.tiles}, func(t, tiles, width int) {
				at, tile := g.tileAt(t, width, rows.from)
				packTiles(g.a[at:], g.aK, tile, a[rows.from*lda+g.cut.start(t):], lda, width, rows.len(), width, tiles)
			})
			return
		}
		for t := range g.cut.tiles {
			// Whole vectors, with rows of the next tile, which nothing reads.
			from := g.cut.start(t)
			at, _ := g.tileAt(t, 0, rows.from)
			transpose(g.a[at:], g.aK, a[from*lda+rows.from:], lda, min(g.aK, m-from), rows.len())
		}
	})
}

// tileAt is where k begins in tile t of A, of m rows, and how far from one tile to the
// next.
func (g *matrixProduct[T]) tileAt(t, m, k int) (at, step int) {
	if g.packedA == nil {
		return g.cut.start(t)*g.aRow + k*g.aK, m * g.aRow
	}
	return inRun(t, g.cut.tiles, k, g.k, g.aK)
}

// panelAt is where k begins in panel j of B, and how far from one panel to the next.
func (g *matrixProduct[T]) panelAt(j, k int) (at, step int) {
	if g.packedB == nil {
		return j*g.panel + k*g.bK, g.panel
	}
	return inRun(j, g.panels, k, g.k, g.bK)
}

// inRun is where packed element k of depth begins in part i of as many parts, each of
// width elements for every k, and how far from one part of its run to the next.
func inRun(i, parts, k, depth, width int) (at, step int) {
	run := k / maxRun * maxRun
	step = min(maxRun, depth-run) * width
	return run*parts*width + i*step + (k-run)*width, step
}

// takeB decides how op(B) is read. Packing it pays when several row tiles use
// it; what the micro-kernels cannot read in place is always packed.
func (g *matrixProduct[T]) takeB(b []T, ldb int, trans bool, m, n int) {
	nr := g.kern.nr
	g.panels = ceilDiv(n, nr)
	readable := !trans && (g.kern.masked || n%g.kern.lanes == 0)
	if readable && (m <= 4*g.kern.mr || ldb <= 2*nr) {
		g.b, g.panel, g.bK = b, nr, ldb
		return
	}
	g.bK = nr
	g.packedB = takeScratch[T](g.panels * g.k * nr)
	g.b = g.packedB.data
	whole, rest := n/nr, n%nr
	if trans {
		g.packRows(n*g.k, func(rows span) {
			for p := range g.panels {
				at, _ := g.panelAt(p, rows.from)
				panel, cols := g.b[at:], min(nr, n-p*nr)
				transpose(panel, nr, b[p*nr*ldb+rows.from:], ldb, cols, rows.len())
				for i := 0; i < rows.len() && cols < nr; i++ {
					clear(panel[i*nr+cols : (i+1)*nr])
				}
			}
		})
		return
	}
	g.packRows(n*g.k, func(rows span) {
		if whole > 0 {
			at, panel := g.panelAt(0, rows.from)
			packTiles(g.b[at:], nr, panel, b[rows.from*ldb:], ldb, nr, rows.len(), nr, whole)
		}
		if rest > 0 {
			at, _ := g.panelAt(whole, rows.from)
			packTiles(g.b[at:], nr, 0, b[rows.from*ldb+whole*nr:], ldb, 0, rows.len(), rest, 1)
		}
	})
}

// packRows calls pack for blocks of k, none of which straddles runs; elements says
// whether to do so in parallel.
func (g *matrixProduct[T]) packRows(elements int, pack func(rows span)) {
	const block = maxRun / 4
	g.parallel(elements, ceilDiv(g.k, block), func(i int) { pack(blockSpan(block, g.k, i)) })
}

func (g *matrixProduct[T]) parallel(work, tasks int, task func(t int)) {
	if work >= gemmMinFlops {
		Parallel(tasks, task)
		return
	}
	for t := range tasks {
		task(t)
	}
}

// compute runs the product, m x n.
func (g *matrixProduct[T]) compute(m, n int) {
	rowBlocks := ceilDiv(m, gemmBlockRows)
	groups := min(ceilDiv(gemmMinTasks, rowBlocks), ceilDiv(n, g.kern.nr))
	g.parallel(2*m*n*g.k, rowBlocks*groups, func(t int) {
		tiles := split(g.cut.tiles, rowBlocks, rowBlocks-1-t/groups) // from the last on: of a triangle the longest
		cols := n
		if g.lower {
			cols = g.cut.start(tiles.to)
		}
		g.blocks(tiles, split(ceilDiv(cols, g.kern.nr), groups, t%groups), n)
	})
}

// blocks computes some row tiles of some panels of columns.
func (g *matrixProduct[T]) blocks(tiles, panels span, n int) {
	elem, nr := elemSize[T](), g.kern.nr
	args := takeArgs()
	defer args.drop()
	args.aRow, args.aK, args.bK, args.cRow = g.aRow*elem, g.aK*elem, g.bK*elem, g.ldc*elem
	args.oneTap()
	for k0 := 0; k0 < g.k; k0 += maxRun {
		args.k = min(maxRun, g.k-k0)
		if k0 > 0 || g.accumulate {
			args.accumulate = 1
		}
		for j := panels.from; j < panels.to; j++ {
			bAt, _ := g.panelAt(j, k0)
			tiles := tiles
			for g.lower && g.cut.start(tiles.from+1) <= j*nr {
				tiles.from++ // above the diagonal
			}
			g.cut.each(tiles, func(t, tiles, m int) {
				at, aTile := g.tileAt(t, m, k0)
				args.a, args.b = unsafe.Pointer(&g.a[at]), unsafe.Pointer(&g.b[bAt])
				args.c = unsafe.Pointer(&g.c[g.cut.start(t)*g.ldc+j*nr])
				g.kern.tiles(g.column, elem, m, tiles, min(nr, n-j*nr), aTile*elem, args)
			})
		}
	}
}

func (g *matrixProduct[T]) drop() {
	for _, s := range []*scratch[T]{g.packedA, g.packedB} {
		if s != nil {
			s.drop()
		}
	}
}

// span is a half-open range.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// cut visits s in spans of at most n.
func (s span) cut(n int) iter.Seq2[int, span] {
	return func(yield func(int, span) bool) {
		for i := 0; s.from < s.to; i++ {
			if !yield(i, span{s.from, min(s.from+n, s.to)}) {
				return
			}
			s.from += n
		}
	}
}

// split cuts s into parts whose lengths differ by one at most and returns part i.
func (s span) split(parts, i int) span {
	part := split(s.len(), parts, i)
	return span{s.from + part.from, s.from + part.to}
}

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
