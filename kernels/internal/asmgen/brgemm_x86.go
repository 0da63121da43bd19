package main

import "fmt"

// Registers on amd64 (R14 and R15 belong to Go, BP is the frame pointer):
//
//	DI args  SI taps  CX taps left  DX k left
//	R8 A  BX A + 9 rows  R9 B
//	R10 to R13: 1, 3, 5, 7 times the row stride of A, AX what to fetch ahead (row form)
//	R10 k stride, AX B stride, R11 what to fetch ahead, R12 its step (column form)
//	AX and DX are scratch between tiles

// amd64Row addresses row i of A in row form.
func amd64Row(i int) string {
	index := []string{"", "(R10*1)", "(R10*2)", "(R11*1)", "(R10*4)", "(R12*1)", "(R11*2)", "(R13*1)", "(R10*8)"}
	if i < 9 {
		return "(R8)" + index[i]
	}
	return "(BX)" + index[i-9]
}

// amd64Vectors is what differs between AVX-512 and AVX2.
type amd64Vectors struct {
	reg       string // Z or Y
	bytes     int
	firstB    int // registers: accumulators from 0, then B, then the broadcast
	broadcast int
	load      func(addr string, vector, reg int, masked bool) string
	store     func(addr string, vector, reg int) string
	add       func(addr string, vector, reg, scratch int) []string // reg += memory
	zero      func(reg int) string
}

// emitAVX512 masks columns of a ragged tile's last vector only: on Intel a masked
// load is said to take one of the two ports that multiply.
func emitAVX512(a *assembly, s isa, f form, m, nv int, tail bool) {
	ragged := func(vector int) bool { return tail && vector == nv-1 }
	v := amd64Vectors{
		reg: "Z", bytes: 64, firstB: 28, broadcast: 30,
		load: func(addr string, vector, reg int, _ bool) string {
			if ragged(vector) {
				return fmt.Sprintf("VMOVUP%s.Z %s, K1, Z%d", suffix(s), addr, reg)
			}
			return fmt.Sprintf("VMOVUP%s %s, Z%d", suffix(s), addr, reg)
		},
		store: func(addr string, vector, reg int) string {
			if ragged(vector) {
				return fmt.Sprintf("VMOVUP%s Z%d, K1, %s", suffix(s), reg, addr)
			}
			return fmt.Sprintf("VMOVUP%s Z%d, %s", suffix(s), reg, addr)
		},
		add: func(addr string, vector, reg, _ int) []string {
			if ragged(vector) {
				return []string{fmt.Sprintf("VADDP%s %s, Z%d, K1, Z%d", suffix(s), addr, reg, reg)}
			}
			return []string{fmt.Sprintf("VADDP%s %s, Z%d, Z%d", suffix(s), addr, reg, reg)}
		},
		zero: func(reg int) string { return fmt.Sprintf("VPXORQ Z%d, Z%d, Z%d", reg, reg, reg) },
	}
	a.op("MOVQ args+0(FP), DI")
	if tail {
		a.comment("one bit of the mask per column of the last vector")
		a.op("MOVQ %d(DI), AX", argMask)
		a.op("KMOVW AX, K1")
	}
	emitAMD64(a, s, f, m, nv, v)
}

