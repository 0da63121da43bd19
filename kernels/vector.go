package kernels

import "unsafe"

const (
	maxVectorStreams = 8
	maxVectorScalars = 16
)

// vectorArgs is what a vector kernel works on: rows of cols elements in several
// streams. Stream i starts at streams[i]; its rows lie strides[i] bytes apart,
// so a stride of 0 repeats a row: per-channel parameters, or sums over rows. Some
// streams hold one scalar per row. The assembly reads this struct by offsets and
// counts rows down to 0.
type vectorArgs struct {
	rows, cols int // at least 1
	index      int // of the first element, for kernels that want to know
	mask       uintptr
	scalars    [maxVectorScalars]float32
	streams    [maxVectorStreams]unsafe.Pointer
	strides    [maxVectorStreams]int
}

// vectorKernel holds the implementations of one kernel by level, and the scalars
// that are constants; those that a call sets come first.
type vectorKernel struct {
	levels  [numLevels]func(*vectorArgs)
	scalars [maxVectorScalars]float32
}

// run computes rows x cols elements at the current level.
func (k *vectorKernel) run(args *vectorArgs) {
	level := CurrentLevel()
	switch level {
	case AVX512:
		args.mask = 1<<(args.cols%16) - 1
	case AVX2:
		args.mask = uintptr(unsafe.Pointer(&mask32[8-args.cols%8]))
	}
	k.levels[level](args)
}

// flatBlock is how many elements one task of a flat loop handles.
const flatBlock = 1 << 14

// flat runs the kernel over n elements of streams that all move with the
// element, in parallel blocks. The scalars are the same for all.
func (k *vectorKernel) flat(n int, scalars []float32, streams ...[]float32) {
	blocks := (n + flatBlock - 1) / flatBlock
	Parallel(blocks, func(b int) {
		from, to := b*flatBlock, min((b+1)*flatBlock, n)
		args := vectorArgs{rows: 1, cols: to - from, index: from, scalars: k.scalars}
		copy(args.scalars[:], scalars)
		for i, s := range streams {
			if s != nil {
				args.streams[i] = unsafe.Pointer(&s[from])
			}
		}
		k.run(&args)
	})
}

// vectorStream is one stream of a loop over rows.
type vectorStream struct {
	data   []float32
	stride int // in elements; 0: the same for every row
}

// block runs the kernel over rows from to to of matrices with c columns.
func (k *vectorKernel) block(from, to, c int, scalars []float32, streams ...vectorStream) {
	if from >= to || c == 0 {
		return
	}
	args := vectorArgs{rows: to - from, cols: c, scalars: k.scalars}
	copy(args.scalars[:], scalars)
	for i, s := range streams {
		if s.data != nil {
			args.streams[i] = unsafe.Pointer(&s.data[from*s.stride])
			args.strides[i] = 4 * s.stride
		}
	}
	k.run(&args)
}

// rowBlock is how many rows one task handles; it also cuts sums over rows, so it
// depends on the shape alone.
func rowBlock(c int) int { return min(max(flatBlock/max(c, 1), 16), 512) }

// rows runs the kernel over all rows in parallel blocks.
func (k *vectorKernel) rows(rows, c int, scalars []float32, streams ...vectorStream) {
	size := rowBlock(c)
	Parallel((rows+size-1)/size, func(b int) {
		k.block(b*size, min((b+1)*size, rows), c, scalars, streams...)
	})
}

func vectorMax(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

func vectorMin(a, b float32) float32 {
	if a < b {
		return a
	}
	return b
}

func vectorSelect(m bool, a, b float32) float32 {
	if m {
		return a
	}
	return b
}
