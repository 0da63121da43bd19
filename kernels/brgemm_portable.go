package kernels

import "unsafe"

// portableRows and portableCols are the tile of the portable micro-kernels:
// with its operands as much as the registers of amd64 hold.
const portableRows, portableCols = 2, 4

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

// portableTile always computes portableRows rows; those past m are the last once
// more, with the same sums. The sums are variables rather than an array so that they
// stay in registers. Elements are addressed from the start of the matrices, so
// that no pointer ever lies past their end. Under the race detector the checks of
// each pointer would take ten times as long as the sums.
//
//go:norace
//go:nocheckptr
func portableTile[T float](args *brgemmArgs, a, c unsafe.Pointer, m int, column bool) {
	type row = [portableCols]T
	at := func(i int) *row { return (*row)(unsafe.Add(c, min(i, m-1)*args.cRow)) }
	var c00, c01, c02, c03, c10, c11, c12, c13 T
	aRow, aK := args.aRow, elemSize[T]()
	if column {
		aRow, aK = aK, args.aK
	}
	row1 := min(1, m-1) * aRow
	bK := args.bK
	for _, tap := range unsafe.Slice(args.taps, args.numTaps) {
		ai, bi := tap.a, tap.b
		for range args.k {
			b := (*row)(unsafe.Add(args.b, bi))
			b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
			p := unsafe.Add(a, ai)
			v := *(*T)(p)
			c00, c01, c02, c03 = c00+v*b0, c01+v*b1, c02+v*b2, c03+v*b3
			v = *(*T)(unsafe.Add(p, row1))
			c10, c11, c12, c13 = c10+v*b0, c11+v*b1, c12+v*b2, c13+v*b3
			ai, bi = ai+aK, bi+bK
		}
	}
	if args.accumulate != 0 {
		r0, r1 := at(0), at(1)
		c00, c01, c02, c03 = r0[0]+c00, r0[1]+c01, r0[2]+c02, r0[3]+c03
		c10, c11, c12, c13 = r1[0]+c10, r1[1]+c11, r1[2]+c12, r1[3]+c13
	}
	*at(1) = row{c10, c11, c12, c13}
	*at(0) = row{c00, c01, c02, c03}
}
