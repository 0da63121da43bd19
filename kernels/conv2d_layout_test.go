package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// nhwcConv2d is a convolution on plain NHWC activations with the same plans,
// blocks and micro-kernels, to measure the layout by: with one image [H][W][N][C]
// is NHWC, so an image is what a plan for N = 1 covers.
type nhwcConv2d struct {
	s      Conv2dShape // of all images
	one    Conv2dShape
	images int // at a time, sharing each panel of weights while they are in cache
}

func newNHWCConv2d(s Conv2dShape) nhwcConv2d {
	one := s
	one.N = 1
	return nhwcConv2d{s, one, max(chunkElements/(s.H*s.W*s.C), 1)}
}

// product is convProduct without bias and accumulation.
func (n nhwcConv2d) product(c, a, packed []float32, d ConvDirection) {
	kern := brgemmOf[float32]()
	depth, width := d.depthWidth(n.one)
	plan := planConv2d(n.one, d, kern)
	cImage, aImage := n.one.outputLen(), n.one.inputLen()
	if d == ConvBackwardData {
		cImage, aImage = aImage, cImage
	}
	panelLen := n.s.KH * n.s.KW * depth * kern.nr
	blocks := ceilDiv(n.s.N, n.images)
	Parallel(blocks, func(t int) {
		images := split(n.s.N, blocks, t)
		args := brgemmArgs{bK: kern.nr * 4}
		for i := images.from; i < images.to; i++ {
			for _, e := range plan.empty {
				clear(c[i*cImage+e.from : i*cImage+e.to])
			}
		}
		for p := range ceilDiv(width, kern.nr) {
			for i := images.from; i < images.to; i++ {
				for j := range plan.blocks {
					b := &plan.blocks[j]
					args.aRow, args.cRow, args.accumulate = b.aRow*4, b.cRow*4, 0
					for _, run := range b.runs {
						args.a, args.b, args.c = unsafe.Pointer(&a[i*aImage+b.a]), unsafe.Pointer(&packed[p*panelLen]), unsafe.Pointer(&c[i*cImage+b.c+p*kern.nr])
						args.k, args.taps, args.numTaps = run.k, &run.taps[0], len(run.taps)
						kern.run(false, 4, b.rows, min(kern.nr, width-p*kern.nr), &args)
						args.accumulate = 1
					}
				}
			}
		}
	})
}

// toNHWC copies [H][W][N][C] to [N][H][W][C].
func toNHWC(x []float32, n, c int) []float32 {
	out, pixels := make([]float32, len(x)), len(x)/(n*c)
	for p := range pixels {
		for i := range n {
			copy(out[(i*pixels+p)*c:][:c], x[(p*n+i)*c:])
		}
	}
	return out
}

// The convolutions compared by BenchmarkConv2dLayout compute the same thing.
func TestConv2dLayouts(t *testing.T) {
	withAlgorithm(t, ConvDirect)
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		for _, s := range []Conv2dShape{{5, 20, 6, 6, 40, 3, 3, 1, 1}, {3, 16, 7, 7, 16, 3, 3, 2, 1}, {4, 17, 4, 4, 32, 1, 1, 2, 0}} {
			n := newNHWCConv2d(s)
			x, dy, w := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.outputLen()), randomSlice[float32](r, s.weightLen())
			xn, dyn := toNHWC(x, s.N, s.C), toNHWC(dy, s.N, s.OC)
			same := func(what string, got, want []float32) {
				t.Helper()
				for i := range want {
					if d := got[i] - want[i]; !(d < 1e-4 && d > -1e-4) {
						t.Fatalf("%+v %s: element %d is %v, want %v", s, what, i, got[i], want[i])
					}
				}
			}
			y, yn := make([]float32, len(dy)), make([]float32, len(dy))
			packed := make([]float32, PackedConv2dLen(s, ConvForward))
			PackConv2d(packed, w, s, ConvForward)
			Conv2dForward(y, x, packed, nil, s)
			n.product(yn, xn, packed, ConvForward)
			same("forward", yn, toNHWC(y, s.N, s.OC))

			dx, dxn := make([]float32, len(x)), make([]float32, len(x))
			packed = make([]float32, PackedConv2dLen(s, ConvBackwardData))
			PackConv2d(packed, w, s, ConvBackwardData)
			Conv2dBackwardData(dx, dy, packed, s, false)
			n.product(dxn, dyn, packed, ConvBackwardData)
			same("backward data", dxn, toNHWC(dx, s.N, s.C))
		}
	})
}

// BenchmarkConv2dLayout compares [H][W][N][C] with NHWC at the spatial sizes of
// ResNet-18, with the same micro-kernels. NHWCHalo reads images with a border of
// zeros, so that every tap is valid and every line one run of rows; writing the
// border is not counted. Backward weights packs its operands and does not care.
func BenchmarkConv2dLayout(b *testing.B) {
	withAlgorithm(b, ConvDirect)
	peak := PeakFloat32(Threads())
	for _, l := range layoutCases() {
		b.Run(l.name, func(b *testing.B) { benchFlops(b, peak, l.flops, l.run) })
	}
}

type layoutCase struct {
	name  string
	flops float64
	run   func()
}

func layoutCases() []layoutCase {
	var cases []layoutCase
	for _, s := range []Conv2dShape{
		{128, 64, 32, 32, 64, 3, 3, 1, 1},
		{128, 128, 16, 16, 128, 3, 3, 1, 1},
		{128, 256, 8, 8, 256, 3, 3, 1, 1},
		{128, 512, 4, 4, 512, 3, 3, 1, 1},
	} {
		halo := s
		halo.H, halo.W, halo.Padding = s.H+2*s.Padding, s.W+2*s.Padding, 0
		n, h := newNHWCConv2d(s), newNHWCConv2d(halo)
		x, y := make([]float32, halo.inputLen()), make([]float32, s.outputLen())
		x0 := x[:s.inputLen()]
		packed := make([]float32, PackedConv2dLen(s, ConvForward)) // C = OC: the same length both ways
		add := func(direction, layout string, f func()) {
			cases = append(cases, layoutCase{fmt.Sprintf("%dx%d/%s/%s", s.H, s.W, direction, layout), 2 * float64(s.outputLen()) * float64(s.C*s.KH*s.KW), f})
		}
		add("forward", "HWNC", func() { Conv2dForward(y, x0, packed, nil, s) })
		add("forward", "NHWC", func() { n.product(y, x0, packed, ConvForward) })
		add("forward", "NHWCHalo", func() { h.product(y, x, packed, ConvForward) })
		// With a border around dy, backward data is forward with the taps turned round.
		add("backwardData", "HWNC", func() { Conv2dBackwardData(x0, y, packed, s, false) })
		add("backwardData", "NHWC", func() { n.product(x0, y, packed, ConvBackwardData) })
		add("backwardData", "NHWCHalo", func() { h.product(y, x, packed, ConvForward) })
	}
	return cases
}
