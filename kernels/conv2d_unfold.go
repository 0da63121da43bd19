package kernels

import "unsafe"

// A first layer with few images, which are too few to be read as planes, is unfolded,
// some rows at a time: each output gets a row of all it reads, [KH*KW][C] and zeros
// for padding, and both directions are one matrix product with these rows.

// unfoldChannels is up to how many channels that pays.
const unfoldChannels = 4

// unfoldRows is about how many rows fit the first-level cache beside a panel.
const unfoldRows = maxRun / 2

func (s Conv2dShape) unfolds() bool { return s.C <= unfoldChannels }

// rowsOf unfolds an input, a few rows at a time. A row is an image of an output pixel.
type rowsOf[E Element] struct {
	s     Conv2dShape
	x     []E
	width int // of a row: KH*KW*C
	row   int // from row to row, what is past the width zeros

	pixels, images int // of a chunk
}

// newRowsOf takes chunks of about so many rows.
func newRowsOf[E Element](s Conv2dShape, x []E, row, rows int) rowsOf[E] {
	u := rowsOf[E]{s: s, x: x, width: s.KH * s.KW * s.C, row: row, images: min(s.N, rows), pixels: 1}
	if u.images == s.N { // the rows of neighbouring pixels lie side by side
		u.pixels = min(ceilDiv(rows, u.images), s.OutH()*s.OutW())
	}
	return u
}

// chunks visits the chunks of some output pixels, n rows at a time in working memory
// that holds zeros between them; first counts rows of the output.
func (u *rowsOf[E]) chunks(pixels span, visit func(rows []E, n, first int)) {
	memory := takeScratch[E](u.pixels * u.images * u.row)
	defer memory.drop()
	clear(memory.data)
	for _, p := range pixels.cut(u.pixels) {
		for _, i := range (span{0, u.s.N}).cut(u.images) {
			n := p.len() * i.len()
			u.fill(memory.data, p, i)
			visit(memory.data[:n*u.row], n, p.from*u.s.N+i.from)
		}
	}
}

func (u *rowsOf[E]) fill(rows []E, pixels, images span) {
	s := &u.s
	for p := pixels.from; p < pixels.to; p++ {
		at := (p - pixels.from) * images.len() * u.row
		h, w := p/s.OutW()*s.Stride-s.Padding, p%s.OutW()*s.Stride-s.Padding
		for kh := range s.KH {
			for kw := range s.KW {
				to := rows[at+(kh*s.KW+kw)*s.C:]
				if y, x := h+kh, w+kw; y >= 0 && y < s.H && x >= 0 && x < s.W {
					copyColumns(to, u.row, u.x[((y*s.W+x)*s.N+images.from)*s.C:], s.C, images.len())
				} else {
					zeroColumns(to, u.row, s.C, images.len())
				}
			}
		}
	}
}

// copyColumns copies rows of n numbers that lie side by side to rows step apart.
//
//go:norace
func copyColumns[E Element](to []E, step int, from []E, n, rows int) {
	switch n {
	case 1:
		for i, v := range from[:rows] {
			to[i*step] = v
		}
	case 3:
		for i := range rows {
			*(*[3]E)(to[i*step:]) = *(*[3]E)(from[i*3:])
		}
	default:
		for i := range rows {
			copy(to[i*step:i*step+n], from[i*n:])
		}
	}
}

//go:norace
func zeroColumns[E Element](to []E, step, n, rows int) {
	for i := range rows {
		clear(to[i*step : i*step+n])
	}
}

// unfolded is an input as rows for vectors.
type unfolded struct {
	rowsOf[float32]
	kern *brgemmKernels
}

func newUnfolded(s Conv2dShape, x []float32) *unfolded {
	kern := brgemmOf[float32]()
	return &unfolded{newRowsOf(s, x, ceilTo(s.KH*s.KW*s.C, kern.lanes), unfoldRows), kern}
}

// forward computes y from weights packed for the direct algorithm, whose panels
// [KH][KW][C][nr] are those of one product.
func (u *unfolded) forward(y, packed, bias []float32, e *epilogue) {
	s, nr := &u.s, u.kern.nr
	const pixelsOfTask = 16
	pixels := s.OutH() * s.OutW()
	Parallel(ceilDiv(pixels, pixelsOfTask), func(task int) {
		args := takeArgs()
		defer args.drop()
		u.chunks(blockSpan(pixelsOfTask, pixels, task), func(rows []float32, n, first int) {
			c := y[first*s.OC:][:n*s.OC]
			if bias != nil {
				repeat(c, bias)
				args.accumulate = 1
			}
			args.aRow, args.bK, args.cRow, args.k = u.row*4, nr*4, s.OC*4, u.width
			args.oneTap()
			for panel := range ceilDiv(s.OC, nr) {
				args.a, args.b, args.c = unsafe.Pointer(&rows[0]), unsafe.Pointer(&packed[panel*u.width*nr]), unsafe.Pointer(&c[panel*nr])
				u.kern.run(false, 4, n, min(nr, s.OC-panel*nr), args)
			}
			e.rows(y, first*s.OC, n, s.OC, span{0, s.OC})
		})
	})
}

// backwardWeights computes dw (+)= rows' times dy.
func (u *unfolded) backwardWeights(dw, dy []float32, accumulate bool) {
	s, nr := &u.s, u.kern.nr
	pixels, panels := s.OutH()*s.OutW(), ceilDiv(s.OC, nr)
	slices, ocPad := min(weightsMinTasks, pixels), ceilTo(s.OC, u.kern.lanes)
	length := u.width * ocPad
	sums := takeScratch[float32](slices * length) // [slice][KH*KW][C][ocPad]
	defer sums.drop()
	clear(sums.data)
	Parallel(slices, func(slice int) {
		args := takeArgs()
		defer args.drop()
		packed := takeScratch[float32](u.pixels * u.images * panels * nr)
		defer packed.drop()
		u.chunks(split(pixels, slices, slice), func(rows []float32, n, first int) {
			packPanels(packed.data, nr, dy[first*s.OC:], s.OC, n, span{0, panels})
			args.aK, args.bK, args.cRow, args.k, args.accumulate = u.row*4, nr*4, ocPad*4, n, 1
			args.oneTap()
			for panel := range panels {
				args.a, args.b = unsafe.Pointer(&rows[0]), unsafe.Pointer(&packed.data[panel*n*nr])
				args.c = unsafe.Pointer(&sums.data[slice*length+panel*nr])
				u.kern.run(true, 4, u.width, min(nr, ocPad-panel*nr), args)
			}
		})
	})
	sumSlices(sums.data, slices)
	storeWeights(dw, sums.data, sumsByTap, *s, ocPad, accumulate)
}
