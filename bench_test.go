package ddu_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/autograd/trace"
	"github.com/deepuncertainty/ddu/bench"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

// BenchmarkDDU holds the benchmarks of the kernels, so that
//
//	go test -bench ./kernels
//
// typed at the root runs them: Go takes ./kernels as the pattern "any benchmark,
// sub-benchmark kernels".
func BenchmarkDDU(b *testing.B) {
	b.Run("kernels", func(b *testing.B) {
		peak := kernels.PeakFloat32(kernels.Threads())
		b.Run("gemm/1024", func(b *testing.B) {
			const n = 1024
			x, y, z := make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
			report(b, 2*n*n*n, peak, func() { kernels.Gemm(false, false, n, n, n, x, n, y, n, false, z, n) })
		})
		cases, err := bench.Conv2dCases("resnet18", models.Options{Mod: true}, 128, tensor.Float32)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range cases {
			name := fmt.Sprintf("conv2d/resnet18/%s/%s", trace.Conv2dName(c.Shape), strings.ReplaceAll(string(c.Direction), " ", "-"))
			b.Run(name, func(b *testing.B) { report(b, c.Flops(), peak, c.Prepare()) })
		}
	})
}

// report measures f and relates its rate to the FMA peak measured in this run.
func report(b *testing.B, flops, peak float64, f func()) {
	f()
	for b.Loop() {
		f()
	}
	rate := flops * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(100*rate/peak, "%peak")
}
