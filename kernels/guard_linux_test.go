package kernels

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns a copy of s between two pages that may not be touched: at the
// end of its memory, or at the start.
func fenced[T any](t *testing.T, s []T, atEnd bool) []T {
	t.Helper()
	page := syscall.Getpagesize()
	var zero T
	bytes := len(s) * int(unsafe.Sizeof(zero))
	inner := max(ceilDiv(bytes, page), 1) * page
	memory, err := syscall.Mmap(-1, 0, inner+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(memory) })
	for _, fence := range [][]byte{memory[:page], memory[page+inner:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page
	if atEnd {
		at += inner - bytes
	}
	out := unsafe.Slice((*T)(unsafe.Pointer(&memory[at])), len(s))
	copy(out, s)
	return out
}

// eachFence runs f at every level with both kinds of fence. A touch of a fence
// fails the test.
func eachFence(t *testing.T, f func(t *testing.T, atEnd bool)) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	withThreads(t, 1) // SetPanicOnFault is per goroutine
	eachLevel(t, func(t *testing.T) {
		for _, atEnd := range []bool{true, false} {
			t.Run(fmt.Sprintf("atEnd=%v", atEnd), func(t *testing.T) {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					if r := recover(); r != nil {
						t.Fatalf("touched a fence: %v", r)
					}
				}()
				f(t, atEnd)
			})
		}
	})
}

func TestConv2dStaysInItsSlices(t *testing.T) {
	eachAlgorithm(t, checkConv2dFences)
}

func checkConv2dFences(t *testing.T) {
	shapes := []Conv2dShape{
		{1, 3, 5, 5, 7, 3, 3, 1, 1}, {2, 1, 6, 6, 5, 5, 5, 1, 0}, {3, 17, 4, 4, 33, 3, 3, 1, 1}, {9, 14, 3, 3, 31, 3, 3, 2, 1},
		{1, 36, 5, 5, 50, 3, 3, 2, 1}, {2, 13, 4, 4, 10, 1, 1, 2, 0}, {9, 14, 5, 8, 31, 3, 3, 1, 1}, {130, 3, 2, 2, 6, 1, 1, 1, 0},
		{20, 11, 4, 5, 17, 3, 3, 2, 1}, {16, 9, 3, 4, 6, 3, 3, 1, 1},
	}
	eachFence(t, func(t *testing.T, atEnd bool) {
		r := rand.New(rand.NewPCG(19, 20))
		for _, s := range shapes {
			x, w, dy, bias := randomSlice[float32](r, s.inputLen()), randomSlice[float32](r, s.weightLen()), randomSlice[float32](r, s.outputLen()), randomSlice[float32](r, s.OC)
			// All results, with every slice passed through place.
			run := func(place func([]float32) []float32) []float32 {
				forward, backward := place(make([]float32, PackedConv2dLen(s, ConvForward))), place(make([]float32, PackedConv2dLen(s, ConvBackwardData)))
				x, w, dy := place(x), place(w), place(dy)
				y, dx, dw := place(dy), place(x), place(w)
				PackConv2d(forward, w, s, ConvForward)
				PackConv2d(backward, w, s, ConvBackwardData)
				Conv2dForward(y, x, forward, place(bias), s)
				Conv2dBackwardData(dx, dy, backward, s, true)
				Conv2dBackwardWeights(dw, x, dy, s, true)
				return slices.Concat(forward, backward, y, dx, dw)
			}
			want := run(slices.Clone[[]float32])
			got := run(func(v []float32) []float32 { return fenced(t, v, atEnd) })
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: results depend on where the slices lie", s)
			}
		}
	})
}

func TestGemmStaysInItsSlices(t *testing.T) {
	eachFence(t, func(t *testing.T, atEnd bool) {
		t.Run("float32", func(t *testing.T) { testGemmFenced(t, Gemm, atEnd) })
		t.Run("float64", func(t *testing.T) { testGemmFenced(t, GemmFloat64, atEnd) })
	})
}

func testGemmFenced[T float](t *testing.T, gemm gemmFunc[T], atEnd bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	r := rand.New(rand.NewPCG(21, 22))
	for _, size := range [][3]int{{1, 1, 1}, {1, 30, 7}, {3, 5, 4}, {15, 17, 9}, {61, 33, 20}, {29, 300, 13}, {70, 131, 3}} {
		m, n, k := size[0], size[1], size[2]
		a, b, c := randomSlice[T](r, m*k), randomSlice[T](r, n*k), randomSlice[T](r, m*n)
		for variant := range 8 {
			transA, transB, accumulate := variant&1 != 0, variant&2 != 0, variant&4 != 0
			lda, ldb := k, n
			if transA {
				lda = m
			}
			if transB {
				ldb = k
			}
			run := func(place func([]T) []T) []T {
				c := place(c)
				gemm(transA, transB, m, n, k, place(a), lda, place(b), ldb, accumulate, c, n)
				return c
			}
			want := run(slices.Clone[[]T])
			if got := run(func(v []T) []T { return fenced(t, v, atEnd) }); !slices.Equal(got, want) {
				t.Fatalf("%v variant %d: results depend on where the slices lie", size, variant)
			}
		}
	}
}

func TestSyrkFloat64StaysInItsSlices(t *testing.T) {
	eachFence(t, func(t *testing.T, atEnd bool) {
		r := rand.New(rand.NewPCG(23, 24))
		for _, size := range [][2]int{{1, 1}, {5, 3}, {17, 9}, {70, 33}} {
			n, k := size[0], size[1]
			a := randomSlice[float64](r, n*k)
			want, got := make([]float64, n*n), fenced(t, make([]float64, n*n), atEnd)
			SyrkFloat64(n, k, a, n, false, want, n)
			SyrkFloat64(n, k, fenced(t, a, atEnd), n, false, got, n)
			if !slices.Equal(got, want) {
				t.Fatalf("%v: results depend on where the slices lie", size)
			}
		}
	})
}

// TestBFloat16StaysInItsSlices runs everything on activations of bfloat16, each slice
// between fences.
func TestBFloat16StaysInItsSlices(t *testing.T) {
	for _, n := range []int{4, 5, 8, 13, 16, 31} {
		eachFence(t, func(t *testing.T, atEnd bool) {
			slices := make([][]uint16, 5)
			for i := range slices {
				slices[i] = fenced(t, make([]uint16, n), atEnd)
			}
			for _, op := range elementFunctions[uint16](1, n, make([]float32, 6*n)) {
				op.run(slices)
			}
		})
	}
}
