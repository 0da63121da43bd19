package main

import "fmt"

// Registers: R0 args, R1 to R8 streams, R9 vectors left in the row, R10 columns
// left over, R11 and R12 scratch, R13 rows left, R14 bytes of a row.

func neonPointer(i int) string { return fmt.Sprintf("R%d", 1+i) }

type neonEmitter struct {
	*assembly
	p      *program
	last   []int
	pinned map[value]int
}

func emitVectorNEON(programs []*program) []byte {
	a := newAssembly()
	a.WriteString("\n// The numbers 0 to 3, for element indices.\n")
	for i := range 4 {
		fmt.Fprintf(a, "DATA iota<>+%d(SB)/4, $%d\n", 4*i, i)
	}
	a.WriteString("GLOBL iota<>(SB), RODATA|NOPTR, $16\n")
	for _, p := range programs {
		a.text("vector"+p.name+"NEON", "args *vectorArgs")
		(&neonEmitter{assembly: a, p: p, last: p.lastUses()}).program()
	}
	return a.Bytes()
}

func (e *neonEmitter) program() {
	e.op("MOVD args+0(FP), R0")
	pinned := e.pin()
	for i := range e.p.streams {
		if e.p.reads(i) {
			e.op("MOVD %d(R0), %s", vecStreams+8*i, neonPointer(i))
		}
	}
	e.op("MOVD %d(R0), R13", vecRows)
	e.op("MOVD %d(R0), R14", vecCols)
	e.op("LSL $2, R14")
	e.label("row")
	for v, in := range e.p.code {
		if in.op == opRow {
			e.op("VLD1R (%s), [V%d.S4]", neonPointer(int(in.a)), e.pinned[value(v)])
		}
	}
	e.op("MOVD %d(R0), R10", vecCols)
	e.op("LSR $2, R10, R9")
	e.op("AND $3, R10")
	e.op("CBZ R9, tail")
	e.label("vector")
	e.body(pinned, false)
	e.op("SUBS $1, R9")
	e.op("BNE vector")
	e.label("tail")
	e.op("CBZ R10, next")
	e.label("single")
	e.body(pinned, true)
	e.op("SUBS $1, R10")
	e.op("BNE single")
	e.label("next")
	for i := range e.p.streams {
		if !e.p.reads(i) {
			continue
		}
		e.op("MOVD %d(R0), R11", vecStrides+8*i)
		e.op("ADD R11, %s", neonPointer(i))
		if !e.isRow(i) {
			e.op("SUB R14, %s", neonPointer(i))
		}
	}
	e.op("SUBS $1, R13")
	e.op("BNE row")
	e.op("RET")
}

// isRow tells whether a stream has one scalar per row.
func (e *neonEmitter) isRow(stream int) bool {
	for _, in := range e.p.code {
		if in.op == opRow && int(in.a) == stream {
			return true
		}
	}
	return false
}

func (e *neonEmitter) pin() int {
	e.pinned = map[value]int{}
	next, index := 0, -1
	for v, in := range e.p.code {
		switch in.op {
		case opRow:
			e.pinned[value(v)] = next
			next++
		case opScalar:
			e.pinned[value(v)] = next
			e.op("ADD $%d, R0, R11", vecScalars+4*int(in.a))
			e.op("VLD1R (R11), [V%d.S4]", next)
			next++
		case opIndex:
			if index < 0 {
				index = next
				next += 2
				e.op("ADD $%d, R0, R11", vecIndex)
				e.op("VLD1R (R11), [V%d.S4]", index)
				e.op("MOVD $iota<>(SB), R11")
				e.op("VLD1 (R11), [V%d.S4]", index+1)
				e.op("VADD V%d.S4, V%d.S4, V%d.S4", index+1, index, index)
			}
			e.pinned[value(v)] = index
		}
	}
	return next
}

