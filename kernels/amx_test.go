package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestAMXIsALevelOrAbsent(t *testing.T) {
	if have := slices.Contains(Levels(), AMX); have != (amxKernels != nil) {
		t.Errorf("the level is there: %v, the micro-kernels are: %v", have, amxKernels != nil)
	}
	if !slices.Contains(Levels(), AMX) {
		if err := SetLevel(AMX); err == nil {
			t.Error("a level that is not there was set")
		}
	}
	if AMX.tables() != AVX512 || AVX2.tables() != AVX2 {
		t.Error("wrong tables")
	}
}

func TestPeakBF16(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		if CurrentLevel() != AMX {
			if peak := PeakBF16(1); peak != 0 {
				t.Errorf("the peak is %g, want 0", peak)
			}
			return
		}
		rounds := 2
		amxPeakLoop.run(&rounds)
		if testing.Short() { // where tiles are emulated a peak takes hours
			return
		}
		if peak := PeakBF16(1); !(peak > 1e6 && peak < 1e14) {
			t.Errorf("the peak of one thread is %g FLOP/s", peak)
		}
	})
}

// One row tile and several, with taps or none, with every end.
func TestAMXMicroKernels(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(51, 52))
		for _, size := range [][3]int{{1, 1, 2}, {16, 16, 32}, {17, 5, 6}, {3, 17, 10}, {32, 32, 32}, {29, 31, 18}, {16, 32, 26}} {
			for end := range numAMXEnds {
				for _, load := range []bool{false, true} {
					checkAMXTiles(t, r, size[0], size[1], size[2], 1+r.IntN(3), end, load)
				}
			}
		}
	})
}

func checkAMXTiles(t *testing.T, r *rand.Rand, rows, cols, step, steps int, end amxEnd, load bool) {
	t.Helper()
	what := fmt.Sprintf("%dx%d step %d steps %d end %d load %v", rows, cols, step, steps, end, load)
	const tiles, numTaps = 3, 2
	k, cRow := steps*step, cols+3
	aRow := numTaps*k + 2
	a, b := halvesOf(randomSlice[float32](r, tiles*rows*aRow)), halvesOf(randomSlice[float32](r, numTaps*k*amxPanel))
	strip := randomSlice[float32](r, tiles*amxStripLen)
	c32, guard32 := guarded(t, tiles*rows*cRow)
	c16, guard16 := halvesNaN(t, tiles*rows*cRow)
	args := takeAMXArgs()
	defer args.drop()
	args.shape(rows, cols, step)
	args.keepStrip(strip)
	args.a, args.b, args.aRow, args.steps, args.load = unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), 2*aRow, steps, index(load)
	taps := []brgemmTap{{-7, -7}, {0, 0}, {2 * k, 2 * k * amxPanel}}
	args.taps = &taps[0]
	list := make([]amxTile, tiles)
	elem := 4
	if end >= amxEndRound {
		elem = 2
		args.c, args.cRow = unsafe.Pointer(&c16[0]), 2*cRow
	} else {
		args.c, args.cRow = unsafe.Pointer(&c32[0]), 4*cRow
	}
	want := newBound(tiles * rows * cols)
	for i := range list {
		list[i] = amxTile{a: 2 * i * rows * aRow, c: elem * i * rows * cRow, taps: tapBytes, numTaps: (2 + i) % 3}
	}
	each := func(visit func(tile, i, j, at int)) {
		for tile := range tiles {
			for i := range rows {
				for j := range cols {
					visit(tile, i, j, (tile*rows+i)*cols+j)
				}
			}
		}
	}
	each(func(tile, i, j, at int) {
		if load {
			want.add(at, float64(strip[tile*amxStripLen+i*amxPanel+j]))
		}
		if end == amxEndAdd || end == amxEndAddRound {
			v := float32(i - j + tile)
			want.add(at, float64(v))
			c32[(tile*rows+i)*cRow+j], c16[(tile*rows+i)*cRow+j] = v, amxRound(v)
		}
		for tap := range list[tile].numTaps {
			for p := range k {
				want.add(at, float64(Float32FromBFloat16(a[(tile*rows+i)*aRow+tap*k+p]))*float64(Float32FromBFloat16(b[tap*k*amxPanel+p/2*2*amxPanel+2*j+p%2])))
			}
		}
	})
	args.run(end, list)
	got32, got16 := make([]float32, tiles*rows*cols), make([]uint16, tiles*rows*cols)
	each(func(tile, i, j, at int) {
		got32[at], got16[at] = c32[(tile*rows+i)*cRow+j], c16[(tile*rows+i)*cRow+j]
		if end == amxEndStrip || end == amxEndKeep {
			got32[at] = strip[tile*amxStripLen+i*amxPanel+j]
		}
	})
	if end >= amxEndRound {
		want.checkRounded(t, what, got16, numTaps*k+2)
	} else {
		want.check(t, what, got32, numTaps*k+2)
	}
	guard32(what)
	guard16(what)
	for i := range c32 {
		if i%cRow >= cols && (!math.IsNaN(float64(c32[i])) || c16[i] != 0x7FC1) {
			t.Fatalf("%s: element %d between the rows was written", what, i)
		}
	}
}

