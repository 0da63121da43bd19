package models

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/internal/golden"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// training runs steps of SGD on formula images; after is called behind each.
func training(t testing.TB, net nn.Network, pool *tensor.Pool, steps int, after func(step int)) {
	t.Helper()
	const batch = 4
	o, err := optim.NewSGD(nn.Parameters(net), optim.SGDOptions{Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	in := net.InputShape()
	x := tensor.FromFloat32(golden.Tensor("images", batch*in[0]*in[1]*in[2], 1, 0), batch, in[0], in[1], in[2])
	tape := autograd.NewTape()
	for step := range steps {
		ctx := &autograd.Context{Tape: tape, Training: true, Pool: pool, Key: random.NewKey(1, "training").Fold(uint64(step))}
		logits, _, err := net.Forward(ctx, autograd.Constant(x))
		if err != nil {
			t.Fatal(err)
		}
		tape.Backward(autograd.CrossEntropy(ctx, logits, []int{0, 1, 2, 3}))
		o.Step(0.01)
		o.ZeroGrad()
		tape.Reset()
		after(step)
	}
}

var trainingCases = map[string]Options{
	"lenet":       {},
	"wide_resnet": {Depth: 10, Widen: 1, SN: true, Coeff: 0.5, Dropout: 0.3},
	"resnet18":    {Input: MNIST, SN: true, Mod: true},
}

// Once the first steps have filled the pool, a step allocates no tensor anew.
func TestTrainingReusesMemory(t *testing.T) {
	for name, o := range trainingCases {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "resnet18" {
				t.Skip("-short trains the small networks")
			}
			pool := tensor.NewPool()
			var filled tensor.PoolStats
			training(t, build(t, name, o), pool, 5, func(step int) {
				now := pool.Stats()
				if step == 1 {
					filled = now
				}
				if now.Allocations != filled.Allocations && step > 1 {
					t.Errorf("step %d allocated %d tensors", step, now.Allocations-filled.Allocations)
				}
				if now.FreeBytes != now.Bytes {
					t.Errorf("after step %d, %d of %d bytes are still in use", step, now.Bytes-now.FreeBytes, now.Bytes)
				}
			})
		})
	}
}

// What a step allocates on the Go heap in steady state are headers and nodes: no
// elements, and nothing for each task of a kernel. Of several steps the median
// counts: recycled memory may grow, or be given up to the garbage collector, now and
// then.
func TestTrainingLeavesTheHeapAlone(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for name, c := range map[string]struct {
		Options
		most uint64 // bytes
	}{
		"lenet":       {Options{}, 20_000},
		"resnet18":    {Options{SN: true, Mod: true}, 100_000},
		"wide_resnet": {Options{Depth: 28, Widen: 1, SN: true, Dropout: 0.3}, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			var m runtime.MemStats
			var before uint64
			var bytes []uint64
			training(t, build(t, name, c.Options), tensor.NewPool(), 8, func(int) {
				runtime.ReadMemStats(&m)
				bytes = append(bytes, m.TotalAlloc-before)
				before = m.TotalAlloc
			})
			bytes = bytes[3:]
			slices.Sort(bytes)
			if got := bytes[len(bytes)/2]; got > c.most {
				t.Errorf("a step allocates %d bytes on the heap, want at most %d", got, c.most)
			} else {
				t.Logf("%d bytes a step", got)
			}
		})
	}
}

// Training gives the same bits with any number of threads, and again.
func TestTrainingIsReproducible(t *testing.T) {
	defer func(old int) {
		if err := kernels.SetThreads(old); err != nil {
			t.Fatal(err)
		}
	}(kernels.Threads())
	for name, o := range trainingCases {
		if testing.Short() && name == "resnet18" {
			continue
		}
		var want []byte
		for _, threads := range []int{1, 3, 3} {
			if err := kernels.SetThreads(threads); err != nil {
				t.Fatal(err)
			}
			net := build(t, name, o)
			training(t, net, nil, 2, func(int) {})
			var got []byte
			for _, e := range nn.StateDict(net) {
				got = append(got, e.Data...)
			}
			if want == nil {
				want = got
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s: %d threads give other bits than 1", name, threads)
			}
		}
	}
}

// What a network evaluates to does not depend on the tape being there.
func TestEvaluationWithAndWithoutTape(t *testing.T) {
	net := build(t, "wide_resnet", trainingCases["wide_resnet"])
	training(t, net, nil, 2, func(int) {})
	x := tensor.FromFloat32(golden.Tensor("x", 2*3*32*32, 1, 0), 2, 3, 32, 32)
	want, _ := evaluate(t, net, x)
	before := nn.StateDict(net)
	logits, _, err := net.Forward(&autograd.Context{Tape: autograd.NewTape()}, autograd.Constant(x))
	if err != nil {
		t.Fatal(err)
	}
	golden.Close(t, "logits", golden.Float64s(logits.Value.Float32s()), want, 1e-6)
	for i, e := range nn.StateDict(net) {
		if !bytes.Equal(e.Data, before[i].Data) {
			t.Errorf("evaluation changed %s", e.Name)
		}
	}
}
