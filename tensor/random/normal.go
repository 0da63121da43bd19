package random

import "math"

// Normal returns number i of the stream with mean 0 and standard deviation 1:
// the quantile function at (floor(Uint64(i)/2^12) + 1/2)/2^52, by Wichura's
// algorithm AS 241 (PPND16, relative error about 1e-16).
//
// Every product is rounded on its own (the conversions to float64 forbid fused
// multiply-add) and the logarithm is our own, so that all machines agree on
// every bit.
func (k Key) Normal(i uint64) float64 { return normal(k.Uint64(i)) }

func normal(x uint64) float64 {
	p := (float64(x>>12) + 0.5) / (1 << 52)
	q := p - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return float64(q*polynomial(&centre[0], r)) / polynomial(&centre[1], r)
	}
	r := math.Sqrt(-logarithm(min(p, 1-p)))
	var z float64
	if r <= 5 {
		z = polynomial(&tail[0], r-1.6) / polynomial(&tail[1], r-1.6)
	} else {
		z = polynomial(&farTail[0], r-5) / polynomial(&farTail[1], r-5)
	}
	return math.Copysign(z, q)
}

// The numerators and denominators of AS 241, by rising power.
var (
	centre = [2][8]float64{
		{3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
			4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3},
		{1, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
			2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3},
	}
	tail = [2][8]float64{
		{1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
			1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4},
		{1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
			1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9},
	}
	farTail = [2][8]float64{
		{6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
			2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
		{1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
			7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15},
	}
)

func polynomial(c *[8]float64, x float64) float64 {
	y := c[7]
	for i := 6; i >= 0; i-- {
		y = float64(y*x) + c[i]
	}
	return y
}

// logarithm returns ln x for a normal x > 0: x = m·2^e with m in [√½, √2), and
// ln m = 2·artanh(s) = 2(s + s³/3 + s⁵/5 + ...) with s = (m-1)/(m+1) ≤ 0.172.
func logarithm(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := (m - 1) / (m + 1)
	s2 := float64(s * s)
	sum := 0.0
	for k := 23; k >= 1; k -= 2 {
		sum = float64(sum*s2) + 1/float64(k)
	}
	return float64(2*s*sum) + float64(float64(e)*math.Ln2)
}
