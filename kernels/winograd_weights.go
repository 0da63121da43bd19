package kernels

import "unsafe"

// winogradBatchBytes is about how much transformed data of x and dy is kept at a
// time: it should stay in the last-level cache. The batches order the sums.
const (
	winogradBatchBytes = 8 << 20
	winogradBatchRows  = 128 // at least
)

// winogradWeights is a backward-weights computation by F(3x3, 4x4), the same
// algorithm with the gradient of the output as the filter: for each point the sum
// over tiles and images of transformed x times transformed dy is a matrix product,
//
//	dw = G' [sum over rows of (B x B') (A' dy A)'] G
type winogradWeights struct {
	winogradTiles
	s     Conv2dShape
	kern  *brgemmKernels
	x, dy []float32
	ocPad int // columns of sums: OC, filled up to whole vectors
	parts int // of the channels

	v, e []float32 // of a batch: [point][rows][C] and [point][rows][OC]
	sums []float32 // [point][C][ocPad]
}

// winogradBackwardWeights is Conv2dBackwardWeights by Winograd's algorithm.
func winogradBackwardWeights(dw, x, dy []float32, s Conv2dShape, accumulate bool) {
	w := winogradWeights{winogradTiles: newWinogradTiles(s.H, s.W), s: s, kern: brgemmOf[float32](), x: x, dy: dy}
	w.ocPad = ceilDiv(s.OC, w.kern.lanes) * w.kern.lanes
	w.parts = ceilDiv(s.C, weightsGroupChannels)
	sums := takeScratch[float32](winogradPoints * s.C * w.ocPad)
	defer sums.drop()
	w.sums = sums.data

	most := max(winogradBatchBytes/(4*winogradPoints*(s.C+s.OC)), winogradBatchRows)
	images := ceilDiv(s.N, ceilDiv(s.N, most))
	tiles := min(max(most/images, 1), w.count())
	rows := images * tiles
	transformed := takeScratch[float32](winogradPoints * rows * (s.C + s.OC))
	defer transformed.drop()
	w.v, w.e = transformed.data[:winogradPoints*rows*s.C], transformed.data[winogradPoints*rows*s.C:]
	first := true
	for _, i := range (span{0, s.N}).cut(images) {
		for _, t := range (span{0, w.count()}).cut(tiles) {
			b := winogradBatch{winogradWeights: w, tiles: t, images: i, accumulate: !first}
			winogradTransformLoop.parallel(2*t.len(), b)
			winogradMultiplyLoop.parallel(winogradPoints*w.parts, b)
			first = false
		}
	}
	winogradFiltersLoop.parallel(ceilDiv(s.C, storeChannels), winogradGradient{w.sums, weightsToStore{dw: dw, order: sumsByTap, s: s, ocPad: w.ocPad, accumulate: accumulate}})
}

// winogradBatch adds some tiles of some images to the sums, or sets them.
type winogradBatch struct {
	winogradWeights
	tiles, images span
	accumulate    bool
}

var (
	winogradTransformLoop = newLoop((*winogradBatch).transformed)
	winogradMultiplyLoop  = newLoop((*winogradBatch).multiply)
)

func (w *winogradBatch) rows() int { return w.tiles.len() * w.images.len() }

// transformed transforms x or dy of one tile.
func (w *winogradBatch) transformed(task int) {
	half := takeScratch[float32](winogradPoints * winogradStrip)
	defer half.drop()
	i := task / 2
	if task%2 == 0 {
		w.transform(winogradOfInput, w.v[i*w.images.len()*w.s.C:], w.rows()*w.s.C, w.x, half.data, w.s.N, w.s.C, w.tiles.from+i, w.images)
	} else {
		w.transform(winogradOfGradient, w.e[i*w.images.len()*w.s.OC:], w.rows()*w.s.OC, w.dy, half.data, w.s.N, w.s.OC, w.tiles.from+i, w.images)
	}
}

