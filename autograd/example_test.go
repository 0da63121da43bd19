package autograd_test

import (
	"fmt"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/tensor"
)

// One step of gradient descent on a linear classifier.
func Example() {
	x := autograd.Constant(tensor.FromFloat32([]float32{1, 0, 0, 1}, 2, 2))
	labels := []int{0, 1}
	weight := autograd.NewParameter(tensor.New(tensor.Float32, 2, 2))

	tape := autograd.NewTape()
	for range 3 {
		tape.Reset()
		weight.ZeroGrad()
		ctx := &autograd.Context{Tape: tape, Training: true}
		loss := autograd.CrossEntropy(ctx, autograd.Linear(ctx, x, weight, nil), labels)
		tape.Backward(loss)
		fmt.Printf("loss %.4f\n", loss.Value.Item())
		for i, g := range weight.Grad().Float32s() {
			weight.Value.Float32s()[i] -= g
		}
		weight.BumpVersion()
	}
	// Output:
	// loss 0.6931
	// loss 0.4741
	// loss 0.3477
}

// Without a tape nothing is recorded, so one set of parameters serves any
// number of goroutines.
func ExampleContext() {
	weight := autograd.NewParameter(tensor.FromFloat32([]float32{1, -1}, 1, 2))
	y := autograd.Linear(&autograd.Context{}, autograd.Constant(tensor.FromFloat32([]float32{3, 1}, 1, 2)), weight, nil)
	fmt.Println(y.Value.At(0, 0), y.RequiresGrad())
	// Output: 2 false
}
