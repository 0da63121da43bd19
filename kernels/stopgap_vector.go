package kernels

// STOPGAP by the lead so that autograd and nn can compile and run. Owner K2: delete this file when yours lands.

import "math"

type Activation int

const (
	ActNone Activation = iota
	ActReLU
	ActLeakyReLU
	ActELU
)

func (a Activation) f(v float32) float32 {
	switch {
	case a == ActNone || v > 0:
		return v
	case a == ActReLU:
		return 0
	case a == ActLeakyReLU:
		return 0.01 * v
	}
	return float32(math.Expm1(float64(v)))
}
func (a Activation) d(y float32) float32 {
	switch {
	case a == ActNone || y > 0:
		return 1
	case a == ActReLU:
		return 0
	case a == ActLeakyReLU:
		return 0.01
	}
	return y + 1
}
func put(d *float32, v float32, acc bool) {
	if acc {
		v += *d
	}
	*d = v
}
func ActivationForward(y, x []float32, act Activation) {
	for i, v := range x {
		y[i] = act.f(v)
	}
}
func ActivationBackward(dx, dy, y []float32, act Activation, accumulate bool) {
	for i := range y {
		put(&dx[i], dy[i]*act.d(y[i]), accumulate)
	}
}
func Add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}
func Mul(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}
func Axpy(dst []float32, s float32, x []float32) {
	for i := range dst {
		dst[i] += s * x[i]
	}
}
func Scale(dst, x []float32, s float32) {
	for i := range dst {
		dst[i] = s * x[i]
	}
}
func Fill(dst []float32, v float32) {
	for i := range dst {
		dst[i] = v
	}
}
func Copy(dst, src []float32) { copy(dst, src) }
func Dot(a, b []float32) (s float64) {
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return
}
func SumSquares(x []float32) float64 { return Dot(x, x) }
func Sum(x []float32) (s float64) {
	for _, v := range x {
		s += float64(v)
	}
	return
}
func AddBiasRows(x, bias []float32, rows, c int) {
	for i := range rows * c {
		x[i] += bias[i%c]
	}
}
func SumRows(dst, x []float32, rows, c int, accumulate bool) {
	for j := range c {
		s := 0.0
		for r := range rows {
			s += float64(x[r*c+j])
		}
		put(&dst[j], float32(s), accumulate)
	}
}
func BatchNormStats(mean, variance []float32, x []float32, rows, c int) {
	for j := range c {
		s, q := 0.0, 0.0
		for r := range rows {
			s += float64(x[r*c+j])
		}
		s /= float64(rows)
		for r := range rows {
			d := float64(x[r*c+j]) - s
			q += d * d
		}
		mean[j], variance[j] = float32(s), float32(q/float64(rows))
	}
}
func BatchNormForward(y, x, scale, shift, residual []float32, act Activation, rows, c int) {
	for i := range rows * c {
		v := x[i]*scale[i%c] + shift[i%c]
		if residual != nil {
			v += residual[i]
		}
		y[i] = act.f(v)
	}
}
func BatchNormBackwardReduce(sumDz, sumDzXhat []float32, dy, y, x, mean, invstd []float32, act Activation, rows, c int) {
	for j := range c {
		s, q := 0.0, 0.0
		for r := range rows {
			i := r*c + j
			dz := float64(dy[i] * act.d(y[i]))
			s += dz
			q += dz * float64((x[i]-mean[j])*invstd[j])
		}
		sumDz[j], sumDzXhat[j] = float32(s), float32(q)
	}
}
func BatchNormBackward(dx, dresidual, dy, y, x, mean, invstd, gamma, sumDz, sumDzXhat []float32, act Activation, rows, c int, training, accumulate, accumulateResidual bool) {
	n := float32(rows)
	for i := range rows * c {
		j := i % c
		dz := dy[i] * act.d(y[i])
		v := dz
		if training {
			v -= sumDz[j]/n + (x[i]-mean[j])*invstd[j]*sumDzXhat[j]/n
		}
		put(&dx[i], gamma[j]*invstd[j]*v, accumulate)
		if dresidual != nil {
			put(&dresidual[i], dz, accumulateResidual)
		}
	}
}

type Pool2dShape struct{ N, C, H, W, Kernel, Stride int }

