package kernels

import "fmt"

// Activation is an activation function.
type Activation int

// The activation functions: none, max(x, 0), leaky ReLU with slope 0.01, and ELU
// with alpha 1. NaN stays NaN.
const (
	ActNone Activation = iota
	ActReLU
	ActLeakyReLU
	ActELU
	numActivations
)

var activationNames = [numActivations]string{"none", "relu", "leaky_relu", "elu"}

func (a Activation) String() string {
	if a < 0 || a >= numActivations {
		return fmt.Sprintf("Activation(%d)", int(a))
	}
	return activationNames[a]
}

func (a Activation) check(name string) {
	if a < 0 || a >= numActivations {
		panic(fmt.Sprintf("kernels: %s: activation %d, want 0 to %d", name, int(a), numActivations-1))
	}
}

// SignSuffices tells whether the derivative depends on the sign of the result alone.
func (a Activation) SignSuffices() bool { return a == ActReLU || a == ActLeakyReLU }

var (
	activationForward  = [numActivations]*vectorKernel{&vecActivationNone, &vecActivationReLU, &vecActivationLeakyReLU, &vecActivationELU}
	activationBackward = [numActivations][2]*vectorKernel{
		{&vecActivationNoneGradient, &vecActivationNoneGradientAccumulate},
		{&vecActivationReLUGradient, &vecActivationReLUGradientAccumulate},
		{&vecActivationLeakyReLUGradient, &vecActivationLeakyReLUGradientAccumulate},
		{&vecActivationELUGradient, &vecActivationELUGradientAccumulate},
	}
)

// ActivationForward computes y = act(x). y may be x.
func ActivationForward[E Element](y, x []E, act Activation) {
	act.check("ActivationForward")
	checkLengths("ActivationForward", len(y), length("x", x))
	kernelOf[E](activationForward[act]).elements(len(y), nil, parameters(x), parameters(y))
}

// ActivationBackward computes dx (+)= dy*act'(x) from the output y = act(x). dx
// may be dy.
func ActivationBackward[E Element](dx, dy, y []E, act Activation, accumulate bool) {
	act.check("ActivationBackward")
	checkLengths("ActivationBackward", len(dx), length("dy", dy), length("y", y))
	kernelOf[E](activationBackward[act][index(accumulate)]).elements(len(dx), nil, parameters(dy), parameters(y), parameters(dx))
}

// index turns a condition into an index.
func index(b bool) int {
	if b {
		return 1
	}
	return 0
}
