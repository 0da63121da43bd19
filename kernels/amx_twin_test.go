package kernels

import (
	"encoding/binary"
	"math"
	"testing"
	"unsafe"
)

// amxTwins are the tile micro-kernels in Go: all loops around them are tested where
// there is no AMX.
var amxTwins = func() (all amxKernelTable) {
	for i := range all.tiles {
		for j := range all.tiles[i] {
			for end := range all.tiles[i][j] {
				all.tiles[i][j][end] = func(args *amxArgs) { twinTiles(args, i+1, j+1, amxEnd(end)) }
			}
		}
	}
	for _, end := range []amxEnd{amxEndStrip, amxEndRound, amxEndAddRound} {
		all.lines[end] = func(args *amxArgs) { twinLines(args, end) }
	}
	for _, end := range []amxEnd{amxEndStore, amxEndAdd} {
		all.lineGradients[end] = func(args *amxArgs) { twinLineGradients(args, end) }
	}
	return all
}()

// twinLines computes blocks of lines: each pixel as a row tile of 16 rows and one column
// tile, whose taps are the lines and columns of the kernel that meet no padding.
func twinLines(args *amxArgs, end amxEnd) {
	twinPalette(args)
	row := amxHalf // of the strip
	if end == amxEndStrip {
		row = amxPanel
	}
	for n, block := range unsafe.Slice(args.list, args.tiles) {
		for p := range amxLinePixels {
			strip := unsafe.Slice((*float32)(unsafe.Add(args.strip, n*args.stripTile+p*amxLineImages*row*4)), (amxLineImages-1)*row+amxHalf)
			twinLinePixel(args, block, p, strip, row)
			if end == amxEndStrip {
				continue
			}
			for r := range amxLineImages {
				for c := range amxHalf {
					if args.mask>>c&1 == 0 {
						continue
					}
					to := (*uint16)(unsafe.Add(args.c, block.c+p*args.cNext+r*args.cRow+2*c))
					sum := strip[r*row+c]
					if end == amxEndAddRound {
						sum += Float32FromBFloat16(*to)
					}
					*to = amxRound(sum)
				}
			}
		}
	}
	args.tiles = 0
}

//go:norace
func twinLinePixel(args *amxArgs, block amxTile, p int, strip []float32, row int) {
	size := func(t int) (rows, bytes int) {
		return int(args.config[48+t]), int(binary.LittleEndian.Uint16(args.config[16+2*t:]))
	}
	rows, colBytes := size(p)
	aRows, aBytes := size(4)
	for u := range 3 {
		bRows, bBytes := size(5 + u)
		if rows != amxLineImages || colBytes < 4 || colBytes > 64 || aRows != rows || bBytes != colBytes || aBytes != 4*bRows || bRows < 1 || bRows > 16 {
			panic("the tiles of a product do not fit")
		}
	}
	for r := range rows {
		for c := range colBytes / 4 {
			sum := &strip[r*row+c]
			*sum = 0
			for n := range block.numTaps {
				tap := (*brgemmTap)(unsafe.Add(unsafe.Pointer(args.taps), block.taps+n*tapBytes))
				for step := range args.steps {
					// In the order of the pixels of A, so of columns of the kernel.
					for u := range 3 {
						q := p + u
						if q == 0 && block.edges&amxFirstEdge != 0 || q == amxLineReads-1 && block.edges&amxLastEdge != 0 {
							continue
						}
						// A pixel further is an amxPixel, and aBack leads from the last to the next step.
						a := block.a + tap.a + q*args.aPixel + step*((amxLineReads-1)*args.aPixel+args.aBack) + r*args.aRow
						b := tap.b + u*args.bNext + step*args.bStep + c*4
						*sum += twinProduct(unsafe.Add(args.a, a), unsafe.Add(args.b, b), args.bRow, aBytes/4)
					}
				}
			}
		}
	}
}

