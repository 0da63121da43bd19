package bench

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

// LayersOptions say which convolutions to measure.
type LayersOptions struct {
	Network string  // as models.Build takes it
	Batch   int     // images; 0: what NetworkBatch says
	Seconds float64 // for each shape and direction
	MNIST   bool    // 1x28x28 input; always for lenet
	Mod     bool
	DType   string // of activations, as nn.ParsePrecision takes it; empty: "fp32"
}

// LayersResult is a measurement of the convolutions of a network. It is also
// what a baseline file holds.
type LayersResult struct {
	Network string `json:"network"`
	Batch   int    `json:"batch"`
	MNIST   bool   `json:"mnist"`
	Mod     bool   `json:"mod"`
	DType   string `json:"dtype"`
	CPU     string `json:"cpu"`
	ISA     string `json:"isa"`
	Threads int    `json:"threads"`
	// PeakGFLOPS is the multiply-add peak of the threads, the median of those
	// measured beside the rows: of float32, or of bfloat16 where units multiply it.
	PeakGFLOPS float64 `json:"peak_gflops"`
	// ProcessorPercent is how much of the processors the measurements of the
	// peak were given, on average; 0 where unknown. See Disturbed.
	ProcessorPercent float64    `json:"processor_percent"`
	Rows             []LayerRow `json:"rows"`
}

// LayerRow is one shape in one direction.
type LayerRow struct {
	Shape     string          `json:"shape"` // as trace.Conv2dName writes it
	Direction trace.Direction `json:"direction"`
	Count     int             `json:"count"`   // how often a training step computes it
	Seconds   float64         `json:"seconds"` // of one computation
	GFLOPS    float64         `json:"gflops"`  // on nominal FLOPs, products with padding counted
	// PeakPercent relates GFLOPS to the FMA peak measured right after, so that it
	// holds where the clock of the machine drifts.
	PeakPercent float64 `json:"peak_percent"`
	Kernel      string  `json:"kernel"`
}

// Layers measures every convolution shape of a network in each direction that
// training computes. Weights are packed beforehand.
func Layers(ctx context.Context, o LayersOptions) (*LayersResult, error) {
	o, cases, err := o.resolve()
	if err != nil {
		return nil, err
	}
	r := o.header()
	var peaks []peak
	for _, c := range cases {
		row, beside, err := measureCase(ctx, c, o.Seconds)
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, beside...)
		r.Rows = append(r.Rows, row)
	}
	r.summarize(peaks)
	return r, nil
}

// summarize sets what the peaks of all rows come to.
func (r *LayersResult) summarize(peaks []peak) {
	var rates []float64
	share := 0.0
	for _, p := range peaks {
		rates = append(rates, p.flopsPerSecond)
		share += p.share
	}
	r.PeakGFLOPS = round(median(rates)/1e9, 1)
	r.ProcessorPercent = round(100*share/float64(len(peaks)), 1)
}

// Disturbed tells that other programs took so much of the processors that shares
// of the peak say little.
func (r *LayersResult) Disturbed() bool {
	const enough = 95
	return r.ProcessorPercent > 0 && r.ProcessorPercent < enough
}

// resolve fills in what follows from the network and checks the rest.
func (o LayersOptions) resolve() (LayersOptions, []Conv2dCase, error) {
	if o.Network == "lenet" {
		o.MNIST, o.Mod = true, false
	}
	if o.Batch == 0 {
		o.Batch = NetworkBatch(o.Network)
	}
	o.DType = cmp.Or(o.DType, "fp32")
	if err := checkSeconds(o.Seconds); err != nil {
		return o, nil, err
	}
	dt, err := nn.ParsePrecision(o.DType)
	if err != nil {
		return o, nil, err
	}
	o.DType = nn.PrecisionName(dt) // which "auto" is
	cases, err := Conv2dCases(o.Network, models.Options{Input: inputShape(o.MNIST), Mod: o.Mod}, o.Batch, dt)
	return o, cases, err
}

// header is the result without its measurements.
func (o LayersOptions) header() *LayersResult {
	return &LayersResult{
		Network: o.Network, Batch: o.Batch, MNIST: o.MNIST, Mod: o.Mod, DType: o.DType,
		CPU: kernels.CPU().Name, ISA: kernels.CurrentLevel().String(), Threads: kernels.Threads(),
	}
}

// rounds is how often a case is measured, and the FMA peak after it.
const rounds = 5

// measureCase measures one case for so many seconds in all, and returns the FMA
// peaks measured beside it too.
//
// A round runs the case a few times and then measures the peak, which is the
// best of some runs; so the fastest run of the case counts for the round. Row is
// the round with the median share of the peak. What disturbs the machine for
// longer slows both down and cancels, what is short hits few rounds.
func measureCase(ctx context.Context, c Conv2dCase, seconds float64) (row LayerRow, peaks []peak, err error) {
	run := c.Prepare()
	run() // warms up
	var measured []LayerRow
	for range rounds {
		if err := ctx.Err(); err != nil {
			return LayerRow{}, nil, err
		}
		fastest := fastestSeconds(run, seconds/rounds)
		p := measurePeak(c.DType == tensor.BFloat16)
		peaks = append(peaks, p)
		rate := c.Flops() / fastest
		measured = append(measured, LayerRow{
			Shape: trace.Conv2dName(c.Shape), Direction: c.Direction, Count: c.Count, Kernel: trace.Conv2dKernel(c.Shape, c.Direction, c.DType == tensor.BFloat16),
			Seconds: round(fastest, 7), GFLOPS: round(rate/1e9, 2), PeakPercent: round(100*rate/p.flopsPerSecond, 1),
		})
	}
	slices.SortFunc(measured, func(a, b LayerRow) int { return cmp.Compare(a.PeakPercent, b.PeakPercent) })
	return measured[len(measured)/2], peaks, nil
}

// fastestSeconds runs f at least once and until so many seconds have passed, and
// returns the least time that it took.
func fastestSeconds(f func(), seconds float64) float64 {
	fastest := math.Inf(1)
	for start := time.Now(); ; {
		begin := time.Now()
		f()
		fastest = min(fastest, time.Since(begin).Seconds())
		if time.Since(start).Seconds() >= seconds {
			return max(fastest, 1e-9) // a coarse clock may show no time at all
		}
	}
}
