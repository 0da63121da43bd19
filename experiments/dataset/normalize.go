package dataset

// Normalization maps a pixel v of channel c to (v/255 - Mean[c]) / Std[c].
type Normalization struct{ Mean, Std []float32 }

// cifarNormalization also serves CIFAR-100, SVHN and Tiny-ImageNet in the
// published experiments; mnistNormalization serves all sets of the MNIST family.
var (
	cifarNormalization = Normalization{
		Mean: []float32{0.4914, 0.4822, 0.4465},
		Std:  []float32{0.2023, 0.1994, 0.2010},
	}
	mnistNormalization = Normalization{Mean: []float32{0.1307}, Std: []float32{0.3081}}
)

// tables returns for every channel the normalised value of each of the 256
// pixel values, rounded at the same places as torchvision's ToTensor and
// Normalize (every step in float32).
func (n Normalization) tables() [][256]float32 {
	t := make([][256]float32, len(n.Mean))
	for c := range t {
		for v := range t[c] {
			scaled := float32(v) / 255
			t[c][v] = (scaled - n.Mean[c]) / n.Std[c]
		}
	}
	return t
}
