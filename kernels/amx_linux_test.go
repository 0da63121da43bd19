package kernels

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
)

// No loop of the AMX level touches what lies before or after its slices.
func TestAMXStaysInItsSlices(t *testing.T) {
	eachAMX(t, func(t *testing.T) {
		withThreads(t, 1) // SetPanicOnFault is per goroutine
		for _, atEnd := range []bool{true, false} {
			t.Run(fmt.Sprintf("atEnd=%v", atEnd), func(t *testing.T) {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if r := recover(); r != nil {
						t.Fatalf("touched a fence: %v", r)
					}
				}()
				checkAMXFences(t, atEnd)
			})
		}
	})
}

func checkAMXFences(t *testing.T, atEnd bool) {
	for _, s := range []Conv2dShape{
		{1, 3, 4, 4, 7, 3, 3, 1, 1}, {2, 1, 6, 6, 6, 5, 5, 1, 0}, {3, 18, 3, 3, 34, 3, 3, 1, 1}, {9, 14, 3, 3, 30, 3, 3, 2, 1}, {33, 12, 2, 2, 10, 1, 1, 2, 0}, {1, 9, 2, 2, 11, 1, 1, 1, 0},
		{16, 160, 1, 4, 17, 3, 3, 1, 1}, {16, 20, 2, 4, 160, 3, 3, 1, 1}, {16, 160, 1, 12, 18, 3, 3, 1, 1}, {16, 18, 1, 12, 160, 3, 3, 1, 1}, // in lines
	} {
		want, want32 := amxResults(s, slices.Clone[[]uint16], slices.Clone[[]float32])
		got, got32 := amxResults(s, func(v []uint16) []uint16 { return fenced(t, v, atEnd) }, func(v []float32) []float32 { return fenced(t, v, atEnd) })
		if !slices.Equal(got, want) || !slices.Equal(got32, want32) {
			t.Fatalf("%+v: results depend on where the slices lie", s)
		}
	}
	r := rand.New(rand.NewPCG(69, 70))
	for _, size := range [][3]int{{1, 1, 1}, {3, 5, 4}, {15, 17, 9}, {40, 33, 64}, {33, 40, 34}, {33, 40, 290}, {33, 140, 288}} {
		m, n, k := size[0], size[1], size[2]
		a, b := halvesOf(randomSlice[float32](r, m*k)), halvesOf(randomSlice[float32](r, n*k))
		for variant := range 8 {
			transA, transB, accumulate := variant&1 != 0, variant&2 != 0, variant&4 != 0
			lda, ldb := k, n
			if transA {
				lda = m
			}
			if transB {
				ldb = k
			}
			want, got := make([]float32, m*n), fenced(t, make([]float32, m*n), atEnd)
			amxGemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, want, n)
			amxGemm(transA, transB, m, n, k, fenced(t, a, atEnd), lda, fenced(t, b, atEnd), ldb, accumulate, got, n)
			if !slices.Equal(got, want) {
				t.Fatalf("%v variant %d: results depend on where the slices lie", size, variant)
			}
		}
	}
}