func emitAVX2(a *assembly, s isa, f form, m, nv int, tail bool) {
	v := amd64Vectors{
		reg: "Y", bytes: 32, firstB: 12, broadcast: 14,
		load: func(addr string, vector, reg int, masked bool) string {
			if masked && tail && vector == nv-1 {
				return fmt.Sprintf("VMASKMOVP%s %s, Y15, Y%d", suffix(s), addr, reg)
			}
			return fmt.Sprintf("VMOVUP%s %s, Y%d", suffix(s), addr, reg)
		},
		store: func(addr string, vector, reg int) string {
			if tail && vector == nv-1 {
				return fmt.Sprintf("VMASKMOVP%s Y%d, Y15, %s", suffix(s), reg, addr)
			}
			return fmt.Sprintf("VMOVUP%s Y%d, %s", suffix(s), reg, addr)
		},
		add: func(addr string, vector, reg, scratch int) []string {
			if tail && vector == nv-1 {
				return []string{
					fmt.Sprintf("VMASKMOVP%s %s, Y15, Y%d", suffix(s), addr, scratch),
					fmt.Sprintf("VADDP%s Y%d, Y%d, Y%d", suffix(s), scratch, reg, reg),
				}
			}
			return []string{fmt.Sprintf("VADDP%s %s, Y%d, Y%d", suffix(s), addr, reg, reg)}
		},
		zero: func(reg int) string { return fmt.Sprintf("VXORPS Y%d, Y%d, Y%d", reg, reg, reg) },
	}
	a.op("MOVQ args+0(FP), DI")
	if tail {
		a.comment("a mask for the last vector, in memory")
		a.op("MOVQ %d(DI), AX", argMask)
		a.op("VMOVUPS (AX), Y15")
	}
	emitAMD64(a, s, f, m, nv, v)
}

func suffix(s isa) string {
	if s.bits == 64 {
		return "D"
	}
	return "S"
}

// emitAMD64 writes the loops over tiles, taps and k.
func emitAMD64(a *assembly, s isa, f form, m, nv int, v amd64Vectors) {
	start(a, "AX")
	startAhead(a, f)
	a.label("tile")
	prefetchC(a, m, nv, v)
	for i := range m * nv {
		a.op("%s", v.zero(i))
	}
	if f == rowForm {
		a.op("MOVQ %d(DI), R10", argARow)
		a.op("LEAQ (R10)(R10*2), R11")
		a.op("LEAQ (R10)(R10*4), R12")
		a.op("LEAQ (R11)(R10*4), R13")
	} else {
		a.op("MOVQ %d(DI), R10", argAK)
	}
	a.op("MOVQ %d(DI), SI", argTaps)
	a.op("MOVQ %d(DI), CX", argNumTaps)
	if f == rowForm {
		a.op("MOVQ %d(DI), AX", argAheadNow)
	} else {
		a.op("MOVQ %d(DI), AX", argBK)
	}
	a.label("tap")
	a.op("MOVQ %d(DI), R8", argANow)
	a.op("ADDQ 0(SI), R8")
	a.op("MOVQ %d(DI), R9", argB)
	a.op("ADDQ 8(SI), R9")
	if f == rowForm && m > 9 {
		a.op("LEAQ (R8)(R10*8), BX")
		a.op("ADDQ R10, BX")
	}
	a.op("MOVQ %d(DI), DX", argK)
	const unroll = 4
	a.op("SUBQ $%d, DX", unroll)
	a.op("JLT rest")
	a.label("unrolled")
	for u := range unroll {
		rankOne(a, s, f, m, nv, u, v)
		if f == colForm {
			a.op("PREFETCHT1 %d(R11)", 64*u)
		} else if u == 0 {
			a.op("PREFETCHT1 (AX)")
		}
	}
	if f == colForm {
		a.op("ADDQ R12, R11")
	} else {
		a.op("ADDQ %d(DI), AX", argAheadStep)
		a.op("ADDQ $%d, R8", unroll*s.elem())
		if m > 9 {
			a.op("ADDQ $%d, BX", unroll*s.elem())
		}
	}
	a.op("SUBQ $%d, DX", unroll)
	a.op("JGE unrolled")
	a.label("rest")
	a.op("ADDQ $%d, DX", unroll)
	a.op("JZ next")
	a.label("single")
	rankOne(a, s, f, m, nv, 0, v)
	if f == rowForm {
		a.op("ADDQ $%d, R8", s.elem())
		if m > 9 {
			a.op("ADDQ $%d, BX", s.elem())
		}
	}
	a.op("DECQ DX")
	a.op("JNZ single")
	a.label("next")
	a.op("ADDQ $16, SI")
	a.op("DECQ CX")
	a.op("JNZ tap")
	if f == rowForm {
		a.op("MOVQ AX, %d(DI)", argAheadNow)
	}
	storeC(a, m, nv, v)
	a.op("MOVQ %d(DI), AX", argATile)
	a.op("ADDQ AX, %d(DI)", argANow)
	a.op("MOVQ %d(DI), AX", argCTile)
	a.op("ADDQ AX, %d(DI)", argCNow)
	a.op("DECQ %d(DI)", argTiles)
	a.op("JNZ tile")
	a.op("VZEROUPPER")
	a.op("RET")
}

