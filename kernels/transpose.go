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
	ahead              int // how far from what is read memory is fetched into the second-level cache (x86)
}

// transposer is the transposing of one level and element type.
type transposer struct {
	size   int // rows and columns of a block; 0 where there is no kernel
	kernel func(*transposeArgs)
	rest   *transposer // for what whole blocks leave, or nil
}

var transposeF32, transposeF64 [numLevels]transposer

// transpose sets dst[j][i] = src[i][j] for a rows x cols matrix src; strides are
// those of rows.
func transpose[T float](dst []T, dstRow int, src []T, srcRow, rows, cols int) {
	transposeAhead(dst, dstRow, src, srcRow, rows, cols, 0)
}

// transposeAhead is transpose, which may also fetch what lies ahead elements from what it
// reads, in src or past it, into the second-level cache, for a later call.
func transposeAhead[T float](dst []T, dstRow int, src []T, srcRow, rows, cols, ahead int) {
	if rows == 0 || cols == 0 {
		return
	}
	// The ends are checked here: the kernels cannot.
	_, _ = dst[(cols-1)*dstRow+rows-1], src[(rows-1)*srcRow+cols-1]
	t := &transposeF32[CurrentLevel().tables()]
	if elemSize[T]() == 8 {
		t = &transposeF64[CurrentLevel().tables()]
	}
	transposeBlocks(t, dst, dstRow, src, srcRow, rows, cols, ahead)
}

// transposeBlocks does what it can in blocks of t, and what is right of these and
// below in smaller ones.
func transposeBlocks[T float](t *transposer, dst []T, dstRow int, src []T, srcRow, rows, cols, ahead int) {
	if t == nil || t.size == 0 {
		transposeElements(dst, dstRow, src, srcRow, rows, cols)
		return
	}
	doneRows, doneCols := rows/t.size*t.size, cols/t.size*t.size
	if doneRows == 0 {
		doneCols = 0
	}
	if doneCols > 0 {
		elem := elemSize[T]()
		args := transposeArgsPool.Get().(*transposeArgs)
		*args = transposeArgs{
			dstRow: dstRow * elem, srcRow: srcRow * elem, blocks: doneCols / t.size,
			dstBlock: t.size * dstRow * elem, srcBlock: t.size * elem,
			ahead: ahead * elem,
		}
		for i := 0; i < doneRows; i += t.size {
			args.dst, args.src = unsafe.Pointer(&dst[i]), unsafe.Pointer(&src[i*srcRow])
			t.kernel(args)
		}
		args.dst, args.src = nil, nil
		transposeArgsPool.Put(args)
	}
	if doneCols < cols {
		transposeBlocks(t.rest, dst[doneCols*dstRow:], dstRow, src[doneCols:], srcRow, rows, cols-doneCols, ahead)
	}
	if doneRows < rows && doneCols > 0 {
		transposeBlocks(t.rest, dst[doneRows:], dstRow, src[doneRows*srcRow:], srcRow, rows-doneRows, doneCols, ahead)
	}
}

// narrowRows is to what a matrix for transposeNarrow is filled up.
const narrowRows = 8

// transposeNarrow sets dst, whose rows have no gaps, to the transposed of a matrix of few
// rows, of which src must have ceilTo(rows, narrowRows), whatever the last hold. A block
// is written whole, what it has too much into the row that the next overwrites.
func transposeNarrow(dst []float32, src []float32, srcRow, rows, cols int) {
	t := &transposeF32[CurrentLevel().tables()]
	for t != nil && t.size > narrowRows {
		t = t.rest
	}
	blocks := (cols - ceilDiv(narrowRows-rows, rows)) / narrowRows
	if t == nil || t.size < narrowRows || rows > narrowRows || blocks <= 0 {
		transpose(dst, rows, src, srcRow, rows, cols)
		return
	}
	whole := blocks * narrowRows
	transposeBlocks(t, dst, rows, src, srcRow, narrowRows, whole, 0)
	if whole < cols {
		transposeElements(dst[whole*rows:], rows, src[whole:], srcRow, rows, cols-whole)
	}
}

// transposeOver is transposeAhead of few columns, where what follows the result in dst may be
// overwritten: whole blocks are read and written as far as src and dst reach.
func transposeOver(dst []float32, dstRow int, src []float32, srcRow, rows, cols, ahead int) {
	whole := ceilTo(cols, max(transposeF32[CurrentLevel().tables()].size, 1))
	if rows > 0 && cols > 0 && (rows-1)*srcRow+whole <= len(src) && (whole-1)*dstRow+rows <= len(dst) {
		cols = whole
	}
	transposeAhead(dst, dstRow, src, srcRow, rows, cols, ahead)
}

//go:norace
func transposeElements[T float](dst []T, dstRow int, src []T, srcRow, rows, cols int) {
	for i := range rows {
		for j, v := range src[i*srcRow : i*srcRow+cols] {
			dst[j*dstRow+i] = v
		}
	}
}
