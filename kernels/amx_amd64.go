package kernels

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
)

func init() {
	amxRowTables[AMX] = amxRowKernels{pair: amxPairRows, roundPair: amxRoundPairRows, transpose: amxTransposeRows}
}

//go:noescape
func amxPeak(args *amxArgs)

//go:noescape
func amxReadXCR0(value *uint64)

//go:noescape
func amxPairRows(args *amxRowsArgs)

//go:noescape
func amxRoundPairRows(args *amxRowsArgs)

//go:noescape
func amxTransposeRows(args *amxRowsArgs)

// hasAMX tells whether tiles can be used: the CPU has them, the operating
// system saves them and lets this process use them, and a product comes out right.
// It is found out once.
var hasAMX = sync.OnceValue(func() bool {
	if !hasAVX512() || !cpu.X86.HasAVX512BF16 || !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 {
		return false
	}
	const tileState = 1<<17 | 1<<18 // configuration and data
	var saved uint64
	amxReadXCR0(&saved)
	if saved&tileState != tileState || !requestTiles() {
		return false
	}
	amxKernels = &amxTileKernels
	if !amxSelfTest() {
		amxKernels = nil
	}
	return amxKernels != nil
})

// amxSelfTest multiplies small integers, of which every sum is exact.
func amxSelfTest() bool {
	const rows, cols, steps, step = 29, 27, 2, 18
	const k = steps * step
	var a [rows][k]uint16
	var b [k / 2][amxPanel][2]uint16
	var stored [rows][amxPanel]float32
	var rounded [rows][amxPanel]uint16
	at := func(i, p int) float32 { return float32((i*3+p)%7 - 3) }
	bt := func(p, j int) float32 { return float32((p*5+j)%5 - 2) }
	for p := range k {
		for i := range rows {
			a[i][p] = amxRound(at(i, p))
		}
		for j := range cols {
			b[p/2][j][p%2] = amxRound(bt(p, j))
		}
	}
	args := takeAMXArgs()
	defer args.drop()
	args.shape(rows, cols, step)
	args.a, args.b, args.aRow, args.steps, args.taps = unsafe.Pointer(&a), unsafe.Pointer(&b), 2*k, steps, &oneTap[0]
	list := []amxTile{{numTaps: 1}}
	args.c, args.cRow = unsafe.Pointer(&stored), 4*amxPanel
	args.run(amxEndStore, list)
	args.c, args.cRow = unsafe.Pointer(&rounded), 2*amxPanel
	args.run(amxEndRound, list)
	for i := range rows {
		for j := range amxPanel {
			want := float32(0)
			for p := 0; p < k && j < cols; p++ {
				want += at(i, p) * bt(p, j)
			}
			if stored[i][j] != want || rounded[i][j] != amxRound(want) {
				return false
			}
		}
	}
	return true
}

// amxPeakLoop adds up four products of whole tiles a round.
var amxPeakLoop = peakLoop{
	run: func(rounds *int) {
		args := takeAMXArgs()
		defer args.drop()
		args.shape(amxRows, amxPanel, amxMaxStep)
		args.tiles = *rounds
		amxPeak(args)
	},
	flops: 2 * amxRows * amxPanel * amxMaxStep,
}
