package ddu_test

import (
	"fmt"
	"log"
	"slices"

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

	// Once, on the training images: one Gaussian per class over the features. Plain
	// grey stands here for images [N, 1, 28, 28] of ten classes.
	known, labels := tensor.New(tensor.Float32, 200, 1, 28, 28), make([]int, 200)
	for i := range labels {
		labels[i] = i / 20
		known.Slice(0, i, i+1).Fill(float64(i) / 200)
	}
	_, features, err := predictor.Predict(known)
	if err != nil {
		log.Fatal(err)
	}
	fit, train := must(uncertainty.NewGaussianFit(predictor.Classes(), dim)), uncertainty.NewMatrix(200, dim, features.Float32s())
	if err := fit.Add(train, labels); err != nil {
		log.Fatal(err)
	}
	density := must(fit.Fit(uncertainty.FitOptions{}))
	lowest := slices.Min(must(density.LogDensity(train)))

	// For every image to judge: softmax entropy says "ambiguous", a low density "never seen".
	strange := tensor.New(tensor.Float32, 1, 1, 28, 28)
	strange.Fill(30)
	for i, image := range []*tensor.Tensor{known.Slice(0, 100, 101), strange} {
		logits, features, err := predictor.Predict(image)
		if err != nil {
			log.Fatal(err)
		}
		entropy := must(uncertainty.SoftmaxEntropy(uncertainty.NewMatrix(1, 10, logits.Float32s())))
		logDensity := must(density.LogDensity(uncertainty.NewMatrix(1, dim, features.Float32s())))
		fmt.Printf("image %d: entropy below ln 10: %v, seen before: %v\n", i, entropy[0] < 2.303, logDensity[0] >= lowest)
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
