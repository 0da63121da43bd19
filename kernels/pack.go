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
func packTiles[T scratchable](dst []T, dstRow, dstTile int, src []T, srcRow, srcTile, rows, width, tiles int) {
	packTilesAhead(dst, dstRow, dstTile, src, srcRow, srcTile, rows, width, tiles, 0)
}

// packTilesAhead is packTiles, which on x86 also fetches what lies ahead elements from
// what it reads, in src or past it, into the second-level cache, for the next call.
func packTilesAhead[T scratchable](dst []T, dstRow, dstTile int, src []T, srcRow, srcTile, rows, width, tiles, ahead int) {
	p := newTilePacking[T](dstRow, dstTile, srcRow, srcTile, width, tiles)
	p.pack(dst, src, rows, ahead)
	p.drop()
}

// tilePacking is a way of packing that is used many times.
type tilePacking[T scratchable] struct {
	dstRow, dstTile, srcRow, srcTile, width, tiles int

	kernel func(*packArgs) // nil: this level has none for such rows
	args   *packArgs
}

// newTilePacking returns the packing of packTiles. Put it back with drop.
func newTilePacking[T scratchable](dstRow, dstTile, srcRow, srcTile, width, tiles int) tilePacking[T] {
	t := tilePacking[T]{dstRow: dstRow, dstTile: dstTile, srcRow: srcRow, srcTile: srcTile, width: width, tiles: tiles}
	elem := elemSize[T]()
	p, units := &packers[CurrentLevel().tables()], dstRow*elem/4
	if tiles == 0 || p.units == 0 || width*elem%4 != 0 || units%p.units != 0 || units/p.units > len(p.kernels) {
		return t
	}
	t.kernel, t.args = p.kernels[units/p.units-1], packArgsPool.Get().(*packArgs)
	*t.args = packArgs{srcRow: srcRow * elem, tiles: tiles, dstTile: dstTile * elem, srcTile: srcTile * elem}
	left := width * elem / 4
	for i := range units / p.units {
		n := max(min(left-i*p.units, p.units), 0)
		if p.bitMask {
			t.args.mask[i] = 1<<n - 1
		} else {
			t.args.mask[i] = uintptr(unsafe.Pointer(&mask32[8-n]))
		}
	}
	return t
}

func (t *tilePacking[T]) drop() {
	if t.args != nil {
		*t.args = packArgs{}
		packArgsPool.Put(t.args)
	}
	*t = tilePacking[T]{}
}

// pack packs rows of all tiles of src to dst.
//
//go:norace
func (t *tilePacking[T]) pack(dst, src []T, rows, ahead int) {
	if rows == 0 || t.tiles == 0 {
		return
	}
	// The ends are checked here: the kernel cannot.
	_, _ = dst[(t.tiles-1)*t.dstTile+rows*t.dstRow-1], src[(t.tiles-1)*t.srcTile+(rows-1)*t.srcRow+t.width-1]
	if t.kernel == nil {
		for i := range t.tiles {
			for r := range rows {
				row := dst[i*t.dstTile+r*t.dstRow:][:t.dstRow]
				clear(row[copy(row, src[i*t.srcTile+r*t.srcRow:][:t.width]):])
			}
		}
		return
	}
	t.args.dst, t.args.src, t.args.rows = unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), rows
	t.args.ahead = ahead * elemSize[T]()
	t.kernel(t.args)
}
