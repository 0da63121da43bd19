package kernels

import (
	"sync"
	"unsafe"
)

//go:generate go run ./internal/asmgen -write .

// brgemmArgs is what a batch-reduce GEMM micro-kernel works on. For each of
// tiles consecutive row tiles it computes
//
//	C[i][j] = (accumulate ? C[i][j] : 0) + sum over taps t, k of A_t[i][k]*B_t[k][j]
//
// where A_t and B_t begin at byte offsets from a and b. The sum runs in the order
// of taps and k and is added to C once, at the end: a long sum is best cut into
// calls of about maxRun terms, see there. All strides are in bytes. The assembly
// reads this struct by offsets and counts tiles down to 0.
type brgemmArgs struct {
	a, b, c      unsafe.Pointer
	taps         *brgemmTap
	numTaps      int
	k            int
	aRow, aK     int // of A: row stride (row form), k stride (column form)
	bK           int // of B: k stride
	cRow         int
	tiles        int
	aTile, cTile int // from one row tile to the next
	mask         uintptr
	accumulate   int
	ahead        uintptr // memory to fetch ahead, any; 0: none (x86)
	aheadStep    int     // by how many bytes it moves on for four k of a tile, which fetch four lines (row form: one)

	_ [3]uintptr // of the assembly: the current tile of A and of C, and what to fetch ahead

	single [1]brgemmTap // what taps may point to when there is one
}

// takeArgs returns zero arguments. Put them back with drop.
func takeArgs() *brgemmArgs {
	args := brgemmArgsPool.Get().(*brgemmArgs)
	*args = brgemmArgs{}
	return args
}

func (args *brgemmArgs) drop() {
	*args = brgemmArgs{}
	brgemmArgsPool.Put(args)
}

// aheadUnit is for how many k micro-kernels fetch once ahead.
const aheadUnit = 4

// fetchAhead has the micro-kernels fetch a panel of B of as many k, which begins at b,
// into the second-level cache, in equal parts during tiles of a product. They fetch
// four lines at a time: with a single tile half of a panel of AVX-512.
func (args *brgemmArgs) fetchAhead(b unsafe.Pointer, tiles int) {
	args.fetchBytes(b, args.k*args.bK, tiles)
}

func (args *brgemmArgs) fetchNothing() { args.ahead, args.aheadStep = 0, 0 }

// fetchBytes has them fetch any memory so, during as many tiles of a product whose depth
// and taps are set.
func (args *brgemmArgs) fetchBytes(p unsafe.Pointer, bytes, tiles int) {
	units := max(args.k/aheadUnit*max(args.numTaps, 1)*tiles, 1)
	args.ahead, args.aheadStep = uintptr(p), ceilDiv(bytes, units)
}

// oneTap is for products that are no batch.
func (args *brgemmArgs) oneTap() { args.taps, args.numTaps = &args.single[0], 1 }

// brgemmTap is one term of the batch: where A_t and B_t begin.
type brgemmTap struct{ a, b int }

// brgemmBatch is what calls with a batch of several terms work with.
type brgemmBatch struct {
	args  *brgemmArgs
	terms []brgemmTap
}

var brgemmBatches = sync.Pool{New: func() any { return new(brgemmBatch) }}

// takeBatch returns zero arguments and no terms. Put it back with drop.
func takeBatch() *brgemmBatch {
	b := brgemmBatches.Get().(*brgemmBatch)
	b.args, b.terms = takeArgs(), b.terms[:0]
	return b
}

func (b *brgemmBatch) drop() {
	b.args.drop()
	b.args = nil
	brgemmBatches.Put(b)
}

// brgemmRow holds the micro-kernels for one number of rows: by column vectors
// less one, then for full vectors and for a ragged last one.
type brgemmRow [][2]func(*brgemmArgs)

// brgemmKernels are the micro-kernels of one level and element type. Row form
// wants A with k contiguous, column form A with rows contiguous.
type brgemmKernels struct {
	mr, nr   int
	lanes    int
	masked   bool        // ragged columns are masked; else B and C must have full vectors
	bitMask  bool        // the mask is a bit per column of the last vector
	packRows int         // from how many panels on packing rows of A pays; 0: never
	row, col []brgemmRow // by number of rows, from 1
}

// maxRun is how many terms an element of C is summed over before it is added to
// what C holds. The rounding error of one running sum of n terms grows as n, that
// of sums of sums as the square root: with 4,608 terms (512 channels, 3x3) runs of
// 256 leave a quarter of the error. Adding up costs the micro-kernels about 1 %.
const maxRun = 256

// maxCallFlops bounds one assembly call to about 100 microseconds: goroutines
// cannot be preempted inside.
const maxCallFlops = 8 << 20

// run computes rows x cols of C, cols <= nr. Rows are cut into tiles that
// differ by one row at most. Where ragged columns are not masked, B must have
// full vectors; C need not.
func (k *brgemmKernels) run(column bool, elem, rows, cols int, args *brgemmArgs) {
	aRow, mr := args.aRow, k.mr
	if column {
		aRow = elem
	} else {
		mr = k.rowsAt(aRow)
	}
	cut, a, c := cutRows(rows, mr), args.a, args.c
	cut.each(span{0, cut.tiles}, func(t, tiles, m int) {
		at := cut.start(t)
		args.a, args.c = unsafe.Add(a, at*aRow), unsafe.Add(c, at*args.cRow)
		k.tiles(column, elem, m, tiles, cols, m*aRow, args)
	})
}

