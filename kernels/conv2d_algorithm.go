package kernels

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// ConvAlgorithm says how convolutions are computed.
type ConvAlgorithm int32

const (
	// ConvAuto takes what measured fastest for a shape.
	ConvAuto ConvAlgorithm = iota
	// ConvDirect adds up products of pixels and weights as they are.
	ConvDirect
	// ConvWinograd takes F(4x4, 3x3) where it applies, else ConvDirect.
	ConvWinograd
)

var convAlgorithmNames = []string{"auto", "direct", "winograd"}

func (a ConvAlgorithm) String() string {
	if a < 0 || int(a) >= len(convAlgorithmNames) {
		return fmt.Sprintf("ConvAlgorithm(%d)", int32(a))
	}
	return convAlgorithmNames[a]
}

// ParseConvAlgorithm returns the algorithm of that name.
func ParseConvAlgorithm(name string) (ConvAlgorithm, error) {
	for a, n := range convAlgorithmNames {
		if n == name {
			return ConvAlgorithm(a), nil
		}
	}
	return 0, fmt.Errorf("unknown convolution algorithm %q: want one of %s", name, strings.Join(convAlgorithmNames, ", "))
}

var convAlgorithm atomic.Int32

// CurrentConvAlgorithm returns the setting in use; at first it is ConvAuto.
func CurrentConvAlgorithm() ConvAlgorithm { return ConvAlgorithm(convAlgorithm.Load()) }

// SetConvAlgorithm makes every later convolution use a. It must not run while
// kernels are running. Weights packed before must be packed again.
func SetConvAlgorithm(a ConvAlgorithm) error {
	if a < ConvAuto || a > ConvWinograd {
		return fmt.Errorf("convolution algorithm %d: want one of %s", int32(a), strings.Join(convAlgorithmNames, ", "))
	}
	convAlgorithm.Store(int32(a))
	return nil
}

// Algorithm returns how a convolution of this shape is computed in direction d,
// ConvDirect or ConvWinograd: by the setting and the shape alone, since it changes
// bits.
func (s Conv2dShape) Algorithm(d ConvDirection) ConvAlgorithm {
	setting := CurrentConvAlgorithm()
	if setting == ConvDirect || s.KH != 3 || s.KW != 3 || s.Stride != 1 || s.Padding != 1 {
		return ConvDirect
	}
	if setting == ConvWinograd || winogradPays(s, d) {
		return ConvWinograd
	}
	return ConvDirect
}

// winogradPays tells whether ConvAuto takes Winograd's algorithm: by measurement
// where there are channels enough to outweigh the transforms, and rows enough to
// outweigh reading four times as many weights, which few channels keep in a cache.
func winogradPays(s Conv2dShape, d ConvDirection) bool {
	rows := newWinogradTiles(s.H, s.W).count() * s.N
	return min(s.C, s.OC) >= 32 && (rows >= 32 || rows >= 16 && max(s.C, s.OC) <= 128)
}

// WeightForm names what packed weights of one shape, direction and level look like.
type WeightForm int32

const (
	// DirectForm and WinogradForm are panels for the float32 kernels of an algorithm.
	DirectForm WeightForm = iota
	WinogradForm
	// TileForm and LineForm are for units that multiply bfloat16.
	TileForm
	LineForm

	NumWeightForms = iota
)

// WeightForm returns the form in which float32 kernels read weights in direction d.
func (s Conv2dShape) WeightForm(d ConvDirection) WeightForm {
	if s.Algorithm(d) == ConvWinograd {
		return WinogradForm
	}
	return DirectForm
}

// WeightFormBF16 is WeightForm for kernels on bfloat16.
func (s Conv2dShape) WeightFormBF16(d ConvDirection) WeightForm {
	switch {
	case !s.MultipliesBF16(d):
		return s.WeightForm(d)
	case s.amxLined(d):
		return LineForm
	}
	return TileForm
}
