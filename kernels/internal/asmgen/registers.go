package main

import "fmt"

// registers hands out the registers of one file to values.
type registers struct {
	free     []int
	of       map[value]int
	borrowed map[value]bool // values in registers that are never free
}

func newRegisters(from, to int) *registers {
	r := &registers{of: map[value]int{}, borrowed: map[value]bool{}}
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

// borrow notes that v lies in a register which others look after.
func (r *registers) borrow(v value, reg int) {
	r.of[v] = reg
	r.borrowed[v] = true
}

func (r *registers) give(reg int) { r.free = append(r.free, reg) }

// dead gives back the registers of the operands of instruction i that are not
// read again.
func (r *registers) dead(p *program, i int, last []int) {
	for _, v := range p.code[i].operands() {
		if reg, ok := r.of[v]; ok && last[v] == i {
			delete(r.of, v)
			if !r.borrowed[v] {
				r.give(reg)
			}
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

// reads tells whether the program touches the stream by a pointer of its own.
func (p *program) reads(stream int) bool {
	if p.pointer(stream) != stream {
		return false
	}
	for _, in := range p.code {
		if (in.op == opLoad || in.op == opRow) && int(in.a) == stream || (in.op == opStore || in.isReduction()) && in.imm == stream {
			return true
		}
	}
	return false
}

// stores tells whether the program stores to the stream.
func (p *program) stores(stream int) bool {
	for _, in := range p.code {
		if in.op == opStore && in.imm == stream {
			return true
		}
	}
	return false
}

// isRow tells whether a stream has one scalar per row.
func (p *program) isRow(stream int) bool {
	for _, in := range p.code {
		if in.op == opRow && int(in.a) == stream || in.isReduction() && in.imm == stream {
			return true
		}
	}
	return false
}

// finalStore returns the kept stream to which instruction i computes the last
// value, which then may be computed in place; -1 if there is none.
func (p *program) finalStore(i int, last []int) int {
	store := -1
	for j, in := range p.code {
		for _, v := range in.operands() {
			if int(v) != i {
				continue
			}
			if in.op != opStore || !p.isKept(in.imm) || store >= 0 {
				return -1
			}
			store = j
		}
	}
	if store < 0 {
		return -1
	}
	stream := p.code[store].imm
	for j, in := range p.code {
		if in.op == opLoad && int(in.a) == stream && last[j] > i {
			return -1
		}
	}
	return stream
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
