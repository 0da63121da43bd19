package uncertainty

import (
	"fmt"
	"math"

	"github.com/deepuncertainty/ddu/kernels"
)

// Matrix is a view of rows*cols numbers in row-major order, float32 or float64.
// The numbers are not copied. The zero value is an empty matrix.
type Matrix struct {
	rows, cols int
	f32        []float32
	f64        []float64
	err        error
}

// NewMatrix wraps data as rows of cols numbers each. A length other than
// rows*cols is reported by the function that is given the matrix, so that views
// can be made in place.
func NewMatrix[T float32 | float64](rows, cols int, data []T) Matrix {
	m := Matrix{rows: rows, cols: cols}
	if rows < 0 || cols < 0 || len(data) != rows*cols {
		m.err = fmt.Errorf("%d numbers for a matrix of %d rows and %d columns", len(data), rows, cols)
	}
	switch d := any(data).(type) {
	case []float32:
		m.f32 = d
	case []float64:
		m.f64 = d
	}
	return m
}

// MatrixFromRows copies rows, which must be equally long.
func MatrixFromRows[T float32 | float64](rows [][]T) Matrix {
	if len(rows) == 0 {
		return Matrix{}
	}
	m := newDense(len(rows), len(rows[0]))
	for i, row := range rows {
		if len(row) != m.cols {
			m.err = fmt.Errorf("row %d has %d numbers, row 0 has %d", i, len(row), m.cols)
			return m
		}
		for j, v := range row {
			m.f64[i*m.cols+j] = float64(v)
		}
	}
	return m
}

func newDense(rows, cols int) Matrix {
	return Matrix{rows: rows, cols: cols, f64: make([]float64, rows*cols)}
}

// Rows returns the number of rows.
func (m Matrix) Rows() int { return m.rows }

// Cols returns the number of columns.
func (m Matrix) Cols() int { return m.cols }

// At returns the number in row i, column j.
func (m Matrix) At(i, j int) float64 {
	if j < 0 || j >= m.cols {
		panic(fmt.Sprintf("column %d of a matrix with %d columns", j, m.cols))
	}
	if m.f32 != nil {
		return float64(m.f32[i*m.cols+j])
	}
	return m.f64[i*m.cols+j]
}

// Row returns row i: of a float64 matrix its own memory, else a copy.
func (m Matrix) Row(i int) []float64 { return m.row(i, nil) }

// Float64s returns all numbers, row after row: of a float64 matrix its own
// memory, else a copy.
func (m Matrix) Float64s() []float64 {
	if m.f32 == nil {
		return m.f64
	}
	all := make([]float64, len(m.f32))
	for i, v := range m.f32 {
		all[i] = float64(v)
	}
	return all
}

// row returns row i, in buffer when it has to be converted and fits.
func (m Matrix) row(i int, buffer []float64) []float64 {
	if m.f32 == nil {
		return m.f64[i*m.cols : (i+1)*m.cols : (i+1)*m.cols]
	}
	if cap(buffer) < m.cols {
		buffer = make([]float64, m.cols)
	}
	buffer = buffer[:m.cols]
	for j, v := range m.f32[i*m.cols : (i+1)*m.cols] {
		buffer[j] = float64(v)
	}
	return buffer
}

// check rejects a matrix that is malformed or has no numbers.
func (m Matrix) check(what string) error {
	switch {
	case m.err != nil:
		return fmt.Errorf("%s: %w", what, m.err)
	case m.rows == 0 || m.cols == 0:
		return fmt.Errorf("%s: empty matrix (%d rows, %d columns)", what, m.rows, m.cols)
	}
	return nil
}

// checkValues also rejects the first number that allowed does not accept.
func (m Matrix) checkValues(what string, allowed func(float64) bool, want string) error {
	if err := m.check(what); err != nil {
		return err
	}
	bad := make([]int, blocks(m.rows)) // 1 + column-wise index of the first bad number of a block
	m.eachBlock(func(block, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			for j, v := range m.row(i, buffer) {
				if !allowed(v) {
					bad[block] = i*m.cols + j + 1
					return
				}
			}
		}
	})
	for _, b := range bad {
		if b > 0 {
			i, j := (b-1)/m.cols, (b-1)%m.cols
			return fmt.Errorf("%s: row %d, column %d is %v, want %s", what, i, j, m.At(i, j), want)
		}
	}
	return nil
}

func (m Matrix) checkFinite(what string) error {
	return m.checkValues(what, isFinite, "a finite number")
}

// checkLogs accepts what can be a logarithm or a logit: -Inf is log 0.
func (m Matrix) checkLogs(what string) error {
	return m.checkValues(what, func(v float64) bool { return v <= math.MaxFloat64 }, "a finite number or -Inf")
}

func (m Matrix) checkProbabilities(what string) error {
	return m.checkValues(what, func(v float64) bool { return v >= 0 && v <= 1+1e-6 }, "a probability")
}

func isFinite(v float64) bool { return math.Abs(v) <= math.MaxFloat64 }

// blockRows is the unit of work over rows, and of sums over rows: its being
// fixed makes sums independent of the number of threads.
const blockRows = 256

func blocks(rows int) int { return (rows + blockRows - 1) / blockRows }

// eachBlock calls fn for every block of rows, in parallel; buffer has room for
// one converted row.
func (m Matrix) eachBlock(fn func(block, lo, hi int, buffer []float64)) {
	kernels.Parallel(blocks(m.rows), func(b int) {
		var buffer []float64
		if m.f32 != nil {
			buffer = make([]float64, m.cols)
		}
		fn(b, b*blockRows, min((b+1)*blockRows, m.rows), buffer)
	})
}

// perRow returns fn of every row.
func (m Matrix) perRow(fn func(row []float64) float64) []float64 {
	out := make([]float64, m.rows)
	m.eachBlock(func(_, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			out[i] = fn(m.row(i, buffer))
		}
	})
	return out
}

// sumRows returns the sum of fn over the rows, blocks added in order.
func (m Matrix) sumRows(fn func(i int, row []float64) float64) float64 {
	part := make([]float64, blocks(m.rows))
	m.eachBlock(func(b, lo, hi int, buffer []float64) {
		for i := lo; i < hi; i++ {
			part[b] += fn(i, m.row(i, buffer))
		}
	})
	var sum float64
	for _, p := range part {
		sum += p
	}
	return sum
}

// checkLabels wants one class of m's columns per row.
func (m Matrix) checkLabels(labels []int) error {
	if len(labels) != m.rows {
		return fmt.Errorf("%d labels for %d rows", len(labels), m.rows)
	}
	return checkClasses(labels, m.cols)
}

func checkClasses(labels []int, classes int) error {
	for i, l := range labels {
		if l < 0 || l >= classes {
			return fmt.Errorf("label %d of row %d: want 0 to %d", l, i, classes-1)
		}
	}
	return nil
}
