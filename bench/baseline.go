package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/autograd/trace"
)

// Write records the measurement as a baseline in a file.
func (r *LayersResult) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// ReadBaseline reads what Write recorded.
func ReadBaseline(path string) (*LayersResult, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	r := new(LayersResult)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("baseline: %s: want what ddu bench layers --record writes: %w", path, err)
	}
	if r.DType == "" {
		r.DType = "fp32" // recorded before there was another
	}
	if r.Network == "" || r.ISA == "" || len(r.Rows) == 0 {
		return nil, fmt.Errorf("baseline: %s: want what ddu bench layers --record writes: network, isa or rows are missing", path)
	}
	return r, nil
}

// Fall is a row whose share of the FMA peak fell.
type Fall struct {
	LayerRow
	BaselinePercent float64 `json:"baseline_percent"`
}

// LayersAgainst is Layers for the network, batch and input of a baseline, with
// what fell: the rows whose share of the FMA peak is lower than in the baseline
// by more than tolerance per cent of it. Such a row is measured up to two times
// more, and the best counts, so that a passing disturbance is no fall.
//
// A baseline of other work, or from another instruction-set level or number of
// threads, is an error, before anything is measured.
func LayersAgainst(ctx context.Context, o LayersOptions, baseline *LayersResult, tolerance float64) (*LayersResult, []Fall, error) {
	if !(tolerance >= 0 && tolerance < 100) {
		return nil, nil, fmt.Errorf("tolerance %v, want per cent, at least 0 and below 100", tolerance)
	}
	resolved, cases, err := o.resolve()
	if err != nil {
		return nil, nil, err
	}
	if err := baseline.fits(resolved.header(), cases); err != nil {
		return nil, nil, err
	}
	r, err := Layers(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	const more = 2
	for i, c := range cases {
		row := &r.Rows[i]
		before := baseline.row(row.Shape, row.Direction)
		for n := 0; n < more && row.fell(before, tolerance); n++ {
			again, _, err := measureCase(ctx, c, o.Seconds)
			if err != nil {
				return nil, nil, err
			}
			if again.PeakPercent > row.PeakPercent {
				*row = again
			}
		}
	}
	return r, r.fallen(baseline, tolerance), nil
}

// fits tells why a baseline cannot be compared with a measurement; nil if it can.
func (r *LayersResult) fits(now *LayersResult, cases []Conv2dCase) error {
	var differs []string
	check := func(name string, found, want any) {
		if found != want {
			differs = append(differs, fmt.Sprintf("%s is %v, now %v", name, found, want))
		}
	}
	check("network", r.Network, now.Network)
	check("isa", r.ISA, now.ISA)
	check("threads", r.Threads, now.Threads)
	check("batch", r.Batch, now.Batch)
	check("mnist", r.MNIST, now.MNIST)
	check("mod", r.Mod, now.Mod)
	check("dtype", r.DType, now.DType)
	if len(differs) > 0 {
		return errors.New("the baseline cannot be compared with: " + strings.Join(differs, ", "))
	}
	missing := func(c Conv2dCase) bool { return r.row(trace.Conv2dName(c.Shape), c.Direction) == nil }
	if len(r.Rows) != len(cases) || slices.ContainsFunc(cases, missing) {
		return errors.New("the baseline has other convolutions than the network has now: record it again")
	}
	return nil
}

// row returns the row of a shape and direction, nil where there is none.
func (r *LayersResult) row(shape string, d trace.Direction) *LayerRow {
	i := slices.IndexFunc(r.Rows, func(row LayerRow) bool { return row.Shape == shape && row.Direction == d })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

// fallen returns the rows that fell, in order; before has all of them.
func (r *LayersResult) fallen(before *LayersResult, tolerance float64) []Fall {
	var falls []Fall
	for _, row := range r.Rows {
		if b := before.row(row.Shape, row.Direction); row.fell(b, tolerance) {
			falls = append(falls, Fall{row, b.PeakPercent})
		}
	}
	return falls
}

// fell tells whether r is below before by more than tolerance per cent.
func (r LayerRow) fell(before *LayerRow, tolerance float64) bool {
	return r.PeakPercent < before.PeakPercent*(1-tolerance/100)
}
