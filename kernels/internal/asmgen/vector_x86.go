package main

import "fmt"

// x86Vector is an instruction set with vectors of float32.
type x86Vector struct {
	level  string
	reg    string
	lanes  int
	count  int  // vector registers to use
	opmask bool // masks live in K registers
}

var (
	avx512Vector = x86Vector{"AVX512", "Z", 16, 32, true}
	avx2Vector   = x86Vector{"AVX2", "Y", 8, 15, false} // Y15 masks the tail
)

// Streams are addressed as (pointer)(CX*1).
var x86Pointers = [maxStreams]string{"R8", "R9", "R10", "R11", "R12", "R13", "BX", "SI"}

// x86Emitter writes one program for one instruction set.
type x86Emitter struct {
	*assembly
	x86Vector
	p      *program
	last   []int
	pinned map[value]int // scalars, row scalars and the index
	masks  *registers
}

func emitVectorX86(programs []*program, v x86Vector) []byte {
	a := newAssembly()
	a.WriteString("\n// The numbers 0 to 15, for element indices.\n")
	for i := range 16 {
		fmt.Fprintf(a, "DATA iota<>+%d(SB)/4, $%d\n", 4*i, i)
	}
	a.WriteString("GLOBL iota<>(SB), RODATA|NOPTR, $64\n")
	for _, p := range programs {
		a.text("vector"+p.name+v.level, "args *vectorArgs")
		e := &x86Emitter{assembly: a, x86Vector: v, p: p, last: p.lastUses()}
		e.program()
	}
	return a.Bytes()
}

func (e *x86Emitter) name(reg int) string { return fmt.Sprintf("%s%d", e.reg, reg) }

func (e *x86Emitter) program() {
	e.op("MOVQ args+0(FP), DI")
	if e.opmask {
		e.op("MOVQ %d(DI), AX", vecMask)
		e.op("KMOVW AX, K1")
	}
	pinned := e.pin()
	for i := range e.p.streams {
		if e.p.reads(i) {
			e.op("MOVQ %d(DI), %s", vecStreams+8*i, x86Pointers[i])
		}
	}
	e.op("MOVQ %d(DI), DX", vecCols)
	e.op("ANDQ $%d, DX", -e.lanes)
	e.op("SHLQ $2, DX")
	e.label("row")
	for v, in := range e.p.code {
		if in.op == opRow {
			e.op("VBROADCASTSS (%s), %s", x86Pointers[in.a], e.name(e.pinned[value(v)]))
		}
	}
	e.op("XORQ CX, CX")
	e.op("CMPQ CX, DX")
	e.op("JGE tail")
	e.label("vector")
	e.body(pinned, false)
	e.op("ADDQ $%d, CX", 4*e.lanes)
	e.op("CMPQ CX, DX")
	e.op("JLT vector")
	e.label("tail")
	e.op("TESTQ $%d, %d(DI)", e.lanes-1, vecCols)
	e.op("JZ next")
	if !e.opmask {
		e.op("MOVQ %d(DI), AX", vecMask)
		e.op("VMOVUPS (AX), Y15")
	}
	e.body(pinned, true)
	e.label("next")
	for i := range e.p.streams {
		if e.p.reads(i) {
			e.op("ADDQ %d(DI), %s", vecStrides+8*i, x86Pointers[i])
		}
	}
	e.op("DECQ %d(DI)", vecRows)
	e.op("JNZ row")
	e.op("VZEROUPPER")
	e.op("RET")
}

// pin loads what stays in registers: row scalars and the index always, scalars
// as far as registers are left. It returns how many registers are taken.
func (e *x86Emitter) pin() int {
	e.pinned = map[value]int{}
	next := 0
	for v, in := range e.p.code {
		if in.op == opRow {
			e.pinned[value(v)] = next
			next++
		}
	}
	if e.p.uses(opIndex) {
		for v, in := range e.p.code {
			if in.op == opIndex {
				e.pinned[value(v)] = next
			}
		}
		e.op("VPBROADCASTD %d(DI), %s", vecIndex, e.name(next))
		if e.opmask {
			e.op("VPADDD iota<>(SB), %s, %s", e.name(next), e.name(next))
		} else {
			e.op("VPADDD iota<>(SB), %s, %s", e.name(next), e.name(next))
		}
		next++
	}
	const temporaries = 8
	for v, in := range e.p.code {
		if in.op == opScalar && next+temporaries < e.count {
			e.pinned[value(v)] = next
			e.op("VBROADCASTSS %d(DI), %s", vecScalars+4*int(in.a), e.name(next))
			next++
		}
	}
	return next
}

// body writes the program once, for a whole vector or, with tail, for the rest
// of a row.
func (e *x86Emitter) body(pinned int, tail bool) {
	r := newRegisters(pinned, e.count)
	e.masks = newRegisters(2, 8)
	for i := range e.p.code {
		e.instruction(i, r, tail)
	}
	if e.p.uses(opIndex) {
		for v, in := range e.p.code {
			if in.op == opIndex {
				e.op("MOVL $%d, AX", e.lanes)
				t := r.take()
				e.op("VMOVD AX, X%d", t)
				e.op("VPBROADCASTD X%d, %s", t, e.name(t))
				e.op("VPADDD %s, %s, %s", e.name(t), e.name(e.pinned[value(v)]), e.name(e.pinned[value(v)]))
				r.give(t)
				break
			}
		}
	}
}

