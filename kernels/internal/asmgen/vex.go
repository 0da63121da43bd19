package main

import (
	"fmt"
	"strings"
)

// Instructions that Go's assembler does not know, as bytes with the decoded
// instruction as a comment, in the syntax of objdump -M intel. Encodings: Intel,
// Software Developer's Manual, volume 2.

// bytesOp writes an instruction as bytes.
func (a *assembly) bytesOp(code []byte, format string, args ...any) {
	var parts []string
	for _, b := range code {
		parts = append(parts, fmt.Sprintf("BYTE $0x%02X", b))
	}
	a.op("%s // %s", strings.Join(parts, "; "), fmt.Sprintf(format, args...))
}

// Mandatory prefixes, as both VEX and EVEX encode them.
const (
	noPrefix = 0
	prefixF3 = 2
	prefixF2 = 3
)

// gp lists the general registers by number, as the assembler and objdump call them.
var gp = []struct{ plan9, intel string }{
	{"AX", "rax"}, {"CX", "rcx"}, {"DX", "rdx"}, {"BX", "rbx"}, {"SP", "rsp"}, {"BP", "rbp"}, {"SI", "rsi"}, {"DI", "rdi"},
	{"R8", "r8"}, {"R9", "r9"}, {"R10", "r10"}, {"R11", "r11"}, {"R12", "r12"}, {"R13", "r13"}, {"R14", "r14"}, {"R15", "r15"},
}

func gpNumber(name string) int {
	for i, r := range gp {
		if r.plan9 == name {
			return i
		}
	}
	panic("asmgen: no register " + name)
}

// vex starts an instruction of the 0F38 map with a three-byte prefix: x and b are
// the upper bits of index and base, v the register in the prefix. Tiles and masks
// need no upper bits.
func vex(prefix, x, b, v int, opcode byte) []byte {
	return []byte{0xC4, byte(0xE2 ^ x<<6 ^ b<<5), byte((15-v)<<3 | prefix), opcode}
}

// tileMemory is TILELOADD or TILESTORED, whose rows lie the register stride apart.
func tileMemory(prefix, tile int, base, stride string, displacement int) (code []byte, address string) {
	b, x := gpNumber(base), gpNumber(stride)
	code = vex(prefix, x>>3, b>>3, 0, 0x4B)
	address = fmt.Sprintf("[%s+%s*1", gp[b].intel, gp[x].intel)
	mod, tail := 0, []byte(nil)
	switch {
	case displacement == 0 && b&7 != 5: // base 5 without displacement means none
	case displacement >= 0 && displacement < 128:
		mod, tail = 1, []byte{byte(displacement)}
	default:
		mod, tail = 2, []byte{byte(displacement), byte(displacement >> 8), byte(displacement >> 16), byte(displacement >> 24)}
	}
	if displacement != 0 {
		address += fmt.Sprintf("+%#x", displacement)
	}
	code = append(code, byte(mod<<6|tile<<3|4), byte(x&7<<3|b&7))
	return append(code, tail...), address + "]"
}

func (a *assembly) tileLoad(tile int, base, stride string, displacement int) {
	code, address := tileMemory(prefixF2, tile, base, stride, displacement)
	a.bytesOp(code, "tileloadd tmm%d,%s", tile, address)
}

func (a *assembly) tileStore(tile int, base, stride string, displacement int) {
	code, address := tileMemory(prefixF3, tile, base, stride, displacement)
	a.bytesOp(code, "tilestored %s,tmm%d", address, tile)
}

func (a *assembly) tileZero(tile int) {
	a.bytesOp(append(vex(prefixF2, 0, 0, 0, 0x49), byte(0xC0|tile<<3)), "tilezero tmm%d", tile)
}

// tileProduct is c += a*b of bfloat16 pairs.
func (a *assembly) tileProduct(c, x, y int) {
	a.bytesOp(append(vex(prefixF3, 0, 0, y, 0x5C), byte(0xC0|c<<3|x)), "tdpbf16ps tmm%d,tmm%d,tmm%d", c, x, y)
}

// tileConfigure loads the configuration that lies at the start of what base, one of
// the first eight registers, points to.
func (a *assembly) tileConfigure(base string) {
	r := gpNumber(base)
	a.bytesOp(append(vex(noPrefix, 0, 0, 0, 0x49), byte(r)), "ldtilecfg [%s]", gp[r].intel)
}

func (a *assembly) tileRelease() {
	a.bytesOp(append(vex(noPrefix, 0, 0, 0, 0x49), 0xC0), "tilerelease")
}

// evex is an instruction of the 0F38 map on 512-bit registers without a mask.
func evex(prefix, reg, v, rm int, opcode byte) []byte {
	return []byte{
		0x62,
		byte(0xF2 ^ reg>>3&1<<7 ^ rm>>4&1<<6 ^ rm>>3&1<<5 ^ reg>>4&1<<4),
		byte((15-v&15)<<3 | 4 | prefix),
		byte(0x48 ^ v>>4&1<<3),
		opcode,
		byte(0xC0 | reg&7<<3 | rm&7),
	}
}

// roundPair rounds the 16 numbers of low and of high to the halves of dst.
func (a *assembly) roundPair(low, high, dst int) {
	a.bytesOp(evex(prefixF2, dst, high, low, 0x72), "vcvtne2ps2bf16 zmm%d,zmm%d,zmm%d", dst, high, low)
}

// round rounds the 16 numbers of src to the lower half of dst.
func (a *assembly) round(src, dst int) {
	a.bytesOp(evex(prefixF3, dst, 0, src, 0x72), "vcvtneps2bf16 ymm%d,zmm%d", dst, src)
}
