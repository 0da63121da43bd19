package kernels

import (
	"math"
	"sync"
	"unsafe"
)

const (
	maxVectorStreams = 8
	maxVectorScalars = 16
)

// vectorArgs is what a vector kernel works on: rows of cols elements in several
// streams. Stream i starts at streams[i]; its rows lie strides[i] bytes apart,
// so a stride of 0 repeats a row: per-channel parameters, or sums over rows. Some
// streams hold one scalar per row. A bundle of streams a step apart is the last;
// the step is the last of strides. The assembly reads this struct by offsets and may
// count rows down to 0.
type vectorArgs struct {
	rows, cols int // at least 1
	index      int // of the first element, for kernels that want to know
	mask       uintptr
	scalars    [maxVectorScalars]float32
	streams    [maxVectorStreams]unsafe.Pointer
	strides    [maxVectorStreams]int
}

// vectorArgsPool saves an allocation per call: what is passed to a function from
// a table escapes.
var vectorArgsPool = sync.Pool{New: func() any { return new(vectorArgs) }}

// vectorKernel holds the implementations of one kernel by level, and the scalars
// that are constants; those that a call sets come first.
type vectorKernel struct {
	levels  [numLevels]func(*vectorArgs)
	scalars [maxVectorScalars]float32
	bf16    *vectorKernel // its twin for activations of bfloat16, if it has one
}

// kernelOf returns the twin of k for activations of type E.
func kernelOf[E Element](k *vectorKernel) *vectorKernel {
	var zero E
	if _, ok := any(zero).(uint16); ok {
		return k.bf16
	}
	return k
}

// vectorStream is one stream of a loop over rows.
type vectorStream struct {
	data   []float32
	bf16   []uint16 // in place of data
	stride int      // in elements; 0: the same for every row
	block  int      // elements from one block of rows to the next, for what each block has of its own
	step   int      // elements from one stream of a bundle to the next; the first stands for all
}

// matrix is a stream of rows of c elements, parameters one of the same c elements
// for every row, perRow one of a scalar per row.
func matrix[E Element](data []E, c int) vectorStream {
	s := parameters(data)
	s.stride = c
	return s
}

func parameters[E Element](data []E) vectorStream {
	switch data := any(data).(type) {
	case []float32:
		return vectorStream{data: data}
	case []uint16:
		return vectorStream{bf16: data}
	}
	return vectorStream{}
}

func perRow(data []float32) vectorStream { return vectorStream{data: data, stride: 1} }

// from is the stream from its element i on.
func (s vectorStream) from(i int) vectorStream {
	switch {
	case s.data != nil:
		s.data = s.data[i:]
	case s.bf16 != nil:
		s.bf16 = s.bf16[i:]
	}
	return s
}

// call computes rows x cols elements of streams at the current level. The first
// element has this index.
func (k *vectorKernel) call(rows, cols, index int, scalars []float32, streams []vectorStream) {
	if rows <= 0 || cols == 0 {
		return
	}
	args := vectorArgsPool.Get().(*vectorArgs)
	args.rows, args.cols, args.index = rows, cols, index
	args.scalars = k.scalars
	copy(args.scalars[:], scalars)
	for i, s := range streams {
		args.streams[i], args.strides[i] = unsafe.Pointer(unsafe.SliceData(s.data)), 4*s.stride
		if s.bf16 != nil {
			args.streams[i], args.strides[i] = unsafe.Pointer(unsafe.SliceData(s.bf16)), 2*s.stride
		}
		if s.step != 0 {
			args.strides[maxVectorStreams-1] = 4 * s.step
		}
	}
	level := CurrentLevel().tables()
	switch level {
	case AVX512:
		args.mask = 1<<(cols%16) - 1
	case AVX2:
		args.mask = uintptr(unsafe.Pointer(&mask32[8-cols%8]))
	}
	k.levels[level](args)
	clear(args.streams[:]) // so that the pool keeps nothing alive
	vectorArgsPool.Put(args)
}

// flatBlock is how many elements one task of a flat loop handles.
const flatBlock = 1 << 14

// vectorJob is a loop of a kernel that is cut into blocks. Jobs are recycled, their
// functions with them: a closure for each loop would be allocated.
type vectorJob struct {
	kernel  *vectorKernel
	n, c    int // elements of a flat loop, or rows and columns
	scalars [maxVectorScalars]float32
	set     int // how many scalars
	streams [maxVectorStreams]vectorStream
	used    int // how many streams

	flatPart, rowsPart, foldedPart func(i int)
}

var vectorJobs = sync.Pool{New: func() any {
	j := new(vectorJob)
	j.flatPart, j.rowsPart, j.foldedPart = j.flat, j.rows, j.folded
	return j
}}

func (k *vectorKernel) job(n, c int, scalars []float32, streams []vectorStream) *vectorJob {
	j := vectorJobs.Get().(*vectorJob)
	j.kernel, j.n, j.c = k, n, c
	j.set, j.used = copy(j.scalars[:], scalars), copy(j.streams[:], streams)
	return j
}

func (j *vectorJob) drop() {
	j.streams = [maxVectorStreams]vectorStream{} // keep nothing of the caller's
	vectorJobs.Put(j)
}