func (e *x86Emitter) instruction(i int, r *registers, tail bool) {
	in := e.p.code[i]
	switch in.op {
	case opScalar, opRow, opIndex:
		return // pinned, or loaded where it is used
	case opLoad:
		d := r.take()
		r.of[value(i)] = d
		addr := fmt.Sprintf("(%s)(CX*1)", x86Pointers[in.a])
		switch {
		case !tail:
			e.op("VMOVUPS %s, %s", addr, e.name(d))
		case e.opmask:
			e.op("VMOVUPS.Z %s, K1, %s", addr, e.name(d))
		default:
			e.op("VMASKMOVPS %s, Y15, %s", addr, e.name(d))
		}
		return
	}
	var temporary []int
	operand := func(v value) int {
		if reg, ok := e.pinned[v]; ok {
			return reg
		}
		if e.p.code[v].op == opScalar {
			t := r.take()
			e.op("VBROADCASTSS %d(DI), %s", vecScalars+4*int(e.p.code[v].a), e.name(t))
			temporary = append(temporary, t)
			return t
		}
		return r.of[v]
	}
	switch {
	case in.op == opStore:
		a, addr := e.name(operand(in.a)), fmt.Sprintf("(%s)(CX*1)", x86Pointers[in.imm])
		switch {
		case !tail:
			e.op("VMOVUPS %s, %s", a, addr)
		case e.opmask:
			e.op("VMOVUPS %s, K1, %s", a, addr)
		default:
			e.op("VMASKMOVPS %s, Y15, %s", a, addr)
		}
	case in.op == opFMA:
		a, b, c := operand(in.a), operand(in.b), operand(in.c)
		d := r.take()
		e.op("VMOVAPS %s, %s", e.name(c), e.name(d))
		e.op("VFMADD231PS %s, %s, %s", e.name(b), e.name(a), e.name(d))
		r.of[value(i)] = d
	case in.op == opSelect:
		b, c := operand(in.b), operand(in.c)
		d := r.take()
		if e.opmask {
			e.op("VBLENDMPS %s, %s, K%d, %s", e.name(b), e.name(c), e.masks.of[in.a], e.name(d))
		} else {
			e.op("VBLENDVPS %s, %s, %s, %s", e.name(r.of[in.a]), e.name(b), e.name(c), e.name(d))
		}
		r.of[value(i)] = d
	case e.p.isMask(value(i)):
		a, b := operand(in.a), 0
		if in.b != none {
			b = operand(in.b)
		}
		dest := ""
		if e.opmask {
			k := e.masks.take()
			e.masks.of[value(i)] = k
			dest = fmt.Sprintf("K%d", k)
		} else {
			d := r.take()
			r.of[value(i)] = d
			dest = e.name(d)
		}
		switch in.op {
		case opGreater:
			e.op("VCMPPS $0x1e, %s, %s, %s", e.name(b), e.name(a), dest)
		case opIsNaN:
			e.op("VCMPPS $3, %s, %s, %s", e.name(a), e.name(a), dest)
		case opIntGreater:
			e.op("VPCMPGTD %s, %s, %s", e.name(b), e.name(a), dest)
		case opEqual:
			e.op("VPCMPEQD %s, %s, %s", e.name(b), e.name(a), dest)
		}
	case in.op == opSqrt:
		a := operand(in.a)
		d := r.take()
		e.op("VSQRTPS %s, %s", e.name(a), e.name(d))
		r.of[value(i)] = d
	case in.op == opShiftLeft || in.op == opShiftRight:
		a := operand(in.a)
		d := r.take()
		e.op("%s $%d, %s, %s", map[opcode]string{opShiftLeft: "VPSLLD", opShiftRight: "VPSRLD"}[in.op], in.imm, e.name(a), e.name(d))
		r.of[value(i)] = d
	default:
		a, b := operand(in.a), operand(in.b)
		d := r.take()
		e.op("%s %s, %s, %s", e.mnemonic(in.op), e.name(b), e.name(a), e.name(d))
		r.of[value(i)] = d
	}
	r.dead(e.p, i, e.last)
	e.masks.dead(e.p, i, e.last)
	for _, t := range temporary {
		r.give(t)
	}
}

func (e *x86Emitter) mnemonic(op opcode) string {
	if op == opIntXor && e.opmask {
		return "VPXORD"
	}
	return map[opcode]string{
		opAdd: "VADDPS", opSub: "VSUBPS", opMul: "VMULPS", opDiv: "VDIVPS", opMax: "VMAXPS", opMin: "VMINPS",
		opIntAdd: "VPADDD", opIntMul: "VPMULLD", opIntXor: "VPXOR",
	}[op]
}
