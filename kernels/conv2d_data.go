package kernels

import "unsafe"

// Conv2dForward computes y = conv2d(x, w) + bias. x is [H][W][N][C], y
// [OutH][OutW][N][OC], packed the weights from PackConv2d for ConvForward at the
// current level, bias [OC] or nil.
func Conv2dForward(y, x, packed, bias []float32, s Conv2dShape) {
	checkConv2d("Conv2dForward", s, sliceLength{"y", len(y), s.outputLen()}, sliceLength{"x", len(x), s.inputLen()},
		sliceLength{"packed", len(packed), PackedConv2dLen(s, ConvForward)})
	if bias != nil && len(bias) != s.OC {
		checkConv2d("Conv2dForward", s, sliceLength{"bias", len(bias), s.OC})
	}
	convProduct(y, x, packed, bias, s, ConvForward, false)
}

// Conv2dBackwardData computes the gradient of the input, dx (+)= the transposed
// convolution of dy. dx is [H][W][N][C], dy [OutH][OutW][N][OC], packed the
// weights from PackConv2d for ConvBackwardData at the current level.
func Conv2dBackwardData(dx, dy, packed []float32, s Conv2dShape, accumulate bool) {
	checkConv2d("Conv2dBackwardData", s, sliceLength{"dx", len(dx), s.inputLen()}, sliceLength{"dy", len(dy), s.outputLen()},
		sliceLength{"packed", len(packed), PackedConv2dLen(s, ConvBackwardData)})
	convProduct(dx, dy, packed, nil, s, ConvBackwardData, accumulate)
}

// convProduct computes the result c from the operand a.
func convProduct(c, a, packed, bias []float32, s Conv2dShape, d ConvDirection, accumulate bool) {
	switch {
	case len(c) == 0:
	case s.Algorithm(d) == ConvWinograd:
		winogradProduct(c, a, packed, bias, s, d, accumulate)
	default:
		directProduct(c, a, packed, bias, s, d, accumulate)
	}
}

// directProduct runs a plan.
func directProduct(c, a, packed, bias []float32, s Conv2dShape, d ConvDirection, accumulate bool) {
	kern := brgemmOf[float32]()
	depth, width := d.depthWidth(s)
	plan := planConv2d(s, d, kern.nr)
	if !accumulate {
		for _, e := range plan.empty {
			clear(c[e.from:e.to])
			for i := e.from; bias != nil && i < e.to; i += width {
				copy(c[i:e.to], bias)
			}
		}
	}
	panelLen := s.KH * s.KW * depth * kern.nr
	panels := (width + kern.nr - 1) / kern.nr
	// Few chunks, as in the last layers of a network at small batches: the
	// panels of weights are shared out too.
	groups := min(panels, max(1, 4*Threads()/max(len(plan.chunks), 1)))
	Parallel(len(plan.chunks)*groups, func(task int) {
		chunk, group := plan.chunks[task/groups], split(panels, groups, task%groups)
		args := takeArgs()
		defer args.drop()
		args.bK = kern.nr * 4
		for p := group.from; p < group.to; p++ {
			col := p * kern.nr
			cols := min(kern.nr, width-col)
			for i := chunk.from; i < chunk.to; i++ {
				b := &plan.blocks[i]
				args.accumulate = 0
				if accumulate {
					args.accumulate = 1
				} else if bias != nil {
					args.accumulate = 1
					b.startFrom(c[b.c+col:], bias[col:col+cols])
				}
				args.aRow, args.cRow = b.aRow*4, b.cRow*4
				for _, run := range b.runs {
					args.a, args.b, args.c = unsafe.Pointer(&a[b.a]), unsafe.Pointer(&packed[p*panelLen]), unsafe.Pointer(&c[b.c+col])
					args.k, args.taps, args.numTaps = run.k, &run.taps[0], len(run.taps)
					kern.run(false, 4, b.rows, cols, args)
					args.accumulate = 1
				}
			}
		}
	})
}

// startFrom sets the rows of a block to the bias, for the product to add to.
func (b *convBlock) startFrom(c, bias []float32) {
	for i := range b.rows {
		copy(c[i*b.cRow:], bias)
	}
}
