package main

import (
	"path"
	"slices"
	"strings"
)

// activations, in the order of kernels.Activation.
var activations = []string{"None", "ReLU", "LeakyReLU", "ELU"}

// vectorPrograms lists all vector kernels.
func vectorPrograms() []*program {
	all := []*program{
		binary("Add", (*program).add), binary("Mul", (*program).mul),
		axpy(), scale(), fill(), addBias(),
		sumRows(), sumSquaresRows(), deviations(), dotRows(),
		maxRow(), sumExp("SumExp", false), sumExp("ExpSum", true), scaleRow(), shiftRow(), dotRow(), sumRow(),
		softmaxGradient(false), softmaxGradient(true), logSoftmaxGradient(false), logSoftmaxGradient(true),
		logSumExpGradient(false), logSumExpGradient(true), crossEntropyGradient(false), crossEntropyGradient(true),
		maxPool("MaxPoolFirst", true), maxPool("MaxPoolNext", false), maxPoolGradient(false), maxPoolGradient(true),
		sumWindow("SumWindowFirst", true), sumWindow("SumWindowNext", false),
		dropout("Dropout", false), dropout("DropoutAccumulate", true),
		sgd("SGDFirst", true, false), sgd("SGD", false, false), sgd("SGDNesterovFirst", true, true), sgd("SGDNesterov", false, true), sgdPlain(),
		adam(),
		winogradInput(), winogradOutput(false), winogradOutput(true), winogradFilter(), winogradGradient(), winogradFilterGradient(),
	}
	for _, act := range []string{"ReLU", "LeakyReLU"} {
		all = append(all, batchNormReduceFromInput(act), batchNormGradientFromInput(act, false), batchNormGradientFromInput(act, true))
	}
	for _, act := range activations {
		all = append(all, activation(act), activationGradient(act, false), activationGradient(act, true), batchNormReduce(act))
		for _, residual := range []bool{false, true} {
			all = append(all, batchNorm(act, residual))
		}
		for _, training := range []bool{true, false} {
			for _, accumulate := range []bool{false, true} {
				for _, residual := range []string{"", "Residual", "AddResidual"} {
					all = append(all, batchNormGradient(act, training, accumulate, residual))
				}
			}
		}
	}
	return append(all, bfloat16Programs(all)...)
}

// bfloat16Streams are the streams of activations and their gradients, by the name
// of a program without its variant.
var bfloat16Streams = []struct {
	program string
	streams []string
}{
	{"Add", []string{"a", "b", "y"}}, {"Mul", []string{"a", "b", "y"}}, {"Axpy", []string{"x", "y"}}, {"Scale", []string{"x", "y"}},
	{"Fill", []string{"y"}}, {"AddBias", []string{"y"}}, {"SumRows", []string{"x"}}, {"Deviations", []string{"x"}},
	{"MaxPoolFirst", []string{"x", "y"}}, {"MaxPoolNext", []string{"x", "y"}}, {"MaxPoolGradient", []string{"dy", "dx"}},
	{"SumWindowFirst", []string{"x"}}, {"SumWindowNext", []string{"x"}}, {"Dropout", []string{"x", "y"}},
	{"Activation*Gradient", []string{"dy", "y", "dx"}}, {"Activation*", []string{"x", "y"}},
	{"BatchNormReduce*", []string{"dy", "y", "x"}}, {"BatchNormGradient*", []string{"dy", "y", "x", "dx", "dresidual"}},
	{"BatchNorm*", []string{"y", "x", "residual"}},
}

// bfloat16Programs are the twins of those programs that pass over activations, and
// those that go from one element type to the other.
func bfloat16Programs(all []*program) []*program {
	var twins []*program
	for _, p := range all {
		for _, b := range bfloat16Streams {
			matched, err := path.Match(b.program, strings.TrimSuffix(p.name, "Accumulate"))
			if err != nil {
				panic(err)
			}
			if matched {
				has := func(s string) bool { return slices.Contains(p.streams, s) }
				twins = append(twins, p.inBFloat16(slices.DeleteFunc(slices.Clone(b.streams), func(s string) bool { return !has(s) })...))
				break
			}
		}
	}
	twins = append(twins, copyProgram("Round").mixed("y"), copyProgram("Widen").mixed("x"), binary("AddRounded", (*program).add).mixed("a", "y"))
	for _, act := range activations {
		for _, residual := range []bool{false, true} {
			p := batchNorm(act, residual)
			p.name += "Rounded"
			twins = append(twins, p.mixed(append([]string{"y"}, p.streams[4:]...)...))
		}
	}
	return twins
}

