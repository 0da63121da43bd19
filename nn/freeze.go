package nn

import (
	"fmt"
	"slices"
	"sync"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// Predictor is an immutable copy of a network for evaluation. Any number of
// goroutines may use one Predictor at once, and each gets the same bits.
type Predictor struct {
	input    []int // shape of one sample
	features int
	classes  int
	level    kernels.Level
	plan     plan
	frames   sync.Pool // of *frame
}

// Freeze copies what network computes in evaluation: it records one forward
// pass, computes everything that does not depend on the input (the spectrally
// normalised weights), folds batch norms into the convolutions before them,
// packs the weights and fixes which memory each step writes to. Later changes of
// the network do not reach the Predictor.
//
// The operations must treat the samples of a batch independently; one that
// cannot be frozen is named in the error.
func Freeze(network Network) (*Predictor, error) { return FreezeAs(network, tensor.Float32) }

// FreezeAs is Freeze for activations of type dt, Float32 or BFloat16. What Predict
// takes and returns is float32 in either case, so the network must cast its results
// back.
func FreezeAs(network Network, dt tensor.DType) (*Predictor, error) {
	if dt != tensor.Float32 && dt != tensor.BFloat16 {
		return nil, fmt.Errorf("freeze: activations of %v, want float32 or bfloat16", dt)
	}
	g, err := traceForward(network, dt)
	if err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	g.foldBatchNorms()
	g.fuseConvolutions()
	p, err := g.compile()
	if err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	return &Predictor{
		input:    slices.Clone(network.InputShape()),
		features: network.FeatureDim(),
		classes:  network.Classes(),
		level:    kernels.CurrentLevel(),
		plan:     *p,
		frames:   sync.Pool{New: func() any { return new(frame) }},
	}, nil
}

// InputShape returns the shape of one sample: [C H W] for images.
func (p *Predictor) InputShape() []int { return slices.Clone(p.input) }

// Classes returns the number of logits per sample.
func (p *Predictor) Classes() int { return p.classes }

// FeatureDim returns the number of features per sample.
func (p *Predictor) FeatureDim() int { return p.features }

// Predict returns the logits [N, Classes] and features [N, FeatureDim] of a batch
// [N, InputShape...] of any size, which is only read. The results belong to the
// caller. Memory for the steps between grows with N and is kept for later calls.
func (p *Predictor) Predict(x *tensor.Tensor) (logits, features *tensor.Tensor, err error) {
	return p.TracePredict(nil, x)
}

// TracePredict is Predict with every operation recorded in r, which may be nil.
func (p *Predictor) TracePredict(r *trace.Recorder, x *tensor.Tensor) (logits, features *tensor.Tensor, err error) {
	if err := CheckInput("the frozen network", x, p.input); err != nil {
		return nil, nil, err
	}
	if now := kernels.CurrentLevel(); now != p.level {
		return nil, nil, fmt.Errorf("the network was frozen for instruction set %v, %v is in use now: freeze it again", p.level, now)
	}
	if x.Rank() == 4 {
		x = x.ToImage()
	} else {
		x = x.ToContiguous()
	}
	n := x.Dim(0)
	logits = tensor.New(tensor.Float32, n, p.classes)
	features = tensor.New(tensor.Float32, n, p.features)
	f := p.frames.Get().(*frame)
	f.run(r, &p.plan, n, x.Float32s(), [2][]float32{logits.Float32s(), features.Float32s()})
	p.frames.Put(f)
	return logits, features, nil
}
