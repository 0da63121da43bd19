package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

var allActivations = []Activation{ActNone, ActReLU, ActLeakyReLU, ActELU}

// activate is the activation in float64.
func activate(x float64, act Activation) float64 {
	switch {
	case act == ActNone || x > 0 || math.IsNaN(x):
		return x
	case act == ActLeakyReLU:
		return x * float64(float32(0.01))
	case act == ActELU:
		return math.Expm1(x)
	}
	return 0
}

// activationDerivative is act'(x) from y = act(x).
func activationDerivative(y float64, act Activation) float64 {
	switch {
	case act == ActNone || y > 0:
		return 1
	case act == ActLeakyReLU:
		return float64(float32(0.01))
	case act == ActELU:
		return 1 + y
	}
	return 0
}

func TestActivationForward(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		g := &guards{t: t}
		for _, act := range allActivations {
			for _, n := range flatSizes() {
				x := g.slice(n, randomSlice[float32](r, n)...)
				for i := range x {
					x[i] *= 8
				}
				for i := range min(n, len(special)) {
					x[i*(n-1)/len(special)] = special[i]
				}
				y := g.slice(n)
				ActivationForward(y, x, act)
				want := func(i int) float64 { return activate(float64(x[i]), act) }
				// exp-1 near 0 is r + r^2 q(r) - exact to the last places - and
				// below a half a difference of numbers up to 1.
				bound := func(i int) float64 {
					if act == ActELU && x[i] < 0 {
						return 3 * unit * max(math.Abs(want(i)), min(1, -float64(x[i])))
					}
					return unit * math.Abs(want(i))
				}
				checkClose(t, fmt.Sprintf("%v of %d", act, n), y, want, bound)
				ActivationForward(x, x, act)
				if !sameBits(x, y) {
					t.Fatalf("%v of %d: other bits in place", act, n)
				}
				g.check(act.String())
			}
		}
	})
}

func TestActivationBackward(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		g := &guards{t: t}
		for _, act := range allActivations {
			for _, n := range flatSizes() {
				y, dy, old := randomSlice[float32](r, n), g.slice(n, randomSlice[float32](r, n)...), randomSlice[float32](r, n)
				if n > 2 {
					y[n-1], y[n/2] = 0, float32(math.Copysign(0, -1))
				}
				want := func(i int) float64 { return float64(dy[i]) * activationDerivative(float64(y[i]), act) }
				dx := g.slice(n)
				name := fmt.Sprintf("%v of %d", act, n)
				ActivationBackward(dx, dy, y, act, false)
				checkClose(t, name, dx, want, func(i int) float64 { return unit * math.Abs(float64(dy[i])) })
				copy(dx, old)
				ActivationBackward(dx, dy, y, act, true)
				checkClose(t, name+" accumulate", dx, func(i int) float64 { return want(i) + float64(old[i]) },
					func(i int) float64 { return unit * (math.Abs(float64(dy[i])) + math.Abs(float64(dx[i]))) })
				ActivationBackward(dy, dy, y, act, false)
				g.check(name)
			}
		}
	})
}
