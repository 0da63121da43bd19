package nn

import (
	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// BatchNorm2d normalises each channel of x [N, C, H, W]: with the statistics of
// the batch in training, which also move the running ones, else with the
// running ones.
type BatchNorm2d struct {
	Weight, Bias            *autograd.Variable // [C], 1 and 0 at first
	RunningMean, RunningVar *Buffer            // [C]
	NumBatchesTracked       *Buffer
	Momentum, Eps           float64

	running autograd.RunningStats
}

// NewBatchNorm2d returns a batch normalisation of c channels with eps 1e-5.
// Momentum is the weight of the newest batch in the running statistics; 0 means
// PyTorch's 0.1.
func NewBatchNorm2d(c int, momentum float64) *BatchNorm2d {
	if momentum == 0 {
		momentum = 0.1
	}
	ones := func() *tensor.Tensor {
		t := tensor.New(tensor.Float32, c)
		t.Fill(1)
		return t
	}
	b := &BatchNorm2d{
		Weight:            autograd.NewParameter(ones()),
		Bias:              autograd.NewParameter(tensor.New(tensor.Float32, c)),
		RunningMean:       &Buffer{Value: tensor.New(tensor.Float32, c)},
		RunningVar:        &Buffer{Value: ones()},
		NumBatchesTracked: &Buffer{Count: new(int64)},
		Momentum:          momentum,
		Eps:               1e-5,
	}
	b.running = autograd.RunningStats{Mean: b.RunningMean.Value, Var: b.RunningVar.Value, Batches: b.NumBatchesTracked.Count}
	return b
}

// Members implements Module.
func (b *BatchNorm2d) Members() []Member {
	return []Member{
		{Name: "weight", Parameter: b.Weight}, {Name: "bias", Parameter: b.Bias},
		{Name: "running_mean", Buffer: b.RunningMean}, {Name: "running_var", Buffer: b.RunningVar},
		{Name: "num_batches_tracked", Buffer: b.NumBatchesTracked},
	}
}

// Forward implements Layer.
func (b *BatchNorm2d) Forward(ctx *autograd.Context, x *autograd.Variable) *autograd.Variable {
	return b.ForwardFused(ctx, x, kernels.ActNone, nil)
}

// ForwardFused returns act(batch norm(x) + residual) as one operation, which
// reads and writes memory once; residual is like x or nil.
func (b *BatchNorm2d) ForwardFused(ctx *autograd.Context, x *autograd.Variable, act kernels.Activation, residual *autograd.Variable) *autograd.Variable {
	o := autograd.BatchNormOptions{Momentum: b.Momentum, Eps: b.Eps, Activation: act}
	return autograd.BatchNorm2d(ctx, x, b.Weight, b.Bias, &b.running, o, residual)
}
