package kernels

import "github.com/klauspost/cpuid/v2"

// CPUInfo describes the processor.
type CPUInfo struct {
	Name string
	// Cache sizes in bytes: first-level data, second and third level; 0 where
	// unknown.
	L1D, L2, L3 int
	// Features lists the vector extensions that matter here, by their usual names.
	Features []string
}

// CPU describes the processor this program runs on.
func CPU() CPUInfo {
	c := cpuid.CPU
	info := CPUInfo{Name: c.BrandName, L1D: max(c.Cache.L1D, 0), L2: max(c.Cache.L2, 0), L3: max(c.Cache.L3, 0)}
	if info.Name == "" {
		info.Name = "unknown"
	}
	for _, f := range []cpuid.FeatureID{cpuid.AVX, cpuid.FMA3, cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.AVX512BF16, cpuid.AMXTILE, cpuid.AMXBF16, cpuid.ASIMD} {
		if c.Supports(f) {
			info.Features = append(info.Features, f.String())
		}
	}
	return info
}
