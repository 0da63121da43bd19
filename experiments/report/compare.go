package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/figures"
)

// Result is one result file, as Results writes them or the published evaluation
// does.
type Result struct {
	Path         string // of the file
	Type         string // "softmax", "gmm" or "ensemble"
	Dataset, OOD string // OOD is "" without one
	Values       map[string][]float64
	Info         map[string]any
}

// ReadResult reads a result file; its name says of what.
func ReadResult(path string) (*Result, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Result{Path: path}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(r.Values["accuracy"]) == 0 {
		return nil, fmt.Errorf("%s: no values of accuracy: not a result file", path)
	}
	for key, list := range r.Values {
		if len(list) != len(r.Values["accuracy"]) {
			return nil, fmt.Errorf("%s: %d values of %s and %d of accuracy", path, len(list), key, len(r.Values["accuracy"]))
		}
	}
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	for set, published := range publishedSets {
		name = strings.ReplaceAll(name, published, set)
	}
	parts := strings.Split(name, "_")
	for i := len(parts) - 2; i > 0 && i >= len(parts)-3; i-- {
		if slices.ContainsFunc(modelTypes, func(t modelType) bool { return t.name == parts[i] }) {
			r.Type, r.Dataset = parts[i], parts[i+1]
			if rest := parts[i+2:]; len(rest) > 0 {
				r.OOD = rest[0]
			}
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s: the name does not say what was measured, want res_NAME_TYPE_DATASET_OOD.json with TYPE softmax, gmm or ensemble", path)
}

// sameRun lists keys that may differ between runs of one configuration.
var sameRun = []string{
	"seed", "runs.count", "threads", "isa", "conv", "data.root", "data.ood", "eval.methods", "eval.batch", "train.save_path", "train.save_interval",
}

// settings are what makes the configuration.
func (r *Result) settings() map[string]string {
	list := map[string]string{}
	for key, value := range r.Info {
		if !slices.Contains(sameRun, key) {
			if path, ok := value.(string); ok && key == "model.checkpoint" {
				value = withoutSeed(path, r.Info["seed"])
			}
			data, err := json.Marshal(value)
			if err != nil {
				data = fmt.Append(nil, value)
			}
			list[key] = strings.Trim(string(data), `"`)
		}
	}
	return list
}

// withoutSeed takes the seed out of a path of weights, NAME_SEED_EPOCH.model or a run
// folder NAME_SEED: of networks that differ in it alone only the paths differ.
func withoutSeed(path string, seed any) string {
	if n, ok := seed.(float64); ok {
		seed = strconv.FormatFloat(n, 'f', -1, 64)
	}
	after := regexp.MustCompile(fmt.Sprintf(`_%v([_./\\]|$)`, seed))
	return after.ReplaceAllString(path, "_SEED$1")
}

// ComparedRow is one line of a comparison: a method of all runs of one
// configuration.
type ComparedRow struct {
	Configuration string
	Runs          int
	Dataset       string
	Row
}

// Compare gathers results by configuration: runs that differ in their seeds
// alone are taken together.
func Compare(results []*Result) ([]ComparedRow, error) {
	var groups [][]*Result
	at := map[string]int{}
	for _, r := range results {
		key := fmt.Sprint(r.settings()) // maps print in the order of their keys
		if len(r.Info) == 0 {
			key = r.Path
		}
		i, ok := at[key]
		if !ok {
			i, at[key] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	names := configurations(groups)
	var rows []ComparedRow
	for i, group := range groups {
		more, err := compareGroup(names[i], group)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	// Tables are by data sets, then configurations in the order given.
	order := map[string]int{}
	for _, r := range rows {
		if key := r.Dataset + " " + r.OOD; order[key] == 0 {
			order[key] = len(order) + 1
		}
	}
	slices.SortStableFunc(rows, func(a, b ComparedRow) int { return order[a.Dataset+" "+a.OOD] - order[b.Dataset+" "+b.OOD] })
	return rows, nil
}

// configurations names groups by their networks, and by the keys that differ
// where that is not enough.
func configurations(groups [][]*Result) []string {
	names := make([]string, len(groups))
	count := map[string]int{}
	for i, g := range groups {
		names[i] = g[0].network()
		count[names[i]]++
	}
	for i, g := range groups {
		if count[names[i]] == 1 {
			continue
		}
		own := g[0].settings()
		for _, key := range slices.Sorted(maps.Keys(own)) {
			differs := func(other []*Result) bool {
				return other[0].network() == g[0].network() && other[0].settings()[key] != own[key]
			}
			if slices.ContainsFunc(groups, differs) {
				names[i] += fmt.Sprintf(", %s = %s", key, own[key])
			}
		}
	}
	return names
}

// network names the network as files do, or the file where it does not say.
func (r *Result) network() string {
	name, ok := r.Info["model.name"].(string)
	if !ok {
		return strings.TrimSuffix(filepath.Base(r.Path), ".json")
	}
	if sn, _ := r.Info["model.sn"].(bool); sn {
		coeff, _ := r.Info["model.coeff"].(float64)
		name += fmt.Sprintf(" sn %g", coeff)
	}
	if mod, _ := r.Info["model.mod"].(bool); mod {
		name += " mod"
	}
	if n, _ := r.Info["runs.ensemble"].(float64); n > 1 {
		name = fmt.Sprintf("%g x %s", n, name)
	}
	return name
}

// compareGroup makes the rows of one configuration.
func compareGroup(name string, group []*Result) ([]ComparedRow, error) {
	var rows []ComparedRow
	type kind struct{ modelType, dataset, ood string }
	done := map[kind]bool{}
	for _, first := range group {
		k := kind{first.Type, first.Dataset, first.OOD}
		if done[k] {
			continue
		}
		done[k] = true
		values, seeds := map[string][]float64{}, map[int]string{}
		for _, r := range group {
			if (kind{r.Type, r.Dataset, r.OOD}) != k {
				continue
			}
			for _, seed := range r.seeds() {
				if other, taken := seeds[seed]; taken {
					return nil, fmt.Errorf("%s and %s both have a network of seed %d with the same settings: give one of them", other, r.Path, seed)
				}
				seeds[seed] = r.Path
			}
			for key, list := range r.Values {
				values[key] = append(values[key], list...)
			}
		}
		for _, row := range methodRows(first, values) {
			rows = append(rows, ComparedRow{name, len(values["accuracy"]), k.dataset, row})
		}
	}
	return rows, nil
}

// seeds lists those of the networks behind a result; none where it does not say.
func (r *Result) seeds() []int {
	whole := func(key string, otherwise int) int {
		if v, ok := r.Info[key].(float64); ok {
			return int(v)
		}
		return otherwise
	}
	first := whole("seed", -1)
	if first < 0 {
		return nil
	}
	list := make([]int, max(1, min(len(r.Values["accuracy"])*whole("runs.ensemble", 1), 1<<16)))
	for i := range list {
		list[i] = first + i
	}
	return list
}

// methodRows makes a row of each method that a result measured.
func methodRows(r *Result, values map[string][]float64) []Row {
	estimateOf := func(key string) *Estimate {
		if list := values[key]; len(list) == len(values["accuracy"]) {
			e := estimate(list)
			return &e
		}
		return nil // not every run has it
	}
	asked, given := r.Info["eval.methods"].([]any)
	var rows []Row
	for _, t := range modelTypes {
		keys, measures := t.measures()
		for i, m := range measures {
			key := keys[i]
			wanted := !given || slices.Contains(asked, any(strings.TrimSuffix(m.method, "_mi")))
			if t.name != r.Type || m.method == "" || !wanted {
				continue
			}
			row := Row{Method: m.method, label: m.label, OOD: r.OOD, Accuracy: estimate(values["accuracy"]), ECE: estimate(values["ece"])}
			if r.OOD != "" {
				if row.AUROC = estimateOf(key + "_auroc"); row.AUROC == nil {
					continue
				}
				prefix := key + "_"
				if key == "m1" {
					prefix = ""
				}
				row.AUPR, row.FPR95 = estimateOf(prefix+"auprc_out"), estimateOf(prefix+"fpr95")
			}
			rows = append(rows, row)
		}
	}
	order := []string{"softmax", "msp", "energy", "ddu", "ensemble", "ensemble_mi"}
	slices.SortStableFunc(rows, func(a, b Row) int { return slices.Index(order, a.Method) - slices.Index(order, b.Method) })
	return rows
}

// comparisonBlocks cuts rows by data sets.
func comparisonBlocks(rows []ComparedRow) [][]ComparedRow {
	var list [][]ComparedRow
	for i, r := range rows {
		if i == 0 || r.OOD != rows[i-1].OOD || r.Dataset != rows[i-1].Dataset {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], r)
	}
	return list
}

// comparedCells are the header and rows of one table as text.
func comparedCells(block []ComparedRow) [][]string {
	lines := [][]string{{"configuration", "method", "runs", "accuracy", "ECE"}}
	if block[0].OOD != "" {
		lines[0] = append(lines[0], "AUROC", "AUPR", "FPR95")
	}
	for _, r := range block {
		line := []string{r.Configuration, r.label, strconv.Itoa(r.Runs), r.Accuracy.percent(), r.ECE.percent()}
		if r.OOD != "" {
			for _, e := range []*Estimate{r.AUROC, r.AUPR, r.FPR95} {
				if e == nil {
					line = append(line, "-")
				} else {
					line = append(line, e.percent())
				}
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// CompareText writes a comparison as aligned tables for a terminal, in percent.
func CompareText(rows []ComparedRow) string {
	text := ""
	for _, block := range comparisonBlocks(rows) {
		text += heading(block[0].Dataset, []Row{block[0].Row}) + "\n" + aligned(comparedCells(block), 2)
	}
	return text
}

// CompareMarkdown writes a comparison as Markdown tables, in percent.
func CompareMarkdown(rows []ComparedRow) string {
	var texts []string
	for _, block := range comparisonBlocks(rows) {
		texts = append(texts, heading(block[0].Dataset, []Row{block[0].Row})+"\n\n"+markdown(comparedCells(block), 2))
	}
	return strings.Join(texts, "\n")
}

// CompareCSV writes a comparison as one table of fractions; what was not
// measured is empty, as is the standard error of one run.
func CompareCSV(rows []ComparedRow) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	header := []string{"configuration", "dataset", "ood", "method", "runs"}
	for _, name := range []string{"accuracy", "ece", "auroc", "aupr", "fpr95"} {
		header = append(header, name, name+"_stderr")
	}
	lines := [][]string{header}
	for _, r := range rows {
		line := []string{r.Configuration, r.Dataset, r.OOD, r.Method, strconv.Itoa(r.Runs)}
		for _, e := range []*Estimate{&r.Accuracy, &r.ECE, r.AUROC, r.AUPR, r.FPR95} {
			mean, deviation := "", ""
			if e != nil {
				mean = strconv.FormatFloat(e.Mean, 'g', -1, 64)
				if e.StdError != nil {
					deviation = strconv.FormatFloat(*e.StdError, 'g', -1, 64)
				}
			}
			line = append(line, mean, deviation)
		}
		lines = append(lines, line)
	}
	err := w.WriteAll(lines)
	return b.String(), err
}

// CompareFigure draws the AUROC against each set out of distribution; of results
// without one the accuracy.
func CompareFigure(rows []ComparedRow) (*figures.Figure, error) {
	var contests []figures.Contest
	for _, block := range comparisonBlocks(rows) {
		c := figures.Contest{Title: fmt.Sprintf("AUROC, %s against %s (%%)", block[0].Dataset, block[0].OOD)}
		if block[0].OOD == "" {
			c.Title = fmt.Sprintf("Accuracy on %s (%%)", block[0].Dataset)
		}
		for _, r := range block {
			e := r.AUROC
			if r.OOD == "" {
				e = &r.Accuracy
			}
			p := figures.Compared{Configuration: r.Configuration, Method: r.Method, Label: r.label, Mean: math.NaN()}
			if e != nil {
				p.Mean = e.Mean
				if e.StdError != nil {
					p.StdError = *e.StdError
				}
			}
			c.Points = append(c.Points, p)
		}
		contests = append(contests, c)
	}
	return figures.Comparison("Mean and standard error over runs", contests)
}
