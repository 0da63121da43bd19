package main

import "fmt"

// registers hands out the registers of one file to values.
type registers struct {
	free []int
	of   map[value]int
}

func newRegisters(from, to int) *registers {
	r := &registers{of: map[value]int{}}
	for i := to - 1; i >= from; i-- {
		r.free = append(r.free, i)
	}
	return r
}

func (r *registers) take() int {
	if len(r.free) == 0 {
		panic("asmgen: out of registers")
	}
	reg := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	return reg
}

func (r *registers) give(reg int) { r.free = append(r.free, reg) }

// dead gives back the registers of the operands of instruction i that are not
// read again.
func (r *registers) dead(p *program, i int, last []int) {
	for _, v := range p.code[i].operands() {
		if reg, ok := r.of[v]; ok && last[v] == i {
			delete(r.of, v)
			r.give(reg)
		}
	}
}

// uses tells whether the program has the operation.
func (p *program) uses(op opcode) bool {
	for _, in := range p.code {
		if in.op == op {
			return true
		}
	}
	return false
}

// reads tells whether the program touches the stream.
func (p *program) reads(stream int) bool {
	for _, in := range p.code {
		if (in.op == opLoad || in.op == opRow) && int(in.a) == stream || in.op == opStore && in.imm == stream {
			return true
		}
	}
	return false
}

// isMask tells whether a value is a comparison.
func (p *program) isMask(v value) bool {
	switch p.code[v].op {
	case opGreater, opIsNaN, opIntGreater, opEqual:
		return true
	}
	return false
}

func (in instruction) String() string { return fmt.Sprintf("%d(%d, %d, %d)", in.op, in.a, in.b, in.c) }
