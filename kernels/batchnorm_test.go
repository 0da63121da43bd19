package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// columnMoments returns mean, biased variance and mean square of a column.
func columnMoments(x []float32, rows, c, j int) (mean, variance, square float64) {
	for r := range rows {
		v := float64(x[r*c+j])
		mean += v / float64(rows)
		square += v * v / float64(rows)
	}
	for r := range rows {
		d := float64(x[r*c+j]) - mean
		variance += d * d / float64(rows)
	}
	return mean, variance, square
}

// TestBatchNormStats also takes data whose mean is far larger than their
// deviation, where mean square less squared mean would be useless.
func TestBatchNormStats(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		g := &guards{t: t}
		for _, shift := range []float32{0, 1000} {
			for _, shape := range append(rowShapes(), [2]int{20000, 3}) {
				rows, c := shape[0], shape[1]
				if rows == 0 {
					continue
				}
				x := g.slice(rows*c, randomSlice[float32](r, rows*c)...)
				for i := range x {
					x[i] += shift * (1 + float32(i%c)/float32(c))
				}
				mean, variance := g.slice(c), g.slice(c)
				BatchNormStats(mean, variance, x, rows, c)
				name := fmt.Sprintf("%dx%d shift %v", rows, c, shift)
				wantMean, wantVariance := make([]float64, c), make([]float64, c)
				for j := range c {
					wantMean[j], wantVariance[j], _ = columnMoments(x, rows, c, j)
				}
				// Only deviations are summed in float32, so the size of the mean
				// costs no more than its own rounding.
				checkClose(t, "mean "+name, mean, func(j int) float64 { return wantMean[j] }, func(j int) float64 {
					return unit*math.Abs(wantMean[j]) + sumBound(rows, math.Sqrt(wantVariance[j]))
				})
				// The squares summed may be 8 times the variance: see centreRows.
				checkClose(t, "variance "+name, variance, func(j int) float64 { return wantVariance[j] },
					func(j int) float64 { return sumBound(rows+2, 8*wantVariance[j]) })
				g.check(name)
			}
		}
		for _, c := range []int{6, 64, 100} {
			x := randomSlice[float32](r, 3000*c)
			checkThreads(t, "BatchNormStats", func() []float32 {
				s := make([]float32, 2*c)
				BatchNormStats(s[:c], s[c:], x, 3000, c)
				return s
			})
		}
	})
}

// TestBatchNormStatsOfSteps gives blocks whose first rows say nothing of the rest.
func TestBatchNormStatsOfSteps(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(39, 40))
		for _, c := range []int{1, 10, 64, 100} {
			for _, step := range []int{1, 7, 100, 1000} {
				const rows = 2500
				x := randomSlice[float32](r, rows*c)
				for i := range x {
					if i/c%rowBlock(c) >= step {
						x[i] += 3000
					}
				}
				mean, variance := make([]float32, c), make([]float32, c)
				BatchNormStats(mean, variance, x, rows, c)
				for j := range c {
					m, v, _ := columnMoments(x, rows, c, j)
					// The deviation from the centre may be sqrt(8) times the block's.
					deviation := math.Sqrt(8*v) + 1
					if math.Abs(float64(mean[j])-m) > unit*m+sumBound(rows, deviation) || math.Abs(float64(variance[j])-v) > 8*sumBound(rows, v) {
						t.Fatalf("c %d, step at %d: mean %v and variance %v, want %v and %v", c, step, mean[j], variance[j], m, v)
					}
				}
			}
		}
	})
}

// batchNormCase holds inputs of a batch norm with the output of the forward
// pass.
type batchNormCase struct {
	rows, c                                           int
	x, y, dy, residual                                []float32
	mean, variance, invstd, gamma, beta, scale, shift []float32
	act                                               Activation
	oldDx, oldResidual                                []float32
}

func newBatchNormCase(r *rand.Rand, rows, c int, act Activation) *batchNormCase {
	n := rows * c
	b := &batchNormCase{rows: rows, c: c, act: act, x: randomSlice[float32](r, n), y: make([]float32, n), dy: randomSlice[float32](r, n),
		residual: randomSlice[float32](r, n), mean: make([]float32, c), variance: make([]float32, c), invstd: make([]float32, c),
		gamma: randomSlice[float32](r, c), beta: randomSlice[float32](r, c), scale: make([]float32, c), shift: make([]float32, c),
		oldDx: randomSlice[float32](r, n), oldResidual: randomSlice[float32](r, n)}
	BatchNormStats(b.mean, b.variance, b.x, rows, c)
	InvStd(b.invstd, b.variance, 1e-5)
	for j := range c {
		b.scale[j] = b.gamma[j] * b.invstd[j]
		b.shift[j] = b.beta[j] - b.mean[j]*b.scale[j]
	}
	BatchNormForward(b.y, b.x, b.scale, b.shift, b.residual, act, rows, c)
	return b
}

