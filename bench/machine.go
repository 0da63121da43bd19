package bench

import (
	"runtime"

	"github.com/deepuncertainty/ddu/kernels"
)

// Machine tells what this machine can do.
type Machine struct {
	CPU     string   `json:"cpu"`
	Cores   int      `json:"cores"`
	Arch    string   `json:"arch"`
	Levels  []string `json:"levels"` // instruction-set levels, portable first
	Used    string   `json:"used"`
	Threads int      `json:"threads"`

	// Cache sizes in bytes; 0 where unknown.
	L1D int `json:"l1d"`
	L2  int `json:"l2"`
	L3  int `json:"l3"`

	// Measured float32 fused multiply-add peak at the level used, in GFLOP/s.
	PeakOneThread float64 `json:"peak_gflops_1_thread"`
	Peak          float64 `json:"peak_gflops"`

	// Measured peak of products of bfloat16 tiles; 0 where the level used has none.
	PeakBF16OneThread float64 `json:"peak_bf16_gflops_1_thread,omitempty"`
	PeakBF16          float64 `json:"peak_bf16_gflops,omitempty"`
}

// MeasureMachine describes the CPU and measures its FMA peak, which takes a
// fraction of a second.
func MeasureMachine() Machine {
	cpu := kernels.CPU()
	m := Machine{
		CPU: cpu.Name, Cores: runtime.NumCPU(), Arch: runtime.GOARCH,
		Used: kernels.CurrentLevel().String(), Threads: kernels.Threads(),
		L1D: cpu.L1D, L2: cpu.L2, L3: cpu.L3,
		PeakOneThread: kernels.PeakFloat32(1) / 1e9, PeakBF16OneThread: kernels.PeakBF16(1) / 1e9,
	}
	for _, l := range kernels.Levels() {
		m.Levels = append(m.Levels, l.String())
	}
	m.Peak, m.PeakBF16 = m.PeakOneThread, m.PeakBF16OneThread
	if m.Threads > 1 {
		m.Peak, m.PeakBF16 = kernels.PeakFloat32(m.Threads)/1e9, kernels.PeakBF16(m.Threads)/1e9
	}
	return m
}

// UseEngine chooses the instruction-set level and the convolution algorithm by
// name ("" keeps them) and the number of threads (0 keeps it) of every later kernel
// call.
func UseEngine(isa string, threads int, conv string) error {
	if conv != "" {
		algorithm, err := kernels.ParseConvAlgorithm(conv)
		if err != nil {
			return err
		}
		if err := kernels.SetConvAlgorithm(algorithm); err != nil {
			return err
		}
	}
	if isa != "" {
		level, err := kernels.ParseLevel(isa)
		if err != nil {
			return err
		}
		if err := kernels.SetLevel(level); err != nil {
			return err
		}
	}
	if threads != 0 {
		if err := kernels.SetThreads(threads); err != nil {
			return err
		}
	}
	if isa == "" {
		return kernels.EnvironmentError()
	}
	return nil
}
