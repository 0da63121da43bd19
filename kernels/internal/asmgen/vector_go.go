package main

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"
)

// emitVectorGo writes the portable twin of every program and the table that
// holds its implementations.
func emitVectorGo(programs []*program) []byte {
	var b bytes.Buffer
	b.WriteString(header + "package kernels\n\nimport (\n\"math\"\n\"unsafe\"\n)\n\nvar (\n")
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
		fmt.Fprintf(&b, "vec%s = vectorKernel{levels: [numLevels]func(*vectorArgs){Portable: portable%s}, scalars: [maxVectorScalars]float32{%s}}\n", p.name, p.name, strings.Join(fixed, ", "))
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
	b.WriteString("for row := range args.rows {\n")
	for i, s := range p.streams {
		if p.inBundle(i) {
			first := p.pointer(i)
			fmt.Fprintf(b, "p%d := unsafe.Add(args.streams[%d], row*args.strides[%d]+%d*args.strides[%d]) // %s\n", i, first, first, i-first, stepStream, s)
		} else if p.reads(i) {
			fmt.Fprintf(b, "p%d := unsafe.Add(args.streams[%d], row*args.strides[%d]) // %s\n", i, i, i, s)
		}
	}
	for v, in := range p.code {
		if in.isReduction() {
			fmt.Fprintf(b, "r%d := %s\n", v, goOperand(p, in.b))
		}
	}
	b.WriteString("for i := range args.cols {\n")
	last := p.lastUses()
	for v, in := range p.code {
		if in.op == opSumRow {
			fmt.Fprintf(b, "r%d += %s\n", v, goOperand(p, in.a))
			continue
		}
		if in.op == opMaxRow {
			fmt.Fprintf(b, "r%d = max(%s, r%d)\n", v, goOperand(p, in.a), v)
			continue
		}
		if in.op == opStore {
			fmt.Fprintf(b, "*(*float32)(unsafe.Add(p%d, 4*i)) = %s\n", in.imm, goOperand(p, in.a))
			continue
		}
		if in.op == opScalar || last[v] == 0 {
			continue
		}
		fmt.Fprintf(b, "v%d := %s\n", v, goExpression(p, in))
		if initial, ok := p.initial[int(in.a)]; ok && in.op == opLoad {
			fmt.Fprintf(b, "if row == 0 {\nv%d = %s\n}\n", v, goOperand(p, initial))
		}
	}
	b.WriteString("}\n")
	for v, in := range p.code {
		if in.isReduction() {
			fmt.Fprintf(b, "*(*float32)(p%d) = r%d\n", in.imm, v)
		}
	}
	b.WriteString("}\n}\n")
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
		return fmt.Sprintf("*(*float32)(unsafe.Add(p%d, 4*i))", in.a)
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
