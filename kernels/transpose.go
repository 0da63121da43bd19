package kernels

import "unsafe"

// transposeArgs is what a transposing kernel works on: square blocks as wide as
// a vector, each written with rows and columns exchanged. All strides are in
// bytes. The assembly reads this struct by offsets.
type transposeArgs struct {
	dst, src           unsafe.Pointer
	dstRow, srcRow     int
	blocks             int
	dstBlock, srcBlock int // from one block to the next
}

// transposer is the transposing of one level and element type.
type transposer struct {
	size   int // rows and columns of a block
	kernel func(*transposeArgs)
}

var transposeF32, transposeF64 [numLevels]transposer

// transpose sets dst[j][i] = src[i][j] for a rows x cols matrix src; strides are
// those of rows.
//
//go:norace
func transpose[T float](dst []T, dstRow int, src []T, srcRow, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	// The ends are checked here: the kernel cannot.
	_, _ = dst[(cols-1)*dstRow+rows-1], src[(rows-1)*srcRow+cols-1]
	elem := elemSize[T]()
	t := &transposeF32[CurrentLevel().tables()]
	if elem == 8 {
		t = &transposeF64[CurrentLevel().tables()]
	}
	doneRows, doneCols := 0, 0
	if t.size > 0 {
		doneRows, doneCols = rows/t.size*t.size, cols/t.size*t.size
	}
	if doneCols > 0 {
		args := transposeArgsPool.Get().(*transposeArgs)
		*args = transposeArgs{
			dstRow: dstRow * elem, srcRow: srcRow * elem, blocks: doneCols / t.size,
			dstBlock: t.size * dstRow * elem, srcBlock: t.size * elem,
		}
		for i := 0; i < doneRows; i += t.size {
			args.dst, args.src = unsafe.Pointer(&dst[i]), unsafe.Pointer(&src[i*srcRow])
			t.kernel(args)
		}
		args.dst, args.src = nil, nil
		transposeArgsPool.Put(args)
	}
	for i := range rows {
		from := doneCols
		if i >= doneRows {
			from = 0
		}
		row := src[i*srcRow : i*srcRow+cols]
		for j := from; j < cols; j++ {
			dst[j*dstRow+i] = row[j]
		}
	}
}
