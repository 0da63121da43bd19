package main

import "fmt"

// Registers: R0 args, R1 to R8 streams, R9 vectors or columns left, R10 columns
// left over, R11 scratch, R13 rows left, R14 bytes of a row, or of it done.

func neonPointer(i int) string { return fmt.Sprintf("R%d", 1+i) }

type neonEmitter struct {
	*assembly
	p        *program
	last     []int
	pinned   map[value]int // scalars, row scalars, the index and what a row is reduced to
	vector   int           // of several side by side
	keptRegs map[int]int   // of the kept streams, nil where they are in memory
}

func emitVectorNEON(programs []*program) []byte {
	a := newAssembly()
	a.WriteString("\n// The numbers 0 to 3, for element indices.\n")
	for i := range 4 {
		fmt.Fprintf(a, "DATA iota<>+%d(SB)/4, $%d\n", 4*i, i)
	}
	a.WriteString("GLOBL iota<>(SB), RODATA|NOPTR, $16\n")
	a.WriteString("\n// What rounds the upper half of a float32 to nearest, with the last bit of it added.\n")
	a.WriteString("DATA half<>+0(SB)/4, $0x7fff\nGLOBL half<>(SB), RODATA|NOPTR, $4\n")
	for _, p := range programs {
		a.text("vector"+p.name+"NEON", "args *vectorArgs")
		e := &neonEmitter{assembly: a, p: p, last: p.lastUses()}
		pinned := e.start()
		if len(p.kept) > 0 {
			e.columns(pinned)
		}
		if !p.window {
			e.rows(pinned)
		}
	}
	return a.Bytes()
}

// start loads the arguments and returns how many registers are taken.
func (e *neonEmitter) start() int {
	e.op("MOVD args+0(FP), R0")
	if len(e.p.half) > 0 {
		e.op("MOVD $half<>(SB), R11")
		e.op("VLD1R (R11), [V%d.S4]", neonRounding)
	}
	pinned := e.pin()
	for i := range e.p.streams {
		if e.p.reads(i) {
			e.op("MOVD %d(R0), %s", vecStreams+8*i, neonPointer(i))
		}
	}
	if e.p.bundled > 0 {
		e.op("MOVD %d(R0), %s", vecStrides+8*stepStream, neonPointer(stepStream))
	}
	return pinned
}

// rows emits a loop over rows around one over the vectors of a row and one over
// the columns left over.
func (e *neonEmitter) rows(pinned int) {
	e.op("MOVD %d(R0), R13", vecRows)
	e.op("MOVD %d(R0), R14", vecCols)
	e.op("LSL $2, R14")
	e.label("row")
	e.startRow()
	e.op("MOVD %d(R0), R10", vecCols)
	e.op("LSR $2, R10, R9")
	e.op("AND $3, R10")
	e.op("CBZ R9, tail")
	e.label("vector")
	e.body(pinned, false)
	e.advance(4)
	e.op("SUBS $1, R9")
	e.op("BNE vector")
	e.label("tail")
	e.op("CBZ R10, next")
	e.label("single")
	e.body(pinned, true)
	e.advance(1)
	e.op("SUBS $1, R10")
	e.op("BNE single")
	e.label("next")
	for v, in := range e.p.code {
		if in.isReduction() {
			e.reduce(in, e.pinned[value(v)])
		}
	}
	for i := range e.p.streams {
		if !e.p.reads(i) {
			continue
		}
		e.op("MOVD %d(R0), R11", vecStrides+8*i)
		e.op("ADD R11, %s", neonPointer(i))
		if !e.p.isRow(i) {
			e.op("SUB %s, %s", e.columnBytes(i), neonPointer(i))
		}
	}
	e.op("SUBS $1, R13")
	e.op("BNE row")
	e.op("RET")
}

// columnBytes is R14, which counts columns of four bytes, for a stream.
func (e *neonEmitter) columnBytes(stream int) string {
	if e.p.half[stream] {
		return "R14>>1"
	}
	return "R14"
}