// dz is dy*act'(z) in float64.
func (b *batchNormCase) dz(i int) float64 {
	return float64(b.dy[i]) * activationDerivative(float64(b.y[i]), b.act)
}

func (b *batchNormCase) xhat(i int) float64 {
	return (float64(b.x[i]) - float64(b.mean[i%b.c])) * float64(b.invstd[i%b.c])
}

func TestBatchNormForward(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		g := &guards{t: t}
		for _, act := range allActivations {
			for _, shape := range rowShapes() {
				rows, c := shape[0], shape[1]
				n := rows * c
				x, scale, shift := g.slice(n, randomSlice[float32](r, n)...), g.slice(c, randomSlice[float32](r, c)...), g.slice(c, randomSlice[float32](r, c)...)
				residual, y := g.slice(n, randomSlice[float32](r, n)...), g.slice(n)
				z := func(i int, residual []float32) (sum, absolute float64) {
					a, b := float64(x[i])*float64(scale[i%c]), float64(shift[i%c])
					sum, absolute = a+b, math.Abs(a)+math.Abs(b)
					if residual != nil {
						sum, absolute = sum+float64(residual[i]), absolute+math.Abs(float64(residual[i]))
					}
					return sum, absolute
				}
				for _, res := range [][]float32{nil, residual} {
					name := fmt.Sprintf("%v %dx%d residual %v", act, rows, c, res != nil)
					BatchNormForward(y, x, scale, shift, res, act, rows, c)
					checkClose(t, name, y, func(i int) float64 { s, _ := z(i, res); return activate(s, act) },
						func(i int) float64 { _, a := z(i, res); return 4 * unit * a })
				}
				inPlace := g.slice(n, residual...)
				BatchNormForward(inPlace, x, scale, shift, inPlace, act, rows, c)
				if !sameBits(inPlace, y) {
					t.Fatalf("%v %dx%d: other bits where y is residual", act, rows, c)
				}
				BatchNormForward(x, x, scale, shift, residual, act, rows, c)
				if !sameBits(x, y) {
					t.Fatalf("%v %dx%d: other bits where y is x", act, rows, c)
				}
				g.check("BatchNormForward")
			}
		}
	})
}

func TestBatchNormBackwardReduce(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		g := &guards{t: t}
		for _, act := range allActivations {
			for _, shape := range rowShapes() {
				rows, c := shape[0], shape[1]
				if rows == 0 {
					continue
				}
				b := newBatchNormCase(r, rows, c, act)
				sums, products := make([]float64, c), make([]float64, c)
				absSums, absProducts := make([]float64, c), make([]float64, c)
				for i := range b.x {
					j, dz, p := i%c, b.dz(i), b.dz(i)*b.xhat(i)
					sums[j], products[j] = sums[j]+dz, products[j]+p
					absSums[j] += math.Abs(float64(b.dy[i]))
					absProducts[j] += math.Abs(float64(b.dy[i])) * (math.Abs(b.xhat(i)) + float64(b.invstd[j]))
				}
				sumDz, sumDzXhat := g.slice(c), g.slice(c)
				y := b.y
				if act == ActNone {
					y = nil
				}
				BatchNormBackwardReduce(sumDz, sumDzXhat, b.dy, y, b.x, b.mean, b.invstd, act, rows, c)
				name := fmt.Sprintf("%v %dx%d", act, rows, c)
				bound := func(absolute []float64) func(j int) float64 {
					return func(j int) float64 { return sumBound(rows+4, absolute[j]) }
				}
				checkClose(t, "sumDz "+name, sumDz, func(j int) float64 { return sums[j] }, bound(absSums))
				checkClose(t, "sumDzXhat "+name, sumDzXhat, func(j int) float64 { return products[j] }, bound(absProducts))
				g.check(name)
			}
		}
		b := newBatchNormCase(r, 3000, 24, ActReLU)
		checkThreads(t, "BatchNormBackwardReduce", func() []float32 {
			s := make([]float32, 48)
			BatchNormBackwardReduce(s[:24], s[24:], b.dy, b.y, b.x, b.mean, b.invstd, b.act, b.rows, b.c)
			return s
		})
	})
}

func TestBatchNormBackward(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(19, 20))
		for _, act := range allActivations {
			for k, shape := range rowShapes() {
				if shape[0] == 0 || k%7 != int(act) {
					continue
				}
				b := newBatchNormCase(r, shape[0], shape[1], act)
				for variant := range 12 {
					b.checkBackward(t, variant&1 != 0, variant&2 != 0, variant/4)
				}
			}
		}
	})
}

