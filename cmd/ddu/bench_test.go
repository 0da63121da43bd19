package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quickLayers measures as little as there is.
func quickLayers(args ...string) []string {
	return append([]string{"bench", "layers", "lenet", "--batch", "2", "--seconds", "0.001", "--threads", "1"}, args...)
}

// A measurement is recorded, then compared with baselines that nothing falls
// below, everything does, and that cannot be compared.
func TestBenchLayers(t *testing.T) {
	p := newPlace(t, 0)
	out, stderr := p.must(t, quickLayers("--record", "recorded.json")...)
	row := `  +\d+  +\d+\.\d{3}  +\d+\.\d  +\d+\.\d  `
	for _, want := range []string{
		`^convolutions of lenet fp32, input 1x28x28, batch 2, \w+, 1 thread, FMA peak \d+\.\d GFLOP/s `,
		`\n1x28x28-6-k5s1p0   forward         ` + row + `\w+ direct\n`,
		`\n6x12x12-16-k5s1p0  backward data   ` + row + `\w+ direct\n`,
		`\n6x12x12-16-k5s1p0  backward weights` + row + `\w+ direct\n`,
		`\nall                forward         `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s is missing in\n%s%s", want, out, stderr)
		}
	}
	if strings.Contains(out, "1x28x28-6-k5s1p0   backward data") {
		t.Errorf("the images are given a gradient:\n%s", out)
	}
	recorded, err := os.ReadFile(p.path("recorded.json"))
	if err != nil {
		t.Fatal(err)
	}
	share := regexp.MustCompile(`"peak_percent": [0-9.]+`)
	low := regexp.MustCompile(`"cpu": ".*"`).ReplaceAllString(share.ReplaceAllString(string(recorded), `"peak_percent": 0`), `"cpu": "another"`)
	p.write(t, "low.json", low)
	p.write(t, "level.json", regexp.MustCompile(`"isa": ".*"`).ReplaceAllString(low, `"isa": "sse2"`))
	p.write(t, "high.json", share.ReplaceAllString(string(recorded), `"peak_percent": 1e6`))
	t.Run("nothing fell", func(t *testing.T) { nothingFell(t, p) })
	t.Run("all fell", func(t *testing.T) { allFell(t, p) })
	t.Run("JSON", func(t *testing.T) { allFellJSON(t, p) })
	for name, test := range map[string]struct{ args, want []string }{
		"threads":         {quickLayers("--baseline", "low.json", "--threads", "2"), []string{"low.json: the baseline cannot be compared with: threads is 1, now 2"}},
		"level":           {quickLayers("--baseline", "level.json"), []string{"level.json", "isa is sse2, now "}},
		"batch":           {quickLayers("--baseline", "low.json", "--batch", "3"), []string{"batch is 2, now 3"}},
		"missing":         {quickLayers("--baseline", "none.json"), []string{"none.json", "no such file"}},
		"record and read": {quickLayers("--baseline", "low.json", "--record", "new.json"), []string{"--record", "--baseline"}},
		"tolerance":       {quickLayers("--baseline", "low.json", "--tolerance=-5"), []string{"tolerance -5"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, test.args, test.want) })
	}
}

func nothingFell(t *testing.T, p place) {
	out, stderr, code := p.ddu(t, quickLayers("--baseline", "low.json")...)
	if code != 0 || !strings.HasSuffix(stderr, "note: the baseline is of another CPU, another\n") || !strings.Contains(out, "\nnothing is below the baseline by more than 10 %\n") {
		t.Errorf("exit code %d, %q\n%s", code, stderr, out)
	}
}

func allFell(t *testing.T, p place) {
	out, stderr, code := p.ddu(t, quickLayers("--baseline", "high.json", "--tolerance", "25")...)
	if code != 1 || !strings.HasSuffix(stderr, "ddu: 5 of 5 fell by more than 25 % below the baseline\n") ||
		!strings.Contains(out, "\nbelow the baseline by more than 25 %:\nshape ") || strings.Count(out, "  1000000.0  ") != 5 {
		t.Errorf("exit code %d, %q\n%s", code, stderr, out)
	}
}

