package uncertainty_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/deepuncertainty/ddu/uncertainty"
)

func TestMatrixViews(t *testing.T) {
	wide := []float64{1, 2, 3, 4, 5, 6}
	for name, m := range map[string]Matrix{
		"float64": NewMatrix(2, 3, wide),
		"float32": NewMatrix(2, 3, []float32{1, 2, 3, 4, 5, 6}),
		"rows":    MatrixFromRows([][]float32{{1, 2, 3}, {4, 5, 6}}),
	} {
		t.Run(name, func(t *testing.T) {
			if m.Rows() != 2 || m.Cols() != 3 || m.At(1, 0) != 4 || !slices.Equal(m.Row(1), []float64{4, 5, 6}) || !slices.Equal(m.Float64s(), wide) {
				t.Errorf("%d rows, %d columns, row 1 %v, all %v", m.Rows(), m.Cols(), m.Row(1), m.Float64s())
			}
		})
	}
	view := NewMatrix(2, 3, wide)
	wide[4] = 50
	if view.At(1, 1) != 50 || view.Row(1)[1] != 50 {
		t.Error("a float64 matrix is not a view")
	}
	if empty := MatrixFromRows[float64](nil); empty.Rows() != 0 || empty.Cols() != 0 {
		t.Errorf("no rows make a matrix of %d rows", empty.Rows())
	}
}

func TestMatrixRefusesColumnsOutside(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "column 3 of a matrix with 3 columns") {
			t.Errorf("panic %v", r)
		}
	}()
	NewMatrix(2, 3, make([]float64, 6)).At(0, 3) // would read (1, 0)
}