// particular are numbers whose rounding is a case of its own.
var particular = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32,
	math.SmallestNonzeroFloat32, -0x1p-127, 0x1p-126, 0x1.fffffcp-127, 0x1.01p0, 0x1.010002p0, 0x1.03p0, 0x1.02fffep0, -0x1.01p0, -0x1.03p0, 0x1.fep127, 0x1.ffp127,
}

func TestAMXRound(t *testing.T) {
	for _, c := range []struct {
		v    float32
		want uint16
	}{
		{1, 0x3F80}, {-2, 0xC000}, {0x1.01p0, 0x3F80}, {0x1.010002p0, 0x3F81}, {0x1.03p0, 0x3F82}, {math.MaxFloat32, 0x7F80},
		{0x1p-126, 0x0080}, {0x1.fffffcp-127, 0}, {-0x1p-130, 0x8000}, {float32(math.Inf(-1)), 0xFF80},
	} {
		if got := amxRound(c.v); got != c.want {
			t.Errorf("%v is rounded to %#x, want %#x", c.v, got, c.want)
		}
	}
	if h := amxRound(math.Float32frombits(0x7F800001)); h != 0x7FC0 {
		t.Errorf("a signalling NaN is rounded to %#x", h)
	}
}

// The loops over rows at the AMX level have the bits of those in Go.
func TestAMXRows(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(53, 54))
		for _, size := range [][2]int{{1, 1}, {2, 16}, {3, 17}, {5, 33}, {32, 8}, {33, 64}, {70, 24}, {31, 13}, {64, 40}} {
			rows, cols := size[0], size[1]
			row := cols + r.IntN(3)
			src := randomSlice[float32](r, rows*row)
			for i := range src {
				if r.IntN(3) == 0 {
					src[i] = particular[r.IntN(len(particular))]
				}
			}
			half := halvesOf(src)
			turnedRow := ceilTo(rows, turnRows) + r.IntN(3)
			turned, guardTurned := halvesNaN(t, ceilTo(cols, turnCols)*turnedRow)
			turnHalves(turned, turnedRow, half, row, rows, cols)
			panel := ceilDiv(rows, 2)*2*amxPanel + 2*r.IntN(2)
			pairs, guardPairs := halvesNaN(t, ceilDiv(cols, amxPanel)*panel)
			pairRows(pairs, panelLayout(panel, 1), half, row, rows, cols)
			rounded, guardRounded := halvesNaN(t, ceilDiv(cols, amxPanel)*panel)
			pairRows(rounded, panelLayout(panel, 1), src, row, rows, cols)
			for i := range rows {
				for j := range cols {
					h := half[i*row+j]
					pair := j/amxPanel*panel + i/2*2*amxPanel + 2*(j%amxPanel) + i%2
					if turned[j*turnedRow+i] != h || pairs[pair] != h || rounded[pair] != h {
						t.Fatalf("%dx%d: element (%d, %d), %v: %#x %#x %#x, want %#x", rows, cols, i, j, src[i*row+j], turned[j*turnedRow+i], pairs[pair], rounded[pair], h)
					}
				}
			}
			for j := range cols {
				for i := rows; i < ceilTo(rows, turnRows); i++ {
					if turned[j*turnedRow+i] != 0 {
						t.Fatalf("%dx%d: row %d past the last is not zero", rows, cols, i)
					}
				}
			}
			for p := range ceilDiv(cols, amxPanel) {
				for i := range ceilDiv(rows, 2) * 2 {
					for j := range amxPanel {
						if at := p*panel + i/2*2*amxPanel + 2*j + i%2; (i >= rows || p*amxPanel+j >= cols) && (pairs[at] != 0 || rounded[at] != 0) {
							t.Fatalf("%dx%d: a pair past the end is not zero", rows, cols)
						}
					}
				}
			}
			for _, check := range []func(string){guardTurned, guardPairs, guardRounded} {
				check(fmt.Sprintf("%dx%d", rows, cols))
			}
		}
	})
}

// Halves of panels may lie apart, and float32 is scaled before it is rounded.
func TestAMXPairLayouts(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(57, 58))
		for _, size := range [][2]int{{1, 1}, {3, 17}, {5, 33}, {16, 288}, {33, 64}} {
			rows, cols := size[0], size[1]
			pairs, panels := ceilDiv(rows, 2), ceilDiv(cols, amxPanel)
			panel := pairs*amxPanel + 2*r.IntN(2)
			to := pairLayout{panel: panel, row: amxPanel, half: panels * panel, scale: 0.3}
			src := randomSlice[float32](r, rows*cols)
			half := halvesOf(src)
			halves, guardHalves := halvesNaN(t, 2*panels*panel)
			pairRows(halves, to, half, cols, rows, cols)
			rounded, guardRounded := halvesNaN(t, 2*panels*panel)
			pairRows(rounded, to, src, cols, rows, cols)
			for i := range 2 * pairs {
				for j := range panels * amxPanel {
					var want, wantRounded uint16
					if i < rows && j < cols {
						want, wantRounded = half[i*cols+j], amxRound(0.3*src[i*cols+j])
					}
					at := j/amxPanel*panel + i/2*amxPanel + j%amxPanel/amxHalf*to.half + 2*(j%amxHalf) + i%2
					if halves[at] != want || rounded[at] != wantRounded {
						t.Fatalf("%dx%d: element (%d, %d) is %#x and rounded %#x, want %#x and %#x", rows, cols, i, j, halves[at], rounded[at], want, wantRounded)
					}
				}
			}
			guardHalves(fmt.Sprintf("%dx%d halves", rows, cols))
			guardRounded(fmt.Sprintf("%dx%d rounded", rows, cols))
		}
	})
}

