package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// logits are rows of ordinary and of hard numbers: thousands, -Inf, NaN.
func logits(r *rand.Rand, rows, c int) []float32 {
	x := randomSlice[float32](r, rows*c)
	for i := range x {
		switch row := i / c; row % 9 {
		case 1:
			x[i] *= 1000
		case 2:
			x[i] += 1000
		case 3:
			x[i] -= 1000
		case 4:
			if i%3 == 0 && i%c > 0 {
				x[i] = float32(math.Inf(-1))
			}
		case 5:
			x[i] *= 20
		case 6:
			x[i] = 3
		}
	}
	return x
}

// rowReference returns the largest entry of a row and log sum exp of what
// exceeds it, in float64.
func rowReference(row []float32) (shift, rest float64) {
	shift = math.Inf(-1)
	for _, v := range row {
		shift = math.Max(shift, float64(v))
	}
	for _, v := range row {
		rest += math.Exp(float64(v) - shift)
	}
	return shift, math.Log(rest)
}

func softmaxShapes() [][2]int {
	shapes := [][2]int{{0, 3}, {700, 10}, {40, 1000}, {3, 5000}}
	for c := 1; c <= 70; c++ {
		shapes = append(shapes, [2]int{1 + c%21, c})
	}
	return shapes
}

func TestSoftmax(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(25, 26))
		g := &guards{t: t}
		for _, shape := range softmaxShapes() {
			rows, c := shape[0], shape[1]
			x := g.slice(rows*c, logits(r, rows, c)...)
			shift, rest := make([]float64, rows), make([]float64, rows)
			for i := range rows {
				shift[i], rest[i] = rowReference(x[i*c : (i+1)*c])
			}
			// One rounding of x-shift and one of log sum, next to sums of c terms
			// in float32 lanes.
			sum := (4 + float64(c)/4) * unit
			name := fmt.Sprintf("%dx%d", rows, c)
			lse, y := g.slice(rows), g.slice(rows*c)
			LogSumExp(lse, x, rows, c)
			checkClose(t, "LogSumExp "+name, lse, func(i int) float64 { return shift[i] + rest[i] },
				func(i int) float64 { return unit*math.Abs(shift[i]+rest[i]) + sum })

			logp := func(i int) float64 { return float64(x[i]) - shift[i/c] - rest[i/c] }
			LogSoftmax(y, x, rows, c)
			logBound := func(i int) float64 { return 2*unit*(float64(shift[i/c])-float64(x[i])+rest[i/c]) + sum }
			checkClose(t, "LogSoftmax "+name, y, logp, logBound)
			checkSameInPlace(t, "LogSoftmax "+name, x, y, func(y, x []float32) { LogSoftmax(y, x, rows, c) })

			Softmax(y, x, rows, c)
			checkClose(t, "Softmax "+name, y, func(i int) float64 { return math.Exp(logp(i)) }, func(i int) float64 {
				// The argument of exp, down to -88, is rounded.
				return math.Exp(logp(i))*(sum+2*unit*min(88, shift[i/c]-float64(x[i]))) + 0x1p-125
			})
			checkSameInPlace(t, "Softmax "+name, x, y, func(y, x []float32) { Softmax(y, x, rows, c) })
			g.check(name)
		}
	})
}

func checkSameInPlace(t *testing.T, name string, x, y []float32, f func(y, x []float32)) {
	t.Helper()
	alias := append([]float32(nil), x...)
	f(alias, alias)
	if !sameBits(alias, y) {
		t.Fatalf("%s: other bits in place", name)
	}
}

// TestSoftmaxSpecial wants what PyTorch gives.
func TestSoftmaxSpecial(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLevel(t, func(t *testing.T) {
		for _, test := range []struct {
			x, softmax, logSoftmax []float32
			lse                    float32
		}{
			{[]float32{-inf, -inf, -inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}, -inf},
			{[]float32{inf, 0, -inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}, inf},
			{[]float32{1, nan, 2}, []float32{nan, nan, nan}, []float32{nan, nan, nan}, nan},
			{[]float32{nan, 1, inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}, nan},
			{[]float32{nan, -inf, -inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}, nan},
			{[]float32{1000, -1000, -inf}, []float32{1, 0, 0}, []float32{0, -2000, -inf}, 1000},
			{[]float32{-1000, -1000, -inf}, []float32{0.5, 0.5, 0}, []float32{-math.Ln2, -math.Ln2, -inf}, -1000 + math.Ln2},
			{[]float32{-inf}, []float32{nan}, []float32{nan}, -inf},
		} {
			for _, rows := range []int{1, 20} { // c = 3 and copies up to a full vector
				c := len(test.x)
				x, y, lse := make([]float32, rows*c), make([]float32, rows*c), make([]float32, rows)
				for i := range x {
					x[i] = test.x[i%c]
				}
				Softmax(y, x, rows, c)
				checkExact(t, fmt.Sprintf("Softmax %v", test.x), y, func(i int) float32 { return test.softmax[i%c] })
				LogSoftmax(y, x, rows, c)
				checkExact(t, fmt.Sprintf("LogSoftmax %v", test.x), y, func(i int) float32 { return test.logSoftmax[i%c] })
				LogSumExp(lse, x, rows, c)
				checkExact(t, fmt.Sprintf("LogSumExp %v", test.x), lse, func(int) float32 { return test.lse })
			}
		}
	})
}

