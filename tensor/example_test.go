package tensor_test

import (
	"fmt"

	"github.com/deepuncertainty/ddu/tensor"
)

func ExampleTensor() {
	x := tensor.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	column := x.Select(1, 2) // shares memory
	column.Set(60, 1)
	fmt.Println(x.At(1, 2), x.Permute(1, 0).Shape(), column.Contiguous())
	// Output: 60 [3 2] false
}

func ExampleTensor_ToImage() {
	nchw := tensor.New(tensor.Float32, 8, 3, 32, 32)
	img := nchw.ToImage()
	fmt.Println(img.Shape(), img.Strides())
	// Output: [8 3 32 32] [3 1 768 24]
}
