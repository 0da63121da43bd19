package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Peer is what another program, or this one at another time, measured: the
// median of the measurements in a file that agree in all but their times.
type Peer struct {
	NetworkResult
	Measurements int
}

// Comparison relates a measurement to a peer's. The ratios are ours by the
// peer's; one is 0 where a side did not measure it.
type Comparison struct {
	Peer                 string  `json:"peer"`
	Measurements         int     `json:"measurements"`
	ImagesPerSecond      float64 `json:"images_per_second"`
	StepSeconds          float64 `json:"step_seconds"`
	PeakMemoryMiB        int64   `json:"peak_memory_mib"`
	ImagesPerSecondRatio float64 `json:"images_per_second_ratio"`
	StepSecondsRatio     float64 `json:"step_seconds_ratio"`
	PeakMemoryRatio      float64 `json:"peak_memory_ratio"`
}

// ReadPeers reads the measurements of the same work as o's from a file: JSON
// objects as PyTorch's side of the comparison and `ddu bench --json` print them,
// one or several. Measurements of other work are passed over, but it is an error
// when no other is there.
func ReadPeers(path string, o NetworkOptions) ([]Peer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	all, err := parsePeers(data)
	if err != nil {
		return nil, fmt.Errorf("peer: %s:%w", path, err)
	}
	want := o.resolve().header()
	var peers []Peer
	var closest []string // what differs in the measurement most like ours
	for _, r := range all {
		if differs := differences(&r, want); len(differs) == 0 {
			peers = addPeer(peers, r)
		} else if closest == nil || len(differs) < len(closest) {
			closest = differs
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("peer: %s holds no measurement", path)
	case len(peers) == 0:
		return nil, fmt.Errorf("peer: %s is of other work: %s", path, strings.Join(closest, ", "))
	}
	for i := range peers {
		peers[i].takeMedian(all, want)
	}
	return peers, nil
}

// parsePeers reads JSON objects; errors begin with the line they are about.
func parsePeers(data []byte) ([]NetworkResult, error) {
	var all []NetworkResult
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		rest := bytes.TrimLeft(data[decoder.InputOffset():], " \t\r\n")
		line := 1 + bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		var r NetworkResult
		err := decoder.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%d: want the JSON of a measurement, one a line: %w", line, err)
		}
		if r.Network == "" || !(r.StepSeconds > 0) || !(r.ImagesPerSecond > 0) {
			return nil, fmt.Errorf("%d: want the JSON of a measurement: network, step_seconds or images_per_second is missing", line)
		}
		all = append(all, r)
	}
}

// differences names what makes a measurement one of other work.
func differences(found, want *NetworkResult) (differs []string) {
	check := func(name string, found, want any) {
		if found != want {
			differs = append(differs, fmt.Sprintf("%s is %v, want %v", name, found, want))
		}
	}
	check("network", found.Network, want.Network)
	check("mode", found.Mode, want.Mode)
	check("dtype", found.DType, want.DType)
	check("batch", found.Batch, want.Batch)
	check("threads", found.Threads, want.Threads)
	check("sn", found.SN, want.SN)
	check("mnist", found.MNIST, want.MNIST)
	return differs
}

// addPeer adds r unless one of its kind is there.
func addPeer(peers []Peer, r NetworkResult) []Peer {
	if slices.ContainsFunc(peers, func(p Peer) bool { return p.name() == r.name() }) {
		return peers
	}
	return append(peers, Peer{NetworkResult: r})
}

// takeMedian makes p the median, by step, of the measurements of its kind.
func (p *Peer) takeMedian(all []NetworkResult, want *NetworkResult) {
	var same []NetworkResult
	for _, r := range all {
		if len(differences(&r, want)) == 0 && r.name() == p.name() {
			same = append(same, r)
		}
	}
	slices.SortStableFunc(same, func(a, b NetworkResult) int { return cmp.Compare(a.StepSeconds, b.StepSeconds) })
	p.NetworkResult, p.Measurements = same[len(same)/2], len(same)
}

// name tells measurements of one file apart: "torch 2.9.1, channels last".
func (r *NetworkResult) name() string {
	name := cmp.Or(r.Peer, "peer")
	if r.ISA != "" {
		name += ", " + r.ISA
	}
	if r.ChannelsLast {
		name += ", channels last"
	}
	return name
}

// Compare sets r.Compared.
func (r *NetworkResult) Compare(peers []Peer) {
	r.Compared = nil
	for _, p := range peers {
		r.Compared = append(r.Compared, Comparison{
			Peer: p.name(), Measurements: p.Measurements,
			ImagesPerSecond: p.ImagesPerSecond, StepSeconds: p.StepSeconds, PeakMemoryMiB: p.PeakMemoryMiB,
			ImagesPerSecondRatio: ratio(r.ImagesPerSecond, p.ImagesPerSecond), StepSecondsRatio: ratio(r.StepSeconds, p.StepSeconds),
			PeakMemoryRatio: ratio(float64(r.PeakMemoryMiB), float64(p.PeakMemoryMiB)),
		})
	}
}

func ratio(ours, theirs float64) float64 {
	if theirs <= 0 {
		return 0
	}
	return round(ours/theirs, 3)
}

// ComparisonText writes the measurement beside each peer's, "" without peers.
func (r *NetworkResult) ComparisonText() string {
	var blocks []string
	for _, c := range r.Compared {
		theirs := c.Peer
		if c.Measurements > 1 {
			theirs += fmt.Sprintf(" (median of %d)", c.Measurements)
		}
		t := table{titles: []string{"", "ddu, " + r.ISA, theirs, "ratio"}, align: "lrrr"}
		t.add("images/s", fmt.Sprintf("%.2f", r.ImagesPerSecond), fmt.Sprintf("%.2f", c.ImagesPerSecond), ratioText(c.ImagesPerSecondRatio))
		t.add("step, s", fmt.Sprintf("%.5f", r.StepSeconds), fmt.Sprintf("%.5f", c.StepSeconds), ratioText(c.StepSecondsRatio))
		t.add("peak memory, MiB", fmt.Sprint(r.PeakMemoryMiB), fmt.Sprint(c.PeakMemoryMiB), ratioText(c.PeakMemoryRatio))
		blocks = append(blocks, t.String())
	}
	return strings.Join(blocks, "\n")
}

func ratioText(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}