func (e *neonEmitter) body(pinned int, single bool) {
	r := newRegisters(pinned, 32)
	for i := range e.p.code {
		e.instruction(i, r, single)
	}
	size := 16
	if single {
		size = 4
	}
	for i := range e.p.streams {
		if e.p.reads(i) && !e.isRow(i) {
			e.op("ADD $%d, %s", size, neonPointer(i))
		}
	}
	for v, in := range e.p.code {
		if in.op == opIndex {
			index := e.pinned[value(v)]
			e.op("MOVD $%d, R11", size/4)
			e.op("VDUP R11, V%d.S4", index+1)
			e.op("VADD V%d.S4, V%d.S4, V%d.S4", index+1, index, index)
			break
		}
	}
}

func (e *neonEmitter) instruction(i int, r *registers, single bool) {
	in := e.p.code[i]
	operand := func(v value) int {
		if reg, ok := e.pinned[v]; ok {
			return reg
		}
		return r.of[v]
	}
	switch in.op {
	case opScalar, opRow, opIndex:
		return
	case opStore:
		if single {
			e.op("FMOVS F%d, (%s)", operand(in.a), neonPointer(in.imm))
		} else {
			e.op("VST1 [V%d.S4], (%s)", operand(in.a), neonPointer(in.imm))
		}
		r.dead(e.p, i, e.last)
		return
	}
	d := r.take()
	r.of[value(i)] = d
	switch in.op {
	case opLoad:
		if single {
			e.op("FMOVS (%s), F%d", neonPointer(int(in.a)), d)
		} else {
			e.op("VLD1 (%s), [V%d.S4]", neonPointer(int(in.a)), d)
		}
	case opFMA:
		e.move(operand(in.c), d)
		e.op("VFMLA V%d.S4, V%d.S4, V%d.S4", operand(in.b), operand(in.a), d)
	case opSelect:
		e.move(operand(in.a), d)
		e.op("VBSL V%d.B16, V%d.B16, V%d.B16", operand(in.c), operand(in.b), d)
	case opIsNaN:
		a := operand(in.a)
		e.word(0x4E20E400, "fcmeq", d, a, a)
		e.op("WORD $0x%08X // not v%d.16b, v%d.16b", 0x6E205800|d<<5|d, d, d)
	case opSqrt:
		e.op("WORD $0x%08X // fsqrt v%d.4s, v%d.4s", 0x6EA1F800|operand(in.a)<<5|d, d, operand(in.a))
	case opShiftLeft:
		e.op("VSHL $%d, V%d.S4, V%d.S4", in.imm, operand(in.a), d)
	case opShiftRight:
		e.op("VUSHR $%d, V%d.S4, V%d.S4", in.imm, operand(in.a), d)
	case opIntAdd:
		e.op("VADD V%d.S4, V%d.S4, V%d.S4", operand(in.b), operand(in.a), d)
	case opIntXor:
		e.op("VEOR V%d.B16, V%d.B16, V%d.B16", operand(in.b), operand(in.a), d)
	case opEqual:
		e.op("VCMEQ V%d.S4, V%d.S4, V%d.S4", operand(in.b), operand(in.a), d)
	default:
		w := neonWords[in.op]
		e.word(w.code, w.name, d, operand(in.a), operand(in.b))
	}
	r.dead(e.p, i, e.last)
}

// neonWords are the three-register instructions that Go's assembler lacks.
var neonWords = map[opcode]struct {
	code int
	name string
}{
	opAdd: {0x4E20D400, "fadd"}, opSub: {0x4EA0D400, "fsub"}, opMul: {0x6E20DC00, "fmul"}, opDiv: {0x6E20FC00, "fdiv"},
	opMax: {0x4E20F400, "fmax"}, opMin: {0x4EA0F400, "fmin"}, opGreater: {0x6EA0E400, "fcmgt"},
	opIntMul: {0x4EA09C00, "mul"}, opIntGreater: {0x4EA03400, "cmgt"},
}

func (e *neonEmitter) word(code int, name string, d, a, b int) {
	e.op("WORD $0x%08X // %s v%d.4s, v%d.4s, v%d.4s", code|b<<16|a<<5|d, name, d, a, b)
}

func (e *neonEmitter) move(from, to int) {
	e.op("VORR V%d.B16, V%d.B16, V%d.B16", from, from, to)
}
