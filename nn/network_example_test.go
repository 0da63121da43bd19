package nn_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// mlp is 784 -> 64 -> 10 with a spectrally normalised first layer.
type mlp struct{ hidden, last nn.Layer }

func (m *mlp) Members() []nn.Member {
	return []nn.Member{{Name: "hidden", Module: m.hidden}, {Name: "last", Module: m.last}}
}
func (m *mlp) InputShape() []int { return []int{784} }
func (m *mlp) Classes() int      { return 10 }
func (m *mlp) FeatureDim() int   { return 64 }

func (m *mlp) Forward(ctx *autograd.Context, x *autograd.Variable) (logits, features *autograd.Variable, err error) {
	if err := nn.CheckInput("mlp", x.Value, m.InputShape()); err != nil {
		return nil, nil, err
	}
	features = autograd.Activate(ctx, m.hidden.Forward(ctx, x), kernels.ActReLU)
	return m.last.Forward(ctx, features), features, nil
}

func newMLP(seed uint64) *mlp {
	key := random.NewKey(seed, "weights")
	return &mlp{
		nn.NewSNLinear(key.Fold(1), 784, 64, nn.LinearOptions{}, nn.SpectralOptions{}),
		nn.NewLinear(key.Fold(2), 64, 10, nn.LinearOptions{}),
	}
}

func save(path string, network nn.Network) error {
	return checkpoint.WriteSafetensors(path, &checkpoint.File{Entries: nn.StateDict(network), Metadata: map[string]string{"format": "pt"}})
}

func load(path string, network nn.Network) error {
	file, err := checkpoint.Read(path) // safetensors, or what torch.save wrote
	if err != nil {
		return err
	}
	return nn.LoadStateDict(network, file.Entries)
}

// A network of one's own needs its members, its shapes and its forward pass.
func Example_network() {
	dir, err := os.MkdirTemp("", "ddu")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mlp.safetensors")
	if err := save(path, newMLP(1)); err != nil {
		log.Fatal(err)
	}
	network := newMLP(2)
	if err := load(path, network); err != nil {
		log.Fatal(err)
	}
	for _, e := range nn.StateDict(network) {
		fmt.Println(e.Name, e.Shape)
	}
	predictor, err := nn.Freeze(network)
	if err != nil {
		log.Fatal(err)
	}
	logits, features, err := predictor.Predict(tensor.New(tensor.Float32, 3, 784))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(logits.Shape(), features.Shape())
	_, _, err = predictor.Predict(tensor.New(tensor.Float32, 3, 1000))
	fmt.Println(err)
	// Output:
	// hidden.bias [64]
	// hidden.weight_orig [64 784]
	// hidden.weight_u [64]
	// hidden.weight_v [784]
	// hidden.weight_sigma [1]
	// last.weight [10 64]
	// last.bias [10]
	// [3 10] [3 64]
	// the frozen network takes 784 values, the input is a batch of 1000 values
}