// amxCases are small shapes of every way a plan goes.
var amxCases = []Conv2dShape{
	{2, 6, 6, 6, 16, 5, 5, 1, 0}, {5, 1, 7, 7, 6, 5, 5, 1, 0}, {3, 3, 6, 5, 18, 3, 3, 1, 1}, {33, 2, 3, 3, 7, 3, 3, 2, 1}, // LeNet, first layers
	{3, 16, 4, 5, 34, 3, 3, 1, 1}, {1, 24, 5, 4, 17, 3, 3, 2, 1}, {9, 16, 5, 5, 36, 3, 3, 2, 1}, {33, 8, 3, 3, 16, 3, 3, 1, 1},
	{64, 16, 2, 2, 16, 3, 3, 1, 1}, {32, 10, 3, 3, 20, 3, 3, 2, 1}, {40, 20, 2, 1, 22, 3, 3, 1, 1}, {37, 12, 2, 2, 12, 2, 2, 1, 0},
	{1, 160, 3, 3, 34, 3, 3, 1, 1}, {2, 704, 2, 2, 16, 1, 1, 1, 0}, {2, 16, 2, 2, 704, 1, 1, 1, 0}, // several runs, of taps and of the depth
	{2, 16, 5, 4, 32, 1, 1, 2, 0}, {1, 16, 3, 3, 16, 1, 1, 3, 1}, {8, 6, 2, 2, 8, 1, 1, 2, 1}, {3, 16, 2, 2, 16, 3, 3, 1, 2}, {2, 14, 8, 9, 10, 7, 7, 3, 2}, {1, 7, 1, 1, 9, 1, 1, 1, 0},
	{1, 8, 12, 11, 10, 3, 3, 1, 1}, {2, 140, 4, 4, 136, 3, 3, 1, 1}, // boxes and groups of channels
	{2, 8, 1, 1, 16, 2, 2, 20, 5}, {2, 140, 1, 1, 136, 2, 2, 20, 5}, // nothing but padding
	// Lines, forward, backward data, both: one block, several, halves of panels, ragged ones.
	{16, 160, 1, 4, 17, 3, 3, 1, 1}, {32, 170, 3, 12, 33, 3, 3, 1, 1}, {16, 35, 2, 4, 160, 3, 3, 1, 1}, {16, 162, 1, 12, 160, 3, 3, 1, 1},
}

// Lines are for long sums of whole blocks; weights are packed for them alone.
func TestAMXLines(t *testing.T) {
	for _, c := range []struct {
		s    Conv2dShape
		want [3]bool // forward, backward data, backward weights
	}{
		{Conv2dShape{32, 160, 32, 32, 160, 3, 3, 1, 1}, [3]bool{true, true, false}},
		{Conv2dShape{16, 512, 1, 4, 512, 3, 3, 1, 1}, [3]bool{true, true, false}},
		{Conv2dShape{32, 160, 32, 32, 64, 3, 3, 1, 1}, [3]bool{true, false, false}},
		{Conv2dShape{32, 16, 32, 32, 160, 3, 3, 1, 1}, [3]bool{false, true, false}},
		{Conv2dShape{128, 128, 16, 16, 128, 3, 3, 1, 1}, [3]bool{}},
		{Conv2dShape{24, 160, 32, 32, 160, 3, 3, 1, 1}, [3]bool{}},
		{Conv2dShape{32, 160, 32, 30, 160, 3, 3, 1, 1}, [3]bool{}},
		{Conv2dShape{32, 160, 32, 32, 160, 3, 3, 2, 1}, [3]bool{}},
		{Conv2dShape{32, 160, 32, 32, 160, 3, 3, 1, 0}, [3]bool{}},
		{Conv2dShape{32, 1600, 32, 32, 1600, 1, 1, 1, 0}, [3]bool{}},
	} {
		for d, want := range c.want {
			d := ConvDirection(d)
			if got := c.s.amxLined(d); got != want {
				t.Errorf("%+v %v: in lines %v", c.s, d, got)
			}
			if d == ConvBackwardWeights {
				continue
			}
			checkAMXForms(t, c.s, d)
			plan := newAMXPlan(c.s, d)
			for _, chunk := range plan.chunks {
				if (chunk.blocks != nil) != want || (chunk.runs == nil) != want {
					t.Fatalf("%+v %v: a chunk of %d blocks and %d runs", c.s, d, len(chunk.blocks), len(chunk.runs))
				}
			}
		}
	}
}

// checkAMXForms packs weights for a batch of one more image too: they are others just
// where one of the batches runs in lines. Of the channels it takes some.
func checkAMXForms(t *testing.T, s Conv2dShape, d ConvDirection) {
	t.Helper()
	s.C, s.OC = min(s.C, 200), min(s.OC, 200)
	more := s
	more.N++
	w := randomSlice[float32](rand.New(rand.NewPCG(69, 70)), s.weightLen())
	packed := func(s Conv2dShape) []uint16 {
		p := make([]uint16, amxPackedLen(s, d))
		amxPack(p, w, 1, s, d)
		return p
	}
	if same, want := slices.Equal(packed(s), packed(more)), s.amxLined(d) == more.amxLined(d); same != want {
		t.Errorf("%+v %v: packed like for another image: %v, want %v", s, d, same, want)
	}
}

