package main

// The tile micro-kernel of four neighbouring pixels of a line, for kernels of three
// columns: see amx_line.go in package kernels.

// linePixels is how many pixels of the result it computes, lineTaps the columns of the
// kernel; it reads lineReads pixels of the operand.
const linePixels, lineTaps, lineReads = 4, 3, linePixels + lineTaps - 1

var amxLineEnds = []string{"Strip", "Round", "AddRound"}

// amxLine is the kernel with one end. Tiles:
//
//	0 to 3: C, by pixel  4: A  5 to 7: B, by column of the kernel
//
// Registers:
//
//	DI args  SI entry of the list  CX lines of the kernel left  DX steps left
//	R8 A  R9, BX, AX: B by column  R10, R11 row strides of A, B  R12 a pixel of A  R13 a step of B
type amxLine struct {
	a *assembly
	k amxKernel // for its end: one tile column
}

func (l amxLine) emit() {
	a := l.a
	l.k.eachTile(amxAPixel, amxBStep, true, func() {
		for p := range linePixels {
			a.tileZero(p)
		}
		l.reduce()
		l.finish()
	})
}

// reduce adds up all lines of the kernel. A pixel of the operand is loaded once for the
// pixels of the result that it meets; the first and the last may lie outside.
func (l amxLine) reduce() {
	a := l.a
	a.op("MOVQ %d(SI), CX", amxTileNumTaps)
	l.k.eachTap(func() {
		a.op("MOVQ %d(DI), R8", amxA)
		a.op("ADDQ %d(SI), R8", amxTileA)
		a.op("ADDQ %d(AX), R8", tapA)
		a.op("MOVQ %d(DI), R9", amxB)
		a.op("ADDQ %d(AX), R9", tapB)
		a.op("MOVQ %d(DI), AX", amxBNext)
		a.op("LEAQ (R9)(AX*1), BX")
		a.op("ADDQ BX, AX")
		a.op("MOVQ %d(DI), DX", amxSteps)
		a.label("step")
		for t, b := range []string{"R9", "BX", "AX"} {
			a.tileLoad(5+t, b, "R11", 0)
		}
		a.op("TESTQ $1, %d(SI)", amxTileEdges)
		a.op("JNE first")
		l.pixel(0)
		a.label("first")
		for q := 1; q < lineReads-1; q++ {
			a.op("ADDQ R12, R8")
			l.pixel(q)
		}
		a.op("ADDQ R12, R8")
		a.op("TESTQ $2, %d(SI)", amxTileEdges)
		a.op("JNE last")
		l.pixel(lineReads - 1)
		a.label("last")
		a.op("ADDQ %d(DI), R8", amxABack)
		for _, b := range []string{"R9", "BX", "AX"} {
			a.op("ADDQ R13, %s", b)
		}
		a.op("DECQ DX")
		a.op("JNZ step")
	})
}

// pixel multiplies pixel q of the operand, which is column t of the kernel for pixel q-t
// of the result. The sum that was added to most recently comes last: what a product gives
// is there after about three more.
func (l amxLine) pixel(q int) {
	l.a.tileLoad(4, "R8", "R10", 0)
	for t := range lineTaps {
		if p := q - t; p >= 0 && p < linePixels {
			l.a.tileProduct(p, 4, 5+t)
		}
	}
}

// finish brings the sums to the strip, and rounded to C.
func (l amxLine) finish() {
	a, row := l.a, tileRowBytes
	if l.k.end == "Strip" {
		row = stripRowBytes // beside the other half of a panel
	}
	a.op("MOVQ %d(DI), AX", amxStripNow)
	a.op("MOVQ $%d, DX", row)
	for p := range linePixels {
		a.tileStore(p, "AX", "DX", 16*row*p)
	}
	if l.k.end == "Strip" {
		return
	}
	a.op("MOVQ %d(DI), R9", amxCRow)
	a.op("MOVQ $%d, BX", linePixels)
	l.k.placeOfC("R8")
	a.label("pixel")
	a.op("MOVQ R8, CX")
	a.op("ADDQ %d(DI), CX", amxCNext)
	a.op("MOVQ CX, %d(DI)", amxTapNow)
	a.op("MOVQ $16, CX")
	a.label("row")
	a.op("VMOVUPS.Z (AX), K1, Z0")
	l.k.row()
	a.op("ADDQ DX, AX")
	a.op("ADDQ R9, R8")
	a.op("DECQ CX")
	a.op("JNZ row")
	a.op("MOVQ %d(DI), R8", amxTapNow)
	a.op("DECQ BX")
	a.op("JNZ pixel")
}

var amxLineGradientEnds = []string{"Store", "Add"}

// amxLineGradient is the kernel of backward weights with one end. Tiles:
//
//	0 to 2: C, by column of the kernel  4 to 6: three neighbouring pixels of A  7: B
//
// Registers:
//
//	DI args  SI entry of the list  CX lines left  BX steps left  DX pixels left
//	R8 A  R9 B  R10, R11 row strides of A, B  R12, R13 a pixel of A, B
//	AX how many pixels are left when the next one of A is padding, 0 if none is
type amxLineGradient struct {
	a *assembly
	k amxKernel // for its end: one tile column
}

