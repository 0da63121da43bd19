package autograd

import (
	"math"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
	"pgregory.net/rapid"
)

const (
	graphLeaves = 3
	graphSize   = 6
)

// graphStep computes a new vector from vectors a and b of those before it.
type graphStep struct {
	op      string
	a, b    int
	release bool // vectors after their last use
}

// TestRandomGraphs compares backward on random graphs, in which gradients are
// shared, accumulated and written in place in every combination, with a
// reverse mode in float64 that shares nothing.
func TestRandomGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := drawGraph(t)
		want := referenceGradients(steps)
		leaves := graphParameters()
		tape := NewTape()
		for pass := range 2 { // the second one in recycled memory
			tape.Reset()
			for _, l := range leaves {
				l.ZeroGrad()
			}
			tape.Backward(runGraph(&Context{Tape: tape}, steps, leaves))
			for i, l := range leaves {
				largest := 1e-6
				for _, w := range want[i] {
					largest = math.Max(largest, math.Abs(w))
				}
				for k, w := range want[i] {
					got := 0.0
					if l.Grad() != nil {
						got = l.Grad().At(k)
					}
					if math.Abs(got-w) > 1e-4*largest {
						t.Fatalf("pass %d, leaf %d, element %d: gradient %v, want %v", pass, i, k, got, w)
					}
				}
			}
		}
		tape.Reset()
		if s := tape.Pool().Stats(); s.FreeBytes != s.Bytes {
			t.Fatalf("%d of %d bytes came back to the pool", s.FreeBytes, s.Bytes)
		}
	})
}

func drawGraph(t *rapid.T) []graphStep {
	steps := make([]graphStep, rapid.IntRange(1, 14).Draw(t, "steps"))
	for i := range steps {
		// Mostly recent vectors, so that graphs are deep.
		pick := func(label string) int {
			return max(0, graphLeaves+i-1-rapid.IntRange(0, 4).Draw(t, label))
		}
		steps[i] = graphStep{
			op: rapid.SampledFrom([]string{"add", "mul", "scale", "elu", "reshape", "bn"}).Draw(t, "op"),
			a:  pick("a"), b: pick("b"), release: rapid.Bool().Draw(t, "release"),
		}
	}
	return steps
}

func graphParameters() (leaves []*Variable) {
	for i := range graphLeaves {
		p := tensor.New(tensor.Float32, graphSize)
		random.NewKey(uint64(i), "graph").FillUniform(p.Float32s(), -0.9, 0.9)
		leaves = append(leaves, NewParameter(p))
	}
	return leaves
}

// runGraph returns the sum of the last vector. "bn" is a batch normalisation in
// evaluation with ELU and vector b as residual, of six one-pixel channels.
func runGraph(ctx *Context, steps []graphStep, leaves []*Variable) *Variable {
	last := map[int]int{}
	for i, s := range steps {
		last[s.a], last[s.b] = i, i
	}
	one, zero := tensor.New(tensor.Float32, graphSize), tensor.New(tensor.Float32, graphSize)
	one.Fill(1)
	vs := append([]*Variable(nil), leaves...)
	for i, s := range steps {
		a, b := vs[s.a], vs[s.b]
		var y *Variable
		switch s.op {
		case "add":
			y = Add(ctx, a, b)
		case "mul":
			y = Mul(ctx, a, b)
		case "scale":
			y = Scale(ctx, a, -0.5)
		case "elu":
			y = Activate(ctx, a, kernels.ActELU)
		case "reshape":
			y = Reshape(ctx, Reshape(ctx, a, 2, 3), graphSize)
		case "bn":
			image := func(v *Variable) *Variable { return Reshape(ctx, v, 1, graphSize, 1, 1) }
			bn := BatchNorm2d(ctx, image(a), Constant(one), Constant(zero), &RunningStats{Mean: zero, Var: one},
				BatchNormOptions{Eps: 0.25, Activation: kernels.ActELU}, image(b))
			y = Reshape(ctx, bn, graphSize)
		}
		vs = append(vs, y)
		for _, k := range []int{s.a, s.b} {
			if s.release && last[k] == i && k >= graphLeaves && !vs[k].memory.released {
				ctx.Release(vs[k])
			}
		}
	}
	return Sum(ctx, vs[len(vs)-1])
}

func referenceGradients(steps []graphStep) [][]float64 {
	var vs [][]float64
	for _, l := range graphParameters() {
		vs = append(vs, append([]float64(nil), l.Value.To(tensor.Float64).Float64s()...))
	}
	elu := func(x float64) float64 { return math.Max(x, 0) + math.Min(0, math.Expm1(x)) }
	slope := func(x float64) float64 { return math.Min(1, math.Exp(x)) }
	invstd := 1 / math.Sqrt(1.25)
	for _, s := range steps {
		y := make([]float64, graphSize)
		for k := range y {
			a, b := vs[s.a][k], vs[s.b][k]
			y[k] = map[string]float64{"add": a + b, "mul": a * b, "scale": -0.5 * a, "elu": elu(a), "reshape": a, "bn": elu(a*invstd + b)}[s.op]
		}
		vs = append(vs, y)
	}
	grads := make([][]float64, len(vs))
	for i := range grads {
		grads[i] = make([]float64, graphSize)
	}
	for k := range graphSize {
		grads[len(vs)-1][k] = 1
		for i := len(steps) - 1; i >= 0; i-- {
			s, dy := steps[i], grads[graphLeaves+i][k]
			a, b := vs[s.a][k], vs[s.b][k]
			da, db := &grads[s.a][k], &grads[s.b][k]
			switch s.op {
			case "add":
				*da += dy
				*db += dy
			case "mul":
				*da += dy * b
				*db += dy * a
			case "scale":
				*da -= 0.5 * dy
			case "elu":
				*da += dy * slope(a)
			case "reshape":
				*da += dy
			case "bn":
				dz := dy * slope(a*invstd+b)
				*da += dz * invstd
				*db += dz
			}
		}
	}
	return grads[:graphLeaves]
}