func TestAMXConv2d(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(55, 56))
		for i, s := range amxCases {
			checkAMXConv2d(t, r, s, i%2 == 0)
			if !testing.Short() {
				checkAMXConv2d(t, r, s, i%2 != 0)
			}
		}
	})
}

// Groups of channels that share what is packed take it region by region.
func TestAMXWeightsOfManyRegions(t *testing.T) {
	elements := amxRegionElements
	amxRegionElements = 1
	t.Cleanup(func() { amxRegionElements = elements })
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(59, 60))
		for _, c := range []struct {
			s                        Conv2dShape
			regions, slices, batches int
		}{
			{Conv2dShape{3, 130, 20, 2, 196, 3, 3, 1, 1}, 3, 1, 1},
			{Conv2dShape{32, 130, 36, 2, 196, 3, 1, 1, 0}, 3, 2, 1}, // each with lines of both slices
			{Conv2dShape{35, 132, 9, 2, 260, 3, 3, 2, 1}, 1, 1, 1},
			{Conv2dShape{70, 130, 8, 8, 196, 1, 1, 1, 0}, 1, 2, 2}, // of images, the last one ragged
			{Conv2dShape{3, 130, 1, 1, 196, 3, 3, 1, 1}, 1, 1, 1},  // kernel positions that only meet padding
		} {
			g := newAMXWeights(c.s, nil, nil)
			regions, batches := ceilDiv(c.s.OutH(), g.regionLines()), ceilDiv(c.s.N, g.images)
			if !g.shared() || regions != c.regions || g.lineSlices != c.slices || batches != c.batches {
				t.Fatalf("%+v: shared %v, %d regions, %d slices, %d batches, want %d, %d and %d",
					c.s, g.shared(), regions, g.lineSlices, batches, c.regions, c.slices, c.batches)
			}
			sums := takeScratch[float32](g.slices() * g.sumsLen())
			for i := range sums.data {
				sums.data[i] = float32(math.NaN())
			}
			sums.drop() // and is taken again
			// Half of all the time, minutes in an emulator.
			if testing.Short() && c.regions > 1 && c.slices > 1 {
				continue
			}
			checkAMXConv2d(t, r, c.s, c.slices == 2)
		}
	})
}

// Groups both ways of up to amxOneGroup channels are one where slices keep the threads
// busy.
func TestAMXWeightsOfOneGroup(t *testing.T) {
	for _, c := range []struct {
		s                     Conv2dShape
		groups, tasks, pixels int
	}{
		{Conv2dShape{32, 160, 32, 32, 160, 3, 3, 1, 1}, 1, 8, amxBoxPixels},
		{Conv2dShape{32, 160, 4, 4, 160, 3, 3, 1, 1}, 4, 4, 16}, // too few slices
		{Conv2dShape{32, 96, 32, 32, 160, 3, 3, 1, 1}, 2, 8, amxBoxPixels},
		{Conv2dShape{32, 196, 32, 32, 160, 3, 3, 1, 1}, 4, 8, amxBoxPixels},
	} {
		g := newAMXWeights(c.s, nil, nil)
		if groups, pixels := g.rowGroups*g.colGroups, g.lines*g.columns; groups != c.groups || g.tasks() != c.tasks || pixels != c.pixels {
			t.Errorf("%+v: %d groups, %d tasks, boxes of %d pixels, want %d, %d and %d", c.s, groups, g.tasks(), pixels, c.groups, c.tasks, c.pixels)
		}
	}
	if testing.Short() {
		return
	}
	eachAMX(t, func(t *testing.T) {
		checkAMXConv2d(t, rand.New(rand.NewPCG(61, 62)), Conv2dShape{32, 130, 16, 16, 130, 1, 1, 1, 0}, true)
	})
}

// In a run taps read ever later pixels, so that neighbouring tiles read the same ones in
// the same order.
func TestAMXTapsAreInTheOrderOfPixels(t *testing.T) {
	// 6 pixels are no line of blocks.
	for _, s := range []Conv2dShape{{32, 160, 6, 6, 160, 3, 3, 1, 1}, {32, 640, 6, 6, 640, 3, 3, 1, 1}, {32, 64, 8, 8, 128, 3, 3, 2, 1}} {
		for _, d := range []ConvDirection{ConvForward, ConvBackwardData} {
			p, pairs := newAMXPlan(s, d), 0
			for _, chunk := range p.chunks {
				for _, run := range chunk.runs {
					for _, tile := range run {
						taps := p.taps[tile.taps/tapBytes:][:tile.numTaps]
						for i := 1; i < len(taps); i++ {
							pairs++
							if taps[i].a <= taps[i-1].a {
								t.Fatalf("%+v %v: a tap at %d comes after one at %d", s, d, taps[i].a, taps[i-1].a)
							}
						}
					}
				}
			}
			if pairs == 0 {
				t.Errorf("%+v %v: no run has two taps", s, d)
			}
		}
	}
}