// checkBackward checks one form of BatchNormBackward; dresidual is absent (0),
// written (1) or added to (2).
func (b *batchNormCase) checkBackward(t *testing.T, training, accumulate bool, residual int) {
	t.Helper()
	n, c := len(b.x), b.c
	g := &guards{t: t}
	dx := g.slice(n)
	if accumulate {
		copy(dx, b.oldDx)
	}
	var dresidual []float32
	if residual > 0 {
		dresidual = g.slice(n, b.oldResidual...)
	}
	sumDz, sumDzXhat := make([]float32, c), make([]float32, c)
	BatchNormBackwardReduce(sumDz, sumDzXhat, b.dy, b.y, b.x, b.mean, b.invstd, b.act, b.rows, c)
	run := func(dx, dresidual, dy []float32) {
		y, x := b.y, b.x
		if b.act == ActNone {
			y = nil
		}
		if !training {
			x = nil
		}
		BatchNormBackward(dx, dresidual, dy, y, x, b.mean, b.invstd, b.gamma, sumDz, sumDzXhat, b.act, b.rows, c, training, accumulate, residual == 2)
	}
	run(dx, dresidual, b.dy)
	name := fmt.Sprintf("%v %dx%d training %v accumulate %v residual %d", b.act, b.rows, c, training, accumulate, residual)
	terms := func(i int) (sum, absolute float64) {
		j := i % c
		scale := float64(b.gamma[j]) * float64(b.invstd[j])
		sum, absolute = scale*b.dz(i), math.Abs(scale*float64(b.dy[i]))
		if training {
			m := float64(sumDz[j]) / float64(b.rows)
			p := float64(sumDzXhat[j]) / float64(b.rows)
			sum -= scale * (m + b.xhat(i)*p)
			absolute += math.Abs(scale*m) + math.Abs(scale*p)*float64(b.invstd[j])*(math.Abs(float64(b.x[i]))+2*math.Abs(float64(b.mean[j])))
		}
		if accumulate {
			sum, absolute = sum+float64(b.oldDx[i]), absolute+math.Abs(float64(b.oldDx[i]))
		}
		return sum, absolute
	}
	checkClose(t, name, dx, func(i int) float64 { s, _ := terms(i); return s }, func(i int) float64 { _, a := terms(i); return 5 * unit * a })
	if residual > 0 {
		want := func(i int) float64 {
			if residual == 2 {
				return b.dz(i) + float64(b.oldResidual[i])
			}
			return b.dz(i)
		}
		checkClose(t, name+" dresidual", dresidual, want, func(i int) float64 { return 2 * unit * (math.Abs(float64(b.dy[i])) + math.Abs(want(i))) })
	}
	g.check(name)
	if !accumulate {
		alias := g.slice(n, b.dy...)
		run(alias, dresidual, alias)
		if !sameBits(alias, dx) {
			t.Fatalf("%s: other bits where dx is dy", name)
		}
	}
}

// Without a residual the sign of x*scale + shift is that of the output: the same bits
// either way.
func TestBatchNormBackwardFromInput(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(41, 42))
		for _, act := range allActivations {
			if !act.SignSuffices() {
				continue
			}
			for _, shape := range rowShapes() {
				rows, c := shape[0], shape[1]
				if rows == 0 {
					continue
				}
				b, g := newBatchNormCase(r, rows, c, act), &guards{t: t}
				for i := 0; i < len(b.x); i += 3 { // where the sum is nearly 0, just above or below
					x := -b.shift[i%c] / b.scale[i%c]
					b.x[i] = []float32{x, math.Nextafter32(x, 1), math.Nextafter32(x, -1)}[i%9/3]
				}
				BatchNormForward(b.y, b.x, b.scale, b.shift, nil, act, rows, c)
				want, got := make([]float32, 2*c), g.slice(2*c)
				BatchNormBackwardReduce(want[:c], want[c:], b.dy, b.y, b.x, b.mean, b.invstd, act, rows, c)
				BatchNormBackwardReduceFromInput(got[:c], got[c:], b.dy, b.x, b.scale, b.shift, b.mean, b.invstd, act, rows, c)
				name := fmt.Sprintf("%v %dx%d", act, rows, c)
				if !sameBits(got, want) {
					t.Fatalf("%s: sums %v, want %v", name, got, want)
				}
				sumDz, sumDzXhat := want[:c], want[c:]
				for _, accumulate := range []bool{false, true} {
					want, got := slices.Clone(b.oldDx), g.slice(rows*c, b.oldDx...)
					BatchNormBackward(want, nil, b.dy, b.y, b.x, b.mean, b.invstd, b.gamma, sumDz, sumDzXhat, act, rows, c, true, accumulate, false)
					BatchNormBackwardFromInput(got, b.dy, b.x, b.scale, b.shift, b.mean, b.invstd, b.gamma, sumDz, sumDzXhat, act, rows, c, accumulate)
					if !sameBits(got, want) {
						t.Fatalf("%s accumulate %v: other bits than from the output", name, accumulate)
					}
				}
				g.check(name)
			}
		}
	})
}

func TestInvStd(t *testing.T) {
	variance := []float32{0, 1, 4, 1e-5}
	dst := make([]float32, len(variance))
	InvStd(dst, variance, 1e-5)
	checkExact(t, "InvStd", dst, func(i int) float32 { return float32(1 / math.Sqrt(float64(variance[i])+1e-5)) })
}
