package kernels

import (
	"slices"
	"unsafe"
)

// amxUnfolded is the input of a first layer as rows for tiles, [KH*KW][C] and zeros up
// to whole cache lines.
type amxUnfolded struct {
	rowsOf[uint16]
	steps, step int // that a row is cut into
}

// amxUnfoldRows is about how many rows fit the first-level cache beside a panel.
const amxUnfoldRows = 256

func newAMXUnfolded(s Conv2dShape, x []uint16) *amxUnfolded {
	steps, step := amxCut(s.KH * s.KW * s.C)
	return &amxUnfolded{newRowsOf(s, x, ceilTo(steps*step, 32), amxUnfoldRows), steps, step}
}

// rowTiles lists tiles of n rows that lie one after the other: whole ones, and one
// with the rest. Rows of A and C are so many bytes apart.
func rowTiles(list []amxTile, n, aRow, cRow, numTaps int) (whole, rest []amxTile) {
	return tilesOf(list, amxRows, n, aRow, cRow, numTaps)
}

// tilesOf is rowTiles for tiles of so many rows.
func tilesOf(list []amxTile, rows, n, aRow, cRow, numTaps int) (whole, rest []amxTile) {
	list = slices.Grow(list[:0], ceilDiv(n, rows))
	for at := 0; at < n; at += rows {
		list = append(list, amxTile{a: at * aRow, c: at * cRow, numTaps: numTaps})
	}
	return list[:n/rows], list[n/rows:]
}

// eachRowTiles runs f for whole row tiles and for the rest.
func eachRowTiles(n int, whole, rest []amxTile, f func(rows, first int, list []amxTile)) {
	if len(whole) > 0 {
		f(amxRows, 0, whole)
	}
	if len(rest) > 0 {
		f(n%amxRows, len(whole), rest)
	}
}

// oneTap is what the tiles of products that are no batch share.
var oneTap = [1]brgemmTap{}

// forward computes y; the panels of packed weights have the rows' depth.
func (u *amxUnfolded) forward(y, packed []uint16, e *amxEpilogue) {
	s, panelLen := &u.s, u.steps*u.step*amxPanel
	const pixelsOfTask = 16
	pixels := s.OutH() * s.OutW()
	Parallel(ceilDiv(pixels, pixelsOfTask), func(task int) {
		args := takeAMXArgs()
		defer args.drop()
		strip := args.chunkStrip(ceilDiv(u.pixels*u.images, amxRows), e != nil)
		defer strip.drop()
		args.aRow, args.cRow, args.steps, args.taps = 2*u.row, 2*s.OC, u.steps, &oneTap[0]
		var list []amxTile
		u.chunks(blockSpan(pixelsOfTask, pixels, task), func(rows []uint16, n, first int) {
			args.a = unsafe.Pointer(&rows[0])
			whole, rest := rowTiles(list, n, args.aRow, args.cRow, 1)
			list = whole
			for p := range ceilDiv(s.OC, amxPanel) {
				col := p * amxPanel
				cols := min(amxPanel, s.OC-col)
				args.b, args.c = unsafe.Pointer(&packed[p*panelLen]), unsafe.Pointer(&y[first*s.OC+col])
				eachRowTiles(n, whole, rest, func(tileRows, tile int, tiles []amxTile) {
					if e != nil {
						args.keepStrip(strip.data[tile*amxStripLen:])
					}
					args.shape(tileRows, cols, u.step)
					args.run(amxEndOf(e == nil, amxEndRound), tiles)
				})
				if e != nil {
					e.rows(y, first*s.OC+col, s.OC, strip.data, n, col, cols)
				}
			}
		})
	})
}

// backwardWeights computes dw (+)= rows' times dy.
func (u *amxUnfolded) backwardWeights(dw []float32, dy []uint16, accumulate bool) {
	s := &u.s
	pixels, panels := s.OutH()*s.OutW(), ceilDiv(s.OC, amxPanel)
	slices, ocPad := min(weightsMinTasks, pixels), ceilTo(s.OC, amxHalf)
	length := u.width * ocPad
	sums := takeScratch[float32](slices * length) // [slice][KH*KW][C][ocPad]
	defer sums.drop()
	clear(sums.data)
	turned, wide := ceilTo(u.pixels*u.images, turnRows), ceilTo(u.width, turnCols)
	Parallel(slices, func(slice int) {
		args := takeAMXArgs()
		defer args.drop()
		memory := takeScratch[uint16](turned * (wide + panels*amxPanel))
		defer memory.drop()
		xt, dyPairs := memory.data[:wide*turned], memory.data[wide*turned:]
		args.aRow, args.cRow, args.taps = 2*turned, 4*ocPad, &oneTap[0]
		args.a = unsafe.Pointer(&xt[0])
		whole, rest := rowTiles(nil, u.width, args.aRow, args.cRow, 1)
		u.chunks(split(pixels, slices, slice), func(rows []uint16, n, first int) {
			turnHalves(xt, turned, rows, u.row, n, wide)
			step := 0
			args.steps, step = amxCut(n)
			amxPairPixels(dyPairs, panelLayout(turned*amxPanel, 1), dy[first*s.OC:], s.OC, n, s.OC, args.steps*step)
			for p := range panels {
				col := p * amxPanel
				args.b, args.c = unsafe.Pointer(&dyPairs[p*turned*amxPanel]), unsafe.Pointer(&sums.data[slice*length+col])
				eachRowTiles(u.width, whole, rest, func(tileRows, _ int, tiles []amxTile) {
					args.shape(tileRows, min(amxPanel, ocPad-col), step)
					args.run(amxEndAdd, tiles)
				})
			}
		})
	})
	sumSlices(sums.data, slices)
	storeWeights(dw, sums.data, sumsByTap, *s, ocPad, accumulate)
}

// amxPairPixels packs rows of n numbers in panels that are filled up with zeros to
// filled rows.
func amxPairPixels(dst []uint16, to pairLayout, src []uint16, srcRow, rows, n, filled int) {
	pairRows(dst, to, src, srcRow, rows, n)
	for pair := ceilDiv(rows, 2); pair < ceilDiv(filled, 2); pair++ {
		for p := range ceilDiv(n, amxPanel) {
			for half := range 2 {
				clear(dst[p*to.panel+pair*to.row+half*to.half:][:amxPanel])
			}
		}
	}
}
