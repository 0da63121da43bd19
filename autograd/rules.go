// Package autograd is reverse-mode differentiation: operations on variables,
// the tape that records them, and one backward rule per operation.
//
// Every operation is one entry of a table with its forward and backward
// function; a recorded node holds data only. Operations panic with one line
// that names the operation, what was found and what would be right when the
// shapes do not fit, as PyTorch raises.
package autograd

import (
	"fmt"
	"sync"

	"github.com/deepuncertainty/ddu/tensor"
)

// Op names an operation.
type Op int

// The operations. In brackets the type of Node.Attrs and the inputs.
const (
	OpConv2d        Op = iota // [Conv2dOptions; x, weight, bias or nil]
	OpLinear                  // [nil; x, weight, bias or nil]
	OpMatMul                  // [nil; a, b]
	OpBatchNorm2d             // [BatchNormAttrs; x, weight, bias, residual or nil]
	OpMaxPool2d               // [PoolOptions; x]
	OpAvgPool2d               // [PoolOptions; x]
	OpPadChannels             // [int, the channels appended; x]
	OpAdd                     // [nil; a, b]
	OpMul                     // [nil; a, b]
	OpScale                   // [float32, the factor; x]
	OpActivate                // [kernels.Activation; x]
	OpDropout                 // [DropoutAttrs; x]
	OpReshape                 // [[]int, the new shape; x]
	OpToImage                 // [nil; x]
	OpToContiguous            // [nil; x]
	OpSoftmax                 // [nil; x]
	OpLogSoftmax              // [nil; x]
	OpLogSumExp               // [nil; x]
	OpCrossEntropy            // [[]int, the labels; logits]
	OpSum                     // [nil; x]
	OpMean                    // [nil; x]
	OpSpectralScale           // [SpectralScaleOptions; weight_orig]
	OpCast                    // [tensor.DType; x]
	numOps
)

// rule is what the system knows about an operation.
type rule struct {
	name string
	// forward checks the inputs and computes n.Output.Value.
	forward func(ctx *Context, n *Node)
	// backward adds to the gradients of the inputs; dy is that of the output.
	backward func(t *Tape, n *Node, dy *tensor.Tensor)
	// reads tells which values backward reads, so that all others can be
	// freed before it runs.
	reads func(n *Node) reads
	// again computes the output of a node that is repeatable once more, into y.
	again func(n *Node, y *tensor.Tensor)
	// half tells which inputs may be bfloat16, by bits; those of one node, and its
	// output, then all are.
	half reads
}

var rules [numOps]rule

// The table is filled by init because the functions in it name their operation
// in messages, which reads the table.
func init() {
	rules = [numOps]rule{
		OpConv2d:        {"conv2d", conv2dForward, conv2dBackward, conv2dReads, nil, 1},
		OpLinear:        {"linear", linearForward, linearBackward, productReads, nil, 0},
		OpMatMul:        {"matmul", matMulForward, matMulBackward, productReads, nil, 0},
		OpBatchNorm2d:   {"batch_norm2d", batchNormForward, batchNormBackward, batchNormReads, batchNormAgain, 1 | 8},
		OpMaxPool2d:     {"max_pool2d", maxPoolForward, maxPoolBackward, readsNothing, nil, 1},
		OpAvgPool2d:     {"avg_pool2d", avgPoolForward, avgPoolBackward, readsNothing, nil, 1},
		OpPadChannels:   {"pad_channels", padChannelsForward, padChannelsBackward, readsNothing, nil, 1},
		OpAdd:           {"add", addForward, addBackward, readsNothing, nil, 1 | 2},
		OpMul:           {"mul", mulForward, mulBackward, productReads, nil, 1 | 2},
		OpScale:         {"scale", scaleForward, scaleBackward, readsNothing, nil, 1},
		OpActivate:      {"activate", activateForward, activateBackward, readsResult, nil, 1},
		OpDropout:       {"dropout", dropoutForward, dropoutBackward, readsNothing, nil, 1},
		OpReshape:       {"reshape", reshapeForward, reshapeBackward, readsNothing, nil, 1},
		OpToImage:       {"to_image", toImageForward, layoutBackward, readsNothing, nil, 1},
		OpToContiguous:  {"to_contiguous", toContiguousForward, layoutBackward, readsNothing, nil, 1},
		OpSoftmax:       {"softmax", softmaxForward, softmaxBackward, readsResult, nil, 0},
		OpLogSoftmax:    {"log_softmax", logSoftmaxForward, logSoftmaxBackward, readsResult, nil, 0},
		OpLogSumExp:     {"logsumexp", logSumExpForward, logSumExpBackward, readsAll, nil, 0},
		OpCrossEntropy:  {"cross_entropy", crossEntropyForward, crossEntropyBackward, readsNothing, nil, 0},
		OpSum:           {"sum", sumForward, sumBackward, readsNothing, nil, 0},
		OpMean:          {"mean", meanForward, meanBackward, readsNothing, nil, 0},
		OpSpectralScale: {"spectral_scale", spectralScaleForward, spectralScaleBackward, readsFirst, spectralScaleAgain, 0},
		OpCast:          {"cast", castForward, castBackward, readsNothing, nil, 1},
	}
}

