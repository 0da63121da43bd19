package main

import (
	"bytes"
	"fmt"
	"go/format"
	"slices"
	"strings"
)

// emitVectorGo writes the portable twin of every program and the table that
// holds its implementations.
func emitVectorGo(programs []*program) []byte {
	var b bytes.Buffer
	b.WriteString(header + "package kernels\n\nimport (\n\"math\"\n\"unsafe\"\n)\n\nvar (\n")
	twins := map[string]bool{}
	for _, p := range programs {
		twins[p.name] = p.bfloat16
	}
	for _, p := range programs {
		var set, fixed []string
		for i, s := range p.scalars {
			if v, ok := constants[s]; ok {
				fixed = append(fixed, fmt.Sprintf("%d: %s", i, v))
			} else {
				set = append(set, s)
			}
		}
		fmt.Fprintf(&b, "\n// streams: %s; scalars: %s\n", strings.Join(p.streams, ", "), strings.Join(append(set, "-")[:max(len(set), 1)], ", "))
		twin := ""
		if twins[p.name+"BF16"] {
			twin = fmt.Sprintf(", bf16: &vec%sBF16", p.name)
		}
		fmt.Fprintf(&b, "vec%s = vectorKernel{levels: [numLevels]func(*vectorArgs){Portable: portable%s}, scalars: [maxVectorScalars]float32{%s}%s}\n", p.name, p.name, strings.Join(fixed, ", "), twin)
	}
	b.WriteString(")\n\nvar vectorKernels = [...]*vectorKernel{")
	for _, p := range programs {
		fmt.Fprintf(&b, "&vec%s, ", p.name)
	}
	b.WriteString("}\n")
	for _, p := range programs {
		portableProgram(&b, p)
	}
	src, err := format.Source(b.Bytes())
	if err != nil {
		panic(fmt.Sprintf("%v\n%s", err, b.Bytes()))
	}
	return src
}

func portableProgram(b *bytes.Buffer, p *program) {
	// The race detector's instrumentation and pointer checks of these loops would
	// make them useless for testing the code that calls them.
	fmt.Fprintf(b, "\n//go:norace\n//go:nocheckptr\nfunc portable%s(args *vectorArgs) {\n", p.name)
	for i, s := range p.scalars {
		fmt.Fprintf(b, "s%d := args.scalars[%d] // %s\n", i, i, s)
	}
	g := goEmitter{b, p, p.lastUses()}
	if slices.ContainsFunc(p.kept, func(s int) bool { return p.half[s] }) {
		g.columns()
	} else {
		g.rows()
	}
	b.WriteString("}\n")
}

// goEmitter writes the loops of one program.
type goEmitter struct {
	*bytes.Buffer
	p    *program
	last []int
}

// rows writes a loop over rows around one over columns; kept streams are in
// memory.
func (g goEmitter) rows() {
	g.WriteString("for row := range args.rows {\n")
	for i := range g.p.streams {
		g.pointer(i)
	}
	for v, in := range g.p.code {
		if in.isReduction() {
			fmt.Fprintf(g, "r%d := %s\n", v, goOperand(g.p, in.b))
		}
	}
	g.WriteString("for i := range args.cols {\n")
	for v, in := range g.p.code {
		if in.op == opStore {
			g.store(in.imm, goOperand(g.p, in.a))
			continue
		}
		g.instruction(v, in)
		if initial, ok := g.p.initial[int(in.a)]; ok && in.op == opLoad {
			fmt.Fprintf(g, "if row == 0 {\nv%d = %s\n}\n", v, goOperand(g.p, initial))
		}
	}
	g.WriteString("}\n")
	for v, in := range g.p.code {
		if in.isReduction() {
			fmt.Fprintf(g, "*(*float32)(p%d) = r%d\n", in.imm, v)
		}
	}
	g.WriteString("}\n")
}

// columns writes a loop over columns around one over rows, for kept streams that
// must not be rounded between rows.
func (g goEmitter) columns() {
	g.WriteString("for i := range args.cols {\n")
	for _, s := range g.p.kept {
		fmt.Fprintf(g, "p%d := args.streams[%d] // %s\n", s, s, g.p.streams[s])
		from := goLoad(g.p, s)
		if initial, ok := g.p.initial[s]; ok {
			from = goOperand(g.p, initial)
		}
		fmt.Fprintf(g, "k%d := %s\n", s, from)
	}
	g.WriteString("for row := range args.rows {\n")
	for i := range g.p.streams {
		if !g.p.isKept(i) {
			g.pointer(i)
		}
	}
	for v, in := range g.p.code {
		switch {
		case in.op == opStore && g.p.isKept(in.imm):
			fmt.Fprintf(g, "k%d = %s\n", in.imm, goOperand(g.p, in.a))
		case in.op == opStore:
			g.store(in.imm, goOperand(g.p, in.a))
		case in.op == opLoad && g.p.isKept(int(in.a)):
			fmt.Fprintf(g, "v%d := k%d\n", v, in.a)
		default:
			g.instruction(v, in)
		}
	}
	g.WriteString("}\n")
	for _, s := range g.p.kept {
		if g.p.stores(s) {
			g.store(s, fmt.Sprintf("k%d", s))
		}
	}
	g.WriteString("}\n")
}