func copyProgram(name string) *program {
	p := newProgram(name)
	p.out("y", p.in("x"))
	return p
}

func when(condition bool, s string) string {
	if condition {
		return s
	}
	return ""
}

func binary(name string, f func(p *program, a, b value) value) *program {
	p := newProgram(name)
	a, b := p.in("a"), p.in("b")
	p.out("y", f(p, a, b))
	return p
}

func axpy() *program {
	p := newProgram("Axpy")
	y := p.stream("y")
	x := p.in("x")
	p.store(y, p.fma(p.scalar("s"), x, p.load(y)))
	return p
}

func scale() *program {
	p := newProgram("Scale")
	x := p.in("x")
	p.out("y", p.mul(p.scalar("s"), x))
	return p
}

func fill() *program {
	p := newProgram("Fill")
	p.out("y", p.scalar("s"))
	return p
}

// addBias adds a row vector; the stride of bias is 0.
func addBias() *program {
	p := newProgram("AddBias")
	y := p.stream("y")
	p.store(y, p.add(p.load(y), p.in("bias")))
	return p
}

// Reductions over rows: the sums are kept.

func sumRows() *program {
	p := newProgram("SumRows")
	x := p.in("x")
	sum := p.keep("sum")
	p.store(sum, p.add(p.load(sum), x))
	return p
}

func sumSquaresRows() *program {
	p := newProgram("SumSquaresRows")
	x := p.in("x")
	sum := p.keep("sum")
	p.store(sum, p.fma(x, x, p.load(sum)))
	return p
}

// deviations adds up the deviations from a mean and their squares.
func deviations() *program {
	p := newProgram("Deviations")
	d := p.sub(p.in("x"), p.load(p.keep("mean")))
	sum, squares := p.keep("sum"), p.keep("squares")
	p.store(sum, p.add(p.load(sum), d))
	p.store(squares, p.fma(d, d, p.load(squares)))
	return p
}

func dotRows() *program {
	p := newProgram("DotRows")
	a, b := p.in("a"), p.in("b")
	sum := p.keep("sum")
	p.store(sum, p.fma(a, b, p.load(sum)))
	return p
}

// expParts splits exp(x) into power*(1+poly), power = 2^n. x is clamped to where float32 can hold scale; NaN stays NaN.
//
// n = round(x/ln 2) by adding 1.5*2^23, whose low bits then are n; r = x - n ln 2
// in two steps; exp(r)-1 = r + r^2 q(r), q a Taylor polynomial, error 2e-8.
func expParts(p *program, x value) (poly, power value) {
	x = p.min(p.scalar("expHigh"), p.max(p.scalar("expLow"), x))
	t := p.fma(x, p.scalar("log2e"), p.scalar("magic"))
	n := p.sub(t, p.scalar("magic"))
	r := p.fma(n, p.scalar("minusLn2High"), x)
	r = p.fma(n, p.scalar("minusLn2Low"), r)
	q := p.fma(p.scalar("c7"), r, p.scalar("c6"))
	for _, c := range []string{"c5", "c4", "c3", "c2"} {
		q = p.fma(q, r, p.scalar(c))
	}
	poly = p.fma(p.mul(r, r), q, r)
	power = p.emit(opShiftLeft, p.emit(opIntAdd, t, p.scalar("bias127"), none, 0), none, none, 23)
	return poly, power
}

// expOf is exp(x), 0 where that is below the normal numbers.
func expOf(p *program, x value) value {
	poly, power := expParts(p, x)
	return p.choose(p.greater(p.scalar("expLow"), x), p.scalar("zero"), p.fma(power, poly, power))
}

// expMinus1 keeps small results exact: power*poly + (power-1).
func expMinus1(p *program, x value) value {
	poly, power := expParts(p, x)
	return p.fma(power, poly, p.sub(power, p.scalar("one")))
}

// Rows of classes. The maximum of a row leaves NaN out: the sum of exp(x - max)
// has it.

