package bench

import (
	"testing"

	"github.com/deepuncertainty/ddu/nn/models"
	"github.com/deepuncertainty/ddu/tensor"
)

// BenchmarkTrainingStep tells what a training step in steady state allocates on
// the Go heap.
func BenchmarkTrainingStep(b *testing.B) {
	for _, c := range []struct {
		network string
		batch   int
	}{{"lenet", 128}, {"resnet18", 128}, {"wide_resnet", 32}} {
		b.Run(c.network, func(b *testing.B) {
			o := NetworkOptions{Network: c.network, Batch: c.batch, SN: true, Mod: true}.resolve()
			input := inputShape(o.MNIST)
			network, err := models.Build(o.Network, models.Options{Input: input, SN: o.SN, Mod: o.Mod, Dropout: publishedDropout(o.Network)})
			if err != nil {
				b.Fatal(err)
			}
			images, labels := syntheticBatch(o.Batch, input)
			run, err := newTrainStep(network, tensor.Float32, images, labels)
			if err != nil {
				b.Fatal(err)
			}
			step := func(i int) {
				if err := run(i, nil); err != nil {
					b.Fatal(err)
				}
			}
			for i := range 3 {
				step(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				step(i)
			}
		})
	}
}
