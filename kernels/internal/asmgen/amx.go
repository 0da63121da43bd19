package main

import (
	"bytes"
	"fmt"
	"go/format"
)

// The tile micro-kernels of the AMX level: see amxArgs in package kernels for the
// contract. One function per number of row tiles, of column tiles, and what becomes
// of the sums.

// Offsets in amxArgs.
const (
	amxConfig    = 0
	amxA         = 64
	amxB         = 72
	amxC         = 80
	amxList      = 88
	amxTaps      = 96
	amxStrip     = 104
	amxTiles     = 112
	amxSteps     = 120
	amxARow      = 128
	amxAStep     = 136
	amxBRow      = 144
	amxBStep     = 152
	amxCRow      = 160
	amxStripTile = 168
	amxRows      = 176
	amxMask      = 184
	amxLoad      = 192
	amxAhead     = 200
	amxAheadStep = 208
	amxStripNow  = 232
	amxCAhead    = 240
	amxCEnd      = 248
	amxTapNow    = 256
	amxAPixel    = 264
	amxABack     = 272
	amxBNext     = 280
	amxCNext     = 288
	amxPixels    = 296
	amxEdges     = 304
	amxANow      = 312
	amxBNow      = 320
)

// Offsets in amxTile and in brgemmTap, and their sizes.
const (
	amxTileA, amxTileC, amxTileTaps, amxTileNumTaps, amxTileEdges, amxTileSize = 0, 8, 16, 24, 32, 40
	tapA, tapB, tapSize                                                        = 0, 8, 16
)

// amxLayout names the fields behind the offsets: what is generated does not compile where
// they lie elsewhere.
var amxLayout = []struct {
	field  string
	offset int
}{
	{"amxArgs{}.config", amxConfig}, {"amxArgs{}.a", amxA}, {"amxArgs{}.b", amxB}, {"amxArgs{}.c", amxC},
	{"amxArgs{}.list", amxList}, {"amxArgs{}.taps", amxTaps}, {"amxArgs{}.strip", amxStrip},
	{"amxArgs{}.tiles", amxTiles}, {"amxArgs{}.steps", amxSteps}, {"amxArgs{}.aRow", amxARow}, {"amxArgs{}.aStep", amxAStep},
	{"amxArgs{}.bRow", amxBRow}, {"amxArgs{}.bStep", amxBStep}, {"amxArgs{}.cRow", amxCRow}, {"amxArgs{}.stripTile", amxStripTile},
	{"amxArgs{}.rows", amxRows}, {"amxArgs{}.mask", amxMask}, {"amxArgs{}.load", amxLoad}, {"amxArgs{}.ahead", amxAhead},
	{"amxAhead{}.step", amxAheadStep - amxAhead}, {"amxArgs{}.stripNow", amxStripNow}, {"amxArgs{}.cAhead", amxCAhead},
	{"amxArgs{}.cEnd", amxCEnd}, {"amxArgs{}.tapNow", amxTapNow}, {"amxArgs{}.aPixel", amxAPixel}, {"amxArgs{}.aBack", amxABack},
	{"amxArgs{}.bNext", amxBNext}, {"amxArgs{}.cNext", amxCNext}, {"amxArgs{}.pixels", amxPixels}, {"amxArgs{}.edges", amxEdges},
	{"amxArgs{}.aNow", amxANow}, {"amxArgs{}.bNow", amxBNow},
	{"amxTile{}.a", amxTileA}, {"amxTile{}.c", amxTileC}, {"amxTile{}.taps", amxTileTaps}, {"amxTile{}.numTaps", amxTileNumTaps},
	{"amxTile{}.edges", amxTileEdges}, {"brgemmTap{}.a", tapA}, {"brgemmTap{}.b", tapB},
}

// A row of a tile of the strip, and of the strip: 32 columns of float32.
const tileRowBytes, stripRowBytes = 64, 128

// amxAheadLines is how many lines of a place of amxArgs.ahead a step fetches: with full
// blocks of GEMM half of them, more made it no faster.
const amxAheadLines = 2

// amxEnds are what may become of the sums of a tile.
var amxEnds = []string{"Strip", "Keep", "Store", "Add", "Round", "AddRound"}

func amxName(rows, cols int, end string) string { return fmt.Sprintf("amx%dx%d%s", rows, cols, end) }

