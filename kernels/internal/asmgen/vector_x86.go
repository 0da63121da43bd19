package main

import (
	"fmt"
	"slices"
)

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

// extent says how much of a vector the body works on.
type extent int

const (
	whole  extent = iota
	masked        // the rest of a row
	single        // one element of it, where the instruction set cannot mask
)

// Streams are addressed as (pointer)(CX*scale); CX counts units of the program.
var x86Pointers = [maxStreams]string{"R8", "R9", "R10", "R11", "R12", "R13", "BX", "SI"}

// x86Emitter writes one program for one instruction set.
type x86Emitter struct {
	*assembly
	x86Vector
	p        *program
	last     []int
	pinned   map[value]int // scalars, row scalars, the index and what a row is reduced to
	masks    *registers
	vector   int         // of several side by side
	keptRegs map[int]int // of the kept streams, nil where they are in memory

	rounding  int   // register of the constant that rounds to bfloat16
	temporary []int // registers to round in
}

// reserve keeps registers for rounding to bfloat16.
func (e *x86Emitter) reserve() {
	if len(e.p.half) == 0 {
		return
	}
	if e.opmask {
		e.rounding, e.temporary = 31, []int{30}
		e.count = 30
	} else {
		e.rounding, e.temporary = 15, []int{12, 13, 14}
		e.count = 12
	}
}

// rest is what the body does with the elements after the last whole vector.
func (e *x86Emitter) rest() extent {
	if len(e.p.half) > 0 && !e.opmask {
		return single
	}
	return masked
}

