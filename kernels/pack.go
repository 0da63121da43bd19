package kernels

import (
	"sync"
	"unsafe"
)

// packArgs is what a packing kernel works on: it copies tiles of rows, of a
// width that a mask gives, from strided memory into panels whose rows lie one
// after the other, each filled up with zeros to whole vectors. All strides are
// in bytes. The assembly reads this struct by offsets.
type packArgs struct {
	dst, src         unsafe.Pointer
	rows, srcRow     int
	tiles            int
	dstTile, srcTile int        // from one tile to the next
	mask             [2]uintptr // of each vector of a row: bits, or the address of a vector mask
	ahead            int        // how far from what a row reads memory is fetched into the second-level cache
}

// What is passed to a function from a table escapes: pools save the allocation.
var (
	packArgsPool      = sync.Pool{New: func() any { return new(packArgs) }}
	transposeArgsPool = sync.Pool{New: func() any { return new(transposeArgs) }}
	brgemmArgsPool    = sync.Pool{New: func() any { return new(brgemmArgs) }}
)

// packer is the packing of one level.
type packer struct {
	units   int // 4-byte units of a vector
	bitMask bool
	kernels []func(*packArgs) // by vectors of a row, less one
}

var packers [numLevels]packer

// packTiles copies tiles of rows x width elements, rows srcRow apart and tiles
// srcTile apart in src, into dst, where rows take dstRow elements and tiles
// begin dstTile apart. It fills a row up with zeros. src holds all it reads.
func packTiles[T float](dst []T, dstRow, dstTile int, src []T, srcRow, srcTile, rows, width, tiles int) {
	packTilesAhead(dst, dstRow, dstTile, src, srcRow, srcTile, rows, width, tiles, 0)
}

// packTilesAhead is packTiles, which on x86 also fetches what lies ahead elements from
// what it reads, in src or past it, into the second-level cache, for the next call.
//
//go:norace
func packTilesAhead[T float](dst []T, dstRow, dstTile int, src []T, srcRow, srcTile, rows, width, tiles, ahead int) {
	if rows == 0 || tiles == 0 {
		return
	}
	elem := elemSize[T]()
	p, units := &packers[CurrentLevel().tables()], dstRow*elem/4
	if p.units == 0 || units%p.units != 0 || units/p.units > len(p.kernels) {
		for t := range tiles {
			for r := range rows {
				row := dst[t*dstTile+r*dstRow : t*dstTile+(r+1)*dstRow]
				clear(row[copy(row, src[t*srcTile+r*srcRow:t*srcTile+r*srcRow+width]):])
			}
		}
		return
	}
	args := packArgsPool.Get().(*packArgs)
	*args = packArgs{
		dst: unsafe.Pointer(&dst[0]), src: unsafe.Pointer(&src[0]), rows: rows, srcRow: srcRow * elem,
		tiles: tiles, dstTile: dstTile * elem, srcTile: srcTile * elem,
		ahead: ahead * elem,
	}
	left := width * elem / 4
	for i := range units / p.units {
		n := max(min(left-i*p.units, p.units), 0)
		if p.bitMask {
			args.mask[i] = 1<<n - 1
		} else {
			args.mask[i] = uintptr(unsafe.Pointer(&mask32[8-n]))
		}
	}
	// The ends are checked here: the kernel cannot.
	_, _ = dst[(tiles-1)*dstTile+rows*dstRow-1], src[(tiles-1)*srcTile+(rows-1)*srcRow+width-1]
	p.kernels[units/p.units-1](args)
	args.dst, args.src = nil, nil
	packArgsPool.Put(args)
}
