package figures

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// niceTicks puts about five ticks at multiples of 1, 2 or 5 times a power of
// ten; whole keeps them at whole numbers.
type niceTicks struct {
	whole bool
	scale float64 // labels are values times scale; 0 means 1
}

func (n niceTicks) Ticks(low, high float64) []plot.Tick {
	scale := n.scale
	if scale == 0 {
		scale = 1
	}
	step := niceStep((high - low) * scale / 5)
	if n.whole {
		step = max(step, 1)
	}
	if !(step > 0) || math.IsInf(step, 0) {
		return nil
	}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []plot.Tick
	for i := math.Ceil(low*scale/step - 1e-9); i*step <= high*scale+1e-9*step; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step / scale, Label: formatTick(i*step, decimals)})
	}
	return ticks
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// formatTick writes a number with a true minus and groups of thousands.
func formatTick(v float64, decimals int) string {
	if math.Abs(v) >= 1e7 {
		return strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "-", "−", 1)
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', decimals, 64), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if v < 0 {
		whole = "−" + whole
	}
	return whole
}

// symlog is linear within ±threshold and logarithmic outside, smoothly:
// asinh(x/threshold).
type symlog struct{ threshold float64 }

func (s symlog) forward(x float64) float64  { return math.Asinh(x / s.threshold) }
func (s symlog) backward(y float64) float64 { return math.Sinh(y) * s.threshold }

// Normalize implements plot.Normalizer.
func (s symlog) Normalize(low, high, x float64) float64 {
	a, b := s.forward(low), s.forward(high)
	return (s.forward(x) - a) / (b - a)
}

// Ticks are zero and both signs of the powers of ten from the threshold on.
// Those whose labels would touch one nearer to zero have none.
func (s symlog) Ticks(low, high float64) []plot.Tick {
	const apart = 0.11 // of the axis
	first := math.Pow(10, math.Ceil(math.Log10(s.threshold)-1e-9))
	reach := math.Max(math.Abs(low), math.Abs(high))
	var ticks []plot.Tick
	if low <= 0 && high >= 0 {
		ticks = append(ticks, plot.Tick{Value: 0, Label: "0"})
	}
	for _, sign := range []float64{-1, 1} {
		labelled := s.Normalize(low, high, 0)
		for v := first; v <= reach; v *= 10 {
			at := s.Normalize(low, high, sign*v)
			if at < 0 || at > 1 {
				continue
			}
			tick := plot.Tick{Value: sign * v}
			if math.Abs(at-labelled) >= apart {
				tick.Label, labelled = formatPower(sign*v), at
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// formatPower writes ± a power of ten, large ones as 1e10: the font has no
// superscript zero.
func formatPower(v float64) string {
	exponent := int(math.Round(math.Log10(math.Abs(v))))
	switch {
	case exponent < 6:
		return formatTick(v, 0)
	case v < 0:
		return fmt.Sprintf("−1e%d", exponent)
	}
	return fmt.Sprintf("1e%d", exponent)
}
