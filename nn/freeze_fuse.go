package nn

import (
	"slices"

	"github.com/deepuncertainty/ddu/autograd"
	"github.com/deepuncertainty/ddu/kernels"
)

// fuseConvolutions lets convolutions do what comes after them, while their results
// are in cache: an activation, a folded batch norm with its residual and activation,
// or the addition of a residual. The fused operation takes the place of the later
// one, since the residual may be computed in between.
func (g *graph) fuseConvolutions() {
	uses := g.uses()
	made := map[int]*operation{} // by output
	for i := range g.ops {
		o := &g.ops[i]
		made[o.output] = o
		for _, sum := range o.sums() {
			conv := made[sum.result]
			if conv != nil && g.canEnd(conv) && uses[conv.output] == 1 && g.alike(o.output, sum) {
				g.fuse(o, conv, sum.residual)
				break
			}
		}
	}
}

// sum is act(result + residual), the residual none if there is none.
type sum struct{ result, residual int }

// sums returns the ways to see o as a sum with an activation after it.
func (o *operation) sums() []sum {
	switch {
	case o.dropped:
	case o.op == autograd.OpActivate:
		return []sum{{o.inputs[0], none}}
	case o.op == autograd.OpAdd:
		return []sum{{o.inputs[0], o.inputs[1]}, {o.inputs[1], o.inputs[0]}}
	case o.op == autograd.OpBatchNorm2d && o.affine != nil && slices.Max(o.affine.scale) == 1 && slices.Min(o.affine.scale) == 1:
		return []sum{{o.inputs[0], o.inputs[3]}}
	}
	return nil
}

// canEnd tells whether conv is a convolution with constant weights that does nothing
// after it yet.
func (g *graph) canEnd(conv *operation) bool {
	return conv.op == autograd.OpConv2d && !conv.dropped && len(conv.inputs) == 3 && g.constants(conv.inputs[1:])
}

// alike tells whether the terms of a sum have the shape and layout of its output.
func (g *graph) alike(output int, s sum) bool {
	for _, id := range []int{s.result, s.residual} {
		if id == none {
			continue
		}
		v, out := g.values[id], g.values[output]
		if v.constant != nil || v.permuted != out.permuted || !slices.Equal(v.shape, out.shape) {
			return false
		}
	}
	return true
}

// fuse makes o the convolution conv with what o did to its result.
func (g *graph) fuse(o, conv *operation, residual int) {
	switch o.op {
	case autograd.OpActivate:
		o.act = o.attrs.(kernels.Activation)
	case autograd.OpBatchNorm2d:
		o.act = o.affine.act
		g.moveShift(conv, o.affine)
	}
	o.op, o.attrs, o.affine = autograd.OpConv2d, conv.attrs, nil
	o.inputs = append(slices.Clone(conv.inputs), residual)
	conv.dropped = true
}
