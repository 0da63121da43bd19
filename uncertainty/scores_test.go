package uncertainty_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

func TestScoresAgainstGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, c = 700, 9
	logits := make([]float64, n*c)
	for i := range logits {
		logits[i] = 5 * r.NormFloat64()
	}
	m := NewMatrix(n, c, logits)
	p, h := must(Softmax(m))(t), must(SoftmaxEntropy(m))(t)
	top, energy := must(MaxSoftmax(m))(t), must(Energy(m))(t)
	for i := range n {
		row := logits[i*c : (i+1)*c]
		near(t, "energy", energy[i], floats.LogSumExp(row), 1e-13)
		near(t, "sum of the softmax", floats.Sum(p.Row(i)), 1, 1e-14)
		near(t, "entropy", h[i], stat.Entropy(p.Row(i)), 1e-13)
		near(t, "maximum softmax", top[i], floats.Max(p.Row(i)), 1e-14)
		near(t, "log softmax", math.Log(p.At(i, 3)), row[3]-energy[i], 1e-12)
	}
}

// Logits far outside the range of exp neither overflow nor lose the answer.
func TestScoresOfExtremeLogits(t *testing.T) {
	inf := math.Inf(-1)
	for name, c := range map[string]struct {
		row                      []float64
		energy, entropy, largest float64
	}{
		"large":          {[]float64{1e5, 1e5, 0}, 1e5 + math.Ln2, math.Ln2, 0.5},
		"small":          {[]float64{-1e5, -1e5, -2e5}, -1e5 + math.Ln2, math.Ln2, 0.5},
		"certain":        {[]float64{1e300, 0, -1e300}, 1e300, 0, 1},
		"impossible":     {[]float64{0, 0, inf}, math.Ln2, math.Ln2, 0.5},
		"all impossible": {[]float64{inf, inf, inf}, inf, math.Log(3), 1.0 / 3},
		"one class":      {[]float64{7}, 7, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMatrix(1, len(c.row), c.row)
			near(t, "energy", must(Energy(m))(t)[0], c.energy, 1e-10)
			near(t, "entropy", must(SoftmaxEntropy(m))(t)[0], c.entropy, 1e-15)
			near(t, "maximum softmax", must(MaxSoftmax(m))(t)[0], c.largest, 1e-15)
			p := must(Softmax(m))(t)
			near(t, "sum of the softmax", floats.Sum(p.Row(0)), 1, 1e-15)
		})
	}
	// 1e-20 nats are there although p rounds to 1.
	tiny := must(SoftmaxEntropy(NewMatrix(1, 2, []float64{50, 0})))(t)[0]
	near(t, "entropy of a nearly certain row", tiny, 51*math.Exp(-50), 1e-15*51*math.Exp(-50)+1e-30)
}

func TestScoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.IntRange(1, 12).Draw(t, "classes")
		row := rapid.SliceOfN(rapid.Float64Range(-500, 500), c, c).Draw(t, "row")
		shift := rapid.Float64Range(-1e3, 1e3).Draw(t, "shift")
		shifted := slices.Clone(row)
		floats.AddConst(shift, shifted)
		both := MatrixFromRows([][]float64{row, shifted})
		h, err := SoftmaxEntropy(both)
		if err != nil {
			t.Fatal(err)
		}
		energy, _ := Energy(both)
		if h[0] < 0 || h[0] > math.Log(float64(c))+1e-14 {
			t.Fatalf("entropy %v of %d classes", h[0], c)
		}
		if math.Abs(h[1]-h[0]) > 1e-9 || math.Abs(energy[1]-energy[0]-shift) > 1e-9 {
			t.Fatalf("a shift of %v takes entropy from %v to %v, energy from %v to %v", shift, h[0], h[1], energy[0], energy[1])
		}
		scaled, err := ScaleLogits(both, 2)
		if err != nil || scaled.At(0, c-1) != row[c-1]/2 {
			t.Fatalf("scaled logit %v, error %v", scaled.At(0, c-1), err)
		}
	})
}

