package autograd

import (
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// TestConcurrentForwards: many goroutines evaluate one model at once, each with
// its own context, and get the bits of one alone. The weights change between
// the rounds, so the race for the packed copies is run anew.
func TestConcurrentForwards(t *testing.T) {
	net := newTinyNet()
	net.release = true
	x, _ := tinyBatch(3)
	weight := NewParameter(tensors(shape(8, 3, 3, 3))[0].ToContiguous())
	forward := func(ctx *Context) []float32 {
		logits, _ := net.forward(ctx, x)
		direct := Flatten(ctx, Conv2d(ctx, x, weight, nil, Conv2dOptions{Stride: 2, Padding: 1}))
		return slices.Concat(logits.Value.Float32s(), direct.Value.Float32s())
	}
	for range 4 {
		kernels.Scale(weight.Value.Float32s(), weight.Value.Float32s(), 0.75)
		weight.BumpVersion()
		var wg sync.WaitGroup
		got := make([][]float32, 8)
		for g := range got {
			wg.Go(func() {
				ctx := &Context{}
				switch g % 3 {
				case 1:
					ctx.Pool = tensor.NewPool()
				case 2:
					ctx.Tape = NewTape()
				}
				got[g] = forward(ctx)
			})
		}
		wg.Wait()
		want := forward(&Context{})
		for g := range got {
			if !slices.Equal(got[g], want) {
				t.Fatalf("goroutine %d differs", g)
			}
		}
	}
}

// TestPackedWeightsFollowVersionAndLevel: a stale copy is never used.
func TestPackedWeightsFollowVersionAndLevel(t *testing.T) {
	x, _ := tinyBatch(2)
	weight := NewParameter(tensors(shape(20, 3, 3, 3))[0].ToContiguous())
	check := func(what string) {
		t.Helper()
		got := Conv2d(&Context{}, x, weight, nil, Conv2dOptions{Stride: 1, Padding: 1}).Value
		want := Conv2d(&Context{}, x, Constant(weight.Value.Clone()), nil, Conv2dOptions{Stride: 1, Padding: 1}).Value
		if !slices.Equal(got.Float32s(), want.Float32s()) {
			t.Errorf("%s: the cached weights are stale", what)
		}
	}
	check("first use")
	first := weight.param.packed[kernels.ConvForward].Load()
	check("second use")
	if weight.param.packed[kernels.ConvForward].Load() != first {
		t.Error("unchanged weights were packed again")
	}
	weight.Value.Fill(0.5)
	weight.BumpVersion()
	check("new version")
	if weight.Version() != 1 {
		t.Errorf("version %d after one change", weight.Version())
	}
	atEachLevel(t, func() { check("level " + kernels.CurrentLevel().String()) })
}

// TestSameBitsForAnyThreads runs a training step with 1 to 5 threads.
func TestSameBitsForAnyThreads(t *testing.T) {
	old := kernels.Threads()
	defer func() { _ = kernels.SetThreads(old) }()
	x, labels := tinyBatch(9)
	atEachLevel(t, func() {
		var want [][]float32
		for threads := 1; threads <= 5; threads++ {
			if err := kernels.SetThreads(threads); err != nil {
				t.Fatal(err)
			}
			net, tape := newTinyNet(), NewTape()
			loss := net.step(tape, x, labels)
			got := [][]float32{slices.Clone(loss.Value.Float32s())}
			for _, p := range net.parameters() {
				got = append(got, p.Grad().Float32s())
			}
			for _, r := range net.running {
				got = append(got, r.Mean.Float32s(), r.Var.Float32s())
			}
			if want == nil {
				want = got
			}
			for i := range got {
				if !slices.Equal(got[i], want[i]) {
					t.Fatalf("%s, %d threads: result %d has other bits than with one", kernels.CurrentLevel(), threads, i)
				}
			}
		}
	})
}

// testedLevels are the instruction-set levels of this CPU, or the one that
// $DDU_ISA names.
func testedLevels() []kernels.Level {
	if os.Getenv("DDU_ISA") != "" {
		return []kernels.Level{kernels.CurrentLevel()}
	}
	return kernels.Levels()
}

func atEachLevel(t *testing.T, f func()) {
	old := kernels.CurrentLevel()
	defer func() { _ = kernels.SetLevel(old) }()
	for _, l := range testedLevels() {
		if err := kernels.SetLevel(l); err != nil {
			t.Fatal(err)
		}
		f()
	}
}

// TestReplay applies the nodes of a recorded evaluation to another input.
func TestReplay(t *testing.T) {
	net := newTinyNet()
	x, _ := tinyBatch(2)
	tape := NewTape()
	logits, _ := net.forward(&Context{Tape: tape}, x)
	other := Constant(tensors(shape(5, 3, 8, 8))[0])
	want, _ := net.forward(&Context{}, other)
	now := map[*Variable]*Variable{x: other}
	ctx := &Context{}
	for _, n := range tape.Nodes() {
		in := make([]*Variable, len(n.Inputs))
		for i, v := range n.Inputs {
			if in[i] = v; now[v] != nil {
				in[i] = now[v]
			}
		}
		attrs := n.Attrs
		if n.Op == OpReshape { // its size of the batch is recorded
			s := slices.Clone(attrs.([]int))
			s[0] = 5
			attrs = s
		}
		now[n.Output] = Apply(ctx, n.Op, attrs, in...)
	}
	if !slices.Equal(now[logits].Value.Float32s(), want.Value.Float32s()) {
		t.Error("replayed operations give other bits")
	}
}

// TestFusedBatchNorm compares the fused operation with plain ones, forward and
// backward, for activations with a kink too.
func TestFusedBatchNorm(t *testing.T) {
	const c = 19
	opts := BatchNormOptions{Momentum: 0.1, Eps: 1e-5}
	for _, act := range []kernels.Activation{kernels.ActReLU, kernels.ActLeakyReLU, kernels.ActELU} {
		for _, training := range []bool{true, false} {
			for _, withResidual := range []bool{true, false} {
				run := func(fused bool) (results [][]float32) {
					in := tensors(shape(3, c, 5, 4), shape(c), shape(c), shape(3, c, 5, 4))
					vs := []*Variable{NewParameter(in[0]), NewParameter(in[1]), NewParameter(in[2]), NewParameter(in[3])}
					running := &RunningStats{Mean: tensor.New(tensor.Float32, c), Var: tensor.New(tensor.Float32, c)}
					running.Var.Fill(2)
					ctx := &Context{Tape: NewTape(), Training: training}
					var residual *Variable
					if withResidual {
						residual = Scale(ctx, vs[3], 1)
					}
					var y *Variable
					if fused {
						o := opts
						o.Activation = act
						y = BatchNorm2d(ctx, vs[0], vs[1], vs[2], running, o, residual)
					} else {
						y = BatchNorm2d(ctx, vs[0], vs[1], vs[2], running, opts, nil)
						if withResidual {
							y = Add(ctx, y, residual)
						}
						y = Activate(ctx, y, act)
					}
					results = append(results, slices.Clone(y.Value.Float32s()), running.Mean.Float32s(), running.Var.Float32s())
					ctx.Tape.BackwardFrom(y, outputGradient(y.Value, 1))
					for _, v := range vs {
						if v.Grad() != nil {
							results = append(results, v.Grad().Float32s())
						}
					}
					return results
				}
				a, b := run(true), run(false)
				if len(a) != len(b) {
					t.Fatalf("%d results, composed %d", len(a), len(b))
				}
				for i := range a {
					largest := 0.0
					for k := range b[i] {
						largest = math.Max(largest, math.Abs(float64(b[i][k])))
					}
					for k := range a[i] {
						if math.Abs(float64(a[i][k]-b[i][k])) > 2e-6*largest {
							t.Fatalf("activation %d, training %v, residual %v: result %d, element %d is %v, composed %v",
								act, training, withResidual, i, k, a[i][k], b[i][k])
						}
					}
				}
			}
		}
	}
}

// TestEvaluationWritesNothing: without Training no model state changes.
func TestEvaluationWritesNothing(t *testing.T) {
	net := newTinyNet()
	var before [][]float32
	state := func() (all [][]float32) {
		for _, p := range net.parameters() {
			all = append(all, p.Value.Float32s())
		}
		for _, r := range net.running {
			all = append(all, r.Mean.Float32s(), r.Var.Float32s())
		}
		return all
	}
	for _, s := range state() {
		before = append(before, slices.Clone(s))
	}
	x, _ := tinyBatch(2)
	net.forward(&Context{}, x)
	for i, s := range state() {
		if !slices.Equal(s, before[i]) {
			t.Errorf("tensor %d of the model changed", i)
		}
	}
}
