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

// Ticks are zero and both signs of the powers of ten from the threshold on, on
// short axes of 2 and 5 times them too. Those whose labels would touch one
// nearer to zero have none; the other multiples are small ticks.
func (s symlog) Ticks(low, high float64) []plot.Tick {
	const apart = 0.11 // of the axis
	first := math.Pow(10, math.Ceil(math.Log10(s.threshold)-1e-9))
	reach := math.Max(math.Abs(low), math.Abs(high))
	inLabels := func(m int) bool { return m == 1 || reach < 30*first && (m == 2 || m == 5) }
	var ticks []plot.Tick
	if low <= 0 && high >= 0 {
		ticks = append(ticks, plot.Tick{Value: 0, Label: "0"})
	}
	for _, sign := range []float64{-1, 1} {
		labelled := s.Normalize(low, high, 0)
		for power := first; power <= reach; power *= 10 {
			for m := 1; m <= 9; m++ {
				tick := plot.Tick{Value: sign * float64(m) * power}
				at := s.Normalize(low, high, tick.Value)
				if at < 0 || at > 1 || m > 1 && reach > 1e4*first {
					continue
				}
				if inLabels(m) && math.Abs(at-labelled) >= apart {
					tick.Label, labelled = formatPower(tick.Value), at
				}
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

// formatPower writes a power of ten, or a small multiple of one: the large ones
// as 1e10, since the font has no superscript zero.
func formatPower(v float64) string {
	exponent := int(math.Floor(math.Log10(math.Abs(v)) + 1e-9))
	if exponent < 6 {
		return formatTick(v, 0)
	}
	sign := ""
	if v < 0 {
		sign = "−"
	}
	return fmt.Sprintf("%s%.0fe%d", sign, math.Abs(v)/math.Pow(10, float64(exponent)), exponent)
}
