package uncertainty_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
	. "github.com/deepuncertainty/ddu/uncertainty"
)

const (
	metricsTolerance = 1e-9 // absolute
	gmmTolerance     = 1e-8 // relative
)

// goldenMetrics is one case of metrics.json; which fields are set depends on it.
type goldenMetrics struct {
	Case    string `json:"case"`
	N       int    `json:"n"`
	M       int    `json:"m"`
	Classes int    `json:"classes"`

	IDLogits  []float64 `json:"id_logits"`
	OODLogits []float64 `json:"ood_logits"`
	Labels    []int     `json:"labels"`
	Accuracy  float64   `json:"accuracy"`
	ECE       float64   `json:"ece"`
	NLL       float64   `json:"nll"`
	Brier     float64   `json:"brier"`

	EntropyAUROC       float64 `json:"entropy_auroc"`
	EntropyAUPRC       float64 `json:"entropy_auprc"`
	LogSumExpAUROC     float64 `json:"logsumexp_auroc"`
	LogSumExpAUPRC     float64 `json:"logsumexp_auprc"`
	GridTemperature    float64 `json:"grid_temperature"`
	GridTemperatureNLL float64 `json:"grid_temperature_nll"`

	IDScores         []float64 `json:"id_scores"`
	OODScores        []float64 `json:"ood_scores"`
	OODPositiveAUROC float64   `json:"ood_positive_auroc"`
	OODPositiveAUPRC float64   `json:"ood_positive_auprc"`
	IDPositiveAUPRC  float64   `json:"id_positive_auprc"`
	FPRAt95TPR       float64   `json:"fpr_at_95_tpr"`

	Members           int       `json:"members"`
	Probs             []float64 `json:"probs"`
	PredictiveEntropy []float64 `json:"predictive_entropy"`
	MutualInformation []float64 `json:"mutual_information"`
}

// TestGoldenMetrics compares with NumPy, PyTorch and scikit-learn.
func TestGoldenMetrics(t *testing.T) {
	var cases []goldenMetrics
	readGolden(t, "metrics.json", &cases)
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			switch {
			case c.IDLogits != nil:
				goldenCalibration(t, c)
				goldenOOD(t, c)
			case c.IDScores != nil:
				goldenTies(t, c)
			case c.Probs != nil:
				goldenEnsemble(t, c)
			default:
				t.Fatal("a case of unknown kind")
			}
		})
	}
}

func goldenCalibration(t *testing.T, c goldenMetrics) {
	logits := NewMatrix(c.N, c.Classes, c.IDLogits)
	p := must(Softmax(logits))(t)
	near(t, "accuracy", must(Accuracy(logits, c.Labels))(t), c.Accuracy, metricsTolerance)
	near(t, "ECE", must(ECE(p, c.Labels, 0))(t), c.ECE, metricsTolerance)
	near(t, "NLL", must(NLL(logits, c.Labels))(t), c.NLL, metricsTolerance)
	near(t, "Brier", must(Brier(p, c.Labels))(t), c.Brier, metricsTolerance)
	grid := must(GridTemperature(logits, c.Labels))(t)
	near(t, "grid temperature", grid.T, c.GridTemperature, metricsTolerance)
	near(t, "NLL at the grid temperature", grid.NLL, c.GridTemperatureNLL, metricsTolerance)
	exact := must(FitTemperature(logits, c.Labels))(t)
	if exact.NLL > grid.NLL || math.Abs(exact.T-grid.T) > 0.1 {
		t.Errorf("exact temperature %v (NLL %v) is not the minimum beside the grid's %v (NLL %v)", exact.T, exact.NLL, grid.T, grid.NLL)
	}
}

func goldenOOD(t *testing.T, c goldenMetrics) {
	id, ood := NewMatrix(c.N, c.Classes, c.IDLogits), NewMatrix(c.M, c.Classes, c.OODLogits)
	entropy := must(OODMetrics(must(SoftmaxEntropy(id))(t), must(SoftmaxEntropy(ood))(t), HigherIsOOD))(t)
	near(t, "AUROC of entropy", entropy.AUROC, c.EntropyAUROC, metricsTolerance)
	near(t, "AUPRC of entropy", entropy.AUPROut, c.EntropyAUPRC, metricsTolerance)
	energy := must(OODMetrics(must(Energy(id))(t), must(Energy(ood))(t), HigherIsID))(t)
	near(t, "AUROC of energy", energy.AUROC, c.LogSumExpAUROC, metricsTolerance)
	near(t, "AUPRC of energy", energy.AUPRIn, c.LogSumExpAUPRC, metricsTolerance)
}