func TestAMXRuns(t *testing.T) {
	// 30 and 7 pixels are no lines of blocks.
	for _, c := range []struct {
		s    Conv2dShape
		d    ConvDirection
		runs int
	}{
		{Conv2dShape{128, 64, 32, 32, 64, 3, 3, 1, 1}, ConvForward, 2},
		{Conv2dShape{32, 160, 30, 30, 160, 3, 3, 1, 1}, ConvBackwardData, 5},
		{Conv2dShape{128, 256, 7, 7, 256, 3, 3, 1, 1}, ConvForward, 1},
		{Conv2dShape{128, 64, 32, 32, 128, 3, 3, 2, 1}, ConvForward, 2},
		{Conv2dShape{128, 64, 32, 32, 128, 3, 3, 2, 1}, ConvBackwardData, 1},
	} {
		if got := len(newAMXPlan(c.s, c.d).steps); got != c.runs {
			t.Errorf("%+v %v: %d runs, want %d", c.s, c.d, got, c.runs)
		}
	}
}

// A row tile's sum is as long as a call may be at most, however large the kernel.
func TestAMXCallsAreBounded(t *testing.T) {
	for _, s := range []Conv2dShape{{32, 2022, 5, 5, 8, 5, 5, 1, 2}, {32, 2048, 4, 4, 512, 3, 3, 1, 1}, {32, 4096, 4, 4, 512, 3, 3, 1, 1}, {32, 2002, 4, 4, 512, 3, 3, 1, 1}} {
		p := newAMXPlan(s, ConvForward)
		for _, chunk := range p.chunks {
			for _, block := range chunk.blocks {
				if steps := 3 * block.numTaps * p.steps[0]; steps > maxAMXSteps {
					t.Fatalf("%+v: a block of %d steps in a call, want at most %d", s, steps, maxAMXSteps)
				}
			}
			for r, run := range chunk.runs {
				for _, tile := range run {
					if steps := tile.numTaps * p.steps[r]; steps > maxAMXSteps {
						t.Fatalf("%+v: a row tile of %d steps in a call, want at most %d", s, steps, maxAMXSteps)
					}
				}
			}
		}
	}
}

func TestAMXConv2dOfAnyShape(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := Conv2dShape{
				N: rapid.IntRange(1, 40).Draw(t, "N"), C: rapid.IntRange(1, 20).Draw(t, "C"), OC: rapid.IntRange(1, 40).Draw(t, "OC"),
				H: rapid.IntRange(1, 6).Draw(t, "H"), W: rapid.IntRange(1, 6).Draw(t, "W"),
				KH: rapid.IntRange(1, 4).Draw(t, "KH"), KW: rapid.IntRange(1, 4).Draw(t, "KW"),
				Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Padding: rapid.IntRange(0, 2).Draw(t, "padding"),
			}
			if s.Check() != nil {
				t.Skip("the kernel is larger than the input")
			}
			checkAMXConv2d(t, rand.New(rand.NewPCG(57, 58)), s, rapid.Bool().Draw(t, "accumulate"))
		})
	})
}

func TestAMXLinesOfAnyShape(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of sums")
	}
	eachAMX(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			long, short := rapid.SampledFrom([]int{160, 162, 168, 170}).Draw(t, "depth"), rapid.IntRange(1, 40).Draw(t, "width")
			s := Conv2dShape{
				N: 16 + 16*rapid.IntRange(0, 3).Draw(t, "N")/3, C: long, OC: short,
				H: rapid.IntRange(1, 3).Draw(t, "H"), W: rapid.SampledFrom([]int{4, 8, 12}).Draw(t, "W"), KH: 3, KW: 3, Stride: 1, Padding: 1,
			}
			if rapid.Bool().Draw(t, "backward data") {
				s.C, s.OC = short, long
			}
			checkAMXConv2d(t, rand.New(rand.NewPCG(67, 68)), s, rapid.Bool().Draw(t, "accumulate"))
		})
	})
}

func checkAMXConv2d(t failer, r *rand.Rand, s Conv2dShape, accumulate bool) {
	t.Helper()
	what := fmt.Sprintf("%+v accumulate %v", s, accumulate)
	x, dy := halvesOf(randomSlice[float32](r, s.inputLen())), halvesOf(randomSlice[float32](r, s.outputLen()))
	w := widenedHalves(halvesOf(randomSlice[float32](r, s.weightLen())))
	by, bdx, bdw := newBound(len(dy)), newBound(len(x)), newBound(len(w))
	y, yGuard := halvesNaN(t, len(dy))
	dx, dxGuard := halvesNaN(t, len(x))
	dw, dwGuard := guarded(t, len(w))
	if accumulate {
		for i := range dx {
			dx[i] = amxRound(float32(i%7) - 3)
			bdx.add(i, float64(Float32FromBFloat16(dx[i])))
		}
		for i := range dw {
			dw[i] = float32(i%5) - 2
			bdw.add(i, float64(dw[i]))
		}
	}
	fx, fdy := widenedHalves(x), widenedHalves(dy)
	directConv2d(s, func(xi, wi, yi int) {
		by.add(yi, float64(fx[xi])*float64(w[wi]))
		bdx.add(xi, float64(fdy[yi])*float64(w[wi]))
		bdw.add(wi, float64(fdy[yi])*float64(fx[xi]))
	})
	pack := func(d ConvDirection) []uint16 {
		packed, packedGuard := halvesNaN(t, amxPackedLen(s, d))
		amxPack(packed, w, 1, s, d)
		packedGuard(what + " packing " + d.String())
		return packed
	}
	if amxShapeFits(s, ConvForward) {
		amxForward(y, x, pack(ConvForward), nil, nil, ActNone, s)
		by.checkRounded(t, what+" forward", y, s.C*s.KH*s.KW)
		yGuard(what + " forward")
	}
	if amxShapeFits(s, ConvBackwardData) {
		amxBackwardData(dx, dy, pack(ConvBackwardData), s, accumulate)
		bdx.checkRounded(t, what+" backward data", dx, s.OC*s.KH*s.KW)
		dxGuard(what + " backward data")
	}
	amxBackwardWeights(dw, x, dy, s, accumulate)
	bdw.check(t, what+" backward weights", dw, s.N*s.OutH()*s.OutW())
	dwGuard(what + " backward weights")
}