func allFellJSON(t *testing.T, p place) {
	type row struct {
		Shape, Direction, Kernel string
		Count                    int
		Seconds, GFLOPS          float64
		Percent                  float64 `json:"peak_percent"`
		Baseline                 float64 `json:"baseline_percent"`
	}
	var result struct {
		Network, CPU, ISA string
		Threads, Batch    int
		Peak              float64 `json:"peak_gflops"`
		Rows, Fallen      []row
	}
	out, _, code := p.ddu(t, quickLayers("--baseline", "high.json", "--json")...)
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 1 || strings.Count(out, "\n") != 1 {
		t.Fatalf("exit code %d, %v in %q", code, err, out)
	}
	if result.Network != "lenet" || result.ISA == "" || result.Threads != 1 || result.Batch != 2 || result.Peak <= 0 ||
		len(result.Rows) != 5 || result.Rows[0].Seconds <= 0 || result.Rows[0].Kernel == "" || len(result.Fallen) != 5 || result.Fallen[0].Baseline != 1e6 {
		t.Errorf("ddu bench layers --json prints %s", out)
	}
}

func TestBenchNetworks(t *testing.T) {
	p := newPlace(t, 0)
	args := []string{"bench", "networks", "lenet", "--batch", "4", "--seconds", "0.01", "--threads", "1"}
	out, stderr := p.must(t, args...)
	want := `^network +mode +batch +sn +images/s +step, ms +peak MiB\nlenet +train +4 +false +\d+\.\d\d +\d+\.\d\d +\d+\nlenet +infer +4 +false .*\n$`
	if stderr != "" || !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("ddu bench networks prints\n%s%s", out, stderr)
	}
	// Its JSON is a peer of the same work.
	out, _ = p.must(t, append(args, "--json", "--mode", "train")...)
	p.write(t, "peer.json", out)
	p.must(t, "bench", "lenet", "train", "fp32", "--batch", "4", "--seconds", "0.01", "--threads", "1", "--compare", "peer.json")
}

func TestBenchCompare(t *testing.T) {
	p := newPlace(t, 0)
	measure := []string{"bench", "lenet", "infer", "fp32", "--batch", "4", "--seconds", "0.01", "--threads", "1"}
	p.write(t, "peer.json", `{"peer": "torch 2.9.1", "network": "lenet", "mode": "infer", "dtype": "fp32", "batch": 4, "threads": 1, "sn": false, "mnist": true,
		"channels_last": false, "step_seconds": 0.004, "images_per_second": 1000.0, "peak_memory_mib": 100}`)
	out, _ := p.must(t, append(measure, "--compare", "peer.json")...)
	want := `^lenet infer fp32, batch 4, 1 threads, \w+: \d+\.\d\d images/s \(.*\)\n\n +ddu, \w+  torch 2\.9\.1 +ratio\n` +
		`images/s +\d+\.\d\d +1000\.00 +\d+\.\d{3}\nstep, s +\d\.\d{5} +0\.00400 +\d+\.\d{3}\npeak memory, MiB +\d+ +100 +(\d+\.\d{3}|-)\n$`
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("ddu bench --compare prints\n%s", out)
	}
	out, _ = p.must(t, append(measure, "--compare", "peer.json", "--json")...)
	var result struct {
		Images   float64 `json:"images_per_second"`
		Compared []struct {
			Peer         string
			Measurements int
			Ratio        float64 `json:"images_per_second_ratio"`
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Compared) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if c := result.Compared[0]; c.Peer != "torch 2.9.1" || c.Measurements != 1 || c.Ratio < 0.99*result.Images/1000-0.001 || c.Ratio > 1.01*result.Images/1000+0.001 {
		t.Errorf("comparison %+v of %v images/s", c, result.Images)
	}

	p.write(t, "broken.json", "12 images/s\n")
	for name, test := range map[string]struct{ args, want []string }{
		"missing":         {append(measure, "--compare", "none.json"), []string{"none.json", "no such file"}},
		"not JSON":        {append(measure, "--compare", "broken.json"), []string{"broken.json:1: want the JSON of a measurement"}},
		"another batch":   {append(measure, "--compare", "peer.json", "--batch", "8"), []string{"peer.json is of other work: batch is 4, want 8"}},
		"another mode":    {[]string{"bench", "lenet", "train", "fp32", "--batch", "4", "--threads", "1", "--compare", "peer.json"}, []string{"mode is infer, want train"}},
		"another network": {[]string{"bench", "resnet18", "infer", "fp32", "--batch", "4", "--threads", "1", "--compare", "peer.json"}, []string{"network is lenet, want resnet18", "sn is false, want true", "mnist is true, want false"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, p, slices.Clone(test.args), test.want) })
	}
}

