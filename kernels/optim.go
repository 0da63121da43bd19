package kernels

import (
	"fmt"
	"math"
)

// SGD holds the settings of one step of torch.optim.SGD.
type SGD struct {
	LR, Momentum, WeightDecay float32
	Nesterov                  bool
	First                     bool // the momentum buffer is empty: it becomes the gradient
}

// SGDStep updates the parameters p from their gradient g as torch.optim.SGD
// does: d = g + WeightDecay*p; buf = Momentum*buf + d; p -= LR*buf, or with
// Nesterov p -= LR*(d + Momentum*buf). Without momentum buf is not used and may
// be nil.
func SGDStep(p, g, buf []float32, o SGD) {
	checkLengths("SGDStep", len(p), length("g", g))
	if o.Momentum == 0 {
		vecSGDPlain.flat(len(p), []float32{o.WeightDecay, -o.LR}, p, g)
		return
	}
	checkLengths("SGDStep", len(p), length("buf", buf))
	switch {
	case o.First && o.Nesterov:
		vecSGDNesterovFirst.flat(len(p), []float32{o.WeightDecay, o.Momentum, -o.LR}, p, g, buf)
	case o.First:
		vecSGDFirst.flat(len(p), []float32{o.WeightDecay, -o.LR}, p, g, buf)
	case o.Nesterov:
		vecSGDNesterov.flat(len(p), []float32{o.WeightDecay, o.Momentum, -o.LR}, p, g, buf)
	default:
		vecSGD.flat(len(p), []float32{o.WeightDecay, o.Momentum, -o.LR}, p, g, buf)
	}
}

// Adam holds the settings of one step of torch.optim.Adam (L2 weight decay).
type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int // from 1
}

// AdamStep updates the parameters p and the moments m and v from the gradient g
// as torch.optim.Adam does.
func AdamStep(p, g, m, v []float32, o Adam) {
	checkLengths("AdamStep", len(p), length("g", g), length("m", m), length("v", v))
	if o.Step < 1 {
		panic(fmt.Sprintf("kernels: AdamStep: step %d, want at least 1", o.Step))
	}
	correction1, correction2 := 1-math.Pow(o.Beta1, float64(o.Step)), 1-math.Pow(o.Beta2, float64(o.Step))
	vecAdam.flat(len(p), []float32{
		float32(o.WeightDecay), float32(1 - o.Beta1), float32(o.Beta2), float32(1 - o.Beta2),
		float32(1 / math.Sqrt(correction2)), float32(o.Eps), float32(-o.LR / correction1),
	}, p, g, m, v)
}
