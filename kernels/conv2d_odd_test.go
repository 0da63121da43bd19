package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// oddShapes are computed by every algorithm there is: taps, gathered rows, planes,
// unfolded rows, turned products, and Winograd's where it is asked for.
var oddShapes = map[string]Conv2dShape{
	"taps":     {9, 36, 8, 9, 44, 3, 3, 1, 1},
	"gathered": {1, 36, 4, 5, 44, 3, 3, 1, 1},
	"stride 2": {9, 36, 8, 9, 44, 3, 3, 2, 1},
	"planes":   {17, 3, 8, 9, 20, 3, 3, 1, 1},
	"unfolded": {2, 3, 8, 9, 20, 3, 3, 1, 1},
	"turned":   {20, 20, 8, 9, 5, 3, 3, 2, 1},
	"one row":  {1, 40, 1, 1, 33, 1, 1, 1, 0},
}

func eachOddShape(t *testing.T, f func(t *testing.T, s Conv2dShape)) {
	for _, a := range []ConvAlgorithm{ConvDirect, ConvWinograd} {
		for name, s := range oddShapes {
			t.Run(fmt.Sprint(a, "/", name), func(t *testing.T) {
				withAlgorithm(t, a)
				eachLevel(t, func(t *testing.T) { f(t, s) })
			})
		}
	}
}

// convolve computes all directions, the fused form and those with weights that are
// not packed, with operands that begin offset elements into their memory.
func convolve(s Conv2dShape, offset int) []float32 {
	r := rand.New(rand.NewPCG(21, 22))
	operand := func(n int) []float32 { return append(make([]float32, offset), randomSlice[float32](r, n)...)[offset:] }
	result := func(n int) []float32 { return make([]float32, offset+n)[offset:] }
	x, w, dy, bias := operand(s.inputLen()), operand(s.weightLen()), operand(s.outputLen()), operand(s.OC)
	forward, data := result(PackedConv2dLen(s, ConvForward)), result(PackedConv2dLen(s, ConvBackwardData))
	PackConv2d(forward, w, s, ConvForward)
	PackConv2d(data, w, s, ConvBackwardData)
	y, fused, dx, dw := result(len(dy)), result(len(dy)), result(len(x)), result(len(w))
	yOnce, dxOnce := result(len(dy)), result(len(x))
	Conv2dForward(y, x, forward, bias, s)
	Conv2dForwardFused(fused, x, forward, bias, dy, ActReLU, s)
	Conv2dBackwardData(dx, dy, data, s, false)
	Conv2dBackwardWeights(dw, x, dy, s, false)
	Conv2dForwardOnce(yOnce, x, w, s)
	Conv2dBackwardDataOnce(dxOnce, dy, w, s)
	return slices.Concat(y, fused, dx, dw, yOnce, dxOnce)
}

// Memory need not begin at a multiple of a vector.
func TestConv2dOfMisalignedMemory(t *testing.T) {
	eachOddShape(t, func(t *testing.T, s Conv2dShape) {
		want := convolve(s, 0)
		for _, offset := range []int{1, 3, 7} {
			if !slices.Equal(convolve(s, offset), want) {
				t.Errorf("%+v: memory that begins %d elements later gives other bits", s, offset)
			}
		}
	})
}

// There may be far more threads than tasks.
func TestConv2dOfMoreThreadsThanWork(t *testing.T) {
	eachOddShape(t, func(t *testing.T, s Conv2dShape) {
		withThreads(t, 1)
		want := convolve(s, 0)
		withThreads(t, 100)
		if !slices.Equal(convolve(s, 0), want) {
			t.Errorf("%+v: 100 threads give other bits than one", s)
		}
	})
}

// No images give no results, and a gradient of the weights that is zero or, where
// it is added to, stays.
func TestConv2dOfNoImagesByAnyAlgorithm(t *testing.T) {
	eachOddShape(t, func(t *testing.T, s Conv2dShape) {
		s.N = 0
		if got := convolve(s, 0); slices.ContainsFunc(got, func(v float32) bool { return v != 0 }) {
			t.Errorf("%+v: the gradient of no images is not 0", s)
		}
		dw := slices.Repeat([]float32{7}, s.weightLen())
		Conv2dBackwardWeights(dw, nil, nil, s, true)
		if slices.ContainsFunc(dw, func(v float32) bool { return v != 7 }) {
			t.Errorf("%+v: no images change the gradient that they are added to", s)
		}
	})
}

// What is wrong is said before any algorithm touches memory.
func TestConv2dRefusesHugeShapesByAnyAlgorithm(t *testing.T) {
	calls := map[string]func(s Conv2dShape){
		"Conv2dForward":          func(s Conv2dShape) { Conv2dForward(nil, nil, nil, nil, s) },
		"Conv2dForwardFused":     func(s Conv2dShape) { Conv2dForwardFused(nil, nil, nil, nil, []float32{1}, ActReLU, s) },
		"Conv2dBackwardData":     func(s Conv2dShape) { Conv2dBackwardData(nil, nil, nil, s, false) },
		"Conv2dBackwardWeights":  func(s Conv2dShape) { Conv2dBackwardWeights(nil, nil, nil, s, false) },
		"PackConv2d":             func(s Conv2dShape) { PackConv2d(nil, nil, s, ConvForward) },
		"Conv2dForwardOnce":      func(s Conv2dShape) { Conv2dForwardOnce(nil, nil, nil, s) },
		"Conv2dBackwardDataOnce": func(s Conv2dShape) { Conv2dBackwardDataOnce(nil, nil, nil, s) },
	}
	for _, a := range []ConvAlgorithm{ConvDirect, ConvWinograd} {
		for name, call := range calls {
			for want, s := range map[string]Conv2dShape{
				"is too large":               {1 << 20, 1 << 20, 64, 64, 1 << 20, 3, 3, 1, 1},
				"N is 2147483648":            {1 << 31, 1, 1, 1, 1, 3, 3, 1, 1},
				"N is -1, want at least 0":   {-1, 40, 8, 8, 40, 3, 3, 1, 1},
				" has 0 elements, want ":     {4, 40, 8, 8, 40, 3, 3, 1, 1},
				"kernel is 3x3, larger than": {4, 40, 1, 1, 40, 3, 3, 1, 0},
			} {
				t.Run(fmt.Sprintf("%v/%s/%s", a, name, want), func(t *testing.T) {
					withAlgorithm(t, a)
					defer func() {
						if got := fmt.Sprint(recover()); !strings.Contains(got, want) || !strings.Contains(got, name+":") || strings.Contains(got, "\n") {
							t.Errorf("panic %q, want one line of %s with %q", got, name, want)
						}
					}()
					call(s)
				})
			}
		}
	}
}