func (s Pool2dShape) OutH() int    { return (s.H-s.Kernel)/s.Stride + 1 }
func (s Pool2dShape) OutW() int    { return (s.W-s.Kernel)/s.Stride + 1 }
func (s Pool2dShape) Check() error { return nil }
func (s Pool2dShape) each(f func(o, x, t int)) {
	b := s.N * s.C
	for oh := range s.OutH() {
		for ow := range s.OutW() {
			for t := range s.Kernel * s.Kernel {
				for i := range b {
					f((oh*s.OutW()+ow)*b+i, ((oh*s.Stride+t/s.Kernel)*s.W+ow*s.Stride+t%s.Kernel)*b+i, t)
				}
			}
		}
	}
}
func MaxPool2dForward(y []float32, index []int32, x []float32, s Pool2dShape) {
	s.each(func(o, xi, t int) {
		if t == 0 || x[xi] > y[o] || x[xi] != x[xi] {
			y[o], index[o] = x[xi], int32(t)
		}
	})
}
func MaxPool2dBackward(dx, dy []float32, index []int32, s Pool2dShape, accumulate bool) {
	if !accumulate {
		clear(dx)
	}
	s.each(func(o, xi, t int) {
		if int(index[o]) == t {
			dx[xi] += dy[o]
		}
	})
}
func AvgPool2dForward(y, x []float32, s Pool2dShape) {
	clear(y)
	k := 1 / float32(s.Kernel*s.Kernel)
	s.each(func(o, xi, t int) { y[o] += x[xi] * k })
}
func AvgPool2dBackward(dx, dy []float32, s Pool2dShape, accumulate bool) {
	if !accumulate {
		clear(dx)
	}
	k := 1 / float32(s.Kernel*s.Kernel)
	s.each(func(o, xi, t int) { dx[xi] += dy[o] * k })
}
func PadChannels(y, x []float32, rows, c, cOut int) {
	clear(y)
	for r := range rows {
		copy(y[r*cOut:], x[r*c:(r+1)*c])
	}
}
func PadChannelsBackward(dx, dy []float32, rows, c, cOut int, accumulate bool) {
	for r := range rows {
		for j := range c {
			put(&dx[r*c+j], dy[r*cOut+j], accumulate)
		}
	}
}
func LogSumExp(dst, x []float32, rows, c int) {
	for r := range rows {
		m := math.Inf(-1)
		for _, v := range x[r*c : (r+1)*c] {
			m = max(m, float64(v))
		}
		s := 0.0
		for _, v := range x[r*c : (r+1)*c] {
			s += math.Exp(float64(v) - m)
		}
		dst[r] = float32(m + math.Log(s))
	}
}
func LogSoftmax(y, x []float32, rows, c int) {
	l := make([]float32, rows)
	LogSumExp(l, x, rows, c)
	for i := range rows * c {
		y[i] = x[i] - l[i/c]
	}
}
func Softmax(y, x []float32, rows, c int) {
	LogSoftmax(y, x, rows, c)
	for i := range rows * c {
		y[i] = float32(math.Exp(float64(y[i])))
	}
}
func SoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	for r := range rows {
		s := Dot(dy[r*c:(r+1)*c], y[r*c:(r+1)*c])
		for i := r * c; i < (r+1)*c; i++ {
			put(&dx[i], y[i]*(dy[i]-float32(s)), accumulate)
		}
	}
}
func LogSoftmaxBackward(dx, dy, y []float32, rows, c int, accumulate bool) {
	for r := range rows {
		s := Sum(dy[r*c : (r+1)*c])
		for i := r * c; i < (r+1)*c; i++ {
			put(&dx[i], dy[i]-float32(math.Exp(float64(y[i]))*s), accumulate)
		}
	}
}
func LogSumExpBackward(dx, dy, x, lse []float32, rows, c int, accumulate bool) {
	for i := range rows * c {
		put(&dx[i], dy[i/c]*float32(math.Exp(float64(x[i]-lse[i/c]))), accumulate)
	}
}
func CrossEntropy(loss []float32, logp []float32, x []float32, labels []int, rows, c int) {
	LogSoftmax(logp, x, rows, c)
	for r, l := range labels {
		loss[r] = -logp[r*c+l]
	}
}
func CrossEntropyBackward(dx, logp []float32, labels []int, scale float32, rows, c int, accumulate bool) {
	for i := range rows * c {
		v := float32(math.Exp(float64(logp[i])))
		if labels[i/c] == i%c {
			v--
		}
		put(&dx[i], v*scale, accumulate)
	}
}
func keep(key uint64, i int, p float32) bool {
	z := key + uint64(i)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return float32(z>>40)/(1<<24) >= p
}
func Dropout(y, x []float32, key uint64, p float32) {
	for i := range x {
		y[i] = 0
		if keep(key, i, p) {
			y[i] = x[i] / (1 - p)
		}
	}
}
func DropoutBackward(dx, dy []float32, key uint64, p float32, accumulate bool) {
	for i := range dy {
		v := float32(0)
		if keep(key, i, p) {
			v = dy[i] / (1 - p)
		}
		put(&dx[i], v, accumulate)
	}
}

type SGD struct {
	LR, Momentum, WeightDecay float32
	Nesterov, First           bool
}

func SGDStep(p, g, buf []float32, o SGD) {
	for i := range p {
		d := g[i] + o.WeightDecay*p[i]
		if o.Momentum != 0 {
			if o.First {
				buf[i] = d
			} else {
				buf[i] = o.Momentum*buf[i] + d
			}
			if o.Nesterov {
				d += o.Momentum * buf[i]
			} else {
				d = buf[i]
			}
		}
		p[i] -= o.LR * d
	}
}

type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int
}

func AdamStep(p, g, m, v []float32, o Adam) {
	c1, c2 := 1-math.Pow(o.Beta1, float64(o.Step)), 1-math.Pow(o.Beta2, float64(o.Step))
	for i := range p {
		d := float64(g[i]) + o.WeightDecay*float64(p[i])
		m[i] = float32(o.Beta1*float64(m[i]) + (1-o.Beta1)*d)
		v[i] = float32(o.Beta2*float64(v[i]) + (1-o.Beta2)*d*d)
		p[i] -= float32(o.LR / c1 * float64(m[i]) / (math.Sqrt(float64(v[i])/c2) + o.Eps))
	}
}
func NCHWToHWNC(dst, src []float32, n, c, h, w int) {
	for i := range n {
		for j := range c {
			for k := range h * w {
				dst[(k*n+i)*c+j] = src[(i*c+j)*h*w+k]
			}
		}
	}
}
func HWNCToNCHW(dst, src []float32, n, c, h, w int) {
	for i := range n {
		for j := range c {
			for k := range h * w {
				dst[(i*c+j)*h*w+k] = src[(k*n+i)*c+j]
			}
		}
	}
}
func Normalize(dst, x []float32, eps float32) (norm float64) {
	norm = math.Sqrt(SumSquares(x))
	Scale(dst, x, float32(1/max(norm, float64(eps))))
	return norm
}