// Weights that are no bfloat16 numbers are rounded as they are packed.
func TestAMXPackRounds(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		s := Conv2dShape{1, 16, 2, 2, 40, 3, 3, 1, 1}
		w := randomSlice[float32](rand.New(rand.NewPCG(59, 60)), s.weightLen())
		for _, d := range []ConvDirection{ConvForward, ConvBackwardData} {
			got, want := make([]uint16, amxPackedLen(s, d)), make([]uint16, amxPackedLen(s, d))
			amxPack(got, w, 1, s, d)
			amxPack(want, widenedHalves(halvesOf(w)), 1, s, d)
			if !slices.Equal(got, want) {
				t.Errorf("%v: not the same as of rounded weights", d)
			}
		}
	})
}

func TestAMXForwardFused(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(61, 62))
		for _, s := range []Conv2dShape{{5, 1, 7, 7, 6, 5, 5, 1, 0}, {3, 16, 4, 5, 37, 3, 3, 1, 1}, {34, 8, 2, 3, 16, 3, 3, 2, 1}, {64, 16, 2, 2, 36, 1, 1, 3, 1}, {1, 160, 3, 2, 20, 3, 3, 1, 1}, {16, 160, 1, 8, 40, 3, 3, 1, 1}} {
			x, residual := halvesOf(randomSlice[float32](r, s.inputLen())), halvesOf(randomSlice[float32](r, s.outputLen()))
			w, bias := widenedHalves(halvesOf(randomSlice[float32](r, s.weightLen()))), randomSlice[float32](r, s.OC)
			packed := make([]uint16, amxPackedLen(s, ConvForward))
			amxPack(packed, w, 1, s, ConvForward)
			for act := range numActivations {
				for variant := range 4 {
					checkAMXFused(t, s, x, w, packed, bias, residual, act, variant)
				}
			}
		}
	})
}

func checkAMXFused(t *testing.T, s Conv2dShape, x []uint16, w []float32, packed []uint16, bias []float32, residual []uint16, act Activation, variant int) {
	t.Helper()
	if variant&1 != 0 {
		bias = nil
	}
	if variant&2 != 0 {
		residual = nil
	}
	what := fmt.Sprintf("%+v activation %v variant %d", s, act, variant)
	b := newBound(s.outputLen())
	for i := range b.want {
		if bias != nil {
			b.add(i, float64(bias[i%s.OC]))
		}
		if residual != nil {
			b.add(i, float64(Float32FromBFloat16(residual[i])))
		}
	}
	fx := widenedHalves(x)
	directConv2d(s, func(xi, wi, yi int) { b.add(yi, float64(fx[xi])*float64(w[wi])) })
	for i, v := range b.want { // no activation is steeper than 1
		switch {
		case v >= 0 || act == ActNone:
		case act == ActReLU:
			b.want[i] = 0
		case act == ActLeakyReLU:
			b.want[i] = 0.01 * v
		case act == ActELU:
			b.want[i] = math.Expm1(v)
			b.size[i]++ // exp and 1 are rounded
		}
	}
	y, guard := halvesNaN(t, s.outputLen())
	amxForward(y, x, packed, bias, residual, act, s)
	b.checkRounded(t, what, y, s.C*s.KH*s.KW+2)
	guard(what)
}

func TestAMXConv2dOfNoImages(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		s := Conv2dShape{0, 16, 4, 4, 16, 3, 3, 1, 1}
		packed := make([]uint16, amxPackedLen(s, ConvForward))
		amxForward(nil, nil, packed, nil, nil, ActNone, s)
		amxBackwardData(nil, nil, packed, s, false)
		dw := make([]float32, s.weightLen())
		dw[5] = 7
		amxBackwardWeights(dw, nil, nil, s, true)
		if dw[5] != 7 {
			t.Errorf("no images add %v", dw[5]-7)
		}
		amxBackwardWeights(dw, nil, nil, s, false)
		if dw[5] != 0 {
			t.Errorf("the gradient of no images is %v", dw[5])
		}
	})
}