// startRow loads the row's scalars and sets what it is reduced to.
func (e *neonEmitter) startRow() {
	for v, in := range e.p.code {
		switch {
		case in.op == opRow:
			e.op("VLD1R (%s), [V%d.S4]", neonPointer(int(in.a)), e.pinned[value(v)])
		case in.isReduction():
			e.move(e.pinned[in.b], e.pinned[value(v)])
		}
	}
}

// advance moves pointers and index on by n columns.
func (e *neonEmitter) advance(n int) {
	for i := range e.p.streams {
		if e.p.reads(i) && !e.p.isRow(i) {
			e.op("ADD $%d, %s", e.p.size(i)*n, neonPointer(i))
		}
	}
	for v, in := range e.p.code {
		if in.op == opIndex {
			index := e.pinned[value(v)]
			e.op("MOVD $%d, R11", n)
			e.op("VDUP R11, V%d.S4", index+1)
			e.op("VADD V%d.S4, V%d.S4, V%d.S4", index+1, index, index)
			break
		}
	}
}

// reduce stores the sum or maximum of the lanes of a register.
func (e *neonEmitter) reduce(in instruction, reg int) {
	if in.op == opSumRow {
		e.word(0x6E20D400, "faddp", reg, reg, reg)
		e.word(0x6E20D400, "faddp", reg, reg, reg)
	} else {
		e.op("WORD $0x%08X // fmaxv s%d, v%d.4s", 0x6E30F800|reg<<5|reg, reg, reg)
	}
	e.op("FMOVS F%d, (%s)", reg, neonPointer(in.imm))
}

// columns emits a loop over strips of columns around one over rows: strips of
// four vectors, so that their sums do not wait for each other, then of one
// vector, then of one column. Rows longer than a strip are left to the other
// order, as on amd64. R9 holds the columns left, R14 the bytes done.
func (e *neonEmitter) columns(pinned int) {
	e.op("MOVD ZR, R14")
	e.op("MOVD %d(R0), R9", vecCols)
	if !e.p.window {
		e.op("CMP $16, R9")
		e.op("BGT long")
	}
	for _, strip := range []struct {
		name    string
		vectors int
		columns int
	}{{"wide", 4, 16}, {"vector", 1, 4}, {"single", 1, 1}} {
		e.label(strip.name + "Strip")
		e.op("CMP $%d, R9", strip.columns)
		e.op("BLT %sEnd", strip.name)
		e.strip(pinned, strip.vectors, strip.name, strip.columns == 1)
		e.op("ADD $%d, R14", 4*strip.columns)
		e.op("SUB $%d, R9", strip.columns)
		e.op("B %sStrip", strip.name)
		e.label(strip.name + "End")
	}
	e.op("RET")
	e.keptRegs = nil
	if !e.p.window {
		e.label("long")
	}
}

// strip emits the loop over the rows of a strip of n vectors.
func (e *neonEmitter) strip(pinned, n int, name string, single bool) {
	for i := range e.p.streams {
		if !e.p.reads(i) {
			continue
		}
		e.op("MOVD %d(R0), %s", vecStreams+8*i, neonPointer(i))
		if !e.p.isRow(i) {
			e.op("ADD %s, %s", e.columnBytes(i), neonPointer(i))
		}
	}
	kept := make([]map[int]int, n)
	free := pinned
	for e.vector = range n {
		kept[e.vector] = map[int]int{}
		for _, s := range e.p.kept {
			kept[e.vector][s] = free
			if initial, ok := e.p.initial[s]; ok {
				e.move(e.pinned[initial], free)
			} else {
				e.load(s, free, single)
			}
			free++
		}
	}
	e.op("MOVD %d(R0), R13", vecRows)
	e.label(name + "Row")
	e.startRow()
	for e.vector = range n {
		e.keptRegs = kept[e.vector]
		e.body(free, single)
	}
	for i := range e.p.streams {
		if e.p.reads(i) && !e.p.isKept(i) {
			e.op("MOVD %d(R0), R11", vecStrides+8*i)
			e.op("ADD R11, %s", neonPointer(i))
		}
	}
	e.op("SUBS $1, R13")
	e.op("BNE %sRow", name)
	for e.vector = range n {
		for _, s := range e.p.kept {
			if e.p.stores(s) {
				e.store(kept[e.vector][s], s, single)
			}
		}
	}
	e.vector = 0
}

