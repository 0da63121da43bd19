package nn_test

import (
	"fmt"
	"log"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/nn/optim"
	"github.com/deepuncertainty/ddu/tensor"
)

// Train a small network for a few steps, freeze it and predict. A network with
// spectral normalisation is built with models.Options{SN: true, Mod: true} under
// a name such as "resnet18"; nothing else changes.
func Example() {
	net, err := models.Build("lenet", models.Options{Classes: 2, Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	sgd, err := optim.NewSGD(nn.Parameters(net), optim.SGDOptions{Momentum: 0.9, WeightDecay: 5e-4})
	if err != nil {
		log.Fatal(err)
	}

	// Eight images: bright on the left are class 0, bright on the right class 1.
	images, labels := tensor.New(tensor.Float32, 8, 1, 28, 28), make([]int, 8)
	for i := range labels {
		labels[i] = i % 2
		images.Select(0, i).Slice(2, 14*labels[i], 14*labels[i]+14).Fill(1 + 0.1*float64(i))
	}

	tape := autograd.NewTape()
	for range 20 {
		ctx := &autograd.Context{Tape: tape, Training: true}
		logits, _, err := net.Forward(ctx, autograd.Constant(images))
		if err != nil {
			log.Fatal(err)
		}
		tape.Backward(autograd.CrossEntropy(ctx, logits, labels))
		sgd.Step(0.02)
		nn.ZeroGrad(net)
		tape.Reset()
	}

	predictor, err := nn.Freeze(net)
	if err != nil {
		log.Fatal(err)
	}
	logits, features, err := predictor.Predict(images)
	if err != nil {
		log.Fatal(err)
	}
	for i := range labels[:4] {
		class := 0
		if logits.At(i, 1) > logits.At(i, 0) {
			class = 1
		}
		fmt.Printf("image %d: class %d\n", i, class)
	}
	fmt.Println("features:", features.Shape())
	// Output:
	// image 0: class 0
	// image 1: class 1
	// image 2: class 0
	// image 3: class 1
	// features: [8 84]
}