// start copies the pointers that advance from tile to tile: past the last they
// point anywhere, which the garbage collector must not see in a pointer field.
func start(a *assembly, r string) {
	for _, pair := range [][2]int{{argA, argANow}, {argC, argCNow}} {
		a.op("MOVQ %d(DI), %s", pair[0], r)
		a.op("MOVQ %s, %d(DI)", r, pair[1])
	}
}

// startAhead begins what is fetched ahead, with B, which is in cache, where that is
// nothing: a prefetch of no memory costs a walk through page tables.
func startAhead(a *assembly, f form) {
	r := "AX"
	if f == colForm {
		r = "R11"
		a.op("MOVQ %d(DI), R12", argAheadStep)
	}
	a.op("MOVQ %d(DI), %s", argAhead, r)
	a.op("TESTQ %s, %s", r, r)
	a.op("JNE ahead")
	a.op("MOVQ %d(DI), %s", argB, r)
	a.label("ahead")
	if f == rowForm {
		a.op("MOVQ AX, %d(DI)", argAheadNow)
	}
}

// rankOne adds column k of A times row k of B; u is the step within the
// unrolled loop.
func rankOne(a *assembly, s isa, f form, m, nv, u int, v amd64Vectors) {
	for j := range nv {
		a.op("%s", v.load(fmt.Sprintf("%d(R9)", v.bytes*j), j, v.firstB+j, true))
	}
	for i := range m {
		addr := fmt.Sprintf("%d(R8)", s.elem()*i)
		if f == rowForm {
			addr = amd64Row(i)
			if u > 0 {
				addr = fmt.Sprint(s.elem()*u) + addr
			}
		}
		a.op("VBROADCASTS%s %s, %s%d", suffix(s), addr, v.reg, v.broadcast)
		for j := range nv {
			a.op("VFMADD231P%s %s%d, %s%d, %s%d", suffix(s), v.reg, v.firstB+j, v.reg, v.broadcast, v.reg, i*nv+j)
		}
	}
	if f == colForm {
		a.op("ADDQ AX, R9")
		a.op("ADDQ R10, R8")
	} else {
		a.op("ADDQ %d(DI), R9", argBK)
	}
}

// prefetchC asks for the tile's C, which is in the third-level cache or in memory
// when products are added to a large result.
func prefetchC(a *assembly, m, nv int, v amd64Vectors) {
	a.op("MOVQ %d(DI), AX", argCNow)
	a.op("MOVQ %d(DI), DX", argCRow)
	for i := range m {
		for line := 0; line < nv*v.bytes; line += 64 {
			a.op("PREFETCHT0 %d(AX)", line)
		}
		if i < m-1 {
			a.op("ADDQ DX, AX")
		}
	}
}

// storeC writes the accumulators to C, or adds them.
func storeC(a *assembly, m, nv int, v amd64Vectors) {
	a.op("MOVQ %d(DI), AX", argCNow)
	a.op("MOVQ %d(DI), DX", argCRow)
	a.op("CMPQ %d(DI), $0", argAccumulate)
	a.op("JE store")
	eachC(a, m, nv, v, func(addr string, i, j int) []string { return v.add(addr, j, i*nv+j, v.firstB) })
	a.op("MOVQ %d(DI), AX", argCNow)
	a.label("store")
	eachC(a, m, nv, v, func(addr string, i, j int) []string { return []string{v.store(addr, j, i*nv+j)} })
}

func eachC(a *assembly, m, nv int, v amd64Vectors, instructions func(addr string, i, j int) []string) {
	for i := range m {
		for j := range nv {
			for _, in := range instructions(fmt.Sprintf("%d(AX)", v.bytes*j), i, j) {
				a.op("%s", in)
			}
		}
		if i < m-1 {
			a.op("ADDQ DX, AX")
		}
	}
}