// flat runs the kernel over n elements of streams that all move with the
// element, in parallel blocks. The scalars are the same for all.
func (k *vectorKernel) flat(n int, scalars []float32, streams ...[]float32) {
	var all [maxVectorStreams]vectorStream
	for i, s := range streams {
		all[i].data = s
	}
	k.elements(n, scalars, all[:len(streams)]...)
}

// elements is flat for streams of any type.
func (k *vectorKernel) elements(n int, scalars []float32, streams ...vectorStream) {
	j := k.job(n, 0, scalars, streams)
	Parallel(ceilDiv(n, flatBlock), j.flatPart)
	j.drop()
}

func (j *vectorJob) flat(i int) {
	b := blockSpan(flatBlock, j.n, i)
	var at [maxVectorStreams]vectorStream
	for i, s := range j.streams[:j.used] {
		at[i] = s.from(b.from)
	}
	j.kernel.call(1, b.len(), b.from, j.scalars[:j.set], at[:j.used])
}

// rows runs the kernel over all rows in parallel blocks.
func (k *vectorKernel) rows(rows, c int, scalars []float32, streams ...vectorStream) {
	j := k.job(rows, c, scalars, streams)
	Parallel(ceilDiv(rows, rowBlock(c)), j.rowsPart)
	j.drop()
}

func (j *vectorJob) rows(i int) {
	b := blockSpan(rowBlock(j.c), j.n, i)
	j.kernel.block(b.from, b.to, j.c, j.scalars[:j.set], j.streams[:j.used]...)
}

// block runs the kernel over rows from to to of matrices with c columns.
func (k *vectorKernel) block(from, to, c int, scalars []float32, streams ...vectorStream) {
	if from >= to {
		return
	}
	var at [maxVectorStreams]vectorStream
	for i, s := range streams {
		at[i] = s.from(from * s.stride)
	}
	k.call(to-from, c, 0, scalars, at[:len(streams)])
}

// channels is rows for streams that are matrices [rows][c], parameters [c] of
// stride 0, or sums per block. Short rows are folded: rowFold of them are read as
// one. So parameters are repeated that often here, and sums come that often.
func (k *vectorKernel) channels(rows, c int, scalars []float32, streams ...vectorStream) {
	fold := rowFold(c)
	repeated := takeScratch[float32](fold * c * maxVectorStreams)
	defer repeated.drop()
	j := k.job(rows, c, scalars, streams)
	free := repeated.data
	for i, s := range streams {
		if s.data != nil && s.stride == 0 && s.block == 0 && fold > 1 {
			j.streams[i].data, free = free[:fold*c], free[fold*c:]
			repeat(j.streams[i].data, s.data)
		}
	}
	Parallel(ceilDiv(rows, rowBlock(c)), j.foldedPart)
	j.drop()
}

func (j *vectorJob) folded(i int) {
	b := blockSpan(rowBlock(j.c), j.n, i)
	j.kernel.foldedBlock(b.from, b.to, j.c, j.scalars[:j.set], j.streams[:j.used])
}

// foldedBlock runs the kernel over the rows of one block, folded as far as they
// go.
func (k *vectorKernel) foldedBlock(from, to, c int, scalars []float32, streams []vectorStream) {
	fold, b := rowFold(c), from/rowBlock(c)
	var at [maxVectorStreams]vectorStream
	start := func(row, fold int) {
		for i, s := range streams {
			s = s.from(row*s.stride + b*s.block)
			at[i] = vectorStream{data: s.data, bf16: s.bf16, stride: s.stride * fold}
		}
	}
	whole := (to - from) / fold
	start(from, fold)
	k.call(whole, fold*c, 0, scalars, at[:len(streams)])
	if rest := from + whole*fold; rest < to {
		start(rest, 1)
		k.call(to-rest, c, 0, scalars, at[:len(streams)])
	}
}

// repeat fills dst with copies of src.
func repeat(dst, src []float32) {
	for len(dst) > 0 {
		dst = dst[copy(dst, src):]
	}
}

// rowFold is how many rows of c channels are read as one, so that short rows fill the
// vectors of every level, and sums over rows stay in registers: at most 64 columns, in
// whole vectors where c allows.
func rowFold(c int) int {
	if c >= 64 || c < 1 {
		return 1
	}
	for columns := 64; columns >= 16; columns -= 16 {
		if columns%c == 0 {
			return columns / c
		}
	}
	return 64 / c
}

// rowBlock is how many rows one task handles, a multiple of rowFold. It also cuts
// sums over rows, so it depends on the shape alone.
func rowBlock(c int) int {
	fold := rowFold(c)
	return min(max(flatBlock/(fold*max(c, 1)), 64), 512) * fold
}

// eachRowBlock calls f for every block of rows, in parallel.
func eachRowBlock(rows, c int, f func(from, to int)) {
	size := rowBlock(c)
	Parallel((rows+size-1)/size, func(b int) { f(b*size, min((b+1)*size, rows)) })
}

// vectorSelect returns a if m, else b, without a branch: signs of activations
// are not to be predicted.
func vectorSelect(m bool, a, b float32) float32 {
	x, y := math.Float32bits(a), math.Float32bits(b)
	if m {
		y = x
	}
	return math.Float32frombits(y)
}