func (o Op) String() string {
	if o < 0 || o >= numOps {
		return fmt.Sprintf("Op(%d)", int(o))
	}
	return rules[o].name
}

// Apply runs one operation on inputs and records it when ctx has a tape. The
// functions named after the operations do this with checked types; Apply is for
// running a recorded Node again on other inputs.
func Apply(ctx *Context, op Op, attrs any, inputs ...*Variable) *Variable {
	n := nodes.Get().(*Node)
	defer func() { *n = Node{}; nodes.Put(n) }()
	*n = Node{Op: op, Attrs: attrs, Inputs: inputs, Output: new(Variable), pool: ctx.pool()}
	for i, in := range inputs {
		if in == nil {
			continue
		}
		if in.memory.released {
			n.fail("input %d of shape %v was released before", i, in.Value.Shape())
		}
		n.wantType(i)
		n.Output.requiresGrad = n.Output.requiresGrad || in.requiresGrad && ctx.Tape != nil
	}
	if r := ctx.Trace(); r != nil {
		n.traceForward(ctx, r)
	} else {
		rules[op].forward(ctx, n)
	}
	if ctx.Tape == nil {
		n.dropSaved()
		return n.Output
	}
	ctx.Tape.record(n)
	return n.Output
}

// wantType checks the element type of input i.
func (n *Node) wantType(i int) {
	got, want := n.Inputs[i].Value.DType(), tensor.Float32
	if half := rules[n.Op].half; half>>i&1 == 1 {
		if i == 0 && got == tensor.BFloat16 {
			return
		}
		if i > 0 && n.Inputs[0] != nil {
			want = n.Inputs[0].Value.DType()
		}
	}
	if got != want {
		n.fail("input %d is %v, want %v (convert it with Cast)", i, got, want)
	}
}

// nodes are at work in Apply. The functions of the table are passed a pointer, so a
// new one would be allocated for each operation.
var nodes = sync.Pool{New: func() any { return new(Node) }}

func readsNothing(*Node) reads { return 0 }
func readsFirst(*Node) reads   { return 1 }
func readsResult(*Node) reads  { return readsOutput }
func readsAll(*Node) reads     { return 1 | readsOutput }

// productReads serves products: the gradient of either factor needs the other.
func productReads(n *Node) (r reads) {
	if n.Inputs[1].requiresGrad {
		r |= 1
	}
	if n.Inputs[0].requiresGrad {
		r |= 2
	}
	return r
}

// fail reports a misuse of the operation.
func (n *Node) fail(format string, args ...any) {
	panic("autograd: " + n.Op.String() + ": " + fmt.Sprintf(format, args...))
}

// value returns the tensor of input i, nil if it was left out.
func (n *Node) value(i int) *tensor.Tensor {
	if i >= len(n.Inputs) || n.Inputs[i] == nil {
		return nil
	}
	return n.Inputs[i].Value
}

// floats returns the elements of input i, nil if it was left out.
func (n *Node) floats(i int) []float32 {
	if t := n.value(i); t != nil {
		return t.Float32s()
	}
	return nil
}

// wantImage checks that input i is [N C H W] in image layout.
func (n *Node) wantImage(i int, what string) (batch, c, h, w int) {
	t := n.value(i)
	if t == nil || t.Rank() != 4 {
		n.fail("%s is %v, want [N C H W]", what, shapeOf(t))
	}
	if !t.IsImage() {
		n.fail("%s of shape %v is not in image layout, apply ToImage first", what, t.Shape())
	}
	s := t.Shape()
	return s[0], s[1], s[2], s[3]
}

// wantMatrix checks that input i is [rows columns] and contiguous.
func (n *Node) wantMatrix(i int, what string) (rows, columns int) {
	t := n.value(i)
	if t == nil || t.Rank() != 2 {
		n.fail("%s is %v, want two dimensions", what, shapeOf(t))
	}
	if !t.Contiguous() {
		n.fail("%s of shape %v is not contiguous, apply ToContiguous first", what, t.Shape())
	}
	return t.Dim(0), t.Dim(1)
}

// wantVector checks that input i has exactly size elements in one dimension.
func (n *Node) wantVector(i int, what string, size int) {
	if t := n.value(i); t == nil || t.Rank() != 1 || t.Len() != size {
		n.fail("%s is %v, want [%d]", what, shapeOf(t), size)
	}
}

func shapeOf(t *tensor.Tensor) any {
	if t == nil {
		return "missing"
	}
	return t.Shape()
}
