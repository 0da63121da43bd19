package kernels

import (
	"sync"
	"unsafe"
)

// The AMX level multiplies bfloat16 matrices in tiles of 16 rows of 64 bytes. A
// bfloat16 number is the upper half of a float32, here a uint16. Everything else at
// this level is that of AVX512.
//
// A tile of A holds rows of activations as they lie in memory, one of B pairs of
// rows of weights interleaved ("VNNI": [k/2][columns][2]), one of C float32. The
// product takes denormal numbers for zero and rounds to nearest even, whatever the
// floating-point environment says.

// A panel of B and a tile of rows are two hardware tiles wide and high; a step
// along k is one tile deep, at most.
const (
	amxPanel   = 32
	amxRows    = 32
	amxMaxStep = 32
	amxHalf    = 16 // rows or columns of float32 of one hardware tile
)

// amxStripLen is how many numbers a tile of the strip holds.
const amxStripLen = amxRows * amxPanel

// amxArgs is what a tile micro-kernel works on. For each row tile of a list it
// computes, over its taps t and all k,
//
//	sum = (load ? strip : 0) + sum of A_t[i][k] * B_t[k][j]
//
// and then does with the sum what its end says. A row tile has rows rows. k runs
// over steps whose depth the tile configuration gives. All strides are in bytes.
// The assembly reads this struct by offsets and counts tiles down to 0. A list that
// only stores to the strip needs no c.
//
// The tile configuration and what tiles hold belong to the thread, and goroutines
// change threads between calls, not within: each call loads the configuration and
// releases it.
type amxArgs struct {
	config      [64]byte // for LDTILECFG
	a, b, c     unsafe.Pointer
	list        *amxTile
	taps        *brgemmTap
	strip       unsafe.Pointer // [tile][32][32]float32: sums on their way to C, or to the next call
	tiles       int
	steps       int // along k, of a tap
	aRow, aStep int
	bRow, bStep int
	cRow        int
	stripTile   int // from one tile of the strip to the next
	rows        int
	mask        uintptr // a bit per column
	load        int

	// What a step fetches for a later call where sums are float32 results, or stay with
	// amxEndKeep.
	ahead [2]amxAhead

	// Of the assembly: the current tile of the strip, the rows of C to fetch, the current tap.
	stripNow, cAhead, cEnd, tapNow uintptr

	// Of lines: from a pixel of A to the next, from the last one to the first of the next
	// step, from a column of the kernel to the next in B (backward weights: from a pixel),
	// from a tile of C to the next. Of backward weights the pixels of a line of B, and edges.
	aPixel, aBack, bNext, cNext int
	pixels, edges               int

	aNow, bNow uintptr // of the assembly: a step of A and of B

	kernels *[numAMXEnds]func(*amxArgs)
	own     *[amxStripLen]float32 // the strip where none is kept; apart, so that it is aligned
}

// amxTile is one row tile: byte offsets of A and C, and its taps, at a byte offset
// too. Edges is for lines.
type amxTile struct{ a, c, taps, numTaps, edges int }

const tapBytes = int(unsafe.Sizeof(brgemmTap{}))

// amxAhead is memory of which two lines a step are fetched into the second-level cache, and
// by how many bytes it moves on in a step; 0: nothing is fetched.
type amxAhead struct {
	at   uintptr
	step int
}

func (f *amxAhead) fetch(p unsafe.Pointer, step int) { f.at, f.step = uintptr(p), step }

// amxEnd is what becomes of the sums of a row tile.
type amxEnd int

const (
	amxEndStrip    amxEnd = iota // they stay in the strip
	amxEndKeep                   // the same, and operands are fetched ahead
	amxEndStore                  // float32 C = sum
	amxEndAdd                    // float32 C += sum
	amxEndRound                  // bfloat16 C = sum, rounded
	amxEndAddRound               // bfloat16 C += sum, rounded once
	numAMXEnds
)

// amxKernelTable holds micro-kernels: those of row tiles by number of row tiles less one,
// of column tiles less one, and end; those of lines by end.
type amxKernelTable struct {
	tiles                [2][2][numAMXEnds]func(*amxArgs)
	lines, lineGradients [numAMXEnds]func(*amxArgs)
}

// amxKernels are those in use; nil where there are none.
var amxKernels *amxKernelTable

