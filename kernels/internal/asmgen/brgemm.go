package main

import (
	"bytes"
	"fmt"
	"go/format"
)

// The batch-reduce GEMM micro-kernels: C (+)= sum over taps of A_t*B_t, see
// brgemmArgs in package kernels for the contract. One function per instruction
// set, element type, form of A, number of rows and number of column vectors.

// Offsets in brgemmArgs.
const (
	argA          = 0
	argB          = 8
	argC          = 16
	argTaps       = 24
	argNumTaps    = 32
	argK          = 40
	argARow       = 48
	argAK         = 56
	argBK         = 64
	argCRow       = 72
	argTiles      = 80
	argATile      = 88
	argCTile      = 96
	argMask       = 104
	argAccumulate = 112
	argAhead      = 120
	argAheadStep  = 128
	argANow       = 136
	argCNow       = 144
	argAheadNow   = 152
)

// form tells which index of A is contiguous.
type form string

const (
	rowForm form = "Row" // k contiguous: A[i*aRow + k]
	colForm form = "Col" // i contiguous: A[i + k*aK]
)

// isa describes the micro-kernels of one instruction set and element type.
type isa struct {
	level  string // as in Go names: AVX512
	arch   string
	file   string
	bits   int // of one element
	lanes  int // of one vector
	mr, nv int // largest tile: rows, column vectors
	tails  []bool
	// From how many panels of B on rows of A are packed. AVX2's small tile loads four
	// times for three FMAs, and rows a power of two apart fall into one bank of the
	// first-level cache (Zen).
	packRows int
	emit     func(a *assembly, s isa, f form, m, nv int, tail bool)
}

func (s isa) elem() int { return s.bits / 8 }

func (s isa) name(f form, m, nv int, tail bool) string {
	n := fmt.Sprintf("brgemm%sF%d%s%dx%d", s.level, s.bits, f, m, nv*s.lanes)
	if tail {
		n += "Tail"
	}
	return n
}

var brgemmISAs = []isa{
	{level: "AVX512", arch: "amd64", file: "avx512", bits: 32, lanes: 16, mr: 14, nv: 2, tails: []bool{false, true}, emit: emitAVX512},
	{level: "AVX512", arch: "amd64", file: "avx512_f64", bits: 64, lanes: 8, mr: 14, nv: 2, tails: []bool{false, true}, emit: emitAVX512},
	{level: "AVX2", arch: "amd64", file: "avx2", bits: 32, lanes: 8, mr: 6, nv: 2, tails: []bool{false, true}, packRows: 6, emit: emitAVX2},
	{level: "AVX2", arch: "amd64", file: "avx2_f64", bits: 64, lanes: 4, mr: 6, nv: 2, tails: []bool{false, true}, emit: emitAVX2},
	{level: "NEON", arch: "arm64", file: "neon", bits: 32, lanes: 4, mr: 8, nv: 3, tails: []bool{false}, emit: emitNEON},
	{level: "NEON", arch: "arm64", file: "neon_f64", bits: 64, lanes: 2, mr: 8, nv: 3, tails: []bool{false}, emit: emitNEON},
}

func brgemmFiles() []file {
	var all []file
	for _, s := range brgemmISAs {
		a := newAssembly()
		s.each(func(f form, m, nv int, tail bool) {
			a.text(s.name(f, m, nv, tail), "args *brgemmArgs")
			s.emit(a, s, f, m, nv, tail)
		})
		all = append(all, file{fmt.Sprintf("brgemm_%s_%s.s", s.file, s.arch), a.Bytes()})
	}
	for _, arch := range []string{"amd64", "arm64"} {
		all = append(all, file{"brgemm_table_" + arch + ".go", brgemmTable(arch)})
	}
	return all
}

func (s isa) each(visit func(f form, m, nv int, tail bool)) {
	for _, f := range []form{rowForm, colForm} {
		for m := 1; m <= s.mr; m++ {
			for nv := 1; nv <= s.nv; nv++ {
				for _, tail := range s.tails {
					visit(f, m, nv, tail)
				}
			}
		}
	}
}

// brgemmTable declares the functions and lists them by form, rows, column
// vectors and whether the last vector is masked.
func brgemmTable(arch string) []byte {
	var b bytes.Buffer
	b.WriteString(header + "package kernels\n")
	for _, s := range brgemmISAs {
		if s.arch != arch {
			continue
		}
		b.WriteString("\n")
		s.each(func(f form, m, nv int, tail bool) {
			fmt.Fprintf(&b, "//go:noescape\nfunc %s(args *brgemmArgs)\n\n", s.name(f, m, nv, tail))
		})
		fmt.Fprintf(&b, "var brgemm%sF%d = brgemmKernels{\nmr: %d, nr: %d, lanes: %d, masked: %v, bitMask: %v, packRows: %d,\n", s.level, s.bits, s.mr, s.nv*s.lanes, s.lanes, len(s.tails) > 1, s.level == "AVX512", s.packRows)
		for _, f := range []form{rowForm, colForm} {
			fmt.Fprintf(&b, "%s: []brgemmRow{{},\n", map[form]string{rowForm: "row", colForm: "col"}[f])
			for m := 1; m <= s.mr; m++ {
				b.WriteString("{")
				for nv := 1; nv <= s.nv; nv++ {
					fmt.Fprintf(&b, "{%s, %s}, ", s.name(f, m, nv, false), s.name(f, m, nv, len(s.tails) > 1))
				}
				b.WriteString("},\n")
			}
			b.WriteString("},\n")
		}
		b.WriteString("}\n")
	}
	src, err := format.Source(b.Bytes())
	if err != nil {
		panic(err)
	}
	return src
}
