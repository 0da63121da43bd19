package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// unit is the largest relative error of rounding to float32.
const unit = 0x1p-24

// sizes are lengths around every vector width and unrolling, and around the
// blocks of parallel loops.
func flatSizes() []int {
	var sizes []int
	for n := range 71 {
		sizes = append(sizes, n)
	}
	return append(sizes, 127, 500, flatBlock-1, flatBlock, flatBlock+17, 2*flatBlock+5)
}

// rowShapes are [rows, c] with odd rows and columns.
func rowShapes() [][2]int {
	shapes := [][2]int{{0, 5}, {1, 1}, {600, 1}, {1100, 6}, {530, 10}, {300, 64}, {257, 65}, {40, 640}, {19, 2049}}
	for c := 1; c <= 70; c++ {
		shapes = append(shapes, [2]int{1 + c*5%19, c}, [2]int{130 + c%7, c})
	}
	return shapes
}

// guards hands out slices between guard values.
type guards struct {
	t   *testing.T
	all [][]float32
}

const (
	guardLen  = 40
	guardBits = 0x7fc5a5a5 // a NaN
)

// slice returns n elements with the contents of values, or with NaN.
func (g *guards) slice(n int, values ...float32) []float32 {
	s := make([]float32, n+2*guardLen)
	for i := range s {
		s[i] = math.Float32frombits(guardBits)
	}
	g.all = append(g.all, s)
	inner := s[guardLen : guardLen+n : guardLen+n]
	copy(inner, values)
	return inner
}

// check fails when a guard has changed.
func (g *guards) check(name string) {
	g.t.Helper()
	for _, s := range g.all {
		for i, v := range s {
			if (i < guardLen || i >= len(s)-guardLen) && math.Float32bits(v) != guardBits {
				g.t.Fatalf("%s wrote %v at %d of a slice of %d elements", name, v, i-guardLen, len(s)-2*guardLen)
			}
		}
	}
	g.all = g.all[:0]
}

// checkClose fails where got is further from want than bound says; NaN and
// infinities must agree.
func checkClose(t *testing.T, name string, got []float32, want, bound func(i int) float64) {
	t.Helper()
	for i, v := range got {
		g, w := float64(v), want(i)
		if math.IsNaN(g) && math.IsNaN(w) || g == w || math.Abs(g-w) <= bound(i)+0x1p-149 {
			continue
		}
		t.Fatalf("%s: element %d of %d is %v, want %v within %v", name, i, len(got), g, w, bound(i))
	}
}

// checkExact fails where got and want differ in a bit; any NaN equals any NaN.
func checkExact(t *testing.T, name string, got []float32, want func(i int) float32) {
	t.Helper()
	for i, g := range got {
		w := want(i)
		if math.Float32bits(g) != math.Float32bits(w) && !(g != g && w != w) {
			t.Fatalf("%s: element %d of %d is %v, want %v", name, i, len(got), g, w)
		}
	}
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// checkThreads fails when what f returns depends on the number of threads.
func checkThreads(t *testing.T, name string, f func() []float32) {
	t.Helper()
	old := Threads()
	defer SetThreads(old)
	SetThreads(1)
	want := slices.Clone(f())
	for _, n := range []int{2, 3, 8} {
		SetThreads(n)
		if !sameBits(f(), want) {
			t.Fatalf("%s: %d threads give other bits than one", name, n)
		}
	}
}

// special are the numbers that need care.
var special = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-149, 0x1p-126, 1e30, -1e30, math.MaxFloat32,
	-math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}

func TestElementwise(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		g := &guards{t: t}
		for _, n := range flatSizes() {
			a, b := g.slice(n, randomSlice[float32](r, n)...), g.slice(n, randomSlice[float32](r, n)...)
			for i := range min(n, len(special)) {
				a[n-1-i] = special[i]
			}
			dst := g.slice(n)
			Add(dst, a, b)
			checkExact(t, "Add", dst, func(i int) float32 { return a[i] + b[i] })
			Mul(dst, a, b)
			checkExact(t, "Mul", dst, func(i int) float32 { return a[i] * b[i] })
			Scale(dst, a, 0.3)
			checkExact(t, "Scale", dst, func(i int) float32 { return 0.3 * a[i] })
			copy(dst, b)
			Axpy(dst, -0.7, a)
			s := float64(float32(-0.7))
			want := func(i int) float64 { return float64(b[i]) + s*float64(a[i]) }
			checkClose(t, "Axpy", dst, want, func(i int) float64 { return unit * (math.Abs(s*float64(a[i])) + math.Abs(want(i))) })
			Fill(dst, 3)
			checkExact(t, "Fill", dst, func(int) float32 { return 3 })
			g.check("an element-wise kernel")

			alias := slices.Clone(a)
			Add(alias, alias, b)
			Mul(alias, b, alias)
			Scale(alias, alias, 2)
			checkExact(t, "in place", alias, func(i int) float32 { return (a[i] + b[i]) * b[i] * 2 })
		}
	})
}

func TestRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		g := &guards{t: t}
		for _, shape := range rowShapes() {
			rows, c := shape[0], shape[1]
			name := fmt.Sprintf("%dx%d", rows, c)
			data := randomSlice[float32](r, rows*c)
			x, bias := g.slice(rows*c, data...), g.slice(c, randomSlice[float32](r, c)...)
			AddBiasRows(x, bias, rows, c)
			checkExact(t, "AddBiasRows "+name, x, func(i int) float32 { return data[i] + bias[i%c] })

			wide := c + 1 + c%3
			y, dx := g.slice(rows*wide), g.slice(rows*c)
			PadChannels(y, data, rows, c, wide)
			checkExact(t, "PadChannels "+name, y, func(i int) float32 {
				if i%wide >= c {
					return 0
				}
				return data[i/wide*c+i%wide]
			})
			PadChannelsBackward(dx, y, rows, c, wide, false)
			checkExact(t, "PadChannelsBackward "+name, dx, func(i int) float32 { return data[i] })
			PadChannelsBackward(dx, y, rows, c, wide, true)
			checkExact(t, "PadChannelsBackward accumulate "+name, dx, func(i int) float32 { return 2 * data[i] })
			g.check(name)
		}
	})
}

// TestWrongLengths wants one line that names the argument, what was found and
// what would be right, before anything is written.
func TestWrongLengths(t *testing.T) {
	f := func(n int) []float32 { return make([]float32, n) }
	s := Pool2dShape{N: 2, C: 3, H: 4, W: 4, Kernel: 2, Stride: 2}
	for _, test := range []struct {
		call func()
		want string
	}{
		{func() { Add(f(3), f(4), f(3)) }, "kernels: Add: a has 4 elements, want 3"},
		{func() { Mul(f(3), f(3), f(2)) }, "kernels: Mul: b has 2 elements, want 3"},
		{func() { Axpy(f(3), 1, f(2)) }, "kernels: Axpy: x has 2 elements, want 3"},
		{func() { AddBiasRows(f(6), f(2), 2, 3) }, "kernels: AddBiasRows: bias has 2 elements, want 3"},
		{func() { SumRows(f(3), f(5), 2, 3, false) }, "kernels: SumRows: x has 5 elements, want 6"},
		{func() { Dot(f(3), f(4)) }, "kernels: Dot: b has 4 elements, want 3"},
		{func() { ActivationForward(f(3), f(4), ActReLU) }, "kernels: ActivationForward: x has 4 elements, want 3"},
		{func() { ActivationForward(f(3), f(3), 7) }, "kernels: ActivationForward: activation 7, want 0 to 3"},
		{func() { BatchNormStats(f(3), f(2), f(6), 2, 3) }, "kernels: BatchNormStats: variance has 2 elements, want 3"},
		{func() { BatchNormStats(f(3), f(3), f(0), 0, 3) }, "kernels: BatchNormStats: no rows, want at least 1"},
		{func() { BatchNormForward(f(6), f(6), f(3), f(3), f(5), ActNone, 2, 3) }, "kernels: BatchNormForward: residual has 5 elements, want 6"},
		{func() {
			BatchNormBackward(f(6), nil, f(6), f(6), nil, f(3), f(3), f(3), f(3), f(3), ActNone, 2, 3, true, false, false)
		}, "kernels: BatchNormBackward: training without x, want 6 elements"},
		{func() {
			BatchNormBackwardFromInput(f(6), f(6), f(6), f(3), f(3), f(3), f(3), f(3), f(3), f(3), ActELU, 2, 3, false)
		}, "kernels: BatchNormBackwardFromInput: activation elu, want one whose derivative depends on a sign"},
		{func() {
			BatchNormBackwardReduceFromInput(f(3), f(3), f(6), f(6), f(3), f(2), f(3), f(3), ActReLU, 2, 3)
		}, "kernels: BatchNormBackwardReduceFromInput: shift has 2 elements, want 3"},
		{func() { MaxPool2dForward(f(24), make([]int32, 23), f(96), s) }, "kernels: MaxPool2dForward: index has 23 elements, want 24"},
		{func() { AvgPool2dForward(f(24), f(95), s) }, "kernels: AvgPool2dForward: the input has 95 elements, want 96"},
		{func() { AvgPool2dForward(f(24), f(96), Pool2dShape{N: 1, C: 1, H: 2, W: 2, Kernel: 3, Stride: 1}) },
			"kernels: AvgPool2dForward: pool2d: the kernel is 3x3, larger than the input 2x2"},
		{func() { PadChannels(f(4), f(6), 2, 3, 2) }, "kernels: PadChannels: 2 rows of 3 channels padded to 2, want no fewer channels than before"},
		{func() { Softmax(f(6), f(6), 2, 0) }, "kernels: Softmax: 2 rows of 0 columns, want at least one column"},
		{func() { LogSumExp(f(3), f(6), 2, 3) }, "kernels: LogSumExp: dst has 3 elements, want 2"},
		{func() { CrossEntropy(f(2), f(6), f(6), []int{0, 3}, 2, 3) }, "kernels: CrossEntropy: label 3 of row 1, want 0 to 2"},
		{func() { CrossEntropyBackward(f(6), f(6), []int{0}, 1, 2, 3, false) }, "kernels: CrossEntropyBackward: labels has 1 elements, want 2"},
		{func() { Dropout(f(3), f(3), 1, 1) }, "kernels: Dropout: probability 1, want at least 0 and less than 1"},
		{func() { SGDStep(f(3), f(3), f(2), SGD{Momentum: 0.9}) }, "kernels: SGDStep: buf has 2 elements, want 3"},
		{func() { AdamStep(f(3), f(3), f(3), f(3), Adam{}) }, "kernels: AdamStep: step 0, want at least 1"},
		{func() { NCHWToHWNC(f(6), f(5), 1, 2, 3, 1) }, "kernels: NCHWToHWNC: src has 5 elements, want 6"},
	} {
		got := func() (message string) {
			defer func() { message = fmt.Sprint(recover()) }()
			test.call()
			return
		}()
		if got != test.want || strings.Contains(got, "\n") {
			t.Errorf("panic %q, want %q", got, test.want)
		}
	}
}

