package main

import "fmt"

// The transposing kernels: see transposeArgs in package kernels for the
// contract. A square block, as wide as a vector, is turned in registers: first
// inside the 16-byte lanes, by interleaving rows, then the lanes themselves.

// Offsets in transposeArgs.
const (
	transposeDst      = 0
	transposeSrc      = 8
	transposeDstRow   = 16
	transposeSrcRow   = 24
	transposeBlocks   = 32
	transposeDstBlock = 40
	transposeSrcBlock = 48
	transposeAhead    = 56
)

// turner turns a block that lies in registers 0 to n-1 and returns where its
// columns are.
type turner struct {
	a        *assembly
	reg      string
	n, lanes int // rows; 16-byte lanes of a vector
	next     int // the first register of the half that is free
}

// stage emits n instructions into the free half; of(i) says which vectors of
// regs instruction i combines, and how.
func (t *turner) stage(regs []int, of func(i int) (op string, x, y int)) []int {
	out := make([]int, t.n)
	for i := range out {
		out[i] = t.next + i
		op, x, y := of(i)
		t.a.op("%s %s%d, %s%d, %s%d", op, t.reg, regs[y], t.reg, regs[x], t.reg, out[i])
	}
	t.next = t.n - t.next
	return out
}

// turn emits all stages and returns the registers of the columns.
func (t *turner) turn(bits int) []int {
	regs := make([]int, t.n)
	for i := range regs {
		regs[i] = i
	}
	t.next = t.n
	if bits == 32 {
		regs = t.stage(regs, func(i int) (string, int, int) {
			return [2]string{"VUNPCKLPS", "VUNPCKHPS"}[i%2], i &^ 1, i | 1
		})
		regs = t.stage(regs, func(i int) (string, int, int) {
			first := i&^3 + i%4/2
			return [2]string{"VUNPCKLPD", "VUNPCKHPD"}[i%2], first, first + 2
		})
	} else {
		regs = t.stage(regs, func(i int) (string, int, int) {
			return [2]string{"VUNPCKLPD", "VUNPCKHPD"}[i%2], i &^ 1, i | 1
		})
	}
	// Now register g*q+c holds rows g*q and on of the columns c, q+c, ...: one a lane.
	q := 128 / bits
	switch t.lanes {
	case 2:
		regs = t.stage(regs, func(i int) (string, int, int) {
			return [2]string{"VPERM2F128 $0x20,", "VPERM2F128 $0x31,"}[i/q], i % q, q + i%q
		})
	case 4:
		// Even and odd lanes of neighbouring groups, then the same again.
		regs = t.stage(regs, func(i int) (string, int, int) {
			return [2]string{"VSHUFF64X2 $0x88,", "VSHUFF64X2 $0xdd,"}[i/q%2], i/(2*q)*2*q + i%q, i/(2*q)*2*q + q + i%q
		})
		regs = t.stage(regs, func(i int) (string, int, int) {
			lane, c := i/q, i%q
			return [2]string{"VSHUFF64X2 $0x88,", "VSHUFF64X2 $0xdd,"}[lane/2], lane%2*q + c, 2*q + lane%2*q + c
		})
	}
	return regs
}

// transposeFiles writes them for amd64 and arm64.
func transposeFiles() []file {
	var all []file
	for _, s := range []struct {
		level, reg, file string
		lanes            int
	}{{"AVX512", "Z", "avx512", 4}, {"AVX2", "Y", "avx2", 2}} {
		a := newAssembly()
		for _, bits := range []int{32, 64} {
			n := 128 / bits * s.lanes
			a.text(fmt.Sprintf("transpose%sF%d", s.level, bits), "args *transposeArgs")
			a.op("MOVQ args+0(FP), DI")
			a.op("MOVQ %d(DI), R8", transposeDst)
			a.op("MOVQ %d(DI), R9", transposeSrc)
			a.op("MOVQ %d(DI), R10", transposeDstRow)
			a.op("MOVQ %d(DI), R11", transposeSrcRow)
			a.op("MOVQ %d(DI), R12", transposeDstBlock)
			a.op("MOVQ %d(DI), R13", transposeSrcBlock)
			a.op("MOVQ %d(DI), CX", transposeBlocks)
			a.op("MOVQ %d(DI), AX", transposeAhead)
			a.label("block")
			a.op("MOVQ R8, BX")
			a.op("MOVQ R9, SI")
			for i := range n {
				a.op("VMOVUPS (SI), %s%d", s.reg, i)
				a.op("PREFETCHT1 (SI)(AX*1)")
				if i < n-1 {
					a.op("ADDQ R11, SI")
				}
			}
			t := turner{a: a, reg: s.reg, n: n, lanes: s.lanes}
			for i, r := range t.turn(bits) {
				a.op("VMOVUPS %s%d, (BX)", s.reg, r)
				if i < n-1 {
					a.op("ADDQ R10, BX")
				}
			}
			a.op("ADDQ R12, R8")
			a.op("ADDQ R13, R9")
			a.op("DECQ CX")
			a.op("JNZ block")
			a.op("VZEROUPPER")
			a.op("RET")
		}
		all = append(all, file{"transpose_" + s.file + "_amd64.s", a.Bytes()})
	}
	return append(all, transposeNEON())
}

func transposeNEON() file {
	a := newAssembly()
	for _, bits := range []int{32, 64} {
		n := 128 / bits
		a.text(fmt.Sprintf("transposeNEONF%d", bits), "args *transposeArgs")
		a.op("MOVD args+0(FP), R0")
		a.op("MOVD %d(R0), R1", transposeDst)
		a.op("MOVD %d(R0), R2", transposeSrc)
		a.op("MOVD %d(R0), R3", transposeDstRow)
		a.op("MOVD %d(R0), R4", transposeSrcRow)
		a.op("MOVD %d(R0), R5", transposeDstBlock)
		a.op("MOVD %d(R0), R6", transposeSrcBlock)
		a.op("MOVD %d(R0), R7", transposeBlocks)
		a.label("block")
		a.op("MOVD R1, R8")
		a.op("MOVD R2, R9")
		for i := range n {
			a.op("VLD1 (R9), [V%d.B16]", i)
			a.op("ADD R4, R9")
		}
		// Interleave elements, then pairs of elements.
		interleave := func(t string, x, y, dst int) {
			a.op("VZIP1 V%d.%s, V%d.%s, V%d.%s", y, t, x, t, dst, t)
			a.op("VZIP2 V%d.%s, V%d.%s, V%d.%s", y, t, x, t, dst+1, t)
		}
		first := 0
		if bits == 32 {
			interleave("S4", 0, 1, 4)
			interleave("S4", 2, 3, 6)
			interleave("D2", 4, 6, 0)
			interleave("D2", 5, 7, 2)
		} else {
			interleave("D2", 0, 1, 2)
			first = 2
		}
		for i := range n {
			a.op("VST1 [V%d.B16], (R8)", first+i)
			a.op("ADD R3, R8")
		}
		a.op("ADD R5, R1")
		a.op("ADD R6, R2")
		a.op("SUBS $1, R7")
		a.op("BNE block")
		a.op("RET")
	}
	return file{"transpose_neon_arm64.s", a.Bytes()}
}