// traced is p with $DDU_TRACE set.
func (p place) traced(value string) place {
	p.env = append(p.env[:len(p.env):len(p.env)], "DDU_TRACE="+value)
	return p
}

func TestTraceOfBench(t *testing.T) {
	p := newPlace(t, 0)
	measure := []string{"bench", "lenet", "train", "fp32", "--batch", "4", "--seconds", "0.01", "--json"}
	out, stderr := p.traced("1").must(t, measure...)
	if strings.Count(out, "\n") != 1 {
		t.Errorf("the trace is not on stderr alone:\n%s", out)
	}
	for _, want := range []string{
		`^trace of one step, lenet train fp32, batch 4: \d+\.\d{3} ms\nat best \d+\.\d GFLOP/s .* and \d+\.\d GB/s`,
		`\nconv2d +forward +4x1x28x28-6-k5s1p0 +\d+\.\d{3} +\d+\.\d +\d+\.\d +\d+  \w+ direct\n`,
		`\nconv2d +backward weights +4x6x12x12-16-k5s1p0 `, `\nmax_pool2d +backward +4x6x24x24 +\d+\.\d{3} +\d+\.\d +\d+  \w+\n`,
		`\nsgd +update +44426 in 10 tensors `, `\nconv2d +backward data +1 +\d+\.\d{3} +\d+\.\d `, `\nbetween operations +\d`, `\nstep +\d+\.\d{3} +100\.0\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(stderr) {
			t.Errorf("%s is missing in\n%s", want, stderr)
		}
	}
	if _, stderr := p.traced("0").must(t, measure...); stderr != "" {
		t.Errorf("DDU_TRACE=0 prints %q", stderr)
	}
	for _, args := range [][]string{measure, {"bench", "networks", "lenet"}} {
		wantRefusal(t, p.traced("yes"), args, []string{"DDU_TRACE", `"yes"`, "want 1"})
	}
}

func TestTraceOfRun(t *testing.T) {
	p := newPlace(t, 100)
	p.write(t, "tiny.toml", tiny)
	wantRefusal(t, p.traced("on"), []string{"run", "tiny.toml", "--out", "new"}, []string{"DDU_TRACE", `"on"`})
	for name, test := range map[string]struct {
		args []string
		want string // how the trace begins
	}{
		"lines":       {nil, "\nnote: trace of one training step: "},
		"quiet":       {[]string{"-q"}, "trace of one training step: "},
		"short epoch": {[]string{"-q", "--set", "train.batch=64"}, "trace of one training step: "},
		"ensemble":    {[]string{"-q", "--set", "eval.methods=ensemble", "--set", "runs.ensemble=2"}, "trace of one training step: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"run", "tiny.toml", "--out", filepath.Join(p.dir, name), "--set", "train.epochs=1"}, test.args...)
			_, stderr := p.traced("1").must(t, args...)
			if strings.Count(stderr, "trace of") != 1 || !strings.Contains(stderr, test.want) {
				t.Errorf("stderr is\n%s\nwant one trace that begins with %q", stderr, test.want)
			}
			for _, part := range []string{"\ndata ", " wait ", "\nsgd ", "\nconv2d ", "\nbetween operations "} {
				if !strings.Contains(stderr, part) {
					t.Errorf("%q is missing in\n%s", part, stderr)
				}
			}
		})
	}
}
