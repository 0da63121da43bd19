package uncertainty_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/deepuncertainty/ddu/uncertainty"
)

// blob draws n points around (x, y), as a network's features could be.
func blob(r *rand.Rand, n int, x, y float32) []float32 {
	points := make([]float32, 0, 2*n)
	for range n {
		points = append(points, x+float32(r.NormFloat64()), y+float32(r.NormFloat64()))
	}
	return points
}

// Deep Deterministic Uncertainty from plain matrices: fit one Gaussian per class
// to the features of the training set, then tell what is unlike it.
func Example() {
	r := rand.New(rand.NewPCG(1, 2))
	fit, err := uncertainty.NewGaussianFit(2, 2) // 2 classes, 2 features
	if err != nil {
		log.Fatal(err)
	}
	for range 10 { // batches, as they come out of the network
		features := append(blob(r, 50, -4, 0), blob(r, 50, 4, 0)...)
		labels := make([]int, 100)
		for i := 50; i < 100; i++ {
			labels[i] = 1
		}
		if err := fit.Add(uncertainty.NewMatrix(100, 2, features), labels); err != nil {
			log.Fatal(err)
		}
	}
	density, err := fit.Fit(uncertainty.FitOptions{})
	if err != nil {
		log.Fatal(err)
	}

	// A typical point of class 1, one between the classes, one far from both.
	queries := uncertainty.MatrixFromRows([][]float32{{4, 0}, {0, 0}, {0, 30}})
	logDensity, err := density.LogDensity(queries)
	if err != nil {
		log.Fatal(err)
	}
	for i, name := range []string{"typical", "between", "far"} {
		fmt.Printf("%-8s log density %6.0f\n", name, logDensity[i])
	}

	known, err := density.LogDensity(uncertainty.NewMatrix(200, 2, append(blob(r, 100, -4, 0), blob(r, 100, 4, 0)...)))
	if err != nil {
		log.Fatal(err)
	}
	unknown, err := density.LogDensity(uncertainty.NewMatrix(200, 2, blob(r, 200, 4, 3)))
	if err != nil {
		log.Fatal(err)
	}
	m, err := uncertainty.OODMetrics(known, unknown, uncertainty.HigherIsID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("AUROC %.3f\n", m.AUROC)
	// Output:
	// typical  log density     -3
	// between  log density    -10
	// far      log density   -475
	// AUROC 0.935
}

// The report tells which covariances could not be used as they are.
func ExampleDensity_Report() {
	fit, err := uncertainty.NewGaussianFit(2, 3)
	if err != nil {
		log.Fatal(err)
	}
	features := uncertainty.MatrixFromRows([][]float64{
		{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 0, 0}, {1, 1, 1}, // class 0
		{2, 0, 0}, {0, 2, 0}, // class 1: fewer samples than features
	})
	if err := fit.Add(features, []int{0, 0, 0, 0, 0, 1, 1}); err != nil {
		log.Fatal(err)
	}
	density, err := fit.Fit(uncertainty.FitOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, class := range density.Report() {
		fmt.Println(class)
	}
	// Output:
	// class 0: 5 samples, regularizer none, condition 1.8e+00
	// class 1: 2 samples, regularizer oas 1, condition 1.0e+00
}

// Parts of a data set can be fitted apart, and merged.
func ExampleGaussianFit_Merge() {
	part := func(rows [][]float64) *uncertainty.GaussianFit {
		fit, err := uncertainty.NewGaussianFit(1, 1)
		if err != nil {
			log.Fatal(err)
		}
		if err := fit.Add(uncertainty.MatrixFromRows(rows), make([]int, len(rows))); err != nil {
			log.Fatal(err)
		}
		return fit
	}
	fit := part([][]float64{{1}, {2}})
	if err := fit.Merge(part([][]float64{{3}, {6}})); err != nil {
		log.Fatal(err)
	}
	density, err := fit.Fit(uncertainty.FitOptions{})
	if err != nil {
		log.Fatal(err)
	}
	deviation := density.Factors()[0].At(0, 0)
	fmt.Printf("%d samples, mean %.0f, variance %.3f\n", fit.Counts()[0], density.Means().At(0, 0), deviation*deviation)
	// Output: 4 samples, mean 3, variance 4.667
}

// A density is its means, factors and log priors: save them in any format.
func ExampleNewDensity() {
	density, err := uncertainty.NewDensity(
		uncertainty.NewMatrix(1, 2, []float64{0, 0}),                             // one class at the origin
		[]uncertainty.Matrix{uncertainty.NewMatrix(2, 2, []float64{1, 0, 0, 1})}, // of unit covariance
		[]float64{0}, // log 1
	)
	if err != nil {
		log.Fatal(err)
	}
	logDensity, err := density.LogDensity(uncertainty.MatrixFromRows([][]float64{{0, 0}, {1, 1}}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f\n", logDensity) // -log 2 pi, and 1 less
	// Output: [-1.8379 -2.8379]
}

// Overconfident logits: temperature scaling leaves the accuracy and mends the
// likelihood.
func ExampleFitTemperature() {
	logits := uncertainty.MatrixFromRows([][]float64{{8, 0}, {8, 0}, {0, 8}, {8, 0}})
	labels := []int{0, 0, 1, 1} // three of four are right
	best, err := uncertainty.FitTemperature(logits, labels)
	if err != nil {
		log.Fatal(err)
	}
	before, err := uncertainty.NLL(logits, labels)
	if err != nil {
		log.Fatal(err)
	}
	scaled, err := uncertainty.ScaleLogits(logits, best.T)
	if err != nil {
		log.Fatal(err)
	}
	p, err := uncertainty.Softmax(scaled)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("NLL %.3f, at temperature %.3f %.3f, confidence %.2f\n", before, best.T, best.NLL, p.At(0, 0))
	// Output: NLL 2.000, at temperature 7.282 0.562, confidence 0.75
}

// Members that are each certain but disagree: all of the uncertainty is mutual
// information. Members that agree to be unsure: none of it is.
func ExampleMutualInformation() {
	members := []uncertainty.Matrix{
		uncertainty.MatrixFromRows([][]float64{{1, 0}, {0.5, 0.5}}),
		uncertainty.MatrixFromRows([][]float64{{0, 1}, {0.5, 0.5}}),
	}
	total, err := uncertainty.PredictiveEntropy(members)
	if err != nil {
		log.Fatal(err)
	}
	mutual, err := uncertainty.MutualInformation(members)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("predictive entropy %.3f, mutual information %.3f\n", total, mutual)
	// Output: predictive entropy [0.693 0.693], mutual information [0.693 0.000]
}

// Scores of 4 known and 3 unknown images, higher for unknown; two are tied.
func ExampleOODMetrics() {
	m, err := uncertainty.OODMetrics([]float64{0.1, 0.2, 0.2, 0.5}, []float64{0.5, 0.7, 0.9}, uncertainty.HigherIsOOD)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("AUROC %.4f, AUPR in %.4f, out %.4f, FPR95 %.2f\n", m.AUROC, m.AUPRIn, m.AUPROut, m.FPR95)
	// Output: AUROC 0.9583, AUPR in 0.9500, out 0.9167, FPR95 0.25
}

func ExampleReliability() {
	p := uncertainty.MatrixFromRows([][]float64{{0.9, 0.1}, {0.8, 0.2}, {0.6, 0.4}, {0.3, 0.7}})
	diagram, err := uncertainty.Reliability(p, []int{0, 0, 1, 1}, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, bin := range diagram {
		fmt.Printf("(%.1f, %.1f] %d images, accuracy %.2f, confidence %.2f\n", bin.Low, bin.High, bin.Count, bin.Accuracy, bin.Confidence)
	}
	fmt.Printf("ECE %.3f\n", diagram.ECE())
	// Output:
	// (0.0, 0.5] 0 images, accuracy 0.00, confidence 0.00
	// (0.5, 1.0] 4 images, accuracy 0.75, confidence 0.75
	// ECE 0.000
}

// Answer only the most certain three of four images.
func ExampleRiskCoverage() {
	curve, err := uncertainty.RiskCoverage([]float64{0.1, 0.7, 0.2, 0.4}, []bool{true, false, true, true})
	if err != nil {
		log.Fatal(err)
	}
	accuracy, err := curve.AccuracyAt(0.75)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("accuracy %.2f, AURC %.4f\n", accuracy, curve.AURC())
	// Output: accuracy 1.00, AURC 0.0625
}
