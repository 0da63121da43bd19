package kernels

import "unsafe"

//go:generate go run ./internal/asmgen -write .

// brgemmArgs is what a batch-reduce GEMM micro-kernel works on. For each of
// tiles consecutive row tiles it computes
//
//	C[i][j] = (accumulate ? C[i][j] : 0) + sum over taps t, k of A_t[i][k]*B_t[k][j]
//
// where A_t and B_t begin at byte offsets from a and b. Sums run in the order of
// taps and k and start from C, so splitting either over several calls changes
// no bit. All strides are in bytes. The assembly reads this struct by offsets.
// It counts
// tiles down to 0.
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

	aNow, cNow uintptr // of the kernel: the current tile
}

// brgemmTap is one term of the batch: where A_t and B_t begin.
type brgemmTap struct{ a, b int }

// brgemmRow holds the micro-kernels for one number of rows: by column vectors
// less one, then for full vectors and for a ragged last one.
type brgemmRow [][2]func(*brgemmArgs)

// brgemmKernels are the micro-kernels of one level and element type. Row form
// wants A with k contiguous, column form A with rows contiguous.
type brgemmKernels struct {
	mr, nr   int
	lanes    int
	masked   bool        // ragged columns are masked; else B and C must have full vectors
	bitMask  bool        // the mask is a bit per column
	row, col []brgemmRow // by number of rows, from 1
}

// maxCallFlops bounds one assembly call to about 100 microseconds: goroutines
// cannot be preempted inside.
const maxCallFlops = 8 << 20

// run computes rows x cols of C, cols <= nr. Rows are cut into tiles that
// differ by one row at most. Where ragged columns are not masked, B must have
// full vectors; C need not.
func (k *brgemmKernels) run(column bool, elem, rows, cols int, args *brgemmArgs) {
	table, aRow := k.row, args.aRow
	if column {
		table, aRow = k.col, elem
	}
	vectors, ragged := (cols+k.lanes-1)/k.lanes, 0
	if cols%k.lanes != 0 {
		ragged = 1
	}
	args.mask = k.mask(elem, cols)
	tiles := (rows + k.mr - 1) / k.mr
	small, larger := rows/tiles, rows%tiles
	call := k.calls
	if ragged == 1 && !k.masked {
		call = func(kernel func(*brgemmArgs), m, tiles, aRow int, args *brgemmArgs) {
			k.throughScratch(kernel, m, tiles, aRow, elem*cols, elem, args)
		}
	}
	if larger > 0 {
		a, c := args.a, args.c
		call(table[small+1][vectors-1][ragged], small+1, larger, aRow, args)
		done := larger * (small + 1)
		args.a, args.c = unsafe.Add(a, done*aRow), unsafe.Add(c, done*args.cRow)
	}
	call(table[small][vectors-1][ragged], small, tiles-larger, aRow, args)
}

// calls runs tiles of m rows, in as many assembly calls as their length asks for.
func (k *brgemmKernels) calls(kernel func(*brgemmArgs), m, tiles, aRow int, args *brgemmArgs) {
	args.aTile, args.cTile = m*aRow, m*args.cRow
	perTile := 2 * m * k.nr * max(args.k*args.numTaps, 1)
	most := max(maxCallFlops/perTile, 1)
	for tiles > 0 {
		now := min(tiles, most)
		args.tiles = now
		kernel(args)
		tiles -= now
		if tiles > 0 {
			args.a, args.c = unsafe.Add(args.a, now*args.aTile), unsafe.Add(args.c, now*args.cTile)
		}
	}
}

// throughScratch runs tiles whose rows of C, width bytes wide, end within a
// vector, in a scratch tile with full vectors.
func (k *brgemmKernels) throughScratch(kernel func(*brgemmArgs), m, tiles, aRow, width, elem int, args *brgemmArgs) {
	var scratch [maxTile]float64
	stride := k.nr * elem
	c, cRow := args.c, args.cRow
	row := func(i int) (tile, in []byte) {
		return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&scratch), i*stride)), width), unsafe.Slice((*byte)(unsafe.Add(c, i*cRow)), width)
	}
	args.cRow, args.cTile, args.aTile = stride, 0, m*aRow
	for t := range tiles {
		if t > 0 {
			args.a, c = unsafe.Add(args.a, m*aRow), unsafe.Add(c, m*cRow)
		}
		args.tiles, args.c = 1, unsafe.Pointer(&scratch)
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