func maxRow() *program {
	p := newProgram("MaxRow")
	p.reduce(opMaxRow, "max", p.in("x"), p.scalar("minusInf"))
	return p
}

// sumExp is the sum of exp(x - shift) over each row, which with keep are stored.
func sumExp(name string, keep bool) *program {
	p := newProgram(name)
	e := expOf(p, p.sub(p.in("x"), p.row("shift")))
	p.reduce(opSumRow, "sum", e, p.scalar("zero"))
	if keep {
		p.out("y", e)
	}
	return p
}

// scaleRow is y = x*factor of the row.
func scaleRow() *program {
	p := newProgram("ScaleRow")
	p.out("y", p.mul(p.in("x"), p.row("factor")))
	return p
}

// shiftRow is y = (x - a) - b of the row.
func shiftRow() *program {
	p := newProgram("ShiftRow")
	p.out("y", p.sub(p.sub(p.in("x"), p.row("a")), p.row("b")))
	return p
}

// dotRow is the sum of a*b over each row, sumRow that of a.
func dotRow() *program {
	p := newProgram("DotRow")
	p.reduce(opSumRow, "sum", p.mul(p.in("a"), p.in("b")), p.scalar("zero"))
	return p
}

func sumRow() *program {
	p := newProgram("SumRow")
	p.reduce(opSumRow, "sum", p.in("a"), p.scalar("zero"))
	return p
}

// result stores d to a new stream dx, or adds it.
func result(p *program, d value, accumulate bool) *program {
	dx := p.stream("dx")
	if accumulate {
		d = p.add(p.load(dx), d)
	}
	p.store(dx, d)
	return p
}

// softmaxGradient: dx = y*(dy - dot of the row).
func softmaxGradient(accumulate bool) *program {
	p := newProgram("SoftmaxGradient" + when(accumulate, "Accumulate"))
	return result(p, p.mul(p.in("y"), p.sub(p.in("dy"), p.row("dot"))), accumulate)
}

// logSoftmaxGradient: dx = dy - exp(y)*sum of the row.
func logSoftmaxGradient(accumulate bool) *program {
	p := newProgram("LogSoftmaxGradient" + when(accumulate, "Accumulate"))
	e := expOf(p, p.in("y"))
	return result(p, p.sub(p.in("dy"), p.mul(e, p.row("sum"))), accumulate)
}

// logSumExpGradient: dx = exp(x - lse of the row)*dy of the row.
func logSumExpGradient(accumulate bool) *program {
	p := newProgram("LogSumExpGradient" + when(accumulate, "Accumulate"))
	e := expOf(p, p.sub(p.in("x"), p.row("lse")))
	return result(p, p.mul(e, p.row("dy")), accumulate)
}

// crossEntropyGradient: dx = exp(logp)*scale.
func crossEntropyGradient(accumulate bool) *program {
	p := newProgram("CrossEntropyGradient" + when(accumulate, "Accumulate"))
	return result(p, p.mul(expOf(p, p.in("logp")), p.scalar("scale")), accumulate)
}

func applyActivation(p *program, act string, x value) value {
	switch act {
	case "ReLU":
		return p.max(p.scalar("zero"), x)
	case "LeakyReLU":
		return p.max(p.mul(p.scalar("slope"), x), x)
	case "ELU":
		return p.choose(p.greater(x, p.scalar("zero")), x, expMinus1(p, x))
	}
	return x
}

// activationSlope is dy times the derivative, from the output y.
func activationSlope(p *program, act string, dy, y value) value {
	switch act {
	case "ReLU":
		return p.choose(p.greater(y, p.scalar("zero")), dy, p.scalar("zero"))
	case "LeakyReLU":
		return p.choose(p.greater(y, p.scalar("zero")), dy, p.mul(p.scalar("slope"), dy))
	case "ELU":
		return p.choose(p.greater(y, p.scalar("zero")), dy, p.fma(dy, y, dy))
	}
	return dy
}

func activation(act string) *program {
	p := newProgram("Activation" + act)
	x := p.in("x")
	p.out("y", applyActivation(p, act, x))
	return p
}

func activationGradient(act string, accumulate bool) *program {
	p := newProgram("Activation" + act + "Gradient" + when(accumulate, "Accumulate"))
	dy := p.in("dy")
	y := none
	if act != "None" {
		y = p.in("y")
	} else {
		p.stream("y")
	}
	return result(p, activationSlope(p, act, dy, y), accumulate)
}