// twinLineGradients computes tiles of backward weights.
//
//go:norace
func twinLineGradients(args *amxArgs, end amxEnd) {
	twinPalette(args)
	size := func(t int) (rows, bytes int) {
		return int(args.config[48+t]), int(binary.LittleEndian.Uint16(args.config[16+2*t:]))
	}
	rows, bytes := size(0)
	bRows, bBytes := size(7)
	for u := range 3 {
		cRows, cBytes := size(u)
		aRows, aBytes := size(4 + u)
		if rows < 1 || rows > 16 || cRows != rows || aRows != rows || bytes < 4 || bytes > 64 || cBytes != bytes || bBytes != bytes || aBytes != 4*bRows || bRows < 1 || bRows > 16 {
			panic("the tiles of a product do not fit")
		}
	}
	if rows != args.rows {
		panic("the rows are not those of the tiles")
	}
	for _, tile := range unsafe.Slice(args.list, args.tiles) {
		for u := range 3 {
			for r := range rows {
				for c := range bytes / 4 {
					sum := float32(0)
					for n := range tile.numTaps {
						tap := (*brgemmTap)(unsafe.Add(unsafe.Pointer(args.taps), tile.taps+n*tapBytes))
						for step := range args.steps {
							for p := range args.pixels {
								q := p + u
								if q == 0 && args.edges&amxFirstEdge != 0 || q == args.pixels+1 && args.edges&amxLastEdge != 0 {
									continue
								}
								a := tile.a + tap.a + q*args.aPixel + step*args.aStep + r*args.aRow
								b := tap.b + p*args.bNext + step*args.bStep + c*4
								sum += twinProduct(unsafe.Add(args.a, a), unsafe.Add(args.b, b), args.bRow, bRows)
							}
						}
					}
					to := (*float32)(unsafe.Add(args.c, tile.c+u*args.cNext+r*args.cRow+4*c))
					if end == amxEndAdd {
						sum += *to
					}
					*to = sum
				}
			}
		}
	}
	args.tiles = 0
}

// twinProduct is what one element of a tile product adds: even and odd terms are two
// sums, whose sum is added.
//
//go:norace
func twinProduct(a, b unsafe.Pointer, bRow, pairs int) float32 {
	var part [2]float32
	for k := range pairs {
		x, y := (*[2]uint16)(unsafe.Add(a, 4*k)), (*[2]uint16)(unsafe.Add(b, k*bRow))
		for h := range part {
			part[h] += Float32FromBFloat16(x[h]) * Float32FromBFloat16(y[h])
		}
	}
	return part[0] + part[1]
}

func twinTiles(args *amxArgs, rowTiles, colTiles int, end amxEnd) {
	twinPalette(args)
	for n, tile := range unsafe.Slice(args.list, args.tiles) {
		strip := unsafe.Add(args.strip, n*args.stripTile)
		for i := range rowTiles {
			for j := range colTiles {
				twinTile(args, tile, unsafe.Add(strip, (i*amxHalf*amxPanel+j*amxHalf)*4), i, j)
			}
		}
		twinEnd(args, tile, strip, end)
	}
	args.tiles = 0
}

func twinPalette(args *amxArgs) {
	if args.config[0] != 1 {
		panic("the palette of the tile configuration is not 1")
	}
}

