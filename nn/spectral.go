package nn

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// SpectralNorm is the soft spectral normalisation of one weight: the layer uses
// weight_orig/(max(1, sigma/coeff) + eps), which is only ever scaled down, with
// sigma the largest singular value of the layer's linear map as power iteration
// estimates it (Miyato et al. 2018; for the convolution operator Gouk et al.
// 2021).
//
// A training forward runs power iterations and stores u, v and sigma; any other
// takes sigma = <u, W v> of the stored vectors and writes nothing.
type SpectralNorm struct {
	WeightOrig *autograd.Variable
	U, V       *Buffer // left and right singular vector, of length 1
	Sigma      *Buffer // of the last training forward, [1]
	Coeff      float64
	Iterations int

	operator *kernels.Conv2dShape // of the convolution operator; nil: the weight as a matrix
	eps      float64

	// iterated is the context of a training forward for which the power
	// iterations have run ahead of the layer.
	iterated *autograd.Context
	folded   atomic.Pointer[foldedWeight]
}

// SpectralOptions are the settings of spectral normalisation.
type SpectralOptions struct {
	Coeff      float64 // bound of sigma; 0 means 3
	Iterations int     // power iterations per training forward; 0 means 1
}

func (o SpectralOptions) withDefaults() SpectralOptions {
	if o.Coeff == 0 {
		o.Coeff = 3
	}
	if o.Iterations == 0 {
		o.Iterations = 1
	}
	return o
}

// foldedWeight is the weight that evaluation uses, made of one state of
// weight_orig, u and v.
type foldedWeight struct {
	weight, u, v uint64 // the versions it was made of
	sigma        float64
	scaled       *autograd.Variable
}

const (
	normEps     = 1e-12 // of the vectors, as PyTorch's normalize
	operatorEps = 1e-5  // added to the divisor of convolution operators
)

// newOperatorNorm normalises a convolution weight by the norm of the operator on
// maps of s.H x s.W.
func newOperatorNorm(key random.Key, weight *tensor.Tensor, s kernels.Conv2dShape, o SpectralOptions) *SpectralNorm {
	n := newSpectralNorm(key, weight, o, tensor.NewImage(tensor.Float32, 1, s.OC, s.OutH(), s.OutW()), tensor.NewImage(tensor.Float32, 1, s.C, s.H, s.W))
	n.operator, n.eps = &s, operatorEps
	return n
}

// newMatrixNorm normalises a weight by the norm of it as a matrix [out, rest].
func newMatrixNorm(key random.Key, weight *tensor.Tensor, o SpectralOptions) *SpectralNorm {
	return newSpectralNorm(key, weight, o, tensor.New(tensor.Float32, weight.Dim(0)), tensor.New(tensor.Float32, fanIn(weight)))
}

func newSpectralNorm(key random.Key, weight *tensor.Tensor, o SpectralOptions, u, v *tensor.Tensor) *SpectralNorm {
	o = o.withDefaults()
	if !(o.Coeff > 0) || math.IsInf(o.Coeff, 0) || o.Iterations < 0 {
		panic(fmt.Sprintf("nn: spectral normalisation with coeff %v and %d iterations, want both positive", o.Coeff, o.Iterations))
	}
	sigma := tensor.New(tensor.Float32, 1)
	sigma.Fill(1)
	fillUnit(key.Fold(keyLeft), u)
	fillUnit(key.Fold(keyRight), v)
	return &SpectralNorm{
		WeightOrig: autograd.NewParameter(weight), Coeff: o.Coeff, Iterations: o.Iterations,
		U: &Buffer{Value: u, Flat: true}, V: &Buffer{Value: v, Flat: true}, Sigma: &Buffer{Value: sigma},
	}
}

// fillUnit draws a random vector of length 1.
func fillUnit(key random.Key, t *tensor.Tensor) {
	flat := tensor.New(tensor.Float32, t.Shape()...)
	key.FillNormal(flat.Float32s(), 0, 1)
	kernels.Normalize(flat.Float32s(), flat.Float32s(), normEps)
	t.CopyFrom(flat)
}

func (s *SpectralNorm) members() []Member {
	return []Member{
		{Name: "weight_orig", Parameter: s.WeightOrig},
		{Name: "weight_u", Buffer: s.U}, {Name: "weight_v", Buffer: s.V}, {Name: "weight_sigma", Buffer: s.Sigma},
	}
}

// Spectral returns the normalisation of a layer.
func (s *SpectralNorm) Spectral() *SpectralNorm { return s }

// NamedSpectralNorm is a normalisation under the name of its layer.
type NamedSpectralNorm struct {
	Name string
	*SpectralNorm
}

// SpectralNorms returns the spectral normalisations in m and its modules.
func SpectralNorms(m Module) []NamedSpectralNorm {
	var norms []NamedSpectralNorm
	walk(m, "", func(name string, member Member) {
		if l, ok := member.Module.(interface{ Spectral() *SpectralNorm }); ok {
			norms = append(norms, NamedSpectralNorm{name, l.Spectral()})
		}
	})
	return norms
}

