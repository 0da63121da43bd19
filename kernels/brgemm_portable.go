package kernels

import "unsafe"

// portableRows and portableCols are the tile of the portable micro-kernels:
// sixteen accumulators, as many as scalar registers hold.
const portableRows, portableCols = 4, 4

func portableKernels[T float]() brgemmKernels {
	k := brgemmKernels{mr: portableRows, nr: portableCols, lanes: portableCols}
	for _, table := range []*[]brgemmRow{&k.row, &k.col} {
		column := table == &k.col
		*table = append(*table, nil)
		for m := 1; m <= portableRows; m++ {
			kernel := func(args *brgemmArgs) { portableTiles[T](args, m, column) }
			*table = append(*table, brgemmRow{{kernel, kernel}})
		}
	}
	return k
}

func portableTiles[T float](args *brgemmArgs, m int, column bool) {
	for t := range args.tiles {
		portableTile[T](args, unsafe.Add(args.a, t*args.aTile), unsafe.Add(args.c, t*args.cTile), m, column)
	}
	args.tiles = 0
}

// portableTile always computes portableRows rows; those past m repeat the last
// and are not stored. Elements are addressed from the start of the matrices, so
// that no pointer ever lies past their end.
func portableTile[T float](args *brgemmArgs, a, c unsafe.Pointer, m int, column bool) {
	var acc [portableRows][portableCols]T
	if args.accumulate != 0 {
		for i := range m {
			acc[i] = *(*[portableCols]T)(unsafe.Add(c, i*args.cRow))
		}
	}
	aRow, aK := args.aRow, elemSize[T]()
	if column {
		aRow, aK = aK, args.aK
	}
	row1, row2, row3 := min(1, m-1)*aRow, min(2, m-1)*aRow, min(3, m-1)*aRow
	for _, tap := range unsafe.Slice(args.taps, args.numTaps) {
		at, bt := tap.a, tap.b
		for range args.k {
			bk := (*[portableCols]T)(unsafe.Add(args.b, bt))
			addProduct(&acc[0], *(*T)(unsafe.Add(a, at)), bk)
			addProduct(&acc[1], *(*T)(unsafe.Add(a, at+row1)), bk)
			addProduct(&acc[2], *(*T)(unsafe.Add(a, at+row2)), bk)
			addProduct(&acc[3], *(*T)(unsafe.Add(a, at+row3)), bk)
			at, bt = at+aK, bt+args.bK
		}
	}
	for i := range m {
		*(*[portableCols]T)(unsafe.Add(c, i*args.cRow)) = acc[i]
	}
}

func addProduct[T float](c *[portableCols]T, a T, b *[portableCols]T) {
	c[0] += a * b[0]
	c[1] += a * b[1]
	c[2] += a * b[2]
	c[3] += a * b[3]
}
