package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTranspose(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testTranspose[float32])
		t.Run("float64", testTranspose[float64])
	})
}

func testTranspose[T float](t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for rows := range 36 {
		for cols := range 36 {
			srcRow, dstRow := cols+rows%3, rows+cols%2
			src, dst := randomSlice[T](r, rows*srcRow), make([]T, cols*dstRow)
			for i := range dst {
				dst[i] = T(math.Inf(1))
			}
			transpose(dst, dstRow, src, srcRow, rows, cols)
			for i := range dst {
				want := T(math.Inf(1))
				if j := i % dstRow; j < rows {
					want = src[j*srcRow+i/dstRow]
				}
				if dst[i] != want {
					t.Fatalf("%d x %d: element %d is %v, want %v", rows, cols, i, dst[i], want)
				}
			}
		}
	}
}

func TestPackTiles(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		t.Run("float32", testPackTiles[float32])
		t.Run("float64", testPackTiles[float64])
	})
}

func testPackTiles[T float](t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, dstRow := range []int{4, 8, 12, 16, 32} {
		for width := range dstRow + 1 {
			const rows, tiles = 3, 2
			srcRow, srcTile := 3*width+1, width+1
			src := randomSlice[T](r, (rows-1)*srcRow+(tiles-1)*srcTile+width)
			dst := randomSlice[T](r, tiles*(rows*dstRow+1))
			packTiles(dst, dstRow, rows*dstRow+1, src, srcRow, srcTile, rows, width, tiles)
			for tile := range tiles {
				for i := range rows {
					for j := range dstRow {
						var want T
						if j < width {
							want = src[tile*srcTile+i*srcRow+j]
						}
						if got := dst[tile*(rows*dstRow+1)+i*dstRow+j]; got != want {
							t.Fatalf("row of %d, %d wide: tile %d row %d column %d is %v, want %v", dstRow, width, tile, i, j, got, want)
						}
					}
				}
			}
		}
	}
}