func amxFiles() []file {
	a := newAssembly()
	for rows := 1; rows <= 2; rows++ {
		for cols := 1; cols <= 2; cols++ {
			for _, end := range amxEnds {
				a.text(amxName(rows, cols, end), "args *amxArgs")
				amxKernel{a, rows, cols, end}.emit()
			}
		}
	}
	for _, end := range amxLineEnds {
		a.text("amxLine"+end, "args *amxArgs")
		amxLine{a, amxKernel{a, 1, 1, end}}.emit()
	}
	for _, end := range amxLineGradientEnds {
		a.text("amxLineGradient"+end, "args *amxArgs")
		amxLineGradient{a, amxKernel{a, 1, 1, end}}.emit()
	}
	amxPeak(a)
	amxRegister(a)
	rows := newAssembly()
	bf16Pairs(rows)
	bf16RoundPairs(rows)
	bf16Transpose(rows)
	return []file{{"amx_amd64.s", a.Bytes()}, {"amx_rows_amd64.s", rows.Bytes()}, {"amx_table_amd64.go", amxTable()}}
}

// amxTable declares the functions and lists them.
func amxTable() []byte {
	var b bytes.Buffer
	b.WriteString(header + "package kernels\n\nimport \"unsafe\"\n\n")
	b.WriteString("// The assembly's offsets and sizes: with others this does not compile.\nvar (\n")
	for _, f := range amxLayout {
		fmt.Fprintf(&b, "_ = [1]struct{}{}[unsafe.Offsetof(%s)-%d]\n", f.field, f.offset)
	}
	fmt.Fprintf(&b, "_ = [1]struct{}{}[unsafe.Sizeof(amxTile{})-%d]\n_ = [1]struct{}{}[unsafe.Sizeof(brgemmTap{})-%d]\n)\n\n", amxTileSize, tapSize)
	var list bytes.Buffer
	for rows := 1; rows <= 2; rows++ {
		list.WriteString("{")
		for cols := 1; cols <= 2; cols++ {
			list.WriteString("{")
			for _, end := range amxEnds {
				fmt.Fprintf(&b, "//go:noescape\nfunc %s(args *amxArgs)\n\n", amxName(rows, cols, end))
				fmt.Fprintf(&list, "amxEnd%s: %s, ", end, amxName(rows, cols, end))
			}
			list.WriteString("},\n")
		}
		list.WriteString("},\n")
	}
	byEnd := func(name string, ends []string) (entries string) {
		for _, end := range ends {
			fmt.Fprintf(&b, "//go:noescape\nfunc %s%s(args *amxArgs)\n\n", name, end)
			entries += fmt.Sprintf("amxEnd%s: %s%s, ", end, name, end)
		}
		return "[numAMXEnds]func(*amxArgs){" + entries + "}"
	}
	lines, gradients := byEnd("amxLine", amxLineEnds), byEnd("amxLineGradient", amxLineGradientEnds)
	fmt.Fprintf(&b, "var amxTileKernels = amxKernelTable{\ntiles: [2][2][numAMXEnds]func(*amxArgs){\n%s},\nlines: %s,\nlineGradients: %s,\n}\n", list.Bytes(), lines, gradients)
	src, err := format.Source(b.Bytes())
	if err != nil {
		panic(err)
	}
	return src
}

// amxKernel is one micro-kernel. Tiles:
//
//	0 to 3: C, by row and column tile  4, 5: A  6, 7: B
//
// Registers:
//
//	DI args  SI entry of the list  CX taps left  DX steps left  AX scratch
//	R8, BX: A of both row tiles  R9 B  R10, R11 row strides of A, B  R12, R13 a step of A, B
type amxKernel struct {
	a          *assembly
	rows, cols int
	end        string
}

func (k amxKernel) emit() {
	k.eachTile(amxAStep, amxBStep, true, func() {
		k.begin()
		k.reduce()
		k.finish()
	})
}

