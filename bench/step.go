package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// step runs step i and records it in r, which may be nil.
type step func(i int, r *trace.Recorder) error

// newStep returns one step of the mode.
func newStep(network nn.Network, mode string, dt tensor.DType, images *tensor.Tensor, labels []int) (step, error) {
	switch mode {
	case "train":
		return newTrainStep(network, dt, images, labels)
	case "infer":
		predictor, err := nn.FreezeAs(network, dt)
		if err != nil {
			return nil, err
		}
		return func(_ int, r *trace.Recorder) error {
			_, _, err := predictor.TracePredict(r, images)
			return err
		}, nil
	}
	return nil, fmt.Errorf("mode %q, want train or infer", mode)
}

func newTrainStep(network nn.Network, dt tensor.DType, images *tensor.Tensor, labels []int) (step, error) {
	optimizer, err := optim.NewSGD(nn.Parameters(network), optim.SGDOptions{Momentum: 0.9, WeightDecay: 5e-4})
	if err != nil {
		return nil, err
	}
	tape, pool, key := autograd.NewTape(), tensor.NewPool(), random.NewKey(0, "dropout")
	return func(i int, r *trace.Recorder) error {
		tape.Trace = r
		defer tape.Reset()
		ctx := &autograd.Context{Tape: tape, Training: true, Key: key.Fold(uint64(i)), Pool: pool, DType: dt}
		logits, _, err := network.Forward(ctx, autograd.Constant(images))
		if err != nil {
			return err
		}
		tape.Backward(autograd.CrossEntropy(ctx, logits, labels))
		optim.TraceStep(r, optimizer, 0.01)
		optimizer.ZeroGrad()
		return nil
	}, nil
}

// warmUp runs a step, and if traced also another one and one that it records.
func warmUp(run step, traced bool) (*trace.Recorder, error) {
	if err := run(0, nil); err != nil || !traced {
		return nil, err
	}
	if err := run(0, nil); err != nil {
		return nil, err
	}
	r := trace.NewRecorder()
	err := run(0, r)
	r.Stop()
	return r, err
}

const (
	minSteps = 3
	maxSteps = 200
)

// measure returns the sorted seconds of steps.
func measure(ctx context.Context, run step, seconds float64) ([]float64, error) {
	var times []float64
	for start := time.Now(); len(times) < minSteps || time.Since(start).Seconds() < seconds && len(times) < maxSteps; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := run(len(times)+1, nil); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin).Seconds())
	}
	slices.Sort(times)
	return times, nil
}

func syntheticBatch(n int, shape [3]int) (*tensor.Tensor, []int) {
	images := tensor.NewImage(tensor.Float32, n, shape[0], shape[1], shape[2])
	key := random.NewKey(0, "images")
	for i, data := 0, images.Float32s(); i < len(data); i++ {
		data[i] = float32(key.Normal(uint64(i)))
	}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i % 10
	}
	return images, labels
}
