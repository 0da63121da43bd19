package nn

import (
	"fmt"
	"strings"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/tensor"
)

// Network is a classifier that also shows its penultimate features.
type Network interface {
	Module
	// Forward maps a batch [N, InputShape...] to logits [N, Classes] and features
	// [N, FeatureDim]. An input of another shape is an error that names both.
	Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error)
	// InputShape returns the shape of one sample: [C H W] for images.
	InputShape() []int
	Classes() int
	FeatureDim() int
}

// CheckInput tells whether x is a batch of samples of the shape want, such as
// [3 32 32]. The error names the network, what was found and what is right.
func CheckInput(network string, x *tensor.Tensor, want []int) error {
	got := x.Shape()
	fits := len(got) == len(want)+1
	for i := range want {
		fits = fits && got[i+1] == want[i]
	}
	switch {
	case !fits && len(got) == len(want)+1:
		return fmt.Errorf("%s takes %s, the input is a batch of %s", network, describe(want), describe(got[1:]))
	case !fits:
		return fmt.Errorf("%s takes batches of %s, the input has shape %v", network, describe(want), got)
	case got[0] == 0:
		return fmt.Errorf("%s takes at least one sample, the input has shape %v", network, got)
	case x.DType() != tensor.Float32:
		return fmt.Errorf("%s takes float32, the input is %v", network, x.DType())
	}
	return nil
}

// describe names the shape of a sample: "3x32x32 (channels x height x width)".
func describe(shape []int) string {
	s := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(shape), "[]")), "x")
	if len(shape) == 3 {
		return s + " (channels x height x width)"
	}
	return s + " values"
}