// eachTile writes a whole function: body for each tile of the list, at SI, with the row
// strides in R10 and R11, and fields of amxArgs in R12 and R13. The strip may move on.
func (k amxKernel) eachTile(r12, r13 int, strip bool, body func()) {
	a := k.a
	k.start()
	a.op("MOVQ %d(DI), R10", amxARow)
	a.op("MOVQ %d(DI), R11", amxBRow)
	a.op("MOVQ %d(DI), R12", r12)
	a.op("MOVQ %d(DI), R13", r13)
	a.op("MOVQ %d(DI), SI", amxList)
	if strip {
		a.op("MOVQ %d(DI), AX", amxStrip)
		a.op("MOVQ AX, %d(DI)", amxStripNow)
	}
	a.label("tile")
	body()
	if strip {
		a.op("MOVQ %d(DI), AX", amxStripTile)
		a.op("ADDQ AX, %d(DI)", amxStripNow)
	}
	a.op("ADDQ $%d, SI", amxTileSize)
	a.op("DECQ %d(DI)", amxTiles)
	a.op("JNZ tile")
	a.tileRelease()
	a.op("VZEROUPPER")
	a.op("RET")
}

// eachTap writes body for each tap of a tile, at AX; CX counts them.
func (k amxKernel) eachTap(body func()) {
	a := k.a
	a.op("MOVQ %d(DI), AX", amxTaps)
	a.op("ADDQ %d(SI), AX", amxTileTaps)
	a.op("MOVQ AX, %d(DI)", amxTapNow)
	a.label("tap")
	a.op("MOVQ %d(DI), AX", amxTapNow)
	body()
	a.op("ADDQ $%d, %d(DI)", tapSize, amxTapNow)
	a.op("DECQ CX")
	a.op("JNZ tap")
}

// start loads the configuration, and a bit of the mask for each column.
func (k amxKernel) start() {
	a := k.a
	a.op("MOVQ args+0(FP), DI")
	a.tileConfigure("DI")
	if k.vectors() {
		a.op("MOVQ %d(DI), AX", amxMask)
		a.op("KMOVD AX, K1")
		a.op("KSHIFTRD $16, K1, K2")
	}
}

// vectors tells whether vector instructions see the sums last.
func (k amxKernel) vectors() bool { return k.end != "Strip" && k.end != "Store" && k.end != "Keep" }

// fetches tells whether the kernel fetches operands ahead, as GEMM's need, and fetchesC
// whether C, which is float32 then.
func (k amxKernel) fetches() bool  { return k.end == "Keep" || k.fetchesC() }
func (k amxKernel) fetchesC() bool { return k.end == "Store" || k.end == "Add" }

// fetch asks for some lines of two places that are to be in the second-level cache for a
// later call, and for rows of C.
func (k amxKernel) fetch() {
	a := k.a
	for i := range 2 {
		at := amxAhead + 16*i
		a.op("MOVQ %d(DI), AX", at)
		for l := range amxAheadLines {
			a.op("PREFETCHT1 %d(AX)", 64*l)
		}
		a.op("ADDQ %d(DI), AX", at+amxAheadStep-amxAhead)
		a.op("MOVQ AX, %d(DI)", at)
	}
	if !k.fetchesC() {
		return
	}
	a.op("MOVQ %d(DI), AX", amxCAhead)
	a.op("CMPQ AX, %d(DI)", amxCEnd)
	a.op("JCC fetched")
	for range 4 {
		for j := range k.cols {
			a.op("PREFETCHT0 %d(AX)", tileRowBytes*j)
		}
		a.op("ADDQ %d(DI), AX", amxCRow)
	}
	a.op("MOVQ AX, %d(DI)", amxCAhead)
	a.label("fetched")
}

// placeOfC sets a register to where the current row tile of C lies.
func (k amxKernel) placeOfC(register string) {
	k.a.op("MOVQ %d(DI), %s", amxC, register)
	k.a.op("ADDQ %d(SI), %s", amxTileC, register)
}

// secondRow sets BX to the second row tile of what begins at R8, if there is one.
func (k amxKernel) secondRow(stride string) {
	if k.rows == 2 {
		k.a.op("MOVQ %s, BX", stride)
		k.a.op("SHLQ $4, BX")
		k.a.op("ADDQ R8, BX")
	}
}

// fetchFromC begins with the first row of C.
func (k amxKernel) fetchFromC() {
	a := k.a
	k.placeOfC("AX")
	a.op("MOVQ AX, %d(DI)", amxCAhead)
	a.op("MOVQ %d(DI), DX", amxRows)
	a.op("IMULQ %d(DI), DX", amxCRow)
	a.op("ADDQ DX, AX")
	a.op("MOVQ AX, %d(DI)", amxCEnd)
}