func TestAMXTakes(t *testing.T) {
	shape := func(c, oc int) Conv2dShape { return Conv2dShape{1, c, 8, 8, oc, 3, 3, 1, 1} }
	for _, c := range []struct {
		s    Conv2dShape
		want [3]bool // forward, backward data, backward weights
	}{
		{shape(64, 128), [3]bool{true, true, true}}, {shape(3, 64), [3]bool{true, true, true}}, {shape(6, 16), [3]bool{true, true, true}},
		{shape(160, 34), [3]bool{true, false, true}}, {shape(17, 5), [3]bool{false, false, true}}, {shape(1, 6), [3]bool{true, true, true}},
	} {
		for d, want := range c.want {
			if got := amxShapeFits(c.s, ConvDirection(d)); got != want {
				t.Errorf("%+v %v: %v", c.s, ConvDirection(d), got)
			}
			if got := amxTakes(c.s, ConvDirection(d)); got != (want && CurrentLevel() == AMX) {
				t.Errorf("%+v %v at level %v: %v", c.s, ConvDirection(d), CurrentLevel(), got)
			}
		}
	}
}

// amxResults are all results for a shape.
func amxResults(s Conv2dShape, place func([]uint16) []uint16, place32 func([]float32) []float32) ([]uint16, []float32) {
	r := rand.New(rand.NewPCG(63, 64))
	x, dy := place(halvesOf(randomSlice[float32](r, s.inputLen()))), place(halvesOf(randomSlice[float32](r, s.outputLen())))
	w, bias := place32(randomSlice[float32](r, s.weightLen())), place32(randomSlice[float32](r, s.OC))
	forward, backward := place(make([]uint16, amxPackedLen(s, ConvForward))), place(make([]uint16, amxPackedLen(s, ConvBackwardData)))
	y, fused, dx, dw := place(dy), place(dy), place(x), place32(w)
	if amxShapeFits(s, ConvForward) {
		amxPack(forward, w, 1, s, ConvForward)
		amxForward(y, x, forward, nil, nil, ActNone, s)
		amxForward(fused, x, forward, bias, dy, ActReLU, s)
	}
	if amxShapeFits(s, ConvBackwardData) {
		amxPack(backward, w, 1, s, ConvBackwardData)
		amxBackwardData(dx, dy, backward, s, true)
	}
	amxBackwardWeights(dw, x, dy, s, true)
	return slices.Concat(forward, backward, y, fused, dx), dw
}

func TestAMXBitsDoNotDependOnThreads(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		for _, s := range []Conv2dShape{{40, 16, 5, 4, 40, 3, 3, 1, 1}, {64, 3, 5, 6, 20, 3, 3, 1, 1}, {3, 160, 4, 4, 36, 3, 3, 2, 1}, {3, 130, 3, 3, 132, 3, 3, 1, 1}, {32, 130, 9, 8, 132, 1, 1, 1, 0}, {16, 162, 1, 8, 162, 3, 3, 1, 1}} {
			withThreads(t, 1)
			first, first32 := amxResults(s, slices.Clone[[]uint16], slices.Clone[[]float32])
			for _, threads := range []int{2, 3} {
				withThreads(t, threads)
				got, got32 := amxResults(s, slices.Clone[[]uint16], slices.Clone[[]float32])
				if !slices.Equal(got, first) || !slices.Equal(got32, first32) {
					t.Fatalf("%+v: %d threads: not the bits of one", s, threads)
				}
			}
		}
	})
}

// Many goroutines are in tile kernels while the garbage collector stops the world,
// goroutines are preempted and threads come and go. Tiles that a thread switch lost,
// or that one call left to the next, would change bits.
func TestAMXUnderPreemption(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		withThreads(t, 3)
		old := runtime.GOMAXPROCS(0)
		defer runtime.GOMAXPROCS(old)
		shapes := []Conv2dShape{{33, 16, 4, 4, 40, 3, 3, 1, 1}, {6, 3, 5, 6, 20, 3, 3, 1, 1}, {3, 96, 4, 4, 36, 3, 3, 2, 1}, {16, 160, 1, 4, 18, 3, 3, 1, 1}}
		r := rand.New(rand.NewPCG(63, 64))
		const m, n, k = 33, 40, 300 // two runs of GEMM
		a, b := halvesOf(randomSlice[float32](r, m*k)), halvesOf(randomSlice[float32](r, k*n))
		results := func(s Conv2dShape) ([]uint16, []float32) {
			h, f := amxResults(s, slices.Clone[[]uint16], slices.Clone[[]float32])
			c := make([]float32, m*n)
			amxGemm(true, false, m, n, k, a, m, b, n, false, c, n)
			return h, append(f, c...)
		}
		var want [][]uint16
		var want32 [][]float32
		for _, s := range shapes {
			h, f := results(s)
			want, want32 = append(want, h), append(want32, f)
		}
		rounds := 20
		if testing.Short() {
			rounds = 4
		}
		stop := make(chan struct{})
		var disturbers, workers sync.WaitGroup
		disturb := func(f func(i int)) {
			disturbers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						f(i)
					}
				}
			})
		}
		disturb(func(int) { runtime.GC() })
		disturb(func(i int) { runtime.GOMAXPROCS(1 + i%4); runtime.Gosched() })
		disturb(func(i int) { // runs for as long as it may, so that it is preempted
			for j := range 1 << 16 {
				i ^= j
			}
			spin = i
		})
		for g := range 8 {
			workers.Go(func() {
				if g%3 == 0 {
					runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
				}
				for i := range rounds {
					s := (g + i) % len(shapes)
					got, got32 := results(shapes[s])
					if !slices.Equal(got, want[s]) || !slices.Equal(got32, want32[s]) {
						t.Errorf("goroutine %d, round %d: not the bits of a quiet run", g, i)
						return
					}
				}
			})
		}
		workers.Wait()
		close(stop)
		disturbers.Wait()
	})
}

