package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/kernels"
)

// peerLine is the JSON line of a PyTorch peer, with some keys changed.
func peerLine(changes ...string) string {
	line := fmt.Sprintf(`{"peer": "torch 2.9.1", "network": "resnet18", "mode": "train", "dtype": "fp32", "batch": 128, "threads": %d, `+
		`"sn": true, "mnist": false, "channels_last": false, "step_seconds": 2.0, "images_per_second": 64.0, "peak_memory_mib": 1000}`, kernels.Threads())
	return strings.NewReplacer(changes...).Replace(line)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peer.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var resnet18 = NetworkOptions{Network: "resnet18", Mode: "train", DType: "fp32", Batch: 128, Seconds: 1, SN: true, Mod: true}

func TestReadPeers(t *testing.T) {
	slower := peerLine("2.0", "3.0", "64.0", "42.7")
	faster := peerLine("2.0", "1.0", "64.0", "128.0")
	channelsLast := peerLine(`"channels_last": false`, `"channels_last": true`, "2.0", "2.5")
	for name, test := range map[string]struct {
		text string
		want []string // name, measurements, median step
	}{
		"one":                  {peerLine(), []string{"torch 2.9.1 1 2"}},
		"median":               {slower + "\n" + faster + "\n" + peerLine() + "\n", []string{"torch 2.9.1 3 2"}},
		"two kinds":            {channelsLast + peerLine() + channelsLast, []string{"torch 2.9.1, channels last 2 2.5", "torch 2.9.1 1 2"}},
		"other work beside":    {peerLine("128", "64") + "\n" + peerLine() + "\n" + peerLine("resnet18", "vgg16"), []string{"torch 2.9.1 1 2"}},
		"ours":                 {peerLine("torch 2.9.1", "ddu v1", `"peak_memory_mib"`, `"isa": "avx2", "peak_memory_mib"`), []string{"ddu v1, avx2 1 2"}},
		"over several lines":   {strings.ReplaceAll(peerLine(), ", ", ",\n  "), []string{"torch 2.9.1 1 2"}},
		"other keys and peers": {peerLine(`"peer"`, `"note": [1], "peer"`), []string{"torch 2.9.1 1 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			peers, err := ReadPeers(writeFile(t, test.text), resnet18)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range peers {
				got = append(got, fmt.Sprint(p.name(), " ", p.Measurements, " ", p.StepSeconds))
			}
			if strings.Join(got, "; ") != strings.Join(test.want, "; ") {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestReadPeersRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":           {" \n", "holds no measurement"},
		"not JSON":        {peerLine() + "\nimages/s 12\n", ":2: want the JSON of a measurement"},
		"cut off":         {peerLine()[:40], ":1: want the JSON of a measurement"},
		"a list":          {"[" + peerLine() + "]", ":1: want the JSON of a measurement"},
		"wrong type":      {peerLine("128", `"many"`), ":1: want the JSON of a measurement"},
		"other JSON":      {"\n\n{\"loss\": 1}", ":3: want the JSON of a measurement: network, step_seconds or images_per_second is missing"},
		"no time":         {peerLine("2.0", "0"), "step_seconds or images_per_second is missing"},
		"another network": {peerLine("resnet18", "resnet50"), "is of other work: network is resnet50, want resnet18"},
		"another mode":    {peerLine("train", "infer"), "mode is infer, want train"},
		"another dtype":   {peerLine("fp32", "bf16"), "dtype is bf16, want fp32"},
		"another batch":   {peerLine("128", "64"), "batch is 64, want 128"},
		"other threads":   {peerLine(`"threads": `, `"threads": 7`), "threads is 7"},
		"no SN":           {peerLine(`"sn": true`, `"sn": false`), "sn is false, want true"},
		"MNIST":           {peerLine(`"mnist": false`, `"mnist": true`), "mnist is true, want false"},
		"the closest":     {peerLine("128", "64", "train", "infer") + peerLine("128", "32"), "other work: batch is 32, want 128"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, test.text)
			_, err := ReadPeers(path, resnet18)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q and the path", err, test.want)
			}
		})
	}
	if _, err := ReadPeers(filepath.Join(t.TempDir(), "nowhere.json"), resnet18); err == nil || !strings.Contains(err.Error(), "nowhere.json: no such file") {
		t.Errorf("error %v", err)
	}
}

// LeNet has neither SN nor another input, whatever the flags say.
func TestReadPeersOfLeNet(t *testing.T) {
	path := writeFile(t, peerLine("resnet18", "lenet", `"sn": true`, `"sn": false`, `"mnist": false`, `"mnist": true`))
	o := resnet18
	o.Network = "lenet"
	if _, err := ReadPeers(path, o); err != nil {
		t.Error(err)
	}
}

func TestComparison(t *testing.T) {
	r := &NetworkResult{ISA: "avx2", StepSeconds: 1, ImagesPerSecond: 128, PeakMemoryMiB: 700}
	r.Compare([]Peer{
		{NetworkResult{Peer: "torch 2.9.1", StepSeconds: 2, ImagesPerSecond: 64, PeakMemoryMiB: 1000}, 3},
		{NetworkResult{Peer: "torch 2.9.1", ChannelsLast: true, StepSeconds: 1.25, ImagesPerSecond: 102.4}, 1},
	})
	want := `                  ddu, avx2  torch 2.9.1 (median of 3)  ratio
images/s             128.00                      64.00  2.000
step, s             1.00000                    2.00000  0.500
peak memory, MiB        700                       1000  0.700

                  ddu, avx2  torch 2.9.1, channels last  ratio
images/s             128.00                      102.40  1.250
step, s             1.00000                     1.25000  0.800
peak memory, MiB        700                           0      -
`
	if got := r.ComparisonText(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
