package bench

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn/models"
)

// LayersOptions say which convolutions to measure.
type LayersOptions struct {
	Network string  // as models.Build takes it
	Batch   int     // images; 0: what NetworkBatch says
	Seconds float64 // for each shape and direction
	MNIST   bool    // 1x28x28 input; always for lenet
	Mod     bool
}

// LayersResult is a measurement of the convolutions of a network. It is also
// what a baseline file holds.
type LayersResult struct {
	Network string `json:"network"`
	Batch   int    `json:"batch"`
	MNIST   bool   `json:"mnist"`
	Mod     bool   `json:"mod"`
	CPU     string `json:"cpu"`
	ISA     string `json:"isa"`
	Threads int    `json:"threads"`
	// PeakGFLOPS is the FMA peak of the threads, the median of those measured
	// between the rows.
	PeakGFLOPS float64    `json:"peak_gflops"`
	Rows       []LayerRow `json:"rows"`
}

// LayerRow is one shape in one direction.
type LayerRow struct {
	Shape     string          `json:"shape"` // as trace.Conv2dName writes it
	Direction trace.Direction `json:"direction"`
	Count     int             `json:"count"`   // how often a training step computes it
	Seconds   float64         `json:"seconds"` // median of the repetitions
	GFLOPS    float64         `json:"gflops"`  // on nominal FLOPs, products with padding counted
	// PeakPercent relates GFLOPS to the FMA peak measured right before and after
	// the row, so that it holds where the clock of the machine drifts.
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
	peaks := []float64{measurePeak()}
	for _, c := range cases {
		row, after, err := measureCase(ctx, c, o.Seconds, peaks[len(peaks)-1])
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, after)
		r.Rows = append(r.Rows, row)
	}
	slices.Sort(peaks)
	r.PeakGFLOPS = round(peaks[len(peaks)/2]/1e9, 1)
	return r, nil
}

// resolve fills in what follows from the network and checks the rest.
func (o LayersOptions) resolve() (LayersOptions, []Conv2dCase, error) {
	if o.Network == "lenet" {
		o.MNIST, o.Mod = true, false
	}
	if o.Batch == 0 {
		o.Batch = NetworkBatch(o.Network)
	}
	if err := checkSeconds(o.Seconds); err != nil {
		return o, nil, err
	}
	cases, err := Conv2dCases(o.Network, models.Options{Input: inputShape(o.MNIST), Mod: o.Mod}, o.Batch)
	return o, cases, err
}

// header is the result without its measurements.
func (o LayersOptions) header() *LayersResult {
	return &LayersResult{
		Network: o.Network, Batch: o.Batch, MNIST: o.MNIST, Mod: o.Mod,
		CPU: kernels.CPU().Name, ISA: kernels.CurrentLevel().String(), Threads: kernels.Threads(),
	}
}

func measurePeak() float64 { return kernels.PeakFloat32(kernels.Threads()) }

// measureCase measures one case and then the FMA peak, in FLOP/s; before is the
// peak measured last.
func measureCase(ctx context.Context, c Conv2dCase, seconds, before float64) (row LayerRow, after float64, err error) {
	median, err := medianSeconds(ctx, c.Prepare(), seconds)
	if err != nil {
		return LayerRow{}, 0, err
	}
	after = measurePeak()
	rate := c.Flops() / median
	return LayerRow{
		Shape: trace.Conv2dName(c.Shape), Direction: c.Direction, Count: c.Count, Kernel: trace.Conv2dKernel(c.Shape, c.Direction),
		Seconds: round(median, 7), GFLOPS: round(rate/1e9, 2), PeakPercent: round(200*rate/(before+after), 1),
	}, after, nil
}

const minRepetitions = 5

// medianSeconds runs f once to warm up and then for so long, at least
// minRepetitions times, and returns the median of the times it took.
func medianSeconds(ctx context.Context, f func(), seconds float64) (float64, error) {
	f()
	var times []float64
	for start := time.Now(); len(times) < minRepetitions || time.Since(start).Seconds() < seconds; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begin := time.Now()
		f()
		times = append(times, time.Since(begin).Seconds())
	}
	slices.Sort(times)
	return math.Max(times[len(times)/2], 1e-9), nil // a coarse clock may show no time at all
}