func (e *neonEmitter) inRegister(stream int) bool {
	_, ok := e.keptRegs[stream]
	return ok
}

func (e *neonEmitter) pin() int {
	e.pinned = map[value]int{}
	next, index := 0, -1
	for v, in := range e.p.code {
		switch {
		case in.op == opRow || in.isReduction():
			e.pinned[value(v)] = next
			next++
		case in.op == opScalar:
			e.pinned[value(v)] = next
			e.op("ADD $%d, R0, R11", vecScalars+4*int(in.a))
			e.op("VLD1R (R11), [V%d.S4]", next)
			next++
		case in.op == opIndex:
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
	r := newRegisters(pinned, e.registers())
	for i := range e.p.code {
		e.instruction(i, r, single)
		if in := e.p.code[i]; in.op == opStore && e.p.inBundle(in.imm) {
			e.op("ADD %s, %s", neonPointer(stepStream), neonPointer(e.p.pointer(in.imm)))
		}
	}
	if n := e.p.bundled; n > 0 {
		e.op("MOVD $%d, R11", n)
		e.op("MUL %s, R11, R11", neonPointer(stepStream))
		e.op("SUB R11, %s", neonPointer(len(e.p.streams)-n))
	}
}

// Registers for rounding to bfloat16.
const neonRounding, neonRounded, neonTwice, neonOrdered = 31, 30, 29, 28

func (e *neonEmitter) registers() int {
	if len(e.p.half) > 0 {
		return neonOrdered
	}
	return 32
}

func (e *neonEmitter) load(stream, reg int, single bool) {
	pointer := neonPointer(e.p.pointer(stream))
	switch {
	case e.p.half[stream]:
		e.widen(pointer, reg, single)
	case single:
		e.op("FMOVS (%s), F%d", pointer, reg)
	default:
		e.op("FMOVQ %d(%s), F%d", 16*e.vector, pointer, reg)
	}
}

func (e *neonEmitter) store(reg, stream int, single bool) {
	pointer := neonPointer(e.p.pointer(stream))
	switch {
	case e.p.half[stream]:
		e.narrow(reg, pointer, single)
	case single:
		e.op("FMOVS F%d, (%s)", reg, pointer)
	default:
		e.op("FMOVQ F%d, %d(%s)", reg, 16*e.vector, pointer)
	}
}

// widen loads bfloat16, which are the upper halves of float32.
func (e *neonEmitter) widen(pointer string, reg int, single bool) {
	if single {
		e.op("MOVHU (%s), R11", pointer)
		e.op("LSL $16, R11")
		e.op("FMOVS R11, F%d", reg)
		return
	}
	e.op("FMOVD %d(%s), F%d", 8*e.vector, pointer, reg)
	e.op("VUSHLL $0, V%d.H4, V%d.S4", reg, reg)
	e.op("VSHL $16, V%d.S4, V%d.S4", reg, reg)
}

// narrow rounds to nearest, ties to even, and stores the upper halves. Twice a NaN
// is a NaN that has its highest bit set, so that its upper half is one.
func (e *neonEmitter) narrow(reg int, pointer string, single bool) {
	e.op("VSHL $15, V%d.S4, V%d.S4", reg, neonRounded)
	e.op("VUSHR $31, V%d.S4, V%d.S4", neonRounded, neonRounded)
	e.op("VADD V%d.S4, V%d.S4, V%d.S4", neonRounding, neonRounded, neonRounded)
	e.op("VADD V%d.S4, V%d.S4, V%d.S4", reg, neonRounded, neonRounded)
	e.word(0x4E20D400, "fadd", neonTwice, reg, reg)
	e.word(0x4E20E400, "fcmeq", neonOrdered, reg, reg)
	e.op("VBIF V%d.B16, V%d.B16, V%d.B16", neonOrdered, neonTwice, neonRounded)
	if single {
		e.op("FMOVS F%d, R11", neonRounded)
		e.op("LSR $16, R11")
		e.op("MOVH R11, (%s)", pointer)
		return
	}
	e.op("VUZP2 V%d.H8, V%d.H8, V%d.H8", neonRounded, neonRounded, neonRounded)
	e.op("FMOVD F%d, %d(%s)", neonRounded, 8*e.vector, pointer)
}

func (e *neonEmitter) instruction(i int, r *registers, single bool) {
	in := e.p.code[i]
	operand := func(v value) int {
		if reg, ok := e.pinned[v]; ok {
			return reg
		}
		return r.of[v]
	}
	switch {
	case in.op == opScalar || in.op == opRow || in.op == opIndex:
		return
	case in.op == opLoad && e.inRegister(int(in.a)):
		r.borrow(value(i), e.keptRegs[int(in.a)])
		return
	case in.op == opStore:
		a := operand(in.a)
		switch {
		case !e.inRegister(in.imm):
			e.store(a, in.imm, single)
		case a != e.keptRegs[in.imm]:
			e.move(a, e.keptRegs[in.imm])
		}
		r.dead(e.p, i, e.last)
		return
	case in.isReduction():
		e.accumulate(in, operand(in.a), e.pinned[value(i)], r, single)
		r.dead(e.p, i, e.last)
		return
	}
	addend := operand(in.c)
	d := e.target(i, r)
	switch in.op {
	case opLoad:
		e.load(int(in.a), d, single)
	case opFMA:
		if addend != d {
			e.move(addend, d)
		}
		e.op("VFMLA V%d.S4, V%d.S4, V%d.S4", operand(in.b), operand(in.a), d)
	case opSelect:
		e.move(operand(in.a), d)
		e.op("VBSL V%d.B16, V%d.B16, V%d.B16", operand(in.c), operand(in.b), d)
	case opIsNaN:
		a := operand(in.a)
		e.word(0x4E20E400, "fcmeq", d, a, a)
		e.op("WORD $0x%08X // mvn v%d.16b, v%d.16b", 0x6E205800|d<<5|d, d, d)
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

// target returns the register for the result of instruction i. A multiply-add
// and the last value of a kept stream take the place of what they replace,
// unless another operand is still there.
func (e *neonEmitter) target(i int, r *registers) int {
	in := e.p.code[i]
	if reg, ok := r.of[in.c]; in.op == opFMA && ok && e.last[in.c] == i && !r.borrowed[in.c] && in.a != in.c && in.b != in.c {
		delete(r.of, in.c)
		r.of[value(i)] = reg
		return reg
	}
	if s := e.p.finalStore(i, e.last); s >= 0 && e.inRegister(s) && in.op != opSelect {
		reg := e.keptRegs[s]
		if in.op != opFMA || r.of[in.a] != reg && r.of[in.b] != reg {
			r.borrow(value(i), reg)
			return reg
		}
	}
	r.of[value(i)] = r.take()
	return r.of[value(i)]
}

// accumulate adds a to, or takes the maximum with, what the row is reduced to. Of
// a single column the other lanes are made to count for nothing.
func (e *neonEmitter) accumulate(in instruction, a, sum int, r *registers, single bool) {
	from := a
	if single {
		from = r.take()
		defer r.give(from)
		if in.op == opSumRow {
			e.op("FMOVS F%d, F%d", a, from)
		} else {
			e.op("VDUP V%d.S[0], V%d.S4", a, from)
		}
	}
	if in.op == opSumRow {
		e.word(0x4E20D400, "fadd", sum, sum, from)
	} else {
		e.word(0x4E20F400, "fmax", sum, sum, from)
	}
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
