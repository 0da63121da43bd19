package main

import "fmt"

// Registers on arm64 (R18, R27, R28 and up belong to the platform and Go):
//
//	R0 args  R1 taps  R2 taps left  R3 k left  R4 B stride  R5 A  R6 B
//	R7 row stride or k stride of A  R8 walks the rows  R9 C  R10 C stride  R11, R12 scratch
//	V0 to V23 accumulators, V24 to V26 B, V27 the broadcast

func emitNEON(a *assembly, s isa, f form, m, nv int, _ bool) {
	t := "S4"
	if s.bits == 64 {
		t = "D2"
	}
	a.op("MOVD args+0(FP), R0")
	for _, pair := range [][2]int{{argA, argANow}, {argC, argCNow}} {
		a.op("MOVD %d(R0), R11", pair[0])
		a.op("MOVD R11, %d(R0)", pair[1])
	}
	a.label("tile")
	for i := range m * nv {
		a.op("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	a.op("MOVD %d(R0), R1", argTaps)
	a.op("MOVD %d(R0), R2", argNumTaps)
	a.op("MOVD %d(R0), R4", argBK)
	a.op("MOVD %d(R0), R7", map[form]int{rowForm: argARow, colForm: argAK}[f])
	a.label("tap")
	a.op("MOVD %d(R0), R5", argANow)
	a.op("MOVD 0(R1), R11")
	a.op("ADD R11, R5")
	a.op("MOVD %d(R0), R6", argB)
	a.op("MOVD 8(R1), R11")
	a.op("ADD R11, R6")
	a.op("MOVD %d(R0), R3", argK)
	a.op("CBZ R3, next")
	a.label("step")
	a.op("VLD1 (R6), %s", neonList(24, nv, t))
	a.op("ADD R4, R6")
	a.op("MOVD R5, R8")
	for i := range m {
		if f == colForm {
			a.op("VLD1R.P %d(R8), [V27.%s]", s.elem(), t)
		} else {
			a.op("VLD1R (R8), [V27.%s]", t)
			if i < m-1 {
				a.op("ADD R7, R8")
			}
		}
		for j := range nv {
			a.op("VFMLA V%d.%s, V27.%s, V%d.%s", 24+j, t, t, i*nv+j, t)
		}
	}
	if f == colForm {
		a.op("ADD R7, R5")
	} else {
		a.op("ADD $%d, R5", s.elem())
	}
	a.op("SUBS $1, R3")
	a.op("BNE step")
	a.label("next")
	a.op("ADD $16, R1")
	a.op("SUBS $1, R2")
	a.op("BNE tap")
	a.op("MOVD %d(R0), R9", argCNow)
	a.op("MOVD %d(R0), R10", argCRow)
	a.op("MOVD %d(R0), R11", argAccumulate)
	a.op("CBZ R11, store")
	for i := range m {
		a.op("VLD1 (R9), %s", neonList(24, nv, t))
		a.op("ADD R10, R9")
		for j := range nv {
			neonAdd(a, s, i*nv+j, i*nv+j, 24+j)
		}
	}
	a.op("MOVD %d(R0), R9", argCNow)
	a.label("store")
	for i := range m {
		a.op("VST1 %s, (R9)", neonList(i*nv, nv, t))
		a.op("ADD R10, R9")
	}
	for _, pair := range [][2]int{{argANow, argATile}, {argCNow, argCTile}} {
		a.op("MOVD %d(R0), R11", pair[0])
		a.op("MOVD %d(R0), R12", pair[1])
		a.op("ADD R12, R11")
		a.op("MOVD R11, %d(R0)", pair[0])
	}
	a.op("MOVD %d(R0), R11", argTiles)
	a.op("SUBS $1, R11")
	a.op("MOVD R11, %d(R0)", argTiles)
	a.op("BNE tile")
	a.op("RET")
}

// neonList is n registers from first on, as a load or store takes them.
func neonList(first, n int, t string) string {
	list := ""
	for i := range n {
		if i > 0 {
			list += ", "
		}
		list += fmt.Sprintf("V%d.%s", first+i, t)
	}
	return "[" + list + "]"
}

// neonAdd sets register d to the sum of registers n and m, which Go's assembler
// has no instruction for.
func neonAdd(a *assembly, s isa, d, n, m int) {
	code, t := 0x4E20D400, "4s"
	if s.bits == 64 {
		code, t = 0x4E60D400, "2d"
	}
	a.op("WORD $0x%08X // fadd v%d.%s, v%d.%s, v%d.%s", code|m<<16|n<<5|d, d, t, n, t, m, t)
}
