package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// File is one result file.
type File struct {
	Name string // "res_wide_resnet_sn_3.0_mod_1_gmm_cifar10_svhn.json"
	Data []byte
}

// The keys of a result in the order in which they are written: the published
// ones, then ours. Without sets out of distribution only the first are known.
var (
	qualityKeys = []string{"accuracy", "ece", "t_ece"}
	allKeys     = []string{
		"accuracy", "ece", "m1_auroc", "m1_auprc", "m2_auroc", "m2_auprc",
		"t_ece", "t_m1_auroc", "t_m1_auprc", "t_m2_auroc", "t_m2_auprc",
		"auprc_in", "auprc_out", "fpr95", "m2_auprc_in", "m2_auprc_out", "m2_fpr95",
	}
)

// resultKeys lists the keys of a model type.
func resultKeys(modelType string) []string {
	list := allKeys[:len(allKeys):len(allKeys)]
	for _, t := range modelTypes {
		if t.name != modelType {
			continue
		}
		for _, m := range t.more {
			for _, key := range []string{"_auroc", "_auprc", "_auprc_in", "_auprc_out", "_fpr95"} {
				list = append(list, m.method+key)
			}
			list = append(list, "t_"+m.method+"_auroc", "t_"+m.method+"_auprc")
		}
	}
	return list
}

// Results returns a result file per model type and set out of distribution, in
// the structure of the published evaluation: mean, standard error (null for one
// run), the values of each run, and info. Name is that of the first network,
// with its seed.
func Results(name string, runs []*Run, info map[string]any) ([]File, error) {
	if err := sameShape(runs); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	var files []File
	for i, t := range runs[0].Types {
		base := fmt.Sprintf("res_%s_%s_%s", name, t.Name, publishedName(runs[0].Dataset))
		write := func(file string, keys []string, ood string) error {
			list := make([]Metrics, len(runs))
			for k, r := range runs {
				list[k] = r.Types[i].with(ood)
			}
			data, err := encode(keys, list, info)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			files = append(files, File{file, data})
			return nil
		}
		if len(runs[0].OOD) == 0 {
			if err := write(base+".json", qualityKeys, ""); err != nil {
				return nil, err
			}
		}
		for _, ood := range runs[0].OOD {
			if err := write(base+"_"+publishedName(ood)+".json", resultKeys(t.Name), ood); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// publishedSets are the data sets whose names the published scripts, and so the names of
// result files, spell otherwise.
var publishedSets = map[string]string{"tiny-imagenet": "tiny_imagenet", "dirty-mnist": "dirty_mnist"}

// publishedName is how names of result files spell a data set.
func publishedName(set string) string { return cmp.Or(publishedSets[set], set) }

// find returns the results of one model type.
func (r *Run) find(modelType string) Type {
	for _, t := range r.Types {
		if t.Name == modelType {
			return t
		}
	}
	return Type{}
}

// with returns the quality and what was measured against one set.
func (t Type) with(ood string) Metrics {
	all := Metrics{}
	for _, m := range []Metrics{t.Quality, t.OOD[ood]} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// sameShape wants runs that measured the same things.
func sameShape(runs []*Run) error {
	if len(runs) == 0 {
		return errors.New("no runs")
	}
	shape := func(r *Run) string {
		s := fmt.Sprintf("%s against %v:", r.Dataset, r.OOD)
		for _, m := range r.Scores {
			s += " " + m.Method
		}
		return s
	}
	for i, r := range runs {
		if got, want := shape(r), shape(runs[0]); got != want {
			return fmt.Errorf("run %d measured %s, run 1 %s", i+1, got, want)
		}
	}
	return nil
}

// Estimate is the mean over runs and its standard error: the unbiased standard
// deviation over the square root of the number of runs, nil for one run.
type Estimate struct {
	Mean     float64  `json:"mean"`
	StdError *float64 `json:"std"`
}

func estimate(values []float64) Estimate {
	var e Estimate
	n := float64(len(values))
	for _, v := range values {
		e.Mean += v / n
	}
	if len(values) < 2 {
		return e
	}
	var squares float64
	for _, v := range values {
		squares += (v - e.Mean) * (v - e.Mean)
	}
	std := math.Sqrt(squares / (n - 1) / n)
	e.StdError = &std
	return e
}

// encode writes mean, std and values with the keys in order, then info.
func encode(keys []string, runs []Metrics, info map[string]any) ([]byte, error) {
	var mean, std, values object
	for _, key := range keys {
		list := make([]float64, len(runs))
		for i, r := range runs {
			v, ok := r[key]
			if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s of run %d is %v, want a number", key, i+1, v)
			}
			list[i] = v
		}
		e := estimate(list)
		mean.add(key, e.Mean)
		std.add(key, e.StdError)
		values.add(key, list)
	}
	var all object
	all.add("mean", &mean)
	all.add("std", &std)
	all.add("values", &values)
	all.add("info", info)
	data, err := json.MarshalIndent(&all, "", "    ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// object is a JSON object that keeps the order of its keys.
type object struct {
	body bytes.Buffer
	err  error
}

func (o *object) add(key string, value any) {
	name, err := json.Marshal(key)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(value); err == nil {
			if o.body.Len() > 0 {
				o.body.WriteByte(',')
			}
			o.body.Write(name)
			o.body.WriteByte(':')
			o.body.Write(data)
		}
	}
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%s: %w", key, err)
	}
}

// MarshalJSON implements json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	return []byte("{" + o.body.String() + "}"), nil
}