func emitVectorX86(programs []*program, v x86Vector) []byte {
	a := newAssembly()
	a.WriteString("\n// The numbers 0 to 15, for element indices.\n")
	for i := range 16 {
		fmt.Fprintf(a, "DATA iota<>+%d(SB)/4, $%d\n", 4*i, i)
	}
	a.WriteString("GLOBL iota<>(SB), RODATA|NOPTR, $64\n")
	a.WriteString("\n// What rounds the upper half of a float32 to nearest, with the last bit of it added.\n")
	a.WriteString("DATA half<>+0(SB)/4, $0x7fff\nGLOBL half<>(SB), RODATA|NOPTR, $4\n")
	for _, p := range programs {
		a.text("vector"+p.name+v.level, "args *vectorArgs")
		e := &x86Emitter{assembly: a, x86Vector: v, p: p, last: p.lastUses()}
		e.reserve()
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

func (e *x86Emitter) name(reg int) string { return fmt.Sprintf("%s%d", e.reg, reg) }

// start loads the arguments and returns how many registers are taken.
func (e *x86Emitter) start() int {
	e.op("MOVQ args+0(FP), DI")
	if e.opmask {
		e.op("MOVQ %d(DI), AX", vecMask)
		e.op("KMOVW AX, K1")
	}
	if len(e.p.half) > 0 {
		e.op("VPBROADCASTD half<>(SB), %s", e.name(e.rounding))
	}
	pinned := e.pin()
	for i := range e.p.streams {
		if e.p.reads(i) {
			e.op("MOVQ %d(DI), %s", vecStreams+8*i, x86Pointers[i])
		}
	}
	if e.p.bundled > 0 {
		e.op("MOVQ %d(DI), %s", vecStrides+8*stepStream, x86Pointers[stepStream])
	}
	return pinned
}

// loadTailMask makes a vector a mask where there are no mask registers.
func (e *x86Emitter) loadTailMask() {
	if !e.opmask && e.rest() == masked {
		e.op("MOVQ %d(DI), AX", vecMask)
		e.op("VMOVUPS (AX), Y15")
	}
}

// rows emits a loop over rows around one over the vectors of a row.
func (e *x86Emitter) rows(pinned int) {
	e.end(e.lanes)
	e.label("row")
	e.startRow()
	e.op("XORQ CX, CX")
	e.op("CMPQ CX, DX")
	e.op("JGE tail")
	e.label("vector")
	e.body(pinned, whole)
	e.op("ADDQ $%d, CX", e.p.unit()*e.lanes)
	e.op("CMPQ CX, DX")
	e.op("JLT vector")
	e.label("tail")
	e.op("TESTQ $%d, %d(DI)", e.lanes-1, vecCols)
	e.op("JZ next")
	e.loadTailMask()
	e.label("rest")
	e.body(pinned, e.rest())
	e.nextSingle("rest")
	e.label("next")
	for v, in := range e.p.code {
		if in.isReduction() {
			e.reduce(in, e.pinned[value(v)], pinned)
		}
	}
	e.nextRow()
	e.op("DECQ %d(DI)", vecRows)
	e.op("JNZ row")
	e.op("VZEROUPPER")
	e.op("RET")
}

// end sets DX to where the last whole run of n elements ends.
func (e *x86Emitter) end(n int) {
	e.op("MOVQ %d(DI), DX", vecCols)
	e.op("ANDQ $%d, DX", -n)
	e.op("SHLQ $%d, DX", e.p.unit()/2)
}

// nextSingle goes on with the next element of a row, if elements are worked on
// one by one.
func (e *x86Emitter) nextSingle(label string) {
	if e.rest() != single {
		return
	}
	e.op("ADDQ $%d, CX", e.p.unit())
	e.op("MOVQ %d(DI), AX", vecCols)
	e.op("SHLQ $%d, AX", e.p.unit()/2)
	e.op("CMPQ CX, AX")
	e.op("JLT %s", label)
}

// startRow loads the row's scalars and sets what it is reduced to.
func (e *x86Emitter) startRow() {
	for v, in := range e.p.code {
		switch {
		case in.op == opRow:
			e.op("VBROADCASTSS (%s), %s", x86Pointers[in.a], e.name(e.pinned[value(v)]))
		case in.isReduction():
			e.op("VBROADCASTSS %d(DI), %s", vecScalars+4*int(e.p.code[in.b].a), e.name(e.pinned[value(v)]))
		}
	}
}

// nextRow moves the streams that are not kept.
func (e *x86Emitter) nextRow() {
	for i := range e.p.streams {
		if e.p.reads(i) && !e.inRegister(i) {
			e.op("ADDQ %d(DI), %s", vecStrides+8*i, x86Pointers[i])
		}
	}
}

// reduce stores the sum or maximum of the lanes of a register.
func (e *x86Emitter) reduce(in instruction, reg, free int) {
	mnemonic := map[opcode]string{opSumRow: "VADDPS", opMaxRow: "VMAXPS"}[in.op]
	half := "VEXTRACTF128"
	if e.lanes == 16 {
		half = "VEXTRACTF32X4" // takes every register
		e.op("VEXTRACTF64X4 $1, Z%d, Y%d", reg, free)
		e.op("%s Y%d, Y%d, Y%d", mnemonic, free, reg, reg)
	}
	e.op("%s $1, Y%d, X%d", half, reg, free)
	e.op("%s X%d, X%d, X%d", mnemonic, free, reg, reg)
	for _, swap := range []int{0x4e, 0xb1} {
		e.op("VPERMILPS $%#x, X%d, X%d", swap, reg, free)
		e.op("%s X%d, X%d, X%d", mnemonic, free, reg, reg)
	}
	e.op("VMOVSS X%d, (%s)", reg, x86Pointers[in.imm])
}

// columns emits a loop over strips of columns around one over rows. A strip is
// as many vectors wide as the registers allow, so that its sums do not wait for
// each other, then one, then a part of one. Longer rows are left to the other
// order, since memory is fastest when read in order, but those of windows, which
// are few.
func (e *x86Emitter) columns(pinned int) {
	wide := 4
	for wide > 1 && pinned+wide*len(e.p.kept)+7 > e.count {
		wide /= 2
	}
	if !e.p.window {
		e.op("CMPQ %d(DI), $%d", vecCols, wide*e.lanes)
		e.op("JGT long")
	}
	e.op("XORQ CX, CX")
	for _, n := range slices.Compact([]int{wide, 1}) {
		e.end(e.lanes * n)
		e.label(fmt.Sprintf("strip%d", n))
		e.op("CMPQ CX, DX")
		e.op("JGE end%d", n)
		e.strip(pinned, n, whole)
		e.op("ADDQ $%d, CX", e.p.unit()*e.lanes*n)
		e.op("JMP strip%d", n)
		e.label(fmt.Sprintf("end%d", n))
	}
	e.op("TESTQ $%d, %d(DI)", e.lanes-1, vecCols)
	e.op("JZ done")
	e.loadTailMask()
	e.label("restStrip")
	e.strip(pinned, 1, e.rest())
	e.nextSingle("restStrip")
	e.label("done")
	e.op("VZEROUPPER")
	e.op("RET")
	e.keptRegs = nil
	if !e.p.window {
		e.label("long")
	}
}

// strip emits the loop over the rows of a strip of n vectors.
func (e *x86Emitter) strip(pinned, n int, tail extent) {
	kept := make([]map[int]int, n)
	free := pinned
	for e.vector = range n {
		kept[e.vector] = map[int]int{}
		for _, s := range e.p.kept {
			kept[e.vector][s] = free
			if initial, ok := e.p.initial[s]; ok {
				e.op("VBROADCASTSS %d(DI), %s", vecScalars+4*int(e.p.code[initial].a), e.name(free))
			} else {
				e.load(s, free, tail)
			}
			free++
		}
	}
	for i := range e.p.streams {
		if e.p.reads(i) && !e.p.isKept(i) {
			e.op("MOVQ %d(DI), %s", vecStreams+8*i, x86Pointers[i])
		}
	}
	e.op("MOVQ %d(DI), AX", vecRows)
	row := fmt.Sprintf("row%d", n)
	if tail != whole {
		row = "rowTail"
	}
	e.label(row)
	e.startRow()
	for e.vector = range n {
		e.keptRegs = kept[e.vector]
		e.body(free, tail)
	}
	e.nextRow()
	e.op("DECQ AX")
	e.op("JNZ %s", row)
	for e.vector = range n {
		for _, s := range e.p.kept {
			if e.p.stores(s) {
				e.store(kept[e.vector][s], s, tail)
			}
		}
	}
	e.vector = 0
}

func (e *x86Emitter) inRegister(stream int) bool {
	_, ok := e.keptRegs[stream]
	return ok
}

func (e *x86Emitter) address(stream int) string {
	pointer, size := x86Pointers[e.p.pointer(stream)], e.p.size(stream)
	at := fmt.Sprintf("(%s)(CX*%d)", pointer, size/e.p.unit())
	if e.vector > 0 {
		at = fmt.Sprint(size*e.lanes*e.vector) + at
	}
	return at
}

func (e *x86Emitter) load(stream, reg int, tail extent) {
	if e.p.half[stream] {
		e.widen(stream, reg, tail)
		return
	}
	switch {
	case tail == whole:
		e.op("VMOVUPS %s, %s", e.address(stream), e.name(reg))
	case tail == single:
		e.op("VBROADCASTSS %s, %s", e.address(stream), e.name(reg))
	case e.opmask:
		e.op("VMOVUPS.Z %s, K1, %s", e.address(stream), e.name(reg))
	default:
		e.op("VMASKMOVPS %s, Y15, %s", e.address(stream), e.name(reg))
	}
}

func (e *x86Emitter) store(reg, stream int, tail extent) {
	if e.p.half[stream] {
		e.narrow(reg, stream, tail)
		return
	}
	switch {
	case tail == whole:
		e.op("VMOVUPS %s, %s", e.name(reg), e.address(stream))
	case tail == single:
		e.op("VMOVSS X%d, %s", reg, e.address(stream))
	case e.opmask:
		e.op("VMOVUPS %s, K1, %s", e.name(reg), e.address(stream))
	default:
		e.op("VMASKMOVPS %s, Y15, %s", e.name(reg), e.address(stream))
	}
}

// widen loads bfloat16, which are the upper halves of float32.
func (e *x86Emitter) widen(stream, reg int, tail extent) {
	switch tail {
	case whole:
		e.op("VPMOVZXWD %s, %s", e.address(stream), e.name(reg))
	case masked:
		e.op("VPMOVZXWD.Z %s, K1, %s", e.address(stream), e.name(reg))
	case single:
		e.op("VPBROADCASTW %s, %s", e.address(stream), e.name(reg))
	}
	e.op("VPSLLD $16, %s, %s", e.name(reg), e.name(reg))
}

// narrow rounds to nearest, ties to even, and stores the upper halves. Twice a NaN
// is a NaN that has its highest bit set, so that its upper half is one.
func (e *x86Emitter) narrow(reg, stream int, tail extent) {
	x, r := e.name(reg), e.name(e.temporary[0])
	e.op("VPSLLD $15, %s, %s", x, r)
	e.op("VPSRLD $31, %s, %s", r, r)
	e.op("VPADDD %s, %s, %s", e.name(e.rounding), r, r)
	e.op("VPADDD %s, %s, %s", x, r, r)
	if e.opmask {
		e.op("VCMPPS $3, %s, %s, K7", x, x)
		e.op("VADDPS %s, %s, K7, %s", x, x, r)
		e.op("VPSRLD $16, %s, %s", r, r)
		mask := ""
		if tail == masked {
			mask = "K1, "
		}
		e.op("VPMOVDW %s, %s%s", r, mask, e.address(stream))
		return
	}
	twice, nan := e.name(e.temporary[1]), e.name(e.temporary[2])
	e.op("VADDPS %s, %s, %s", x, x, twice)
	e.op("VCMPPS $3, %s, %s, %s", x, x, nan)
	e.op("VBLENDVPS %s, %s, %s, %s", nan, twice, r, r)
	e.op("VPSRLD $16, %s, %s", r, r)
	if tail == single {
		e.op("VPEXTRW $0, X%d, %s", e.temporary[0], e.address(stream))
		return
	}
	e.op("VPACKUSDW %s, %s, %s", r, r, r)
	e.op("VPERMQ $8, %s, %s", r, r)
	e.op("VMOVDQU X%d, %s", e.temporary[0], e.address(stream))
}

// pin loads what stays in registers: row scalars and the index always, scalars
// as far as registers are left. It returns how many registers are taken.
func (e *x86Emitter) pin() int {
	e.pinned = map[value]int{}
	next := 0
	for v, in := range e.p.code {
		if in.op == opRow || in.isReduction() {
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
		e.op("VPADDD iota<>(SB), %s, %s", e.name(next), e.name(next))
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
func (e *x86Emitter) body(pinned int, tail extent) {
	r := newRegisters(pinned, e.count)
	e.masks = newRegisters(2, 7) // K7 is for rounding
	for i := range e.p.code {
		e.instruction(i, r, tail)
		if in := e.p.code[i]; in.op == opStore && e.p.inBundle(in.imm) {
			e.op("ADDQ %s, %s", x86Pointers[stepStream], x86Pointers[e.p.pointer(in.imm)])
		}
	}
	if n := e.p.bundled; n > 0 {
		e.op("IMUL3Q $%d, %s, AX", n, x86Pointers[stepStream])
		e.op("SUBQ AX, %s", x86Pointers[len(e.p.streams)-n])
	}
	if e.p.uses(opIndex) {
		for v, in := range e.p.code {
			if in.op == opIndex {
				step := e.lanes
				if tail == single {
					step = 1
				}
				e.op("MOVL $%d, AX", step)
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

func (e *x86Emitter) instruction(i int, r *registers, tail extent) {
	in := e.p.code[i]
	switch in.op {
	case opScalar, opRow, opIndex:
		return // pinned, or loaded where it is used
	case opLoad:
		if e.inRegister(int(in.a)) {
			r.borrow(value(i), e.keptRegs[int(in.a)])
			return
		}
		r.of[value(i)] = r.take()
		e.load(int(in.a), r.of[value(i)], tail)
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
	// target returns the register for the result: that of the kept stream it goes
	// to, unless an operand still has it.
	target := func(operands ...int) int {
		if s := e.p.finalStore(i, e.last); s >= 0 && e.inRegister(s) && !slices.Contains(operands, e.keptRegs[s]) {
			r.borrow(value(i), e.keptRegs[s])
			return e.keptRegs[s]
		}
		r.of[value(i)] = r.take()
		return r.of[value(i)]
	}
	switch {
	case in.op == opStore:
		a := operand(in.a)
		switch {
		case !e.inRegister(in.imm):
			e.store(a, in.imm, tail)
		case a != e.keptRegs[in.imm]:
			e.op("VMOVAPS %s, %s", e.name(a), e.name(e.keptRegs[in.imm]))
		}
	case in.isReduction():
		e.accumulate(in, operand(in.a), e.pinned[value(i)], r, tail)
	case in.op == opFMA:
		a, b, c := operand(in.a), operand(in.b), operand(in.c)
		d := 0
		if owned, ok := r.of[in.c]; ok && e.last[in.c] == i && !r.borrowed[in.c] && in.a != in.c && in.b != in.c {
			delete(r.of, in.c) // the sum takes its place
			r.of[value(i)] = owned
			d = owned
		} else {
			d = target(a, b)
		}
		if d != c {
			e.op("VMOVAPS %s, %s", e.name(c), e.name(d))
		}
		e.op("VFMADD231PS %s, %s, %s", e.name(b), e.name(a), e.name(d))
	case in.op == opSelect:
		b, c := operand(in.b), operand(in.c)
		d := target()
		if e.opmask {
			e.op("VBLENDMPS %s, %s, K%d, %s", e.name(b), e.name(c), e.masks.of[in.a], e.name(d))
		} else {
			e.op("VBLENDVPS %s, %s, %s, %s", e.name(r.of[in.a]), e.name(b), e.name(c), e.name(d))
		}
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
		e.op("%s %s, %s, %s", e.mnemonic(in.op), e.name(b), e.name(a), e.name(target()))
	}
	r.dead(e.p, i, e.last)
	e.masks.dead(e.p, i, e.last)
	for _, t := range temporary {
		r.give(t)
	}
}

// accumulate adds a to, or takes the maximum with, what the row is reduced to;
// in the last vector only the row's own columns count.
func (e *x86Emitter) accumulate(in instruction, a, sum int, r *registers, tail extent) {
	mnemonic := map[opcode]string{opSumRow: "VADDPS", opMaxRow: "VMAXPS"}[in.op]
	if tail == single {
		panic("asmgen: " + e.p.name + " is reduced along rows, for which elements one by one are not written")
	}
	switch {
	case tail == whole:
		e.op("%s %s, %s, %s", mnemonic, e.name(sum), e.name(a), e.name(sum))
	case e.opmask:
		e.op("%s %s, %s, K1, %s", mnemonic, e.name(sum), e.name(a), e.name(sum))
	case in.op == opSumRow:
		t := r.take()
		e.op("VANDPS Y15, %s, %s", e.name(a), e.name(t))
		e.op("VADDPS %s, %s, %s", e.name(sum), e.name(t), e.name(sum))
		r.give(t)
	default:
		t := r.take()
		e.op("VBLENDVPS Y15, %s, %s, %s", e.name(a), e.name(sum), e.name(t))
		e.op("VMAXPS %s, %s, %s", e.name(sum), e.name(t), e.name(sum))
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
