package uncertainty_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

func TestCalibrationByHand(t *testing.T) {
	p := MatrixFromRows([][]float64{{0.9, 0.1}, {0.6, 0.4}, {0.2, 0.8}, {0.5, 0.5}})
	labels := []int{0, 1, 1, 1} // a tie predicts the first class: 0, wrong
	near(t, "accuracy", must(Accuracy(p, labels))(t), 0.5, 0)
	near(t, "Brier", must(Brier(p, labels))(t), 2*(0.01+0.36+0.04+0.25)/4, 1e-15)
	logp := MatrixFromRows([][]float64{{math.Log(0.9), math.Log(0.1)}, {math.Log(0.6), math.Log(0.4)}})
	near(t, "NLL", must(NLL(logp, labels[:2]))(t), -(math.Log(0.9)+math.Log(0.4))/2, 1e-15)
	// Bins (0, .5], (.5, 1]: {0.5 wrong}, {0.9 right, 0.6 wrong, 0.8 right}.
	r := must(Reliability(p, labels, 2))(t)
	near(t, "ECE", r.ECE(), 0.25*0.5+0.75*(2.3/3-2.0/3), 1e-15)
	near(t, "MCE", r.MCE(), 0.5, 1e-15)
	want := ReliabilityDiagram{{0, 0.5, 1, 0, 0.5}, {0.5, 1, 3, 2.0 / 3, 2.3 / 3}}
	for b := range want {
		near(t, "accuracy of a bin", r[b].Accuracy, want[b].Accuracy, 1e-15)
		near(t, "confidence of a bin", r[b].Confidence, want[b].Confidence, 1e-15)
		if r[b].Count != want[b].Count || r[b].Low != want[b].Low || r[b].High != want[b].High {
			t.Errorf("bin %d is %v, want %v", b, r[b], want[b])
		}
	}
}

// Bins are open below and closed above; rounding above 1 stays in the last.
func TestBinEdges(t *testing.T) {
	p := MatrixFromRows([][]float64{{0.25, 0, 0, 0}, {0.5, 0, 0, 0}, {0.75, 0, 0, 0}, {1 + 1e-9, 0, 0, 0}, {math.Nextafter(0.5, 1), 0, 0, 0}})
	r := must(Reliability(p, []int{0, 0, 0, 0, 0}, 4))(t)
	for b, want := range []int{1, 1, 2, 1} {
		if r[b].Count != want {
			t.Errorf("bin %d has %d samples, want %d", b, r[b].Count, want)
		}
	}
}

func TestCalibrationProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, c := rapid.IntRange(1, 40).Draw(t, "rows"), rapid.IntRange(2, 6).Draw(t, "classes")
		logits := NewMatrix(n, c, rapid.SliceOfN(rapid.Float64Range(-20, 20), n*c, n*c).Draw(t, "logits"))
		labels := rapid.SliceOfN(rapid.IntRange(0, c-1), n, n).Draw(t, "labels")
		p, err := Softmax(logits)
		if err != nil {
			t.Fatal(err)
		}
		accuracy, _ := Accuracy(p, labels) // rounding can tie what logits tell apart
		r, err := Reliability(p, labels, rapid.IntRange(1, 30).Draw(t, "bins"))
		if err != nil {
			t.Fatal(err)
		}
		var count int
		var right, confidence float64
		for _, b := range r {
			count += b.Count
			right += b.Accuracy * float64(b.Count)
			confidence += b.Confidence * float64(b.Count)
		}
		one, _ := ECE(p, labels, 1)
		if count != n || math.Abs(right/float64(n)-accuracy) > 1e-12 {
			t.Fatalf("bins hold %d of %d samples, accuracy %v, want %v", count, n, right/float64(n), accuracy)
		}
		if r.ECE() < one-1e-12 || r.ECE() > r.MCE()+1e-12 || math.Abs(one-math.Abs(accuracy-confidence/float64(n))) > 1e-12 {
			t.Fatalf("ECE %v, of one bin %v, MCE %v", r.ECE(), one, r.MCE())
		}
		brier, _ := Brier(p, labels)
		if brier < 0 || brier > 2 {
			t.Fatalf("Brier %v", brier)
		}
	})
}

