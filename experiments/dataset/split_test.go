package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestGoldenSplits(t *testing.T) {
	dir := os.Getenv("DDU_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata", "golden")
	}
	b, err := os.ReadFile(filepath.Join(dir, "splits.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Seed        uint64
		N           int
		First, Last []int
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("seed %d of %d", c.Seed, c.N), func(t *testing.T) {
			train, validate, err := Split(c.N, c.Seed)
			if err != nil {
				t.Fatal(err)
			}
			order := slices.Concat(validate, train)
			if first := order[:len(c.First)]; !slices.Equal(first, c.First) {
				t.Errorf("first %v, want %v", first, c.First)
			}
			if last := order[c.N-len(c.Last):]; !slices.Equal(last, c.Last) {
				t.Errorf("last %v, want %v", last, c.Last)
			}
		})
	}
}

// The first numbers of any implementation for its default seed, 5489, and the
// 10,000th, which the C++ standard gives as the check of std::mt19937.
func TestMT19937(t *testing.T) {
	g := newMT19937(5489)
	for i, want := range []uint32{3499211612, 581869302, 3890346734, 3586334585, 545404204} {
		if got := g.uint32(); got != want {
			t.Errorf("number %d is %d, want %d", i, got, want)
		}
	}
	for range 10_000 - 6 {
		g.uint32()
	}
	if got := g.uint32(); got != 4123659995 {
		t.Errorf("number 10,000 is %d, want 4123659995", got)
	}
}

func TestSplitIsAPartition(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 57, 1000} {
		train, validate, err := Split(n, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(validate) != n/10 {
			t.Errorf("%d of %d images validate, want %d", len(validate), n, n/10)
		}
		all := slices.Sorted(slices.Values(slices.Concat(train, validate)))
		for i := range n {
			if len(all) != n || all[i] != i {
				t.Fatalf("n = %d: train and validate together are %v", n, all)
			}
		}
	}
}

func TestSplitRefusesSeed(t *testing.T) {
	if _, _, err := Split(10, 1<<32-1); err != nil {
		t.Error(err)
	}
	_, _, err := Split(10, 1<<32)
	wantError(t, err, "4294967296", "0 to 4294967295")
	_, err = NumPyShuffle(-1, 0)
	wantError(t, err, "-1")
}