func TestSoftmaxBackward(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(27, 28))
		g := &guards{t: t}
		for _, shape := range softmaxShapes() {
			rows, c := shape[0], shape[1]
			n := rows * c
			x, dy, old := randomSlice[float32](r, n), g.slice(n, randomSlice[float32](r, n)...), randomSlice[float32](r, n)
			p, logp, lse, dlse := make([]float32, n), make([]float32, n), make([]float32, rows), randomSlice[float32](r, rows)
			Softmax(p, x, rows, c)
			LogSoftmax(logp, x, rows, c)
			LogSumExp(lse, x, rows, c)
			dot, sum, absSum := make([]float64, rows), make([]float64, rows), make([]float64, rows)
			for i, d := range dy {
				dot[i/c] += float64(d) * float64(p[i])
				sum[i/c] += float64(d)
				absSum[i/c] += math.Abs(float64(d))
			}
			labels := make([]int, rows)
			for i := range labels {
				labels[i] = r.IntN(c)
			}
			onehot := func(i int) float64 {
				if labels[i/c] == i%c {
					return 1
				}
				return 0
			}
			depth := (6 + float64(c)/4) * unit
			for _, test := range []struct {
				name  string
				f     func(dx []float32, accumulate bool)
				want  func(i int) float64
				bound func(i int) float64
			}{
				{"Softmax", func(dx []float32, a bool) { SoftmaxBackward(dx, dy, p, rows, c, a) },
					func(i int) float64 { return float64(p[i]) * (float64(dy[i]) - dot[i/c]) }, func(i int) float64 { return depth * float64(p[i]) * 2 }},
				{"LogSoftmax", func(dx []float32, a bool) { LogSoftmaxBackward(dx, dy, logp, rows, c, a) },
					func(i int) float64 { return float64(dy[i]) - math.Exp(float64(logp[i]))*sum[i/c] },
					func(i int) float64 {
						return depth * (math.Abs(float64(dy[i])) + math.Exp(float64(logp[i]))*absSum[i/c])
					}},
				{"LogSumExp", func(dx []float32, a bool) { LogSumExpBackward(dx, dlse, x, lse, rows, c, a) },
					func(i int) float64 { return float64(dlse[i/c]) * math.Exp(float64(x[i])-float64(lse[i/c])) },
					func(i int) float64 { return depth * 8 * math.Exp(float64(x[i])-float64(lse[i/c])) }},
				{"CrossEntropy", func(dx []float32, a bool) { CrossEntropyBackward(dx, logp, labels, 0.25, rows, c, a) },
					func(i int) float64 { return (math.Exp(float64(logp[i])) - onehot(i)) * 0.25 },
					func(i int) float64 { return depth * (math.Exp(float64(logp[i])) + onehot(i)) }},
			} {
				name := fmt.Sprintf("%sBackward %dx%d", test.name, rows, c)
				dx := g.slice(n)
				test.f(dx, false)
				checkClose(t, name, dx, test.want, test.bound)
				copy(dx, old)
				test.f(dx, true)
				checkClose(t, name+" accumulate", dx, func(i int) float64 { return test.want(i) + float64(old[i]) },
					func(i int) float64 { return test.bound(i) + 2*unit*(math.Abs(float64(old[i]))+1) })
				g.check(name)
			}
		}
	})
}

func TestCrossEntropy(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(29, 30))
		rows, c := 500, 10
		x := logits(r, rows, c)
		labels := make([]int, rows)
		for i := range labels {
			labels[i] = r.IntN(c)
		}
		loss, logp, want := make([]float32, rows), make([]float32, rows*c), make([]float32, rows*c)
		CrossEntropy(loss, logp, x, labels, rows, c)
		LogSoftmax(want, x, rows, c)
		if !sameBits(logp, want) {
			t.Error("logp has other bits than LogSoftmax")
		}
		checkExact(t, "loss", loss, func(i int) float32 { return -logp[i*c+labels[i]] })
		checkThreads(t, "CrossEntropy", func() []float32 {
			CrossEntropy(loss, logp, x, labels, rows, c)
			return loss
		})
	})
}

// TestExp bounds the error of the vector exponential over its range.
func TestExp(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		worst := 0.0
		const n = 1 << 14
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = -87 * float32(i) / n
		}
		vecExpSum.block(0, 1, n, nil, matrix(x, n), perRow([]float32{0}), perRow(make([]float32, 1)), matrix(y, n))
		for i := range x {
			want := math.Exp(float64(x[i]))
			worst = max(worst, math.Abs(float64(y[i])-want)/want)
		}
		if worst > 2*unit {
			t.Errorf("relative error %g, want at most %g", worst, 2*unit)
		}
	})
}