// eachC visits the tiles of C with their places in the strip.
func (k amxKernel) eachC(visit func(tile, row, col int)) {
	for i := range k.rows {
		for j := range k.cols {
			visit(2*i+j, i, j)
		}
	}
}

// begin sets the sums to zero, or to what the strip holds.
func (k amxKernel) begin() {
	a := k.a
	a.op("CMPQ %d(DI), $0", amxLoad)
	a.op("JNE load")
	k.eachC(func(tile, _, _ int) { a.tileZero(tile) })
	a.op("JMP reduce")
	a.label("load")
	a.op("MOVQ %d(DI), AX", amxStripNow)
	a.op("MOVQ $%d, DX", stripRowBytes)
	k.eachC(func(tile, i, j int) { a.tileLoad(tile, "AX", "DX", 16*stripRowBytes*i+tileRowBytes*j) })
}

// reduce adds up all taps. Each load is used at once by one product and by another
// one later, so that of two products one waits for no load.
func (k amxKernel) reduce() {
	a := k.a
	a.label("reduce")
	a.op("MOVQ %d(SI), CX", amxTileNumTaps)
	a.op("TESTQ CX, CX")
	a.op("JZ end")
	if k.fetchesC() {
		k.fetchFromC()
	}
	k.eachTap(func() {
		a.op("MOVQ %d(DI), R8", amxA)
		a.op("ADDQ %d(SI), R8", amxTileA)
		a.op("ADDQ %d(AX), R8", tapA)
		k.secondRow("R10")
		a.op("MOVQ %d(DI), R9", amxB)
		a.op("ADDQ %d(AX), R9", tapB)
		a.op("MOVQ %d(DI), DX", amxSteps)
		a.label("step")
		if k.fetches() {
			k.fetch()
		}
		a.tileLoad(6, "R9", "R11", 0)
		a.tileLoad(4, "R8", "R10", 0)
		a.tileProduct(0, 4, 6)
		if k.cols == 2 {
			a.tileLoad(7, "R9", "R11", tileRowBytes)
			a.tileProduct(1, 4, 7)
		}
		if k.rows == 2 {
			a.tileLoad(5, "BX", "R10", 0)
			a.tileProduct(2, 5, 6)
			if k.cols == 2 {
				a.tileProduct(3, 5, 7)
			}
			a.op("ADDQ R12, BX")
		}
		a.op("ADDQ R12, R8")
		a.op("ADDQ R13, R9")
		a.op("DECQ DX")
		a.op("JNZ step")
	})
	a.label("end")
}

// finish brings the sums where they belong; through the strip where vector
// instructions are to see them.
func (k amxKernel) finish() {
	a := k.a
	if k.end == "Store" {
		k.placeOfC("R8")
		a.op("MOVQ %d(DI), R9", amxCRow)
		k.secondRow("R9")
		k.eachC(func(tile, i, j int) { a.tileStore(tile, []string{"R8", "BX"}[i], "R9", tileRowBytes*j) })
		return
	}
	a.op("MOVQ %d(DI), AX", amxStripNow)
	a.op("MOVQ $%d, DX", stripRowBytes)
	k.eachC(func(tile, i, j int) { a.tileStore(tile, "AX", "DX", 16*stripRowBytes*i+tileRowBytes*j) })
	if !k.vectors() {
		return
	}
	k.placeOfC("R8")
	a.op("MOVQ %d(DI), R9", amxCRow)
	a.op("MOVQ %d(DI), CX", amxRows)
	a.label("row")
	for j := range k.cols {
		a.op("VMOVUPS.Z %d(AX), K%d, Z%d", tileRowBytes*j, j+1, j)
	}
	k.row()
	a.op("ADDQ DX, AX")
	a.op("ADDQ R9, R8")
	a.op("DECQ CX")
	a.op("JNZ row")
}

// row writes one row of the sums, in Z0 and Z1, to C at R8.
func (k amxKernel) row() {
	a := k.a
	switch k.end {
	case "Add":
		for j := range k.cols {
			a.op("VADDPS %d(R8), Z%d, K%d, Z%d", tileRowBytes*j, j, j+1, j)
		}
		for j := range k.cols {
			a.op("VMOVUPS Z%d, K%d, %d(R8)", j, j+1, tileRowBytes*j)
		}
		return
	case "AddRound":
		for j := range k.cols {
			a.op("VPMOVZXWD.Z %d(R8), K%d, Z%d", tileRowBytes/2*j, j+1, j+2)
			a.op("VPSLLD $16, Z%d, Z%d", j+2, j+2)
			a.op("VADDPS Z%d, Z%d, Z%d", j+2, j, j)
		}
	}
	if k.cols == 2 {
		a.roundPair(0, 1, 0)
		a.op("VMOVDQU16 Z0, K1, (R8)")
	} else {
		a.round(0, 0)
		a.op("VMOVDQU16 Y0, K1, (R8)")
	}
}