// batchNorm is y = act(x*scale + shift (+ residual)).
func batchNorm(act string, residual bool) *program {
	p := newProgram("BatchNorm" + act + when(residual, "Residual"))
	y := p.stream("y")
	z := p.fma(p.in("x"), p.in("scale"), p.in("shift"))
	if residual {
		z = p.add(z, p.in("residual"))
	}
	p.store(y, applyActivation(p, act, z))
	return p
}

// upstream adds dy and y and returns dz = dy*act'(y). Without activation the
// stream y is there but not read.
func upstream(p *program, act string) value {
	dy := p.in("dy")
	if act == "None" {
		p.stream("y")
		return dy
	}
	return activationSlope(p, act, dy, p.in("y"))
}

// batchNormReduce adds up dz and dz*(x-mean).
func batchNormReduce(act string) *program {
	p := newProgram("BatchNormReduce" + act)
	dz := upstream(p, act)
	addUpstream(p, dz, p.in("x"))
	return p
}

// addUpstream adds to the sums of dz and dz*(x-mean).
func addUpstream(p *program, dz, x value) {
	centred := p.sub(x, p.load(p.keep("mean")))
	sum, product := p.keep("sumDz"), p.keep("sumDzX")
	p.store(sum, p.add(p.load(sum), dz))
	p.store(product, p.fma(dz, centred, p.load(product)))
}

// upstreamFromInput is upstream with x*scale + shift, whose sign is that of y, in place
// of y, for activations whose derivative wants no more. It returns x too.
func upstreamFromInput(p *program, act string) (dz, x value) {
	dy, x := p.in("dy"), p.in("x")
	return activationSlope(p, act, dy, p.fma(x, p.in("scale"), p.in("shift"))), x
}

// batchNormReduceFromInput is batchNormReduce without y.
func batchNormReduceFromInput(act string) *program {
	p := newProgram("BatchNormReduceFromInput" + act)
	dz, x := upstreamFromInput(p, act)
	addUpstream(p, dz, x)
	return p
}

// batchNormGradientFromInput is batchNormGradient in training without y and residual.
func batchNormGradientFromInput(act string, accumulate bool) *program {
	p := newProgram("BatchNormGradientFromInput" + act + when(accumulate, "Accumulate"))
	dz, x := upstreamFromInput(p, act)
	d := p.fma(dz, p.in("a"), p.fma(x, p.in("b"), p.in("c")))
	return result(p, d, accumulate)
}

// batchNormGradient is dx (+)= a*dz + b*x + c in training, a*dz in evaluation,
// and dresidual = or += dz.
func batchNormGradient(act string, training, accumulate bool, residual string) *program {
	p := newProgram(strings.Join([]string{"BatchNormGradient", act, when(!training, "Eval"), when(accumulate, "Accumulate"), residual}, ""))
	dz := upstream(p, act)
	var d value
	if training {
		d = p.fma(p.in("x"), p.in("b"), p.in("c"))
		d = p.fma(dz, p.in("a"), d)
	} else {
		p.stream("x")
		p.stream("b")
		p.stream("c")
		d = p.mul(dz, p.in("a"))
	}
	dx := p.stream("dx")
	if accumulate {
		d = p.add(p.load(dx), d)
	}
	if residual != "" {
		dres := p.stream("dresidual")
		if residual == "AddResidual" {
			p.store(dres, p.add(p.load(dres), dz))
		} else {
			p.store(dres, dz)
		}
	}
	p.store(dx, d)
	return p
}

// maxPool runs over rows that are elements of a window: it takes x and its
// position where x > y or x is NaN. The first rows of a window start from -Inf at
// position 0.
func maxPool(name string, first bool) *program {
	p := newProgram(name)
	p.window = true
	x, position := p.in("x"), p.row("position")
	var y, index int
	if first {
		y, index = p.keptFrom("y", p.scalar("minusInf")), p.keptFrom("index", p.scalar("zero"))
	} else {
		y, index = p.keep("y"), p.keep("index")
	}
	old, oldIndex := p.load(y), p.load(index)
	for _, better := range []value{p.greater(x, old), p.emit(opIsNaN, x, none, none, 0)} {
		old, oldIndex = p.choose(better, x, old), p.choose(better, position, oldIndex)
	}
	p.store(y, old)
	p.store(index, oldIndex)
	return p
}