var spin int

func TestGemmBF16(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(65, 66))
		for _, size := range [][3]int{{1, 1, 1}, {5, 3, 7}, {33, 35, 64}, {40, 10, 84}, {1, 50, 40}, {50, 1, 34}, {17, 66, 129}, {3, 5, 700}, {0, 3, 4}, {3, 4, 0}, {2, 2, 8500}, {35, 70, 600}, {300, 3, 32}} {
			for variant := range 8 {
				checkGemmBF16(t, r, GemmBF16, size[0], size[1], size[2], variant&1 != 0, variant&2 != 0, variant&4 != 0)
			}
		}
	})
	// At other levels the form for tiles is not asked.
	eachAMX(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(67, 68))
		gemm := func(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int) {
			if m*n*k > 0 {
				amxGemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
			}
		}
		check := func(size [3]int, variant int) {
			checkGemmBF16(t, r, gemm, size[0], size[1], size[2], variant&1 != 0, variant&2 != 0, variant&4 != 0)
		}
		for _, size := range [][3]int{{33, 35, 64}, {17, 66, 129}, {3, 5, 700}, {2, 2, 8500}, {35, 70, 600}, {300, 3, 32}} {
			for variant := range 8 {
				check(size, variant)
			}
		}
		// Several blocks, runs and sums, packed and in place.
		check([3]int{270, 290, 290}, 1)
		check([3]int{270, 290, 290}, 6)
		check([3]int{300, 140, 96}, 0)
		check([3]int{40, 170, 512}, 4)
		check([3]int{33, 37, 8224}, 4)
		check([3]int{33, 133, 8224}, 6)
	})
}

type gemmBF16Func func(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int)

// checkGemmBF16 holds a product against that of the same numbers in float64.
func checkGemmBF16(t *testing.T, r *rand.Rand, gemm gemmBF16Func, m, n, k int, transA, transB, accumulate bool) {
	t.Helper()
	what := fmt.Sprintf("m %d n %d k %d transA %v transB %v accumulate %v", m, n, k, transA, transB, accumulate)
	// matrix returns one with a row stride and where its element (i, j) lies.
	matrix := func(rows, cols int, trans bool) ([]uint16, int, func(i, j int) int) {
		if trans {
			rows, cols = cols, rows
		}
		ld := cols + r.IntN(3)
		return halvesOf(randomSlice[float32](r, max(rows*ld, 1))), ld, func(i, j int) int {
			if trans {
				i, j = j, i
			}
			return i*ld + j
		}
	}
	a, lda, atA := matrix(m, k, transA)
	b, ldb, atB := matrix(k, n, transB)
	ldc := n + r.IntN(3)
	c, guard := guarded(t, m*ldc)
	want, got := newBound(m*n), make([]float32, m*n)
	for i := range m {
		for j := range n {
			if accumulate {
				c[i*ldc+j] = float32(i - j)
				want.add(i*n+j, float64(i-j))
			}
			for p := range k {
				want.add(i*n+j, float64(Float32FromBFloat16(a[atA(i, p)]))*float64(Float32FromBFloat16(b[atB(p, j)])))
			}
		}
	}
	gemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
	for i := range m {
		copy(got[i*n:(i+1)*n], c[i*ldc:])
		for j := n; j < ldc; j++ {
			if !math.IsNaN(float64(c[i*ldc+j])) {
				t.Fatalf("%s: an element between the rows was written", what)
			}
		}
	}
	want.check(t, what, got, k)
	guard(what)
}

// The number of threads must not change a bit; wrong sizes are refused.
func TestGemmBF16BitsDoNotDependOnThreads(t *testing.T) {
	check := func(t *testing.T, gemm gemmBF16Func) {
		r := rand.New(rand.NewPCG(71, 72))
		const m, n, k = 300, 140, 266
		a, b := halvesOf(randomSlice[float32](r, m*k)), halvesOf(randomSlice[float32](r, k*n))
		var first []float32
		for _, threads := range []int{1, 2, 3} {
			withThreads(t, threads)
			c := make([]float32, m*n)
			gemm(false, false, m, n, k, a, k, b, n, false, c, n)
			if first == nil {
				first = c
			}
			if !slices.Equal(c, first) {
				t.Fatalf("%d threads: not the bits of one", threads)
			}
		}
	}
	eachAMX(t, func(t *testing.T) { check(t, amxGemm) })
	eachLevel(t, func(t *testing.T) {
		check(t, GemmBF16)
		defer func() {
			const want = "kernels: GemmBF16: A has 5 elements, want 6 for 2 x 3 with row stride 3"
			if got := fmt.Sprint(recover()); got != want {
				t.Errorf("panic %q, want %q", got, want)
			}
		}()
		GemmBF16(false, false, 2, 1, 3, make([]uint16, 5), 3, make([]uint16, 3), 1, false, make([]float32, 2), 1)
	})
}