func (l amxLineGradient) emit() {
	a := l.a
	l.k.eachTile(amxAPixel, amxBNext, false, func() {
		for u := range lineTaps {
			a.tileZero(u)
		}
		if l.k.vectors() {
			l.fetch()
		}
		l.reduce()
		l.finish()
	})
}

// fetch asks for C, which is added to in the end.
func (l amxLineGradient) fetch() {
	a := l.a
	l.k.placeOfC("R8")
	a.op("MOVQ %d(DI), AX", amxCNext)
	a.op("MOVQ %d(DI), CX", amxRows)
	a.label("fetch")
	a.op("PREFETCHT0 (R8)")
	a.op("PREFETCHT0 (R8)(AX*1)")
	a.op("PREFETCHT0 (R8)(AX*2)")
	a.op("ADDQ %d(DI), R8", amxCRow)
	a.op("DECQ CX")
	a.op("JNZ fetch")
}

// reduce adds up all lines. Three pixels of A are held, one of which is loaded for each
// pixel of B; the first of a line and the last may be padding.
func (l amxLineGradient) reduce() {
	a := l.a
	a.op("MOVQ %d(SI), CX", amxTileNumTaps)
	l.k.eachTap(func() {
		for _, operand := range []struct {
			from, now int
			tap       int
		}{{amxA, amxANow, tapA}, {amxB, amxBNow, tapB}} {
			a.op("MOVQ %d(DI), R8", operand.from)
			if operand.from == amxA {
				a.op("ADDQ %d(SI), R8", amxTileA)
			}
			a.op("ADDQ %d(AX), R8", operand.tap)
			a.op("MOVQ R8, %d(DI)", operand.now)
		}
		a.op("MOVQ %d(DI), BX", amxSteps)
		a.label("step")
		a.op("MOVQ %d(DI), R8", amxANow)
		a.op("MOVQ %d(DI), R9", amxBNow)
		a.op("MOVQ %d(DI), DX", amxPixels)
		a.op("MOVQ %d(DI), AX", amxEdges)
		a.op("TESTQ $1, AX")
		a.op("JNE first")
		a.op("SHRQ $1, AX")
		a.tileLoad(4, "R8", "R10", 0)
		a.op("ADDQ R12, R8")
		a.tileLoad(5, "R8", "R10", 0)
		a.op("ADDQ R12, R8")
		a.op("JMP pixel")
		a.label("first")
		a.op("SHRQ $1, AX")
		a.op("ADDQ R12, R8")
		a.tileLoad(5, "R8", "R10", 0)
		a.op("ADDQ R12, R8")
		a.tileLoad(7, "R9", "R11", 0)
		a.op("JMP second")
		a.label("pixel")
		for i := range lineTaps {
			tile := func(u int) int { return 4 + (i+u)%lineTaps }
			a.tileLoad(7, "R9", "R11", 0)
			a.tileProduct(0, tile(0), 7)
			if i == 0 {
				a.label("second")
			}
			a.tileProduct(1, tile(1), 7)
			a.op("CMPQ DX, AX")
			a.op("JEQ last")
			a.tileLoad(tile(2), "R8", "R10", 0)
			a.tileProduct(2, tile(2), 7)
			a.op("ADDQ R12, R8")
			a.op("ADDQ R13, R9")
			a.op("DECQ DX")
			if i < lineTaps-1 {
				a.op("JZ last")
			} else {
				a.op("JNZ pixel")
			}
		}
		a.label("last")
		a.op("MOVQ %d(DI), AX", amxAStep)
		a.op("ADDQ AX, %d(DI)", amxANow)
		a.op("MOVQ %d(DI), AX", amxBStep)
		a.op("ADDQ AX, %d(DI)", amxBNow)
		a.op("DECQ BX")
		a.op("JNZ step")
	})
}

// finish stores the sums, or adds them by way of the strip.
func (l amxLineGradient) finish() {
	a := l.a
	l.k.placeOfC("R8")
	a.op("MOVQ %d(DI), R9", amxCRow)
	if !l.k.vectors() {
		for u := range lineTaps {
			a.tileStore(u, "R8", "R9", 0)
			a.op("ADDQ %d(DI), R8", amxCNext)
		}
		return
	}
	a.op("MOVQ %d(DI), AX", amxStrip)
	a.op("MOVQ $%d, DX", tileRowBytes)
	for u := range lineTaps {
		a.tileStore(u, "AX", "DX", 16*tileRowBytes*u)
	}
	a.op("MOVQ $%d, BX", lineTaps)
	a.label("column")
	a.op("MOVQ R8, %d(DI)", amxTapNow)
	a.op("MOVQ AX, %d(DI)", amxANow)
	a.op("MOVQ %d(DI), CX", amxRows)
	a.label("row")
	a.op("VMOVUPS.Z (AX), K1, Z0")
	l.k.row()
	a.op("ADDQ DX, AX")
	a.op("ADDQ R9, R8")
	a.op("DECQ CX")
	a.op("JNZ row")
	a.op("MOVQ %d(DI), R8", amxTapNow)
	a.op("ADDQ %d(DI), R8", amxCNext)
	a.op("MOVQ %d(DI), AX", amxANow)
	a.op("ADDQ $%d, AX", 16*tileRowBytes)
	a.op("DECQ BX")
	a.op("JNZ column")
}
