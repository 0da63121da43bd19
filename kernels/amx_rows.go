package kernels

import (
	"math"
	"sync"
	"unsafe"
)

// Loops that bring rows of numbers into the form tiles want.

// amxRowsArgs is what they work on. All strides are in bytes. The assembly reads
// this struct by offsets.
type amxRowsArgs struct {
	dst, src         unsafe.Pointer
	rows             int
	dstRow, srcRow   int
	blocks           int // of columns, whole ones
	mask, mask2      uintptr
	tiles            int
	dstTile, srcTile int
	index            unsafe.Pointer // for a permutation
	second           int            // from the first row of a pair to the second
	half             int            // from the first 16 columns of a panel to the others
	scale            float32        // of float32 rows
}

var amxRowsArgsPool = sync.Pool{New: func() any { return new(amxRowsArgs) }}

// call runs a kernel on a copy that may escape.
func (args amxRowsArgs) call(kernel func(*amxRowsArgs)) {
	p := amxRowsArgsPool.Get().(*amxRowsArgs)
	*p = args
	kernel(p)
	*p = amxRowsArgs{}
	amxRowsArgsPool.Put(p)
}

// amxRowKernels are those of one level; nil where there are none.
type amxRowKernels struct{ pair, roundPair, transpose func(*amxRowsArgs) }

var amxRowTables [numLevels]amxRowKernels

// amxRound is BFloat16FromFloat32 as VCVTNEPS2BF16 and tiles have it: denormal numbers
// become zero.
func amxRound(v float32) uint16 {
	if bits := math.Float32bits(v); bits>>23&0xFF == 0 {
		return uint16(bits>>16) & 0x8000
	}
	return BFloat16FromFloat32(v)
}

// lastOf returns the index of the last element of rows of n, row apart.
func lastOf(rows, row, n int) int { return (rows-1)*row + n - 1 }

// Permutations of the pairing kernels: quadwords of a row to where their columns lie
// in the result, and elements of two rows side by side to pairs.
var (
	pairQuads = [8]uint64{0, 4, 1, 5, 2, 6, 3, 7}
	pairWords = func() (index [32]uint16) {
		for i := range index {
			index[i] = uint16(i/2 + i%2*16)
		}
		return index
	}()
)

// pairLayout is where panels of 32 columns of pairs of rows go, in elements: from a panel
// to the next, from a pair of rows to the next, and from the first 16 columns, which lie
// side by side, to the others. Numbers are multiplied with scale before they are rounded.
type pairLayout struct {
	panel, row, half int
	scale            float32
}

// panelLayout is that of panels [pair][32][2].
func panelLayout(panel int, scale float32) pairLayout {
	return pairLayout{panel: panel, row: 2 * amxPanel, half: amxPanel, scale: scale}
}

// pairRows writes panels of 32 columns: pairs of rows interleaved, filled up with zeros. Of
// src, n columns are taken; float32 is scaled and rounded.
//
//go:norace
func pairRows[T uint16 | float32](dst []uint16, to pairLayout, src []T, srcRow, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	panels := ceilDiv(n, amxPanel)
	// The ends are checked here: the kernel cannot.
	_, _ = dst[(panels-1)*to.panel+(ceilDiv(rows, 2)-1)*to.row+to.half+amxPanel-1], src[lastOf(rows, srcRow, n)]
	table := &amxRowTables[CurrentLevel()]
	elem := int(unsafe.Sizeof(src[0]))
	kernel, permutation := table.pair, unsafe.Pointer(&pairQuads)
	if elem == 4 {
		kernel, permutation = table.roundPair, unsafe.Pointer(&pairWords)
	}
	if kernel == nil {
		pairRowsPortable(dst, to, src, srcRow, rows, n)
		return
	}
	args := amxRowsArgs{srcRow: 2 * srcRow * elem, dstRow: 2 * to.row, dstTile: 2 * to.panel, srcTile: amxPanel * elem, second: srcRow * elem, half: 2 * to.half, scale: to.scale, index: permutation}
	// Whole panels and a ragged one, whole pairs and half a one.
	part := func(panel, panels, cols int) {
		args.tiles, args.mask, args.mask2 = panels, 1<<cols-1, 1<<cols-1
		args.dst, args.src, args.rows = unsafe.Pointer(&dst[panel*to.panel]), unsafe.Pointer(&src[panel*amxPanel]), rows/2
		if rows > 1 {
			args.call(kernel)
		}
		if rows%2 == 1 {
			args.dst, args.src = unsafe.Pointer(&dst[panel*to.panel+rows/2*to.row]), unsafe.Pointer(&src[(rows-1)*srcRow+panel*amxPanel])
			args.rows, args.mask2 = 1, 0
			args.call(kernel)
		}
	}
	if whole := n / amxPanel; whole > 0 {
		part(0, whole, amxPanel)
	}
	if rest := n % amxPanel; rest > 0 {
		part(panels-1, 1, rest)
	}
}

//go:norace
func pairRowsPortable[T uint16 | float32](dst []uint16, to pairLayout, src []T, srcRow, rows, n int) {
	for p := range ceilDiv(n, amxPanel) {
		for i := range ceilTo(rows, 2) {
			for j := range amxPanel {
				h := uint16(0)
				if col := p*amxPanel + j; i < rows && col < n {
					switch v := any(src[i*srcRow+col]).(type) {
					case uint16:
						h = v
					case float32:
						h = amxRound(v * to.scale)
					}
				}
				dst[p*to.panel+i/2*to.row+j/amxHalf*to.half+j%amxHalf*2+i%2] = h
			}
		}
	}
}

// A turn of rows takes 32 of them and 8 columns at a time.
const turnRows, turnCols = 32, 8

// turnHalves sets dst[j*dstRow+i] = src[i*srcRow+j] for rows x cols. It fills dst up
// with zeros to whole 32 rows of src, and to whole 8 columns with anything.
//
//go:norace
func turnHalves(dst []uint16, dstRow int, src []uint16, srcRow, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	_, _ = dst[lastOf(ceilTo(cols, turnCols), dstRow, ceilTo(rows, turnRows))], src[lastOf(rows, srcRow, cols)]
	kernel := amxRowTables[CurrentLevel()].transpose
	if kernel == nil {
		for j := range cols {
			clear(dst[j*dstRow+rows : j*dstRow+ceilTo(rows, turnRows)])
		}
		for i := range rows {
			for j, h := range src[i*srcRow : i*srcRow+cols] {
				dst[j*dstRow+i] = h
			}
		}
		return
	}
	args := amxRowsArgs{dstRow: 2 * dstRow, srcRow: 2 * srcRow, blocks: ceilDiv(cols, turnCols), dstTile: 2 * turnRows, srcTile: 2 * turnRows * srcRow}
	done := 0
	if cols%turnCols == 0 && rows >= turnRows {
		args.dst, args.src, args.tiles = unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), rows/turnRows
		args.call(kernel)
		done = rows / turnRows * turnRows
	}
	if done == rows {
		return
	}
	// What the kernel would read past is copied where there is room.
	wide := ceilTo(cols, turnCols)
	room := takeScratch[uint16](turnRows * wide)
	defer room.drop()
	args.src, args.srcRow, args.tiles = unsafe.Pointer(&room.data[0]), 2*wide, 1
	for ; done < rows; done += turnRows {
		n := min(rows-done, turnRows)
		for i := range n {
			copy(room.data[i*wide:i*wide+cols], src[(done+i)*srcRow:])
		}
		clear(room.data[n*wide:])
		args.dst = unsafe.Pointer(&dst[done])
		args.call(kernel)
	}
}