func TestScoresDoNotDependOnThreadsOrPrecisionOfInput(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const n, c = 3000, 5
	narrow, wide := make([]float32, n*c), make([]float64, n*c)
	for i := range narrow {
		narrow[i] = float32(r.NormFloat64())
		wide[i] = float64(narrow[i])
	}
	labels := make([]int, n)
	for i := range labels {
		labels[i] = r.IntN(c)
	}
	all := func(m Matrix) []float64 {
		p := must(Softmax(m))(t)
		out := slices.Concat(p.Float64s(), must(SoftmaxEntropy(m))(t), must(MaxSoftmax(m))(t), must(Energy(m))(t))
		temperature := must(FitTemperature(m, labels))(t)
		return append(out, must(NLL(m, labels))(t), must(Brier(p, labels))(t), temperature.T, temperature.NLL)
	}
	want := all(NewMatrix(n, c, wide))
	for _, threads := range []int{1, 2, 6} {
		withThreads(t, threads)
		if !slices.Equal(all(NewMatrix(n, c, narrow)), want) {
			t.Errorf("%d threads: other bits", threads)
		}
	}
}

func TestScoresRefuse(t *testing.T) {
	_, err := SoftmaxEntropy(NewMatrix(1, 2, []float64{0, math.NaN()}))
	wantError(t, err, "logits: row 0, column 1 is NaN, want a finite number or -Inf")
	_, err = Energy(NewMatrix(1, 2, []float32{0, float32(math.Inf(1))}))
	wantError(t, err, "column 1 is +Inf")
	_, err = MaxSoftmax(NewMatrix(2, 2, []float64{1}))
	wantError(t, err, "logits: 1 numbers for a matrix of 2 rows and 2 columns")
	_, err = Softmax(Matrix{})
	wantError(t, err, "logits: empty matrix (0 rows, 0 columns)")
	_, err = ScaleLogits(NewMatrix(1, 1, []float64{1}), 0)
	wantError(t, err, "temperature 0: want a finite number above 0")
	// In a large matrix the first bad number is named whichever block ends first.
	big := make([]float64, 5000)
	big[4321], big[77] = math.NaN(), math.NaN()
	_, err = Energy(NewMatrix(2500, 2, big))
	wantError(t, err, "row 38, column 1 is NaN")
}

func TestEnsembleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, n, c := rapid.IntRange(1, 5).Draw(t, "members"), rapid.IntRange(1, 6).Draw(t, "rows"), rapid.IntRange(2, 6).Draw(t, "classes")
		members := make([]Matrix, k)
		for i := range members {
			logits := rapid.SliceOfN(rapid.Float64Range(-30, 30), n*c, n*c).Draw(t, "logits")
			members[i], _ = Softmax(NewMatrix(n, c, logits))
		}
		pe, err := PredictiveEntropy(members)
		if err != nil {
			t.Fatal(err)
		}
		mi, err := MutualInformation(members)
		if err != nil {
			t.Fatal(err)
		}
		mean, _ := MeanProbabilities(members)
		for i := range n {
			if mi[i] < -1e-11 || mi[i] > pe[i]+1e-11 || mi[i] > math.Log(float64(k))+1e-11 || k == 1 && mi[i] != 0 {
				t.Fatalf("mutual information %v, predictive entropy %v, %d members", mi[i], pe[i], k)
			}
			if math.Abs(stat.Entropy(mean.Row(i))-pe[i]) > 1e-10 {
				t.Fatalf("predictive entropy %v, want %v", pe[i], stat.Entropy(mean.Row(i)))
			}
		}
		same, _ := MutualInformation([]Matrix{members[0], members[0], members[0]})
		for _, v := range same {
			if math.Abs(v) > 1e-12 {
				t.Fatalf("mutual information %v of equal members", v)
			}
		}
	})
}

func TestEnsembleRefuses(t *testing.T) {
	p := NewMatrix(1, 2, []float64{0.5, 0.5})
	_, err := PredictiveEntropy(nil)
	wantError(t, err, "ensemble without members")
	_, err = MutualInformation([]Matrix{p, NewMatrix(1, 1, []float64{1})})
	wantError(t, err, "ensemble member 1 is [1][1], member 0 is [1][2]")
	_, err = PredictiveEntropy([]Matrix{p, NewMatrix(1, 2, []float64{3, -2})})
	wantError(t, err, "probabilities of ensemble member 1: row 0, column 0 is 3, want a probability")
}
