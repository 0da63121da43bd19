package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// specialFloats are values whose rounding to bfloat16 is a matter of care: ties
// both ways, what overflows, NaNs that only differ from infinity below the upper
// half, and numbers below the normal ones.
var specialFloats = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, 1.00390625, 1.01171875, -1.00390625, 1.0039064, 3.3895314e38, math.MaxFloat32, -math.MaxFloat32,
	float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0x7f800001), math.Float32frombits(0xff80ffff), math.Float32frombits(0x7fffffff),
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-39, 9.18e-41, 4.6e-41,
}

func TestRoundAndWiden(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 22, 33, 100, flatBlock + 3} {
		x := slices.Clone(specialFloats[:min(n, len(specialFloats))])
		for len(x) < n {
			x = append(x, math.Float32frombits(r.Uint32()))
		}
		eachLevel(t, func(t *testing.T) {
			got, add, wide := make([]uint16, n+1), make([]uint16, n), make([]float32, n)
			got[n] = 0xabcd
			Round(got[:n], x)
			for i, v := range x {
				if want := BFloat16FromFloat32(v); got[i] != want {
					t.Fatalf("n=%d: %v (%#x) became %#x, want %#x", n, v, math.Float32bits(v), got[i], want)
				}
			}
			if got[n] != 0xabcd {
				t.Fatalf("n=%d: wrote past the end", n)
			}
			Widen(wide, got[:n])
			copy(add, got)
			AddRounded(add, x)
			for i, v := range x {
				if math.Float32bits(wide[i]) != uint32(got[i])<<16 {
					t.Fatalf("n=%d: %#x widened to %v", n, got[i], wide[i])
				}
				if want := BFloat16FromFloat32(wide[i] + v); add[i] != want && v == v {
					t.Fatalf("n=%d: %v + %v became %#x, want %#x", n, wide[i], v, add[i], want)
				}
			}
		})
	}
}

func TestBFloat16FromFloat32(t *testing.T) {
	for _, test := range []struct {
		x    float32
		want uint16
	}{
		{1, 0x3f80}, {1.00390625, 0x3f80}, {1.01171875, 0x3f82}, {1.0039064, 0x3f81}, {math.MaxFloat32, 0x7f80},
		{float32(math.Inf(-1)), 0xff80}, {math.Float32frombits(0x7f800001), 0x7fc0}, {math.Float32frombits(0xffffffff), 0xffff},
	} {
		if got := BFloat16FromFloat32(test.x); got != test.want {
			t.Errorf("%v became %#x, want %#x", test.x, got, test.want)
		}
	}
}

// elementOp is a function on activations: it changes data, of which it takes
// several slices of one length, and returns what else it computes.
type elementOp struct {
	name string
	f32  func(data [][]float32) []float32
	bf16 func(data [][]uint16) []float32
}

// TestBFloat16Twins runs every function on activations in both types, from the same
// values: in bfloat16 it must give what it gives in float32 at the same level,
// rounded.
func TestBFloat16Twins(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []struct{ rows, c int }{{1, 1}, {3, 5}, {7, 16}, {5, 33}, {40, 6}, {9, 64}, {130, 64}, {3, 100}, {2, 320}} {
		n := size.rows * size.c
		params := randomSlice[float32](r, 6*size.c)
		values := make([][]uint16, 5)
		for i := range values {
			for _, v := range randomSlice[float32](r, n) {
				values[i] = append(values[i], BFloat16FromFloat32(v))
			}
		}
		eachLevel(t, func(t *testing.T) {
			for _, op := range elementOps(size.rows, size.c, params) {
				half, wide := make([][]uint16, len(values)), make([][]float32, len(values))
				for i, v := range values {
					half[i] = slices.Clone(v)
					wide[i] = make([]float32, n)
					Widen(wide[i], v)
				}
				gotOther, wantOther := op.bf16(half), op.f32(wide)
				for i := range values {
					want := make([]uint16, n)
					Round(want, wide[i])
					if at := firstDifference(half[i], want); at >= 0 {
						t.Fatalf("%s %+v: slice %d element %d is %v, want %v (%v)", op.name, size, i, at, Float32FromBFloat16(half[i][at]), Float32FromBFloat16(want[at]), wide[i][at])
					}
				}
				if at := firstDifference(gotOther, wantOther); at >= 0 {
					t.Fatalf("%s %+v: number %d is %v, want %v", op.name, size, at, gotOther[at], wantOther[at])
				}
			}
		})
	}
}

