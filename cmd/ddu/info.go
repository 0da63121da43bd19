package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/deepuncertainty/ddu/bench"
)

type infoCommand struct {
	engineFlags
	JSON bool `name:"json" help:"Print one JSON line."`
}

func (c *infoCommand) Run(term terminal) error {
	if err := c.apply(); err != nil {
		return err
	}
	m := bench.MeasureMachine()
	if c.JSON {
		return json.NewEncoder(term.out).Encode(m)
	}
	_, err := fmt.Fprintf(term.out, `CPU                %s (%s)
cores              %d
instruction sets   %s
used               %s, %d threads
caches             L1d %s, L2 %s, L3 %s
float32 FMA peak   %.1f GFLOP/s on one thread, %.1f on %d
`, m.CPU, m.Arch, m.Cores, strings.Join(m.Levels, ", "), m.Used, m.Threads,
		bytesText(m.L1D), bytesText(m.L2), bytesText(m.L3), m.PeakOneThread, m.Peak, m.Threads)
	if err == nil && m.PeakBF16 > 0 {
		_, err = fmt.Fprintf(term.out, "bfloat16 tile peak %.1f GFLOP/s on one thread, %.1f on %d\n", m.PeakBF16OneThread, m.PeakBF16, m.Threads)
	}
	return err
}

func bytesText(n int) string {
	switch {
	case n <= 0:
		return "unknown"
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
}
