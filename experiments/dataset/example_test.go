package dataset_test

import (
	"context"
	"fmt"
	"log"

	"github.com/deepuncertainty/ddu/experiments/dataset"
)

// One epoch of training batches, with a tenth of the images held back.
func Example() {
	digits, err := dataset.Open("mnist-sample", dataset.Options{Train: true})
	if err != nil {
		log.Fatal(err)
	}
	train, validate, err := dataset.Split(digits.Len(), 1)
	if err != nil {
		log.Fatal(err)
	}
	loader, err := dataset.NewLoader(digits, dataset.LoaderOptions{
		Batch:   128,
		Indices: train,
		Shuffle: true,
		Augment: digits.Augmentation,
		Seed:    1,
	})
	if err != nil {
		log.Fatal(err)
	}
	images := 0
	for batch, err := range loader.Epoch(context.Background(), 0) {
		if err != nil {
			log.Fatal(err)
		}
		images += len(batch.Labels)
	}
	fmt.Println(digits, digits.Shape, "train", images, "validate", len(validate))
	// Output: mnist-sample (training) 1x28x28 train 9000 validate 1000
}
