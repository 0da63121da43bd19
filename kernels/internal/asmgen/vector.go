package main

import (
	"fmt"
	"slices"
)

// The vector kernels: loops over rows and columns of several streams, written
// once as straight-line programs on values and emitted for every instruction
// set and as portable Go. See vectorArgs in package kernels for the contract.

// opcode is an operation on float32 vectors, or on their bits.
type opcode int

const (
	opLoad       opcode = iota // element of stream a
	opRow                      // the row's scalar of stream a
	opScalar                   // scalar a
	opIndex                    // index of the element as uint32 bits, from scalar 0
	opAdd                      // a + b
	opSub                      // a - b
	opMul                      // a * b
	opDiv                      // a / b
	opFMA                      // a*b + c
	opMax                      // larger of a, b; NaN if b is
	opMin                      // smaller of a, b; NaN if b is
	opSqrt                     // square root of a
	opGreater                  // all bits set where a > b
	opSelect                   // b where mask a is set, else c
	opIsNaN                    // all bits set where a is NaN
	opIntAdd                   // a + b on the bits
	opIntMul                   // a * b on the bits, low half
	opIntXor                   // a ^ b on the bits
	opIntGreater               // all bits set where a > b as int32
	opShiftLeft                // a << imm on the bits
	opShiftRight               // a >> imm on the bits, unsigned
	opEqual                    // all bits set where a == b on the bits
	opStore                    // store a to stream imm
	opSumRow                   // sum of a over the row, from b, to the row's scalar of stream imm
	opMaxRow                   // largest a of the row and b, NaN aside, to the row's scalar of stream imm
)

// value numbers an instruction of a program.
type value int

const none value = -1

type instruction struct {
	op      opcode
	a, b, c value // operands; of opLoad, opRow, opScalar a is a stream or scalar number
	imm     int
}

// program is the body of a vector kernel. Its streams of stride 0 that are kept
// stay in registers while all rows pass a strip of columns; the program then
// loads each before it stores it, and a kept stream may start from a scalar
// instead of its memory.
type program struct {
	name    string
	streams []string
	scalars []string
	code    []instruction
	kept    []int
	initial map[int]value
	window  bool // rows are the elements of a window: always by strips
	bundled int  // how many streams, the last ones, share a pointer

	half     map[int]bool // streams of bfloat16: widened when loaded, rounded when stored
	bfloat16 bool         // the twin of the program of that name without BF16
}

// inBFloat16 returns the twin of p whose streams of these names are bfloat16.
func (p *program) inBFloat16(streams ...string) *program {
	twin := *p
	twin.name += "BF16"
	twin.bfloat16 = true
	twin.code, twin.scalars = slices.Clone(p.code), slices.Clone(p.scalars)
	return twin.mixed(streams...)
}

// mixed makes the streams of these names bfloat16.
func (p *program) mixed(streams ...string) *program {
	p.half = map[int]bool{}
	for _, name := range streams {
		i := slices.Index(p.streams, name)
		if i < 0 || p.isRow(i) || p.inBundle(i) {
			panic(p.name + " has no stream of elements " + name)
		}
		p.half[i] = true
	}
	return p
}

// size is how many bytes an element of a stream takes.
func (p *program) size(stream int) int {
	if p.half[stream] {
		return 2
	}
	return 4
}

// unit is the size of the smallest elements: what offsets count in.
func (p *program) unit() int {
	if len(p.half) > 0 {
		return 2
	}
	return 4
}

func newProgram(name string) *program { return &program{name: name} }

func (p *program) emit(op opcode, a, b, c value, imm int) value {
	p.code = append(p.code, instruction{op, a, b, c, imm})
	return value(len(p.code) - 1)
}

// stream adds a stream of elements and returns its number.
func (p *program) stream(name string) int {
	p.streams = append(p.streams, name)
	return len(p.streams) - 1
}

// in adds a stream and loads its element.
func (p *program) in(name string) value { return p.load(p.stream(name)) }

// row adds a stream of one scalar per row.
func (p *program) row(name string) value {
	return p.emit(opRow, value(p.stream(name)), none, none, 0)
}

func (p *program) load(stream int) value { return p.emit(opLoad, value(stream), none, none, 0) }

func (p *program) store(stream int, v value) { p.emit(opStore, v, none, none, stream) }

// keep adds a stream that is kept in registers and returns its number.
func (p *program) keep(name string) int {
	p.kept = append(p.kept, p.stream(name))
	return len(p.streams) - 1
}

// keptFrom adds a kept stream that starts from a scalar in each strip.
func (p *program) keptFrom(name string, initial value) int {
	s := p.keep(name)
	if p.initial == nil {
		p.initial = map[int]value{}
	}
	p.initial[s] = initial
	return s
}

// bundle adds n streams that lie a step apart and share a pointer, which walks
// over them: the program stores to each in order, and may load one before it
// stores it. They are the last streams of a program. It returns the first.
func (p *program) bundle(name string, n int) int {
	for i := range n {
		p.stream(fmt.Sprint(name, i))
	}
	p.bundled = n
	return len(p.streams) - n
}

// pointer returns the stream whose pointer stream i uses: its own, unless it is
// in the bundle.
func (p *program) pointer(stream int) int {
	return min(stream, len(p.streams)-max(p.bundled, 1))
}

func (p *program) inBundle(stream int) bool {
	return p.bundled > 0 && stream >= len(p.streams)-p.bundled
}

func (p *program) isKept(stream int) bool { return slices.Contains(p.kept, stream) }

// reduce adds a stream of one scalar per row that receives the sum or maximum of
// v over the row.
func (p *program) reduce(op opcode, name string, v, initial value) {
	p.emit(op, v, initial, none, p.stream(name))
}