func TestCalibrationRefuses(t *testing.T) {
	p := NewMatrix(2, 2, []float64{0.5, 0.5, 1, 0})
	_, err := ECE(p, []int{0}, 15)
	wantError(t, err, "1 labels for 2 rows")
	_, err = ECE(p, []int{0, 2}, 15)
	wantError(t, err, "label 2 of row 1: want 0 to 1")
	_, err = ECE(p, []int{0, 1}, -1)
	wantError(t, err, "-1 bins: want at least 1")
	_, err = ECE(NewMatrix(1, 2, []float64{3, -1}), []int{0}, 15)
	wantError(t, err, "row 0, column 0 is 3, want a probability")
	_, err = Brier(NewMatrix(1, 2, []float64{0, math.NaN()}), []int{0})
	wantError(t, err, "column 1 is NaN")
	_, err = Accuracy(Matrix{}, nil)
	wantError(t, err, "empty matrix")
	_, err = NLL(p, []int{0, -1})
	wantError(t, err, "label -1 of row 1")
	_, err = TemperatureNLL(p, []int{0, 1}, math.NaN())
	wantError(t, err, "temperature NaN")
	_, err = FitTemperature(NewMatrix(1, 2, []float64{0, math.Inf(-1)}), []int{0})
	wantError(t, err, "column 1 is -Inf, want a finite number")
}

// noisyLogits are calibrated at temperature 1: labels are drawn from softmax.
func noisyLogits(n, c int, seed uint64) (Matrix, []int) {
	r := rand.New(rand.NewPCG(seed, 5))
	logits, labels := make([]float64, n*c), make([]int, n)
	for i := range n {
		row := logits[i*c : (i+1)*c]
		best := math.Inf(-1)
		for k := range row {
			row[k] = 2 * r.NormFloat64()
			if g := row[k] - math.Log(-math.Log(r.Float64())); g > best { // Gumbel-max
				best, labels[i] = g, k
			}
		}
	}
	return NewMatrix(n, c, logits), labels
}

// The temperature is where the derivative over log T, taken numerically, is 0,
// and follows a change of scale exactly.
func TestFitTemperatureFindsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, labels := noisyLogits(200, 4, rapid.Uint64().Draw(t, "seed"))
		best, err := FitTemperature(logits, labels)
		if err != nil {
			t.Fatal(err)
		}
		if best.AtLimit || best.T < 0.5 || best.T > 2 {
			t.Fatalf("temperature %+v of calibrated logits", best)
		}
		at := func(temperature float64) float64 {
			nll, _ := TemperatureNLL(logits, labels, temperature)
			return nll
		}
		const h = 1e-4
		if slope := (at(best.T*math.Exp(h)) - at(best.T*math.Exp(-h))) / (2 * h); math.Abs(slope) > 1e-7 {
			t.Fatalf("slope %v at %+v", slope, best)
		}
		for _, f := range []float64{0.5, 0.9, 0.999, 1.001, 1.1, 2} {
			if at(best.T*f) < best.NLL {
				t.Fatalf("NLL %v at %v is below %+v", at(best.T*f), best.T*f, best)
			}
		}
		scale := rapid.Float64Range(0.1, 10).Draw(t, "scale")
		scaled, _ := ScaleLogits(logits, scale)
		again, err := FitTemperature(scaled, labels)
		if err != nil || math.Abs(again.T*scale/best.T-1) > 1e-9 || math.Abs(again.NLL-best.NLL) > 1e-12 {
			t.Fatalf("logits over %v: %+v, want the temperature of %+v over it", scale, again, best)
		}
		grid, _ := GridTemperature(logits, labels)
		if math.Abs(grid.T-best.T) > 0.1 || grid.NLL < best.NLL-1e-12 {
			t.Fatalf("grid %+v, exact %+v", grid, best)
		}
	})
}

func TestTemperatureAtTheLimits(t *testing.T) {
	separated := MatrixFromRows([][]float64{{3, 0}, {0, 2}, {5, 1}})
	low := must(FitTemperature(separated, []int{0, 1, 0}))(t)
	if low.T != MinTemperature || !low.AtLimit {
		t.Errorf("separated labels: %+v", low)
	}
	high := must(FitTemperature(separated, []int{1, 0, 1}))(t)
	if high.T != MaxTemperature || !high.AtLimit {
		t.Errorf("labels that are always wrong: %+v", high)
	}
	equal := must(FitTemperature(NewMatrix(2, 3, make([]float64, 6)), []int{0, 1}))(t)
	near(t, "NLL of equal logits", equal.NLL, math.Log(3), 1e-15)
	first := must(GridTemperature(NewMatrix(2, 3, make([]float64, 6)), []int{0, 1}))(t)
	if first.T != 0.1 {
		t.Errorf("grid of equal logits: %+v, want the first temperature", first)
	}
}
