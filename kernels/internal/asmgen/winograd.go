package main

import "fmt"

// The one-dimensional transforms of Winograd's F(4,3) at the points 0, ±p, ±q and
// infinity; a tile is transformed along one side, then the other. For polynomials
// d(x) (six values), g(x) (three) and their product of which four are wanted,
//
//	output = A (G g * B d)  with
//	B: values at the points of d, as Lagrange's numerators
//	G: values at the points of g, over Lagrange's denominators
//	A: coefficients from values
//
// With p^2 q^2 = c and p^2 + q^2 = s the numerators are x^4 - s x^2 + c and
// x (x ± p) (x^2 - q^2). Pairs at ±p share their even and odd parts.

// winogradInput is B: six values to six.
func winogradInput() *program {
	p := newProgram("WinogradInput")
	d := p.several("d", 6)
	v := p.bundle("v", 6)
	d2, d4 := p.load(d+2), p.load(d+4)
	p.store(v, p.fma(p.load(d), p.scalar("c"), p.fma(d2, p.scalar("minusS"), d4)))
	d1, d3 := p.load(d+1), p.load(d+3)
	for i, point := range []string{"P", "Q"} {
		other := p.scalar([]string{"minusQ2", "minusP2"}[i])
		even, odd := p.fma(d2, other, d4), p.fma(d1, other, d3)
		p.store(v+1+2*i, p.fma(odd, p.scalar("plus"+point), even))
		p.store(v+2+2*i, p.fma(odd, p.scalar("minus"+point), even))
	}
	p.store(v+5, p.fma(d1, p.scalar("c"), p.fma(d3, p.scalar("minusS"), p.load(d+5))))
	return p
}

// winogradOutput is A: six values to four, which it stores or adds.
func winogradOutput(accumulate bool) *program {
	p := newProgram("WinogradOutput" + when(accumulate, "Accumulate"))
	m := p.several("m", 6)
	y := p.bundle("y", 4)
	store := func(i int, v value) {
		if accumulate {
			v = p.add(v, p.load(y+i))
		}
		p.store(y+i, v)
	}
	m1, m2, m3, m4 := p.load(m+1), p.load(m+2), p.load(m+3), p.load(m+4)
	evenP, oddP := p.add(m1, m2), p.sub(m1, m2)
	evenQ, oddQ := p.add(m3, m4), p.sub(m3, m4)
	store(0, p.add(p.load(m), p.add(evenP, evenQ)))
	store(1, p.fma(oddQ, p.scalar("q"), p.mul(oddP, p.scalar("p"))))
	store(2, p.fma(evenQ, p.scalar("q2"), p.mul(evenP, p.scalar("p2"))))
	store(3, p.fma(oddQ, p.scalar("q3"), p.fma(oddP, p.scalar("p3"), p.load(m+5))))
	return p
}

// winogradFilter is G: three values to six.
func winogradFilter() *program {
	p := newProgram("WinogradFilter")
	g := p.several("g", 3)
	u := p.bundle("u", 6)
	g0, g1, g2 := p.load(g), p.load(g+1), p.load(g+2)
	p.store(u, p.mul(g0, p.scalar("g0")))
	for i, point := range []string{"P", "Q"} {
		even := p.fma(g2, p.scalar("g2"+point), p.mul(g0, p.scalar("g0"+point)))
		odd := p.mul(g1, p.scalar("g1"+point))
		p.store(u+1+2*i, p.add(even, odd))
		p.store(u+2+2*i, p.sub(even, odd))
	}
	p.store(u+5, g2)
	return p
}

// winogradGradient is A transposed: four gradients of the output to six.
func winogradGradient() *program {
	p := newProgram("WinogradGradient")
	dy := p.several("dy", 4)
	e := p.bundle("e", 6)
	d0, d1, d2, d3 := p.load(dy), p.load(dy+1), p.load(dy+2), p.load(dy+3)
	p.store(e, d0)
	for i, point := range []string{"p", "q"} {
		even := p.fma(d2, p.scalar(point+"2"), d0)
		odd := p.fma(d3, p.scalar(point+"3"), p.mul(d1, p.scalar(point)))
		p.store(e+1+2*i, p.add(even, odd))
		p.store(e+2+2*i, p.sub(even, odd))
	}
	p.store(e+5, d3)
	return p
}

// winogradFilterGradient is G transposed: six values to three gradients.
func winogradFilterGradient() *program {
	p := newProgram("WinogradFilterGradient")
	m := p.several("m", 6)
	dg := p.bundle("dg", 3)
	m1, m2, m3, m4 := p.load(m+1), p.load(m+2), p.load(m+3), p.load(m+4)
	evenP, oddP := p.add(m1, m2), p.sub(m1, m2)
	evenQ, oddQ := p.add(m3, m4), p.sub(m3, m4)
	p.store(dg, p.fma(evenQ, p.scalar("g0Q"), p.fma(evenP, p.scalar("g0P"), p.mul(p.load(m), p.scalar("g0")))))
	p.store(dg+1, p.fma(oddQ, p.scalar("g1Q"), p.mul(oddP, p.scalar("g1P"))))
	p.store(dg+2, p.fma(evenQ, p.scalar("g2Q"), p.fma(evenP, p.scalar("g2P"), p.load(m+5))))
	return p
}

// several adds n streams and returns the first.
func (p *program) several(name string, n int) int {
	for i := range n {
		p.stream(fmt.Sprint(name, i))
	}
	return len(p.streams) - n
}
