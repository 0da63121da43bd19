package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sgdReference is the loop body of torch.optim.SGD in float64.
func sgdReference(p, g, buf float64, o SGD) (float64, float64) {
	d := g + float64(o.WeightDecay)*p
	if o.Momentum != 0 {
		if o.First {
			buf = d
		} else {
			buf = float64(o.Momentum)*buf + d
		}
		if o.Nesterov {
			d += float64(o.Momentum) * buf
		} else {
			d = buf
		}
	}
	return p - float64(o.LR)*d, buf
}

func TestSGDStep(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(33, 34))
		guard := &guards{t: t}
		for k, n := range flatSizes() {
			for variant := range 8 {
				o := SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4, First: variant&1 != 0, Nesterov: variant&2 != 0}
				if variant&4 != 0 {
					if k%4 > 0 {
						continue
					}
					o.Momentum = 0
				}
				oldP, g, oldBuf := randomSlice[float32](r, n), guard.slice(n, randomSlice[float32](r, n)...), randomSlice[float32](r, n)
				p, buf := guard.slice(n, oldP...), guard.slice(n, oldBuf...)
				if o.First {
					Fill(buf, float32(math.NaN())) // must not be read
				}
				SGDStep(p, g, buf, o)
				name := fmt.Sprintf("%+v of %d", o, n)
				want := func(i int) (float64, float64) {
					return sgdReference(float64(oldP[i]), float64(g[i]), float64(oldBuf[i]), o)
				}
				checkClose(t, name, p, func(i int) float64 { v, _ := want(i); return v }, func(int) float64 { return 4 * unit })
				if o.Momentum != 0 {
					checkClose(t, name+" buffer", buf, func(i int) float64 { _, v := want(i); return v }, func(int) float64 { return 4 * unit })
				}
				guard.check(name)
			}
		}
	})
}

func TestAdamStep(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(35, 36))
		guard := &guards{t: t}
		for _, n := range flatSizes() {
			for _, step := range []int{1, 2, 1000} {
				o := Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 1e-3, Step: step}
				oldP, g, oldM, oldV := randomSlice[float32](r, n), guard.slice(n, randomSlice[float32](r, n)...), randomSlice[float32](r, n), randomSlice[float32](r, n)
				for i := range oldV {
					oldV[i] *= oldV[i]
					if step == 1 {
						oldM[i], oldV[i] = 0, 0
					}
				}
				p, m, v := guard.slice(n, oldP...), guard.slice(n, oldM...), guard.slice(n, oldV...)
				AdamStep(p, g, m, v, o)
				type state struct{ p, m, v float64 }
				want := func(i int) state {
					d := float64(g[i]) + o.WeightDecay*float64(oldP[i])
					m := o.Beta1*float64(oldM[i]) + (1-o.Beta1)*d
					v := o.Beta2*float64(oldV[i]) + (1-o.Beta2)*d*d
					correction1, correction2 := 1-math.Pow(o.Beta1, float64(step)), 1-math.Pow(o.Beta2, float64(step))
					return state{float64(oldP[i]) - o.LR/correction1*m/(math.Sqrt(v)/math.Sqrt(correction2)+o.Eps), m, v}
				}
				name := fmt.Sprintf("step %d of %d", step, n)
				checkClose(t, name+" m", m, func(i int) float64 { return want(i).m }, func(int) float64 { return 4 * unit })
				checkClose(t, name+" v", v, func(i int) float64 { return want(i).v }, func(i int) float64 { return 6 * unit * (want(i).v + 1e-3*math.Abs(float64(g[i]))) })
				// The ratio m/sqrt(v) carries the relative error of both.
				checkClose(t, name, p, func(i int) float64 { return want(i).p }, func(i int) float64 {
					w := want(i)
					ratio := (math.Abs(w.m) + 1) / (math.Sqrt(w.v) + 1e-8)
					return unit + 16*unit*o.LR*ratio/(1-math.Pow(o.Beta1, float64(step)))*math.Sqrt(1-math.Pow(o.Beta2, float64(step)))
				})
				guard.check(name)
			}
		}
	})
}
