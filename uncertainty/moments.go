package uncertainty

import (
	"math"
	"slices"

	"github.com/deepuncertainty/ddu/kernels"
)

// foldRows is how many rows of a class wait before they are folded into its
// moments: enough to make the rank-k update compute-bound. It is fixed, so the
// moments depend on the order of a class's rows but not on how they were
// batched.
const foldRows = 128

// moments are the count, mean and scatter sum (x-mean)(x-mean)^T of the rows of
// one class, updated block by block (Chan, Golub and LeVeque, 1983).
//
// Rows are taken relative to the class's first row. A feature that never varies
// is then exactly 0, so its variance is exactly 0 and not the square of a
// rounding error that would pass for a variance.
type moments struct {
	count   int       // rows folded in
	origin  []float64 // [D], the first row; nil before
	mean    []float64 // [D], of folded rows, relative to origin
	scatter []float64 // [D*D], of folded rows
	rows    []float64 // [foldRows+1][D], rows that wait; one row spare
	waiting int
}

// total is the number of rows seen.
func (m *moments) total() int { return m.count + m.waiting }

func (m *moments) add(row []float64) {
	d := len(row)
	if m.origin == nil {
		m.allocate(row)
	}
	dst := m.rows[m.waiting*d : (m.waiting+1)*d]
	for j, v := range row {
		dst[j] = v - m.origin[j]
	}
	if m.waiting++; m.waiting == foldRows {
		m.fold()
	}
}

func (m *moments) allocate(origin []float64) {
	d := len(origin)
	m.origin = slices.Clone(origin)
	m.mean = make([]float64, d)
	m.scatter = make([]float64, d*d)
	m.rows = make([]float64, (foldRows+1)*d)
}

// fold centres the waiting rows at their own mean b and merges them:
//
//	scatter += sum (x-b)(x-b)^T + n k/(n+k) (b-mean)(b-mean)^T
//
// The second term is one more row of the same rank-k update.
func (m *moments) fold() {
	if m.waiting == 0 {
		return
	}
	d, n, k := len(m.mean), float64(m.count), float64(m.waiting)
	block := m.rows[:(m.waiting+1)*d]
	last := block[m.waiting*d:]
	columnMeans(last, block[:m.waiting*d])
	for i := range m.waiting {
		row := block[i*d : (i+1)*d]
		for j, b := range last {
			row[j] -= b
		}
	}
	weight := math.Sqrt(n * k / (n + k))
	for j, b := range last {
		delta := b - m.mean[j]
		m.mean[j] += delta * (k / (n + k))
		last[j] = delta * weight
	}
	kernels.SyrkFloat64(d, m.waiting+1, block, d, true, m.scatter, d)
	m.count += m.waiting
	m.waiting = 0
}

// merge adds the rows that o has seen. The waiting rows of o are folded into a
// copy: o stays as it is.
func (m *moments) merge(o *moments) {
	if o.total() == 0 {
		return
	}
	if m.origin == nil {
		m.allocate(o.origin)
	}
	m.fold()
	d := len(m.mean)
	if o.count > 0 {
		n, k := float64(m.count), float64(o.count)
		delta := m.rows[:d]
		for j := range delta {
			delta[j] = (o.origin[j] - m.origin[j]) + o.mean[j] - m.mean[j]
			m.mean[j] += delta[j] * (k / (n + k))
			delta[j] *= math.Sqrt(n * k / (n + k))
		}
		for i, v := range o.scatter {
			m.scatter[i] += v
		}
		kernels.SyrkFloat64(d, 1, delta, d, true, m.scatter, d)
		m.count += o.count
	}
	row := make([]float64, d)
	for i := range o.waiting {
		for j, v := range o.rows[i*d : (i+1)*d] {
			row[j] = v + o.origin[j]
		}
		m.add(row)
	}
}

// clone copies what fold changes.
func (m *moments) clone() *moments {
	c := *m
	c.mean = slices.Clone(m.mean)
	c.scatter = slices.Clone(m.scatter)
	c.rows = slices.Clone(m.rows)
	return &c
}

// center writes the mean of all folded rows.
func (m *moments) center(dst []float64) {
	for j, v := range m.mean {
		dst[j] = m.origin[j] + v
	}
}

func columnMeans(dst, rows []float64) {
	clear(dst)
	d := len(dst)
	for i := 0; i < len(rows); i += d {
		for j, v := range rows[i : i+d] {
			dst[j] += v
		}
	}
	n := float64(len(rows) / d)
	for j := range dst {
		dst[j] /= n
	}
}
