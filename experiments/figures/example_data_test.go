package figures

import (
	"math"
	"math/rand/v2"

	"github.com/deepuncertainty/ddu/uncertainty"
)

// Data like that of real runs.

func exampleEpochs(n int, validation bool) []Epoch {
	r := rand.New(rand.NewPCG(1, 2))
	var list []Epoch
	for i := 1; i <= n; i++ {
		drop := math.Exp(-4 * float64(i) / float64(n))
		e := Epoch{Number: i, Train: Quality{0.03 + 1.8*drop + 0.02*r.Float64(), 0.99 - 0.5*drop - 0.01*r.Float64()}}
		if validation {
			e.Validation = &Quality{e.Train.Loss + 0.05 + 0.05*r.Float64(), e.Train.Accuracy - 0.02}
		}
		list = append(list, e)
	}
	return list
}

func normals(seed uint64, n int, mean, std float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	list := make([]float64, n)
	for i := range list {
		list[i] = mean + std*r.NormFloat64()
	}
	return list
}

// entropies are near 0 for most images; spread says how many are not.
func entropies(seed uint64, n int, spread float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	list := make([]float64, n)
	for i := range list {
		list[i] = math.Min(math.Log(10), r.ExpFloat64()*spread)
	}
	return list
}

// calibration has confidences whose accuracy is confidence minus over.
func calibration(label string, n int, over float64) Calibration {
	r := rand.New(rand.NewPCG(7, 1))
	var probabilities []float64
	labels := make([]int, n)
	for i := range labels {
		p := 1 - 0.5*math.Pow(r.Float64(), 3)
		probabilities = append(probabilities, p, 1-p)
		if r.Float64() > p-over {
			labels[i] = 1
		}
	}
	diagram, err := uncertainty.Reliability(uncertainty.NewMatrix(n, 2, probabilities), labels, ReliabilityBins)
	if err != nil {
		panic(err)
	}
	return Calibration{label, diagram.ECE(), diagram}
}

// far is the log density of images far away: thousands of nats down.
func far(seed uint64, n int) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	list := make([]float64, n)
	for i := range list {
		list[i] = -400 * math.Exp(1.1*r.NormFloat64())
	}
	return list
}

type example struct {
	name string
	make func() (*Figure, error)
}

func examples() []example {
	in := Sample{"MNIST (in distribution)", normals(1, 2000, 60, 25)}
	return []example{
		{"comparison", func() (*Figure, error) {
			points := func(shift float64) []Compared {
				return []Compared{
					{"wide_resnet", "softmax", "Softmax entropy", 0.944 - shift, 0.004},
					{"wide_resnet", "energy", "Energy", 0.945 - shift, 0.005},
					{"wide_resnet sn 3 mod", "ddu", "DDU density", 0.981 - shift, 0.001},
					{"5 x wide_resnet", "ensemble", "Ensemble PE", 0.977 - shift, 0},
					{"5 x wide_resnet", "ensemble_mi", "Ensemble MI", math.NaN(), 0},
				}
			}
			return Comparison("Mean and standard error over runs", []Contest{{"AUROC, cifar10 against svhn (%)", points(0)}, {"AUROC, cifar10 against cifar100 (%)", points(0.07)}})
		}},
		{"curves", func() (*Figure, error) {
			return Curves("Training: wide_resnet_sn_3.0_mod on mnist-sample", exampleEpochs(5, true))
		}},
		{"curves_long", func() (*Figure, error) {
			return Curves("Training: wide_resnet_sn_3.0_mod on cifar10", exampleEpochs(350, true))
		}},
		{"curves_single", func() (*Figure, error) {
			return Curves("Training: lenet on mnist", exampleEpochs(1, false))
		}},
		{"entropy", func() (*Figure, error) {
			return EntropyHistogram("Softmax entropy: mnist-sample against fashion-mnist-sample", 10,
				Sample{"mnist-sample (in distribution)", entropies(1, 2000, 0.04)}, Sample{"fashion-mnist-sample", entropies(2, 2000, 0.9)})
		}},
		{"density_near", func() (*Figure, error) {
			return DensityHistogram("Feature density: cifar10 against svhn and cifar100", in, Sample{"svhn", normals(2, 2000, -50, 60)}, Sample{"cifar100", normals(3, 2000, -10, 40)})
		}},
		{"density_far", func() (*Figure, error) {
			return DensityHistogram("Feature density: mnist-sample against fashion-mnist-sample", in, Sample{"fashion-mnist-sample", far(2, 2000)})
		}},
		{"density_extreme", func() (*Figure, error) {
			out := far(3, 2000)
			for i := range out {
				out[i] *= 1e9
			}
			out[0] = math.Inf(-1)
			return DensityHistogram("Feature density: mnist-sample against noise", in, Sample{"noise", out})
		}},
		{"roc", func() (*Figure, error) {
			var list []Detector
			for i, m := range []struct{ id, label string }{{"softmax", "Softmax entropy"}, {"energy", "Energy"}, {"ddu", "DDU feature density"}} {
				list = append(list, Detector{m.id, m.label, normals(5, 2000, 0, 1), normals(6, 2000, 1.2+0.9*float64(i), 1), 0.9 + 0.03*float64(i)})
			}
			return ROC("mnist-sample against fashion-mnist-sample", list)
		}},
		{"reliability", func() (*Figure, error) {
			return Reliability("Calibration on mnist-sample (test)", calibration("Before scaling", 5000, 0.08), calibration("After, T = 1.62", 5000, -0.01))
		}},
	}
}