// TestVectorLevelsAreComplete fails when a kernel lacks an implementation, which
// a call would find too late.
func TestVectorLevelsAreComplete(t *testing.T) {
	for _, l := range Levels() {
		for i, k := range vectorKernels {
			if k.levels[l.tables()] == nil {
				t.Errorf("kernel %d has no implementation for %v", i, l)
			}
		}
	}
}

// TestVectorAllocations bounds what a call allocates, whatever its size: the
// task, its closure and the list of streams.
func TestVectorAllocations(t *testing.T) {
	old := Threads()
	defer SetThreads(old)
	SetThreads(2)
	const rows, c = 4096, 64
	f := func(n int) []float32 { return make([]float32, n) }
	x, y, z, p := f(rows*c), f(rows*c), f(rows*c), f(c)
	index, labels, loss := make([]int32, rows*c/4), make([]int, rows), f(rows)
	pool := Pool2dShape{N: 1, C: c, H: 64, W: 64, Kernel: 2, Stride: 2}
	for name, call := range map[string]func(){
		"Add":                     func() { Add(x, y, z) },
		"SGDStep":                 func() { SGDStep(x, y, z, SGD{LR: 0.1, Momentum: 0.9}) },
		"Dot":                     func() { Dot(x, y) },
		"SumRows":                 func() { SumRows(p, x, rows, c, false) },
		"BatchNormStats":          func() { BatchNormStats(p, p, x, rows, c) },
		"BatchNormForward":        func() { BatchNormForward(y, x, p, p, z, ActReLU, rows, c) },
		"BatchNormBackwardReduce": func() { BatchNormBackwardReduce(p, p, x, y, z, p, p, ActReLU, rows, c) },
		"BatchNormBackward": func() {
			BatchNormBackward(x, nil, x, y, z, p, p, p, p, p, ActReLU, rows, c, true, false, false)
		},
		"MaxPool2dForward":  func() { MaxPool2dForward(y[:rows*c/4], index, x, pool) },
		"MaxPool2dBackward": func() { MaxPool2dBackward(x, y[:rows*c/4], index, pool, true) },
		"CrossEntropy":      func() { CrossEntropy(loss, y, x, labels, rows, c) },
	} {
		if n := testing.AllocsPerRun(5, call); n > 16 {
			t.Errorf("%s allocates %v times, want at most 16", name, n)
		}
	}
}