func (in instruction) isReduction() bool { return in.op == opSumRow || in.op == opMaxRow }

// out adds a stream and stores v to it.
func (p *program) out(name string, v value) { p.store(p.stream(name), v) }

// scalar returns the scalar of that name, adding it at its first use.
func (p *program) scalar(name string) value {
	for i, s := range p.scalars {
		if s == name {
			for j, in := range p.code {
				if in.op == opScalar && int(in.a) == i {
					return value(j)
				}
			}
		}
	}
	p.scalars = append(p.scalars, name)
	return p.emit(opScalar, value(len(p.scalars)-1), none, none, 0)
}

func (p *program) add(a, b value) value       { return p.emit(opAdd, a, b, none, 0) }
func (p *program) sub(a, b value) value       { return p.emit(opSub, a, b, none, 0) }
func (p *program) mul(a, b value) value       { return p.emit(opMul, a, b, none, 0) }
func (p *program) div(a, b value) value       { return p.emit(opDiv, a, b, none, 0) }
func (p *program) fma(a, b, c value) value    { return p.emit(opFMA, a, b, c, 0) }
func (p *program) max(a, b value) value       { return p.emit(opMax, a, b, none, 0) }
func (p *program) min(a, b value) value       { return p.emit(opMin, a, b, none, 0) }
func (p *program) sqrt(a value) value         { return p.emit(opSqrt, a, none, none, 0) }
func (p *program) greater(a, b value) value   { return p.emit(opGreater, a, b, none, 0) }
func (p *program) choose(m, a, b value) value { return p.emit(opSelect, m, a, b, 0) }

// constants are scalars with fixed values, under their Go expressions. They come
// after the scalars that a call sets.
var constants = map[string]string{
	"zero": "0", "one": "1", "slope": "0.01", "minusInf": "float32(math.Inf(-1))",
	"expHigh": "88.02", "expLow": "-87.33", "log2e": "math.Log2E", "magic": "3 << 22", "bias127": "math.Float32frombits(127)",
	// ln 2 in two parts, the first exact in products with small integers.
	"minusLn2High": "-0.693359375", "minusLn2Low": "2.12194440e-4",
	"c2": "1.0 / 2", "c3": "1.0 / 6", "c4": "1.0 / 24", "c5": "1.0 / 120", "c6": "1.0 / 720", "c7": "1.0 / 5040",
	// Of Winograd's F(4,3) with p = 3/4 and q = 3/2: all but the fractions are exact.
	"p": "0.75", "p2": "0.5625", "p3": "0.421875", "q": "1.5", "q2": "2.25", "q3": "3.375",
	"plusP": "0.75", "minusP": "-0.75", "plusQ": "1.5", "minusQ": "-1.5", "minusP2": "-0.5625", "minusQ2": "-2.25", "c": "1.265625", "minusS": "-2.8125",
	"g0": "64.0 / 81", "g0P": "-128.0 / 243", "g1P": "-32.0 / 81", "g2P": "-8.0 / 27", "g0Q": "32.0 / 243", "g1Q": "16.0 / 81", "g2Q": "8.0 / 27",
	"mix1": "math.Float32frombits(0x85ebca6b)", "mix2": "math.Float32frombits(0xc2b2ae35)",
}

// order renumbers the scalars: those that a call sets first.
func (p *program) order() {
	var set, fixed []string
	for _, s := range p.scalars {
		if _, ok := constants[s]; ok {
			fixed = append(fixed, s)
		} else {
			set = append(set, s)
		}
	}
	all := append(set, fixed...)
	for i, in := range p.code {
		if in.op == opScalar {
			p.code[i].a = value(slices.Index(all, p.scalars[in.a]))
		}
	}
	p.scalars = all
}

// operands returns the values an instruction reads.
func (in instruction) operands() []value {
	switch in.op {
	case opLoad, opRow, opScalar, opIndex:
		return nil
	}
	var vs []value
	for _, v := range []value{in.a, in.b, in.c} {
		if v != none {
			vs = append(vs, v)
		}
	}
	return vs
}

// lastUses returns, for each value, the last instruction that reads it.
func (p *program) lastUses() []int {
	last := make([]int, len(p.code))
	for i, in := range p.code {
		for _, v := range in.operands() {
			last[v] = i
		}
	}
	return last
}

// vectorFiles writes every program for every instruction set.
func vectorFiles() []file {
	programs := vectorPrograms()
	for _, p := range programs {
		p.order()
		if len(p.streams)-max(p.bundled-1, 0) > maxStreams-min(p.bundled, 1) || len(p.scalars) > maxScalars {
			panic(p.name + " has too many streams or scalars")
		}
	}
	return []file{
		{"vector_avx512_amd64.s", emitVectorX86(programs, avx512Vector)},
		{"vector_avx2_amd64.s", emitVectorX86(programs, avx2Vector)},
		{"vector_neon_arm64.s", emitVectorNEON(programs)},
		{"vector_programs.go", emitVectorGo(programs)},
		{"vector_programs_amd64.go", emitVectorTable(programs, "AVX2", "AVX512")},
		{"vector_programs_arm64.go", emitVectorTable(programs, "NEON")},
	}
}

// As in vectorArgs of package kernels.
const (
	maxStreams = 8
	maxScalars = 16
	stepStream = maxStreams - 1 // its stride is the step of a bundle

	vecRows    = 0
	vecCols    = 8
	vecIndex   = 16 // of the first element
	vecMask    = 24 // of the last vector of a row
	vecScalars = 32
	vecStreams = vecScalars + 4*maxScalars
	vecStrides = vecStreams + 8*maxStreams
)