func goldenTies(t *testing.T, c goldenMetrics) {
	got := must(OODMetrics(c.IDScores, c.OODScores, HigherIsOOD))(t)
	near(t, "AUROC", got.AUROC, c.OODPositiveAUROC, metricsTolerance)
	near(t, "AUPR out", got.AUPROut, c.OODPositiveAUPRC, metricsTolerance)
	near(t, "AUPR in", got.AUPRIn, c.IDPositiveAUPRC, metricsTolerance)
	near(t, "FPR95", got.FPR95, c.FPRAt95TPR, metricsTolerance)
}

func goldenEnsemble(t *testing.T, c goldenMetrics) {
	members := make([]Matrix, c.Members)
	size := c.N * c.Classes
	for k := range members {
		members[k] = NewMatrix(c.N, c.Classes, c.Probs[k*size:(k+1)*size])
	}
	total, mutual := must(PredictiveEntropy(members))(t), must(MutualInformation(members))(t)
	for i := range c.N {
		near(t, "predictive entropy", total[i], c.PredictiveEntropy[i], metricsTolerance)
		near(t, "mutual information", mutual[i], c.MutualInformation[i], metricsTolerance)
	}
}

type goldenGMM struct {
	Case            string    `json:"case"`
	N               int       `json:"n"`
	D               int       `json:"d"`
	Classes         int       `json:"classes"`
	Features        []float64 `json:"features"`
	Labels          []int     `json:"labels"`
	Query           []float64 `json:"query"`
	Exact           bool      `json:"exact"`
	ClassLogDensity []float64 `json:"class_log_density"`
	LogSumExp       []float64 `json:"logsumexp"`
}

// TestGoldenGMM compares the density with torch.distributions, at every
// instruction-set level. Where rounding decides whether a covariance factorises
// there is nothing to compare: the fit must succeed and report what it did.
func TestGoldenGMM(t *testing.T) {
	var cases []goldenGMM
	readGolden(t, "gmm.json", &cases)
	atEveryLevel(t, func(t *testing.T) {
		for _, c := range cases {
			for _, covariance := range []Covariance{CovarianceAuto, CovarianceJitter} {
				t.Run(c.Case+"/"+string(covariance), func(t *testing.T) { goldenDensity(t, c, covariance) })
			}
		}
	})
}

func goldenDensity(t *testing.T, c goldenGMM, covariance Covariance) {
	fit := must(NewGaussianFit(c.Classes, c.D))(t)
	if err := fit.Add(NewMatrix(c.N, c.D, c.Features), c.Labels); err != nil {
		t.Fatal(err)
	}
	density := must(fit.Fit(FitOptions{Priors: PriorsNone, Covariance: covariance}))(t)
	query := NewMatrix(len(c.Query)/c.D, c.D, c.Query)
	joint, total := must(density.ClassLogDensities(query))(t), must(density.LogDensity(query))(t)
	for _, r := range density.Report() {
		if (r.Regularizer == RegularizerNone) != c.Exact {
			t.Errorf("%v", r)
		}
	}
	if !c.Exact {
		return
	}
	for i, want := range c.ClassLogDensity {
		near(t, "class log density", joint.Float64s()[i], want, gmmTolerance*math.Abs(want))
	}
	for i, want := range c.LogSumExp {
		near(t, "log density", total[i], want, gmmTolerance*math.Abs(want))
	}
}

func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	dir := os.Getenv("DDU_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "testdata", "golden")
	}
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// atEveryLevel runs body once per instruction-set level of this CPU, or at the one
// that $DDU_ISA names.
func atEveryLevel(t *testing.T, body func(t *testing.T)) {
	old := kernels.CurrentLevel()
	defer kernels.SetLevel(old)
	levels := kernels.Levels()
	if os.Getenv("DDU_ISA") != "" {
		levels = []kernels.Level{old}
	}
	for _, level := range levels {
		if err := kernels.SetLevel(level); err != nil {
			t.Fatal(err)
		}
		t.Run(level.String(), body)
	}
}

// must returns the value of a call that has to succeed: must(f())(t).
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) <= tolerance || math.IsInf(want, 0) && got == want {
		return
	}
	t.Errorf("%s: %v, want %v (off by %.3g, %.3g allowed)", what, got, want, got-want, tolerance)
}
