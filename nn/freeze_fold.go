package nn

import (
	"math"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
	"github.com/deepuncertainty/ddu/tensor"
)

// affine is batch norm in evaluation: act(scale·x + shift + residual) per
// channel.
type affine struct {
	scale, shift []float32
	act          kernels.Activation
}

// foldBatchNorms gives every batch norm its scale and shift, and moves the scale
// into the weight of the convolution before it where nothing else reads that
// convolution's result. The shift becomes its bias, unless a residual is added
// later in one pass with the shift.
func (g *graph) foldBatchNorms() {
	uses := g.uses()
	made := map[int]*operation{} // by output
	for i := range g.ops {
		o := &g.ops[i]
		made[o.output] = o
		if o.op != autograd.OpBatchNorm2d || !g.constants(o.inputs[1:3]) {
			continue
		}
		o.affine = g.affine(o)
		conv := made[o.inputs[0]]
		if conv == nil || conv.op != autograd.OpConv2d || uses[conv.output] != 1 || !g.constants(conv.inputs[1:]) {
			continue
		}
		g.scaleConv(conv, o.affine)
		if o.inputs[3] != none {
			continue
		}
		g.moveShift(conv, o.affine)
		if o.affine.act == kernels.ActNone {
			o.dropped = true
		} else {
			o.op, o.attrs, o.affine = autograd.OpActivate, o.affine.act, nil
		}
		o.inputs = o.inputs[:1]
	}
}

func (g *graph) constants(ids []int) bool {
	for _, id := range ids {
		if id != none && g.values[id].constant == nil {
			return false
		}
	}
	return true
}

// affine computes scale = weight/√(var + eps) and shift = bias - scale·mean.
func (g *graph) affine(o *operation) *affine {
	attrs := o.attrs.(autograd.BatchNormAttrs)
	weight, bias := g.values[o.inputs[1]].constant.Float32s(), g.values[o.inputs[2]].constant.Float32s()
	mean, variance := attrs.Running.Mean.Float32s(), attrs.Running.Var.Float32s()
	a := &affine{make([]float32, len(mean)), make([]float32, len(mean)), attrs.Activation}
	for c := range mean {
		s := float64(weight[c]) / math.Sqrt(float64(variance[c])+attrs.Eps)
		a.scale[c] = float32(s)
		a.shift[c] = float32(float64(bias[c]) - s*float64(mean[c]))
	}
	return a
}

// scaleConv multiplies the weight [OC, ...] and bias of conv by a's scale, which
// becomes 1.
func (g *graph) scaleConv(conv *operation, a *affine) {
	weight := g.values[conv.inputs[1]].constant.Clone()
	rows := weight.Float32s()
	length := len(rows) / len(a.scale)
	for c, s := range a.scale {
		row := rows[c*length : (c+1)*length]
		kernels.Scale(row, row, s)
	}
	conv.inputs[1] = g.addConstant(weight)
	if conv.inputs[2] != none {
		bias := g.values[conv.inputs[2]].constant.Clone()
		kernels.Mul(bias.Float32s(), bias.Float32s(), a.scale)
		conv.inputs[2] = g.addConstant(bias)
	}
	kernels.Fill(a.scale, 1)
}

// moveShift adds a's shift to the bias of conv.
func (g *graph) moveShift(conv *operation, a *affine) {
	bias := tensor.FromFloat32(a.shift, len(a.shift))
	if conv.inputs[2] != none {
		kernels.Add(a.shift, a.shift, g.values[conv.inputs[2]].constant.Float32s())
	}
	conv.inputs[2] = g.addConstant(bias)
}

func (g *graph) addConstant(t *tensor.Tensor) int {
	g.values = append(g.values, value{shape: t.Shape(), constant: t})
	return len(g.values) - 1
}
