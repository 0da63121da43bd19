package nn

import (
	"fmt"

	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// ParsePrecision returns the element type of activations for a precision: Float32
// for "fp32", BFloat16 for "bf16", and for "auto" BFloat16 where the instruction set
// in use has units that multiply it, else Float32.
func ParsePrecision(name string) (tensor.DType, error) {
	switch name {
	case "fp32":
		return tensor.Float32, nil
	case "bf16":
		return tensor.BFloat16, nil
	case "auto":
		if kernels.MultipliesBF16() {
			return tensor.BFloat16, nil
		}
		return tensor.Float32, nil
	}
	return 0, fmt.Errorf("precision %q, want auto, fp32 or bf16", name)
}

// PrecisionName is what ParsePrecision takes for Float32 or BFloat16.
func PrecisionName(dt tensor.DType) string {
	if dt == tensor.BFloat16 {
		return "bf16"
	}
	return "fp32"
}