// pointer declares where a row of a stream begins.
func (g goEmitter) pointer(i int) {
	name := g.p.streams[i]
	if g.p.inBundle(i) {
		first := g.p.pointer(i)
		fmt.Fprintf(g, "p%d := unsafe.Add(args.streams[%d], row*args.strides[%d]+%d*args.strides[%d]) // %s\n", i, first, first, i-first, stepStream, name)
	} else if g.p.reads(i) {
		fmt.Fprintf(g, "p%d := unsafe.Add(args.streams[%d], row*args.strides[%d]) // %s\n", i, i, i, name)
	}
}

func (g goEmitter) store(stream int, v string) {
	if g.p.half[stream] {
		fmt.Fprintf(g, "*(*uint16)(unsafe.Add(p%d, 2*i)) = BFloat16FromFloat32(%s)\n", stream, v)
		return
	}
	fmt.Fprintf(g, "*(*float32)(unsafe.Add(p%d, 4*i)) = %s\n", stream, v)
}

// instruction writes what is no store.
func (g goEmitter) instruction(v int, in instruction) {
	switch {
	case in.op == opSumRow:
		fmt.Fprintf(g, "r%d += %s\n", v, goOperand(g.p, in.a))
	case in.op == opMaxRow:
		fmt.Fprintf(g, "r%d = max(%s, r%d)\n", v, goOperand(g.p, in.a), v)
	case in.op != opScalar && g.last[v] != 0:
		fmt.Fprintf(g, "v%d := %s\n", v, goExpression(g.p, in))
	}
}

// goLoad is the element of a stream.
func goLoad(p *program, stream int) string {
	if p.half[stream] {
		return fmt.Sprintf("Float32FromBFloat16(*(*uint16)(unsafe.Add(p%d, 2*i)))", stream)
	}
	return fmt.Sprintf("*(*float32)(unsafe.Add(p%d, 4*i))", stream)
}

func goOperand(p *program, v value) string {
	if p.code[v].op == opScalar {
		return fmt.Sprintf("s%d", p.code[v].a)
	}
	return fmt.Sprintf("v%d", v)
}

func goExpression(p *program, in instruction) string {
	operand := func(v value) string {
		if v == none {
			return ""
		}
		return goOperand(p, v)
	}
	var a, b, c string
	if len(in.operands()) > 0 {
		a, b, c = operand(in.a), operand(in.b), operand(in.c)
	}
	bits := func(format string) string {
		return "math.Float32frombits(" + fmt.Sprintf(format, "math.Float32bits("+a+")", "math.Float32bits("+b+")") + ")"
	}
	switch in.op {
	case opLoad:
		return goLoad(p, int(in.a))
	case opRow:
		return fmt.Sprintf("*(*float32)(p%d)", in.a)
	case opIndex:
		return "math.Float32frombits(uint32(args.index) + uint32(i))"
	case opAdd:
		return a + " + " + b
	case opSub:
		return a + " - " + b
	case opMul:
		return a + " * " + b
	case opDiv:
		return a + " / " + b
	case opFMA:
		return fmt.Sprintf("float32(%s*%s) + %s", a, b, c)
	case opMax:
		return fmt.Sprintf("max(%s, %s)", a, b)
	case opMin:
		return fmt.Sprintf("min(%s, %s)", a, b)
	case opSqrt:
		return fmt.Sprintf("float32(math.Sqrt(float64(%s)))", a)
	case opGreater:
		return a + " > " + b
	case opIsNaN:
		return a + " != " + a
	case opIntGreater:
		return fmt.Sprintf("int32(math.Float32bits(%s)) > int32(math.Float32bits(%s))", a, b)
	case opEqual:
		return fmt.Sprintf("math.Float32bits(%s) == math.Float32bits(%s)", a, b)
	case opSelect:
		return fmt.Sprintf("vectorSelect(%s, %s, %s)", a, b, c)
	case opIntAdd:
		return bits("%s + %s")
	case opIntMul:
		return bits("%s * %s")
	case opIntXor:
		return bits("%s ^ %s")
	case opShiftLeft:
		return fmt.Sprintf("math.Float32frombits(math.Float32bits(%s) << %d)", a, in.imm)
	case opShiftRight:
		return fmt.Sprintf("math.Float32frombits(math.Float32bits(%s) >> %d)", a, in.imm)
	}
	panic("asmgen: no Go for " + in.String())
}

// emitVectorTable declares the assembly functions and enters them.
func emitVectorTable(programs []*program, levels ...string) []byte {
	var b bytes.Buffer
	b.WriteString(header + "package kernels\n\n")
	for _, p := range programs {
		for _, l := range levels {
			fmt.Fprintf(&b, "//go:noescape\nfunc vector%s%s(args *vectorArgs)\n\n", p.name, l)
		}
	}
	b.WriteString("func init() {\n")
	for _, p := range programs {
		for _, l := range levels {
			fmt.Fprintf(&b, "vec%s.levels[%s] = vector%s%s\n", p.name, l, p.name, l)
		}
	}
	b.WriteString("}\n")
	src, err := format.Source(b.Bytes())
	if err != nil {
		panic(err)
	}
	return src
}
