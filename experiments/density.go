package experiments

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/uncertainty"
)

const densityFile = "density.safetensors"

// saveDensity writes what uncertainty.NewDensity takes, and what it was fitted to.
func saveDensity(f Folder, d *uncertainty.Density, source string) error {
	classes, dim := d.Classes(), d.Dim()
	entries := []checkpoint.Entry{
		checkpoint.NewFloat64("means", d.Means().Float64s(), classes, dim),
		checkpoint.NewFloat64("log_priors", d.LogPriors(), classes),
	}
	for c, factor := range d.Factors() {
		entries = append(entries, checkpoint.SharedFloat64(fmt.Sprintf("factors.%d", c), factor.Float64s(), dim, dim))
	}
	return checkpoint.WriteSafetensors(f.path(densityFile), &checkpoint.File{Entries: entries, Metadata: map[string]string{sourceKey: source}})
}

const sourceKey = "source"

// loadDensity reads what saveDensity wrote.
func loadDensity(f Folder) (d *uncertainty.Density, source string, err error) {
	file, err := checkpoint.ReadSafetensors(f.path(densityFile))
	if err != nil {
		return nil, "", err
	}
	matrix := func(name string) (m uncertainty.Matrix, err error) {
		e, ok := file.Entry(name)
		if !ok || len(e.Shape) != 2 {
			return m, fmt.Errorf("%s: no matrix %s", f.path(densityFile), name)
		}
		values, err := e.Float64s()
		return uncertainty.NewMatrix(e.Shape[0], e.Shape[1], values), err
	}
	means, err := matrix("means")
	if err != nil {
		return nil, "", err
	}
	priors, _ := file.Entry("log_priors")
	logPriors, err := priors.Float64s()
	if err != nil {
		return nil, "", err
	}
	factors := make([]uncertainty.Matrix, len(logPriors))
	for c := range factors {
		if factors[c], err = matrix(fmt.Sprintf("factors.%d", c)); err != nil {
			return nil, "", err
		}
	}
	d, err = uncertainty.NewDensity(means, factors, logPriors)
	return d, file.Metadata[sourceKey], err
}

// remedies says what covariance = "auto" does about covariances that cannot be
// inverted as they are.
var remedies = []struct {
	regularizer uncertainty.Regularizer
	text        string
}{
	{uncertainty.RegularizerOAS, "shrunk towards a multiple of the identity (oas, by %s)"},
	{uncertainty.RegularizerPooled, "replaced by the mean variance of the other classes (%s)"},
	{uncertainty.RegularizerJitter, "given a jitter of %s"},
}

// densityNotes tells in a line or two what a user should know about the fit:
// repairs that were not asked for, and covariances that are nearly singular.
func densityNotes(report []uncertainty.ClassFit, covariance string) []string {
	var notes []string
	for _, remedy := range remedies {
		low, high := math.Inf(1), math.Inf(-1)
		var repaired []int
		for _, c := range report {
			if c.Regularizer == remedy.regularizer {
				repaired = append(repaired, c.Class)
				low, high = min(low, c.Amount), max(high, c.Amount)
			}
		}
		if len(repaired) == 0 || covariance != "auto" && covariance == string(remedy.regularizer) {
			continue
		}
		amount := fmt.Sprintf("%.3g", low)
		if high := fmt.Sprintf("%.3g", high); high != amount {
			amount += " to " + high
		}
		notes = append(notes, fmt.Sprintf("the covariance of %s cannot be inverted as it is and was "+remedy.text, classesText(repaired, len(report)), amount))
	}
	var singular []int
	for _, c := range report {
		if c.IllConditioned() {
			singular = append(singular, c.Class)
		}
	}
	if len(singular) > 0 {
		notes = append(notes, fmt.Sprintf("the covariance of %s is nearly singular (condition above 1e12): its weakest directions carry few correct digits", classesText(singular, len(report))))
	}
	return notes
}

// classesText names classes: "class 3", "classes 1, 4", "all 10 classes".
func classesText(classes []int, of int) string {
	const listed = 8
	switch {
	case len(classes) == 1:
		return "class " + strconv.Itoa(classes[0])
	case len(classes) == of:
		return fmt.Sprintf("all %d classes", of)
	case len(classes) > listed:
		return fmt.Sprintf("%d of %d classes", len(classes), of)
	}
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = strconv.Itoa(c)
	}
	return "classes " + strings.Join(names, ", ")
}