// rowCut is a cut of rows into tiles that differ by one row at most: the first
// larger tiles have small+1 rows, the others small.
type rowCut struct{ tiles, small, larger int }

func cutRows(rows, mr int) rowCut {
	tiles := ceilDiv(rows, mr)
	return rowCut{tiles, rows / tiles, rows % tiles}
}

// start is the first row of tile t.
func (c rowCut) start(t int) int { return t*c.small + min(t, c.larger) }

// each visits the runs of tiles of the same number of rows m among some tiles.
func (c rowCut) each(tiles span, visit func(first, tiles, m int)) {
	if to := min(tiles.to, c.larger); to > tiles.from {
		visit(tiles.from, to-tiles.from, c.small+1)
	}
	if from := max(tiles.from, c.larger); from < tiles.to {
		visit(from, tiles.to-from, c.small)
	}
}

// Rows of A at a distance of conflictStride bytes fall into one set of a
// first-level cache with 64 sets of 64 bytes, as x86 has; of 8 ways one is left
// to B.
const conflictStride, conflictRows = 4096, 7

// rowsAt is how many rows of A, aRow bytes apart, a tile should have.
func (k *brgemmKernels) rowsAt(aRow int) int {
	if aRow%conflictStride == 0 {
		return min(k.mr, conflictRows)
	}
	return k.mr
}

// packs tells whether rows of A, aRow bytes apart, should be packed in column form
// before that many panels of B use them.
func (k *brgemmKernels) packs(aRow, panels int) bool {
	return k.packRows > 0 && panels >= k.packRows || aRow%conflictStride == 0 && panels >= 4
}

// tileRows is how many elements a tile of packed rows of A, in column form, takes
// for each k: mr, filled up to whole vectors.
func (k *brgemmKernels) tileRows() int { return ceilTo(k.mr, k.lanes) }

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// ceilTo is n rounded up to whole units.
func ceilTo(n, unit int) int { return ceilDiv(n, unit) * unit }

// tiles computes that many tiles of m rows and cols columns; in A they begin
// aTile bytes apart.
func (k *brgemmKernels) tiles(column bool, elem, m, tiles, cols, aTile int, args *brgemmArgs) {
	table := k.row
	if column {
		table = k.col
	}
	vectors, ragged := ceilDiv(cols, k.lanes), 0
	if cols%k.lanes != 0 {
		ragged = 1
	}
	args.mask = k.mask(elem, cols)
	kernel := table[m][vectors-1][ragged]
	if ragged == 1 && !k.masked {
		k.throughScratch(kernel, m, tiles, aTile, elem*cols, elem, args)
	} else {
		k.calls(kernel, m, tiles, aTile, args)
	}
}

// calls runs tiles of m rows, in as many assembly calls as their length asks for.
func (k *brgemmKernels) calls(kernel func(*brgemmArgs), m, tiles, aTile int, args *brgemmArgs) {
	args.aTile, args.cTile = aTile, m*args.cRow
	perTile := 2 * m * k.nr * max(args.k*args.numTaps, 1)
	most := max(maxCallFlops/perTile, 1)
	for tiles > 0 {
		now := min(tiles, most)
		args.tiles = now
		kernel(args)
		if args.ahead != 0 {
			args.ahead += uintptr(now * args.numTaps * (args.k / aheadUnit) * args.aheadStep)
		}
		tiles -= now
		if tiles > 0 {
			args.a, args.c = unsafe.Add(args.a, now*args.aTile), unsafe.Add(args.c, now*args.cTile)
		}
	}
}

// throughScratch runs tiles whose rows of C, width bytes wide, end within a
// vector, in a scratch tile with full vectors.
func (k *brgemmKernels) throughScratch(kernel func(*brgemmArgs), m, tiles, aTile, width, elem int, args *brgemmArgs) {
	scratch := takeScratch[float64](maxTile)
	defer scratch.drop()
	at := unsafe.Pointer(&scratch.data[0])
	stride := k.nr * elem
	c, cRow := args.c, args.cRow
	row := func(i int) (tile, in []byte) {
		return unsafe.Slice((*byte)(unsafe.Add(at, i*stride)), width), unsafe.Slice((*byte)(unsafe.Add(c, i*cRow)), width)
	}
	args.cRow, args.cTile, args.aTile = stride, 0, aTile
	for t := range tiles {
		if t > 0 {
			args.a, c = unsafe.Add(args.a, aTile), unsafe.Add(c, m*cRow)
		}
		args.tiles, args.c = 1, at
		for i := range m {
			tile, in := row(i)
			copy(tile, in)
		}
		kernel(args)
		for i := range m {
			tile, in := row(i)
			copy(in, tile)
		}
	}
	args.c, args.cRow = c, cRow
}

// maxTile is the largest tile of a level that does not mask, in elements.
const maxTile = 8 * 12
