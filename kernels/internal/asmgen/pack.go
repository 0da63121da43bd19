package main

import "fmt"

// The packing kernels copy strided rows into panels: see packArgs in package
// kernels for the contract. One function per instruction set and number of
// vectors in a row of the panel. They move 4-byte units, whatever the elements.

// Offsets in packArgs.
const (
	packDst     = 0
	packSrc     = 8
	packRows    = 16
	packSrcRow  = 24
	packTiles   = 32
	packDstTile = 40
	packSrcTile = 48
	packMask    = 56 // one word a vector
	packAhead   = 72
)

// packFiles writes them for amd64. Elsewhere plain Go copies.
func packFiles() []file {
	var all []file
	for _, s := range []struct {
		level, reg, file string
		bytes            int
	}{{"AVX512", "Z", "avx512", 64}, {"AVX2", "Y", "avx2", 32}} {
		a := newAssembly()
		for nv := 1; nv <= 2; nv++ {
			a.text(fmt.Sprintf("pack%sx%d", s.level, nv), "args *packArgs")
			a.op("MOVQ args+0(FP), DI")
			for j := range nv {
				a.op("MOVQ %d(DI), AX", packMask+8*j)
				if s.reg == "Z" {
					a.op("KMOVW AX, K%d", j+1)
				} else {
					a.op("VMOVUPS (AX), Y%d", 14+j)
				}
			}
			a.op("MOVQ %d(DI), R8", packDst)
			a.op("MOVQ %d(DI), R9", packSrc)
			a.op("MOVQ %d(DI), R10", packSrcRow)
			a.op("MOVQ %d(DI), R11", packDstTile)
			a.op("MOVQ %d(DI), R12", packSrcTile)
			a.op("MOVQ %d(DI), CX", packTiles)
			a.op("MOVQ %d(DI), R13", packAhead)
			a.label("tile")
			a.op("MOVQ %d(DI), DX", packRows)
			a.op("MOVQ R8, BX")
			a.op("MOVQ R9, SI")
			a.label("row")
			for j := range nv {
				if s.reg == "Z" {
					a.op("VMOVUPS.Z %d(SI), K%d, Z%d", s.bytes*j, j+1, j)
				} else {
					a.op("VMASKMOVPS %d(SI), Y%d, Y%d", s.bytes*j, 14+j, j)
				}
			}
			for j := range nv {
				a.op("VMOVUPS %s%d, %d(BX)", s.reg, j, s.bytes*j)
				a.op("PREFETCHT1 %d(SI)(R13*1)", s.bytes*j)
			}
			a.op("ADDQ R10, SI")
			a.op("ADDQ $%d, BX", s.bytes*nv)
			a.op("DECQ DX")
			a.op("JNZ row")
			a.op("ADDQ R11, R8")
			a.op("ADDQ R12, R9")
			a.op("DECQ CX")
			a.op("JNZ tile")
			a.op("VZEROUPPER")
			a.op("RET")
		}
		all = append(all, file{"pack_" + s.file + "_amd64.s", a.Bytes()})
	}
	return all
}