// multiply adds up one point for some channels of x.
func (w *winogradBatch) multiply(task int) {
	point, channels, rows := task/w.parts, split(w.s.C, w.parts, task%w.parts), w.rows()
	c, oc, nr := w.s.C, w.s.OC, w.kern.nr
	aK := w.kern.tileRows()
	cut := cutRows(channels.len(), w.kern.mr)
	const panelsAtOnce = 8 // beside the tiles of x in the second-level cache
	packed := takeScratch[float32](maxRun * (cut.tiles*aK + panelsAtOnce*nr))
	defer packed.drop()
	a, b := packed.data[:maxRun*cut.tiles*aK], packed.data[maxRun*cut.tiles*aK:]
	args := takeArgs()
	defer args.drop()
	args.aK, args.bK, args.cRow = aK*4, nr*4, w.ocPad*4
	args.oneTap()
	if w.accumulate {
		args.accumulate = 1
	}
	for _, run := range (span{0, rows}).cut(maxRun) {
		args.k = run.len()
		x := w.v[(point*rows+run.from)*c+channels.from:]
		cut.each(span{0, cut.tiles}, func(t, tiles, m int) {
			packTiles(a[t*args.k*aK:], aK, args.k*aK, x[cut.start(t):], c, m, args.k, m, tiles)
		})
		for _, panels := range (span{0, ceilDiv(oc, nr)}).cut(panelsAtOnce) {
			packPanels(b, nr, w.e[(point*rows+run.from)*oc:], oc, args.k, panels)
			for p := range panels.len() {
				col := (panels.from + p) * nr
				cut.each(span{0, cut.tiles}, func(t, tiles, m int) {
					args.a, args.b = unsafe.Pointer(&a[t*args.k*aK]), unsafe.Pointer(&b[p*args.k*nr])
					args.c = unsafe.Pointer(&w.sums[(point*c+channels.from+cut.start(t))*w.ocPad+col])
					w.kern.tiles(true, 4, m, tiles, min(nr, w.ocPad-col), args.k*aK*4, args)
				})
			}
		}
		args.accumulate = 1
	}
}

// packPanels copies panels of nr columns of a matrix with that many columns, the
// last one filled up with zeros.
func packPanels(dst []float32, nr int, src []float32, columns, rows int, panels span) {
	whole := min(panels.to, columns/nr) - panels.from
	packTiles(dst, nr, rows*nr, src[panels.from*nr:], columns, nr, rows, nr, whole)
	if rest := columns % nr; rest > 0 && panels.to*nr > columns {
		packTiles(dst[whole*rows*nr:], nr, 0, src[columns-rest:], columns, 0, rows, rest, 1)
	}
}

// winogradGradient transforms sums over rows, [6][6][C][ocPad], to those of the taps and
// stores them.
type winogradGradient struct {
	sums []float32
	to   weightsToStore
}

var winogradFiltersLoop = newLoop((*winogradGradient).channels)

// channels does so for storeChannels channels, whose taps stay in the second-level cache.
func (g *winogradGradient) channels(task int) {
	to := g.to
	to.held = blockSpan(storeChannels, to.s.C, task)
	length := to.held.len() * to.ocPad
	memory := takeScratch[float32](9*length + 3*winogradIn*winogradStrip)
	defer memory.drop()
	taps, half := memory.data[:9*length], memory.data[9*length:]
	for _, strip := range (span{0, length}).cut(winogradStrip) {
		g.strip(taps, half, length, to.held.from*to.ocPad, strip)
	}
	to.sums = taps
	for _, outputs := range (span{0, to.s.OC}).cut(storeOutputs) {
		to.store(to.held, outputs)
	}
}

// strip transforms some of length numbers of each point, which begin at first, to taps.
func (g *winogradGradient) strip(taps, half []float32, length, first int, strip span) {
	point := g.to.s.C * g.to.ocPad
	var s [winogradIn + 1]vectorStream
	for i := range winogradIn {
		s[i] = vectorStream{data: g.sums[i*winogradIn*point+first+strip.from:], stride: point}
	}
	s[winogradIn] = vectorStream{data: half, stride: winogradStrip, step: winogradIn * winogradStrip}
	vecWinogradFilterGradient.call(winogradIn, strip.len(), 0, nil, s[:])
	for i := range winogradIn {
		s[i] = vectorStream{data: half[i*winogradStrip:], stride: winogradIn * winogradStrip}
	}
	s[winogradIn] = vectorStream{data: taps[strip.from:], stride: 3 * length, step: length}
	vecWinogradFilterGradient.call(3, strip.len(), 0, nil, s[:])
}