// twinTile computes hardware tile (i, j) as TDPBF16PS does.
//
//go:norace
func twinTile(args *amxArgs, tile amxTile, strip unsafe.Pointer, i, j int) {
	size := func(t int) (rows, bytes int) {
		return int(args.config[48+t]), int(binary.LittleEndian.Uint16(args.config[16+2*t:]))
	}
	rows, colBytes := size(2*i + j)
	aRows, aBytes := size(4 + i)
	bRows, bBytes := size(6 + j)
	if rows < 1 || rows > 16 || colBytes < 4 || colBytes > 64 || aRows != rows || bBytes != colBytes || aBytes != 4*bRows || bRows < 1 || bRows > 16 {
		panic("the tiles of a product do not fit")
	}
	for r := range rows {
		for c := range colBytes / 4 {
			sum := (*float32)(unsafe.Add(strip, (r*amxPanel+c)*4))
			if args.load == 0 {
				*sum = 0
			}
			for n := range tile.numTaps {
				tap := (*brgemmTap)(unsafe.Add(unsafe.Pointer(args.taps), tile.taps+n*tapBytes))
				for step := range args.steps {
					// From the start of the matrices, so that no pointer lies past their end.
					a := tile.a + tap.a + (i*amxHalf+r)*args.aRow + step*args.aStep
					b := tap.b + (j*amxHalf+c)*4 + step*args.bStep
					*sum += twinProduct(unsafe.Add(args.a, a), unsafe.Add(args.b, b), args.bRow, bRows)
				}
			}
		}
	}
}

func twinEnd(args *amxArgs, tile amxTile, strip unsafe.Pointer, end amxEnd) {
	for r := range args.rows {
		for c := range amxPanel {
			if args.mask>>c&1 == 0 {
				continue
			}
			sum := *(*float32)(unsafe.Add(strip, (r*amxPanel+c)*4))
			at := func(elem int) unsafe.Pointer { return unsafe.Add(args.c, tile.c+r*args.cRow+c*elem) }
			switch end {
			case amxEndStore:
				*(*float32)(at(4)) = sum
			case amxEndAdd:
				*(*float32)(at(4)) += sum
			case amxEndRound:
				*(*uint16)(at(2)) = amxRound(sum)
			case amxEndAddRound:
				*(*uint16)(at(2)) = amxRound(sum + Float32FromBFloat16(*(*uint16)(at(2))))
			}
		}
	}
}

// eachAMX runs f with the twins, and at the AMX level where the CPU has it.
func eachAMX(t *testing.T, f func(t *testing.T)) {
	level, kernels := CurrentLevel(), amxKernels
	restore := func() { SetLevel(level); amxKernels = kernels }
	defer restore()
	levels := Levels()
	hasAMX := levels[len(levels)-1] == AMX
	if hasAMX {
		levels = levels[:len(levels)-1]
	}
	SetLevel(levels[len(levels)-1])
	amxKernels = &amxTwins
	t.Run("twin", f)
	restore()
	t.Run("amx", func(t *testing.T) {
		if !hasAMX {
			t.Skip("this CPU has no AMX")
		}
		if err := SetLevel(AMX); err != nil {
			t.Fatal(err)
		}
		f(t)
	})
}

// halvesOf rounds.
func halvesOf(v []float32) []uint16 {
	h := make([]uint16, len(v))
	for i := range v {
		h[i] = amxRound(v[i])
	}
	return h
}

func widenedHalves(h []uint16) []float32 {
	v := make([]float32, len(h))
	Widen(v, h)
	return v
}

// halvesNaN returns n elements of NaN between guards, and a check that the guards
// still are.
func halvesNaN(t failer, n int) ([]uint16, func(what string)) {
	const nan = 0x7FC1
	all := make([]uint16, n+2*guard)
	for i := range all {
		all[i] = nan
	}
	return all[guard : guard+n : guard+n], func(what string) {
		t.Helper()
		for i, h := range all {
			if (i < guard || i >= guard+n) && h != nan {
				t.Fatalf("%s: element %d outside the result was written", what, i-guard)
			}
		}
	}
}

// checkRounded is check for results that are rounded to bfloat16, 8 bits.
func (b bound) checkRounded(t failer, what string, got []uint16, terms int) {
	t.Helper()
	for i, h := range got {
		v, sums := float64(Float32FromBFloat16(h)), float64(terms+4)*0x1p-24*b.size[i]
		if !(math.Abs(v-b.want[i]) <= sums+0x1p-8*(math.Abs(b.want[i])+sums)) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, v, b.want[i])
		}
	}
}