func firstDifference[T comparable](a, b []T) int {
	if len(a) != len(b) {
		return 0
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func elementOps(rows, c int, params []float32) []elementOp {
	narrow, wide := elementFunctions[float32](rows, c, params), elementFunctions[uint16](rows, c, params)
	var ops []elementOp
	for i, f := range narrow {
		ops = append(ops, elementOp{f.name, f.run, wide[i].run})
	}
	return ops
}

type elementFunction[E Element] struct {
	name string
	run  func(d [][]E) []float32
}

func elementFunctions[E Element](rows, c int, params []float32) []elementFunction[E] {
	p := func(i int) []float32 { return params[i*c : (i+1)*c] }
	var all []elementFunction[E]
	add := func(name string, run func(d [][]E) []float32) { all = append(all, elementFunction[E]{name, run}) }
	quiet := func(name string, run func(d [][]E)) {
		add(name, func(d [][]E) []float32 { run(d); return nil })
	}
	quiet("Add", func(d [][]E) { Add(d[0], d[1], d[2]) })
	quiet("Add in place", func(d [][]E) { Add(d[0], d[0], d[2]) })
	quiet("Mul", func(d [][]E) { Mul(d[0], d[1], d[2]) })
	quiet("Axpy", func(d [][]E) { Axpy(d[0], 0.3, d[1]) })
	quiet("Scale", func(d [][]E) { Scale(d[0], d[1], 0.3) })
	quiet("Fill", func(d [][]E) { Fill(d[0], 0.3) })
	quiet("AddBiasRows", func(d [][]E) { AddBiasRows(d[0], p(0), rows, c) })
	quiet("Dropout", func(d [][]E) { Dropout(d[0], d[1], 77, 0.4) })
	quiet("DropoutBackward", func(d [][]E) { DropoutBackward(d[0], d[1], 77, 0.4, true) })
	add("SumRows", func(d [][]E) []float32 {
		sums := make([]float32, c)
		SumRows(sums, d[0], rows, c, false)
		return sums
	})
	add("BatchNormStats", func(d [][]E) []float32 {
		stats := make([]float32, 2*c)
		BatchNormStats(stats[:c], stats[c:], d[0], rows, c)
		return stats
	})
	pool := Pool2dShape{N: 1, C: rows * c / 4, H: 2, W: 2, Kernel: 2, Stride: 2}
	if size := pool.pixel(); size > 0 {
		add("MaxPool2d", func(d [][]E) []float32 {
			index := make([]int32, size)
			MaxPool2dForward(d[0][:size], index, d[1][:4*size], pool)
			MaxPool2dBackward(d[2][:4*size], d[3][:size], index, pool, true)
			MaxPool2dBackward(d[4][:4*size], d[3][:size], index, pool, false)
			return floats(index)
		})
		quiet("AvgPool2d", func(d [][]E) {
			AvgPool2dForward(d[0][:size], d[1][:4*size], pool)
			AvgPool2dBackward(d[2][:4*size], d[3][:size], pool, true)
			AvgPool2dBackward(d[4][:4*size], d[3][:size], pool, false)
		})
	}
	if c > 2 {
		quiet("PadChannels", func(d [][]E) { PadChannels(d[0], d[1][:rows*(c-2)], rows, c-2, c) })
		quiet("PadChannelsBackward", func(d [][]E) {
			PadChannelsBackward(d[0][:rows*(c-2)], d[1], rows, c-2, c, true)
			PadChannelsBackward(d[2][:rows*(c-2)], d[1], rows, c-2, c, false)
		})
	}
	for act := range numActivations {
		quiet(fmt.Sprint("ActivationForward ", act), func(d [][]E) { ActivationForward(d[0], d[1], act) })
		for _, accumulate := range []bool{false, true} {
			quiet(fmt.Sprint("ActivationBackward ", act, accumulate), func(d [][]E) { ActivationBackward(d[0], d[1], d[2], act, accumulate) })
		}
		quiet(fmt.Sprint("BatchNormForward ", act), func(d [][]E) {
			BatchNormForward(d[0], d[1], p(0), p(1), nil, act, rows, c)
			BatchNormForward(d[2], d[3], p(0), p(1), d[4], act, rows, c)
		})
		add(fmt.Sprint("BatchNormBackwardReduce ", act), func(d [][]E) []float32 {
			sums := make([]float32, 2*c)
			BatchNormBackwardReduce(sums[:c], sums[c:], d[0], d[1], d[2], p(0), p(1), act, rows, c)
			return sums
		})
		if act.SignSuffices() {
			add(fmt.Sprint("BatchNormBackwardReduceFromInput ", act), func(d [][]E) []float32 {
				sums := make([]float32, 2*c)
				BatchNormBackwardReduceFromInput(sums[:c], sums[c:], d[0], d[1], p(0), p(1), p(2), p(3), act, rows, c)
				return sums
			})
			for _, accumulate := range []bool{false, true} {
				quiet(fmt.Sprint("BatchNormBackwardFromInput ", act, accumulate), func(d [][]E) {
					BatchNormBackwardFromInput(d[0], d[1], d[2], p(0), p(1), p(2), p(3), p(4), p(0), p(1), act, rows, c, accumulate)
				})
			}
		}
		for variant := range 24 {
			training, accumulate, residual, accumulateResidual := variant&1 == 1, variant>>1&1 == 1, variant>>2%3 > 0, variant>>2%3 == 2
			quiet(fmt.Sprint("BatchNormBackward ", act, variant), func(d [][]E) {
				dresidual := d[4]
				if !residual {
					dresidual = nil
				}
				BatchNormBackward(d[0], dresidual, d[1], d[2], d[3], p(0), p(1), p(2), p(3), p(4), act, rows, c, training, accumulate, accumulateResidual)
			})
		}
	}
	return all
}