// IterateAll does ahead of a forward pass, for all layers at once, what each
// would do on its own: power iterations in training, else the scaled weights.
// The layers are independent and the products small, so this keeps all threads
// busy. Each layer uses the result once, for this ctx. A sigma that is not
// finite is an error.
func IterateAll(ctx *autograd.Context, norms []NamedSpectralNorm) error {
	sigmas := make([]float64, len(norms))
	start := ctx.Trace().Start()
	kernels.Parallel(len(norms), func(i int) {
		if ctx.Training {
			norms[i].iterate()
			norms[i].iterated = ctx
			sigmas[i] = norms[i].Sigma.Value.Item()
		} else {
			sigmas[i] = norms[i].fold().sigma
		}
	})
	traceIterations(ctx, start, norms...)
	for i, sigma := range sigmas {
		if math.IsNaN(sigma) || math.IsInf(sigma, 0) {
			return fmt.Errorf("the spectral norm of %s is %v: its weight is no longer finite, training diverged", norms[i].Name, sigma)
		}
	}
	return nil
}

// weight returns what the layer multiplies with.
func (s *SpectralNorm) weight(ctx *autograd.Context) *autograd.Variable {
	if ctx.Training {
		return autograd.SpectralScale(ctx, s.WeightOrig, s.normalise(ctx))
	}
	folded := s.fold()
	if ctx.Tape == nil {
		return folded.scaled
	}
	return autograd.SpectralScale(ctx, s.WeightOrig, s.scaleOptions(folded.sigma))
}

// conv2d is the convolution with weight. In training the weight is normalised while it
// is packed.
func (s *SpectralNorm) conv2d(ctx *autograd.Context, x, bias *autograd.Variable, o autograd.Conv2dOptions) *autograd.Variable {
	if ctx.Training {
		spectral := s.normalise(ctx)
		o.Spectral = &spectral
		return autograd.Conv2d(ctx, x, s.WeightOrig, bias, o)
	}
	w := s.weight(ctx)
	y := autograd.Conv2d(ctx, x, w, bias, o)
	ctx.Release(w)
	return y
}

// normalise returns how a training forward normalises the weight.
func (s *SpectralNorm) normalise(ctx *autograd.Context) autograd.SpectralScaleOptions {
	if s.iterated != ctx {
		start := ctx.Trace().Start()
		s.iterate()
		traceIterations(ctx, start, NamedSpectralNorm{SpectralNorm: s})
	}
	s.iterated = nil
	return s.scaleOptions(s.Sigma.Value.Item())
}

func (s *SpectralNorm) scaleOptions(sigma float64) autograd.SpectralScaleOptions {
	o := autograd.SpectralScaleOptions{Sigma: sigma, Coeff: s.Coeff, Eps: s.eps, U: s.U.Value, V: s.V.Value}
	if s.operator != nil {
		o.Conv = &autograd.ConvOperator{Stride: s.operator.Stride, Padding: s.operator.Padding}
	}
	return o
}

// iterate runs the power iterations v = Wᵀu/|Wᵀu|, u = Wv/|Wv| of a training
// forward. The length |Wv| is <u, Wv>, so sigma needs no further product.
func (s *SpectralNorm) iterate() {
	p := s.newProduct()
	u, v := s.U.Value.Float32s(), s.V.Value.Float32s()
	sigma := 0.0
	for range s.Iterations {
		p.transposed(v, u)
		kernels.Normalize(v, v, normEps)
		p.apply(u, v)
		sigma = kernels.Normalize(u, u, normEps)
	}
	s.Sigma.Value.Float32s()[0] = float32(sigma)
	s.U.BumpVersion()
	s.V.BumpVersion()
	s.Sigma.BumpVersion()
	s.folded.Store(nil)
}

// fold returns the weight for evaluation, from the cache where nothing changed.
// Goroutines that find the cache empty at once make the same weight.
func (s *SpectralNorm) fold() *foldedWeight {
	// The versions are read before the values they stand for.
	f := &foldedWeight{weight: s.WeightOrig.Version(), u: s.U.Version(), v: s.V.Version()}
	if c := s.folded.Load(); c != nil && c.weight == f.weight && c.u == f.u && c.v == f.v {
		return c
	}
	p := s.newProduct()
	wv := make([]float32, s.U.Value.Len())
	p.apply(wv, s.V.Value.Float32s())
	f.sigma = kernels.Dot(s.U.Value.Float32s(), wv)
	f.scaled = s.WeightOrig
	if scale := 1 / (math.Max(1, f.sigma/s.Coeff) + s.eps); scale != 1 {
		w := tensor.NewLike(s.WeightOrig.Value)
		kernels.Scale(w.Float32s(), s.WeightOrig.Value.Float32s(), float32(scale))
		f.scaled = autograd.NewParameter(w)
	}
	s.folded.Store(f)
	return f
}

// product multiplies vectors with the linear map of a weight.
type product struct {
	weight   []float32
	operator *kernels.Conv2dShape
}

func (s *SpectralNorm) newProduct() product {
	return product{weight: s.WeightOrig.Value.Float32s(), operator: s.operator}
}

// apply sets u to W·v.
func (p product) apply(u, v []float32) {
	if p.operator != nil {
		kernels.Conv2dForwardOnce(u, v, p.weight, *p.operator)
		return
	}
	kernels.Gemm(false, true, 1, len(u), len(v), v, len(v), p.weight, len(v), false, u, len(u))
}

// transposed sets v to Wᵀ·u.
func (p product) transposed(v, u []float32) {
	if p.operator != nil {
		kernels.Conv2dBackwardDataOnce(v, u, p.weight, *p.operator)
		return
	}
	kernels.Gemm(false, false, 1, len(v), len(u), u, len(u), p.weight, len(v), false, v, len(v))
}