// amxPeak writes a loop of products on tiles alone: args.tiles rounds of four.
func amxPeak(a *assembly) {
	a.text("amxPeak", "args *amxArgs")
	a.op("MOVQ args+0(FP), DI")
	a.tileConfigure("DI")
	for i := range 8 {
		a.tileZero(i)
	}
	a.op("MOVQ %d(DI), CX", amxTiles)
	a.label("loop")
	for i := range 4 {
		a.tileProduct(i, 4+i/2, 6+i%2)
	}
	a.op("DECQ CX")
	a.op("JNZ loop")
	a.tileRelease()
	a.op("VZEROUPPER")
	a.op("RET")
}

// amxRegister writes what reads XCR0, which tells what state the operating system
// saves.
func amxRegister(a *assembly) {
	a.text("amxReadXCR0", "value *uint64")
	a.op("MOVQ value+0(FP), DI")
	a.op("XORL CX, CX")
	a.op("XGETBV")
	a.op("MOVL AX, 0(DI)")
	a.op("MOVL DX, 4(DI)")
	a.op("VZEROUPPER")
	a.op("RET")
}

// Offsets in amxRowsArgs.
const (
	bf16Dst      = 0
	bf16Src      = 8
	bf16Rows     = 16
	bf16DstRow   = 24
	bf16SrcRow   = 32
	bf16Blocks   = 40
	bf16Mask     = 48
	bf16Mask2    = 56
	bf16Tiles    = 64
	bf16DstTile  = 72
	bf16SrcTile  = 80
	bf16Index    = 88
	bf16DstBlock = 96
	bf16Half     = 104
	bf16Scale    = 112
)

// bf16Start loads what all loops over rows need:
//
//	R8 dst  R9 src  R10, R11 their row strides
func bf16Start(a *assembly, name string) {
	a.text(name, "args *amxRowsArgs")
	a.op("MOVQ args+0(FP), DI")
	a.op("MOVQ %d(DI), R8", bf16Dst)
	a.op("MOVQ %d(DI), R9", bf16Src)
	a.op("MOVQ %d(DI), R10", bf16DstRow)
	a.op("MOVQ %d(DI), R11", bf16SrcRow)
}

// bf16PairLoop writes the loop over panels and pairs of rows; a pair becomes a row
// of 64 interleaved elements. R12 is the second row of a pair less the first.
func bf16PairLoop(a *assembly, pair func()) {
	a.op("MOVQ %d(DI), CX", bf16Tiles)
	a.op("MOVQ %d(DI), R12", bf16DstBlock)
	a.label("tile")
	a.op("MOVQ R8, BX")
	a.op("MOVQ R9, SI")
	a.op("MOVQ %d(DI), DX", bf16Rows)
	a.label("row")
	pair()
	a.op("ADDQ R11, SI")
	a.op("ADDQ R10, BX")
	a.op("DECQ DX")
	a.op("JNZ row")
	a.op("ADDQ %d(DI), R8", bf16DstTile)
	a.op("ADDQ %d(DI), R9", bf16SrcTile)
	a.op("DECQ CX")
	a.op("JNZ tile")
	a.op("VZEROUPPER")
	a.op("RET")
}

// bf16Pairs interleaves pairs of rows of bfloat16. Four columns of both rows meet in
// the lane of their result before they are interleaved. R13 is where the second half of
// the columns goes.
func bf16Pairs(a *assembly) {
	bf16Start(a, "amxPairRows")
	for i, at := range []int{bf16Mask, bf16Mask2} {
		a.op("MOVQ %d(DI), AX", at)
		a.op("KMOVD AX, K%d", i+1)
	}
	a.op("MOVQ %d(DI), AX", bf16Index)
	a.op("VMOVDQU64 (AX), Z31")
	a.op("MOVQ %d(DI), R13", bf16Half)
	bf16PairLoop(a, func() {
		a.op("VMOVDQU16.Z (SI), K1, Z0")
		a.op("VMOVDQU16.Z (SI)(R12*1), K2, Z1")
		a.op("VPERMQ Z0, Z31, Z0")
		a.op("VPERMQ Z1, Z31, Z1")
		a.op("VPUNPCKLWD Z1, Z0, Z2")
		a.op("VPUNPCKHWD Z1, Z0, Z3")
		a.op("VMOVDQU64 Z2, (BX)")
		a.op("VMOVDQU64 Z3, (BX)(R13*1)")
	})
}

