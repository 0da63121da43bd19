package main

import (
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	p := newPlace(t, 0)
	out, _ := p.must(t, "version")
	if !regexp.MustCompile(`^ddu \S+ ` + regexp.QuoteMeta(runtime.Version()) + ` \w+/\w+\n$`).MatchString(out) {
		t.Errorf("ddu version prints %q", out)
	}
	if flag, _ := p.must(t, "--version"); flag != out {
		t.Errorf("ddu --version prints %q, ddu version %q", flag, out)
	}
}

func TestHelp(t *testing.T) {
	p := newPlace(t, 0)
	out, _ := p.must(t)
	for _, command := range []string{"run", "convert", "data", "bench", "info", "version"} {
		if !strings.Contains(out, "\n  "+command) {
			t.Errorf("help lacks %s:\n%s", command, out)
		}
	}
	out, _ = p.must(t, "run", "--help")
	for _, flag := range []string{"--set=KEY=VALUE", "--out=DIR", "--resume", "--seed=N", "--threads=N", "--isa=LEVEL", "--conv=ALGORITHM", "--quiet", "--json"} {
		if !strings.Contains(out, flag) {
			t.Errorf("help of run lacks %s:\n%s", flag, out)
		}
	}
}

func TestInfo(t *testing.T) {
	p := newPlace(t, 0)
	out, _ := p.must(t, "info", "--json", "--isa", "portable", "--threads", "1")
	var machine struct {
		CPU         string
		Cores       int
		Levels      []string
		Used        string
		Threads     int
		L1D         *int
		PeakOne     float64 `json:"peak_gflops_1_thread"`
		PeakThreads float64 `json:"peak_gflops"`
	}
	if err := json.Unmarshal([]byte(out), &machine); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if machine.Used != "portable" || machine.Threads != 1 || machine.Cores != runtime.NumCPU() ||
		!slices.Contains(machine.Levels, "portable") || machine.L1D == nil || machine.PeakOne <= 0 || machine.PeakThreads <= 0 {
		t.Errorf("ddu info --json prints %s", out)
	}
	text, _ := p.must(t, "info", "--isa", "auto")
	for _, part := range []string{"CPU ", "cores ", "instruction sets ", "used ", "caches ", "FMA peak"} {
		if !strings.Contains(text, part) {
			t.Errorf("ddu info lacks %q:\n%s", part, text)
		}
	}
}

// peerKeys are what the PyTorch side of a comparison prints.
var peerKeys = []string{
	"peer", "network", "mode", "dtype", "batch", "threads", "sn", "mnist", "channels_last", "step_seconds", "images_per_second", "peak_memory_mib",
}

func TestBench(t *testing.T) {
	p := newPlace(t, 0)
	for _, mode := range []string{"train", "infer"} {
		out, stderr := p.must(t, "bench", "lenet", mode, "fp32", "--seconds", "0.2", "--batch", "8", "--threads", "1", "--json")
		var result map[string]any
		if err := json.Unmarshal([]byte(out), &result); err != nil || strings.Count(out, "\n") != 1 || stderr != "" {
			t.Fatalf("%v in %q, %q", err, out, stderr)
		}
		if got, want := slices.Sorted(maps.Keys(result)), slices.Sorted(slices.Values(append(peerKeys, "isa"))); !slices.Equal(got, want) {
			t.Errorf("keys are %q, want %q", got, want)
		}
		speed, seconds := result["images_per_second"].(float64), result["step_seconds"].(float64)
		if speed <= 0 || seconds <= 0 || math.Abs(speed*seconds-8) > 1 || result["mode"] != mode || result["batch"] != 8.0 || result["threads"] != 1.0 || result["mnist"] != true || result["sn"] != false {
			t.Errorf("ddu bench prints %s", out)
		}
	}
	out, _ := p.must(t, "bench", "lenet", "infer", "fp32", "--seconds", "0.1", "--batch", "4")
	match := regexp.MustCompile(`^lenet infer fp32, batch 4, \d+ threads, \w+: (\d+\.\d\d) images/s `).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("ddu bench prints %q", out)
	}
	if speed, err := strconv.ParseFloat(match[1], 64); err != nil || speed <= 0 {
		t.Errorf("speed %q: %v", match[1], err)
	}
}
