package ddu_test

import (
	"fmt"
	"log"

	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/uncertainty"
)

func Example() {
	network := must(models.Build("wide_resnet", models.Options{Depth: 10, Widen: 1, SN: true, Mod: true, Input: models.MNIST}))
	// A trained network, PyTorch's too: checkpoint.Read and nn.LoadStateDict. Here its initial weights do.
	predictor := must(nn.Freeze(network)) // immutable: share it between goroutines
	dim := predictor.FeatureDim()

	// Once, on the training images: one Gaussian per class over the features.
	known, labels := stripes(200) // float32 [200, 1, 28, 28], []int
	_, features, err := predictor.Predict(known)
	if err != nil {
		log.Fatal(err)
	}
	fit := must(uncertainty.NewGaussianFit(predictor.Classes(), dim))
	if err := fit.Add(uncertainty.NewMatrix(200, dim, features.Float32s()), labels); err != nil {
		log.Fatal(err)
	}
	density := must(fit.Fit(uncertainty.FitOptions{}))

	// For every image to judge: softmax entropy says "ambiguous", a low density "never seen".
	strange := tensor.New(tensor.Float32, 1, 1, 28, 28)
	strange.Fill(30)
	for i, image := range []*tensor.Tensor{known.Slice(0, 0, 1), strange} {
		logits, features, err := predictor.Predict(image)
		if err != nil {
			log.Fatal(err)
		}
		entropy := must(uncertainty.SoftmaxEntropy(uncertainty.NewMatrix(1, 10, logits.Float32s())))
		logDensity := must(density.LogDensity(uncertainty.NewMatrix(1, dim, features.Float32s())))
		fmt.Printf("image %d: entropy below ln 10: %v, seen before: %v\n", i, entropy[0] < 2.303, logDensity[0] > -1000)
	}
	// Output:
	// image 0: entropy below ln 10: true, seen before: true
	// image 1: entropy below ln 10: true, seen before: false
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// stripes draws n images with stripes of ten widths, their class.
func stripes(n int) (*tensor.Tensor, []int) {
	images, labels := tensor.New(tensor.Float32, n, 1, 28, 28), make([]int, n)
	for i, pixels := 0, images.Float32s(); i < len(pixels); i++ {
		image, column := i/784, i%28
		labels[image] = image % 10
		if column/(1+labels[image])%2 == 0 {
			pixels[i] = 0.5 + float32(image)/float32(n) + 0.1*float32(i*7919%13)/13
		}
	}
	return images, labels
}