var amxArgsPool = sync.Pool{New: func() any { return &amxArgs{own: new([amxStripLen]float32)} }}

func takeAMXArgs() *amxArgs {
	args := amxArgsPool.Get().(*amxArgs)
	args.ownStrip()
	return args
}

func (args *amxArgs) drop() {
	*args = amxArgs{own: args.own}
	amxArgsPool.Put(args)
}

// ownStrip keeps no sums: each row tile uses the same small strip.
func (args *amxArgs) ownStrip() { args.strip, args.stripTile = unsafe.Pointer(args.own), 0 }

// keepStrip keeps the sums of every row tile of a list.
func (args *amxArgs) keepStrip(strip []float32) {
	args.strip, args.stripTile = unsafe.Pointer(&strip[0]), amxStripLen*4
}

// fetchNothing ends fetching ahead.
func (args *amxArgs) fetchNothing() { args.ahead = [2]amxAhead{} }

// shape sets the tile configuration for row tiles of rows rows, cols columns, and
// steps of step elements.
func (args *amxArgs) shape(rows, cols, step int) {
	args.rows, args.mask = rows, 1<<cols-1
	args.aStep, args.bRow = step*2, amxPanel*4
	args.bStep = step / 2 * args.bRow
	args.config = [64]byte{1} // the palette
	tile := func(i, rows, bytes int) {
		if rows > 0 && bytes > 0 {
			args.tile(i, rows, bytes)
		}
	}
	half := func(n, i int) int { return max(min(n-i*amxHalf, amxHalf), 0) }
	for i := range 2 {
		for j := range 2 {
			tile(2*i+j, half(rows, i), half(cols, j)*4)
		}
		tile(4+i, half(rows, i), step*2)
		if half(cols, i) > 0 {
			tile(6+i, step/2, half(cols, i)*4)
		}
	}
	args.kernels = &amxKernels.tiles[index(rows > amxHalf)][index(cols > amxHalf)]
}

// maxAMXSteps bounds one assembly call to about 40 microseconds, counting steps of
// 100 cycles, and the sum of one row tile.
const maxAMXSteps = 1024

// run computes the row tiles of a list.
func (args *amxArgs) run(end amxEnd, list []amxTile) { args.calls(end, list, 1) }

// calls computes a list in as many assembly calls as its length asks for; a step is as
// long as several of row tiles.
func (args *amxArgs) calls(end amxEnd, list []amxTile, several int) {
	kernel, strip := args.kernels[end], args.strip
	for i := range args.ahead {
		if args.ahead[i].step == 0 {
			args.ahead[i].at = uintptr(args.b) // is in cache; no memory would cost a walk through page tables
		}
	}
	for from := 0; from < len(list); {
		to, work := from, 0
		for to < len(list) && (to == from || work+several*list[to].numTaps*args.steps <= maxAMXSteps) {
			work += several * list[to].numTaps * args.steps
			to++
		}
		args.list, args.tiles = &list[from], to-from
		args.strip = unsafe.Add(strip, from*args.stripTile)
		kernel(args)
		from = to
	}
	args.strip, args.list = strip, nil
}

// amxStep returns the depth of a step that divides depth: even and as large as can
// be; 0 for an odd depth.
func amxStep(depth int) int {
	for step := amxMaxStep; step > 0; step -= 2 {
		if depth%step == 0 {
			return step
		}
	}
	return 0
}

// amxMinStep is the smallest depth of a step with which tiles beat vectors: a tile
// product takes the same time whatever its depth.
const amxMinStep = 6

// amxCut cuts a depth that may be filled up with zeros into even steps.
func amxCut(depth int) (steps, step int) {
	steps = max(ceilDiv(depth, amxMaxStep), 1)
	return steps, max(ceilDiv(depth, 2*steps), 1) * 2
}

// amxRun is how many terms of a convolution tiles add up before they move on: the
// panel of B of a run, 64 bytes a term, stays in the first-level cache while the row
// tiles of a list pass by. Sums wait in the strip, in the second-level cache. The sum
// is the same as that of one long run.
const amxRun = 384

// amxLongestCut is the longest sum that is cut into runs of amxRun. Above it reading B
// from the second-level cache costs less than so many runs would.
const amxLongestCut = 1440