// maxPoolGradient is dx (+)= dy where index is the position.
func maxPoolGradient(accumulate bool) *program {
	p := newProgram("MaxPoolGradient" + when(accumulate, "Accumulate"))
	dy, index := p.in("dy"), p.in("index")
	hit := p.emit(opEqual, index, p.scalar("position"), none, 0)
	return result(p, p.choose(hit, dy, p.scalar("zero")), accumulate)
}

// sumWindow adds up s*x over rows that are elements of a window.
func sumWindow(name string, first bool) *program {
	p := newProgram(name)
	p.window = true
	x, s := p.in("x"), p.scalar("s")
	var y int
	if first {
		y = p.keptFrom("y", p.scalar("zero"))
	} else {
		y = p.keep("y")
	}
	p.store(y, p.fma(s, x, p.load(y)))
	return p
}

// dropout keeps an element where a hash of its index, 24 bits, is at least the
// threshold p*2^24, and multiplies it by scale = 1/(1-p). The hash is two rounds
// of the 32-bit finaliser of MurmurHash3, keyed before each.
func dropout(name string, accumulate bool) *program {
	p := newProgram(name)
	x := p.in("x")
	h := p.emit(opIndex, none, none, none, 0)
	for _, key := range []string{"key0", "key1"} {
		h = p.emit(opIntXor, h, p.scalar(key), none, 0)
		h = p.emit(opIntXor, h, p.emit(opShiftRight, h, none, none, 16), none, 0)
		h = p.emit(opIntMul, h, p.scalar("mix1"), none, 0)
		h = p.emit(opIntXor, h, p.emit(opShiftRight, h, none, none, 13), none, 0)
		h = p.emit(opIntMul, h, p.scalar("mix2"), none, 0)
		h = p.emit(opIntXor, h, p.emit(opShiftRight, h, none, none, 16), none, 0)
	}
	dropped := p.emit(opIntGreater, p.scalar("threshold"), p.emit(opShiftRight, h, none, none, 8), none, 0)
	v := p.choose(dropped, p.scalar("zero"), p.mul(x, p.scalar("scale")))
	y := p.stream("y")
	if accumulate {
		v = p.add(p.load(y), v)
	}
	p.store(y, v)
	return p
}

// sgd is PyTorch's SGD with momentum; at the first step buf = d.
func sgd(name string, first, nesterov bool) *program {
	p := newProgram(name)
	param := p.stream("p")
	w := p.load(param)
	d := p.fma(p.scalar("decay"), w, p.in("g"))
	buf := p.stream("buf")
	b := d
	if !first {
		b = p.fma(p.scalar("momentum"), p.load(buf), d)
	}
	p.store(buf, b)
	if nesterov {
		b = p.fma(p.scalar("momentum"), b, d)
	}
	p.store(param, p.fma(p.scalar("minusLR"), b, w))
	return p
}

func sgdPlain() *program {
	p := newProgram("SGDPlain")
	param := p.stream("p")
	w := p.load(param)
	d := p.fma(p.scalar("decay"), w, p.in("g"))
	p.store(param, p.fma(p.scalar("minusLR"), d, w))
	return p
}

// adam is PyTorch's Adam: m, v moments; p -= stepSize*m / (sqrt(v)/rootCorrection2 + eps).
func adam() *program {
	p := newProgram("Adam")
	param := p.stream("p")
	w := p.load(param)
	d := p.fma(p.scalar("decay"), w, p.in("g"))
	ms, vs := p.stream("m"), p.stream("v")
	m := p.load(ms)
	m = p.fma(p.scalar("oneMinusBeta1"), p.sub(d, m), m)
	p.store(ms, m)
	v := p.mul(p.scalar("beta2"), p.load(vs))
	v = p.fma(p.mul(p.scalar("oneMinusBeta2"), d), d, v)
	p.store(vs, v)
	denominator := p.add(p.mul(p.sqrt(v), p.scalar("rootCorrection2")), p.scalar("eps"))
	p.store(param, p.fma(p.scalar("minusStep"), p.div(m, denominator), w))
	return p
}