// bf16RoundPairs scales, rounds and interleaves pairs of rows of float32.
func bf16RoundPairs(a *assembly) {
	bf16Start(a, "amxRoundPairRows")
	for i, at := range []int{bf16Mask, bf16Mask2} {
		a.op("MOVQ %d(DI), AX", at)
		a.op("KMOVD AX, K%d", 2*i+1)
		a.op("KSHIFTRD $16, K%d, K%d", 2*i+1, 2*i+2)
	}
	a.op("MOVQ %d(DI), AX", bf16Index)
	a.op("VMOVDQU64 (AX), Z31")
	a.op("MOVQ %d(DI), R13", bf16Half)
	a.op("VBROADCASTSS %d(DI), Z30", bf16Scale)
	bf16PairLoop(a, func() {
		for j, to := range []string{"(BX)", "(BX)(R13*1)"} {
			a.op("VMOVUPS.Z %d(SI), K%d, Z%d", 64*j, j+1, j)
			a.op("VMOVUPS.Z %d(SI)(R12*1), K%d, Z%d", 64*j, j+3, j+2)
			for _, row := range []int{j, j + 2} {
				a.op("VMULPS Z30, Z%d, Z%d", row, row)
			}
			a.roundPair(j, j+2, j)
			a.op("VPERMW Z%d, Z31, Z%d", j, j)
			a.op("VMOVDQU64 Z%d, %s", j, to)
		}
	})
}

// bf16Transpose turns 32 rows, 8 columns at a time. Lane l of register i is row
// 8l+i, put there by the loads; three stages then turn 8x8 elements in every lane.
func bf16Transpose(a *assembly) {
	bf16Start(a, "amxTransposeRows")
	a.op("LEAQ (R11)(R11*2), R12")
	a.op("SHLQ $3, R12")
	a.op("LEAQ (R11*8), R13")
	a.op("MOVQ %d(DI), CX", bf16Tiles)
	a.label("tile")
	a.op("MOVQ R8, BX")
	a.op("MOVQ R9, AX")
	a.op("MOVQ %d(DI), DX", bf16Blocks)
	a.label("block")
	a.op("MOVQ AX, SI")
	for i := range 8 {
		a.op("VMOVDQU (SI), X%d", i)
		for lane, index := range []string{"(R13*1)", "(R13*2)", "(R12*1)"} {
			a.op("VINSERTI32X4 $%d, (SI)%s, Z%d, Z%d", lane+1, index, i, i)
		}
		if i < 7 {
			a.op("ADDQ R11, SI")
		}
	}
	regs := []int{0, 1, 2, 3, 4, 5, 6, 7}
	next := 8
	stage := func(unit string, apart int) {
		out := make([]int, 8)
		for i := range out {
			// Neighbours in pairs of registers apart, and what was made of them side by side.
			first := i/(2*apart)*2*apart + i%(2*apart)/2
			out[i] = next + i
			a.op("VPUNPCK%s%s Z%d, Z%d, Z%d", []string{"L", "H"}[i%2], unit, regs[first+apart], regs[first], out[i])
		}
		regs, next = out, (next+8)%16
	}
	stage("WD", 1)
	stage("DQ", 2)
	stage("QDQ", 4)
	for i, r := range regs {
		a.op("VMOVDQU64 Z%d, (BX)", r)
		if i < 7 {
			a.op("ADDQ R10, BX")
		}
	}
	a.op("ADDQ R10, BX")
	a.op("ADDQ $16, AX")
	a.op("DECQ DX")
	a.op("JNZ block")
	a.op("ADDQ %d(DI), R8", bf16DstTile)
	a.op("ADDQ %d(DI), R9", bf16SrcTile)
	a.op("DECQ CX")
	a.op("JNZ tile")
	a.op("VZEROUPPER")
	a.op("RET")
}
