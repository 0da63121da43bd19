package kernels

import "fmt"

// Conv2dShape describes a 2-d convolution as PyTorch's conv2d with one stride
// and padding for both sides: x is [N,C,H,W], the weights [OC,C,KH,KW].
type Conv2dShape struct {
	N, C, H, W, OC, KH, KW, Stride, Padding int
}

// OutH returns the height of the output of a shape that passes Check.
func (s Conv2dShape) OutH() int { return s.out(s.H, s.KH) }

// OutW returns the width of the output of a shape that passes Check.
func (s Conv2dShape) OutW() int { return s.out(s.W, s.KW) }

func (s Conv2dShape) out(size, kernel int) int { return (size+2*s.Padding-kernel)/max(s.Stride, 1) + 1 }

// maxConvElements bounds every tensor of a convolution, so that no offset overflows.
const maxConvElements = 1 << 40

// Check tells whether the shape is one of a convolution.
func (s Conv2dShape) Check() error {
	for _, v := range []struct {
		name       string
		value, low int
	}{{"N", s.N, 0}, {"C", s.C, 1}, {"H", s.H, 1}, {"W", s.W, 1}, {"OC", s.OC, 1}, {"KH", s.KH, 1}, {"KW", s.KW, 1}, {"stride", s.Stride, 1}, {"padding", s.Padding, 0}} {
		if v.value < v.low || v.value > 1<<30 {
			return fmt.Errorf("conv2d: %s is %d, want at least %d and at most %d", v.name, v.value, v.low, 1<<30)
		}
	}
	if s.H+2*s.Padding < s.KH || s.W+2*s.Padding < s.KW {
		return fmt.Errorf("conv2d: the kernel is %dx%d, larger than the input %dx%d with padding %d", s.KH, s.KW, s.H, s.W, s.Padding)
	}
	for _, t := range []struct {
		name  string
		sizes [4]int
	}{{"input", [4]int{s.N, s.C, s.H, s.W}}, {"output", [4]int{s.N, s.OC, s.OutH(), s.OutW()}}, {"weight", [4]int{s.OC, s.C, s.KH, s.KW}}} {
		if n := product(t.sizes[:]); n > maxConvElements {
			return fmt.Errorf("conv2d: the %s of shape %v is too large", t.name, t.sizes)
		}
	}
	return nil
}

// product stops growing above maxConvElements.
func product(sizes []int) int {
	p := 1
	for _, n := range sizes {
		if p *= n; p > maxConvElements {
			return maxConvElements + 1
		}
	}
	return p
}

// reads returns the positions of the input that outputs of one side read.
func (s Conv2dShape) reads(outputs span, kernel, size int) span {
	from := outputs.from*s.Stride - s.Padding
	return span{max(from, 0), min((outputs.to-1)*s.Stride-s.Padding+kernel, size)}
}

// reach is how many positions of the input n neighbouring outputs read at most.
func (s Conv2dShape) reach(n, kernel, size int) int { return min((n-1)*s.Stride+kernel, size) }

func (s Conv2dShape) inputLen() int  { return s.N * s.C * s.H * s.W }
func (s Conv2dShape) outputLen() int { return s.N * s.OC * s.OutH() * s.OutW() }
func (s Conv2dShape) weightLen() int { return s.OC * s.C * s.KH * s.KW }

// checkConv2d panics with one line when the shape or a slice is wrong.
func checkConv2d(name string, s Conv2dShape, slices ...sliceLength) {
	if err := s.Check(); err != nil {
		panic("kernels: " + name + ": " + err.Error())
	}
	for _, l := range slices {
		if l.got != l.want {
			panic(fmt.Sprintf("kernels: %s: %s has %d elements, want %d for %+v", name, l.name, l.got, l.want, s))
		}
	}
}

type sliceLength struct {
	name      string
	got, want int
}

// ConvDirection is one of the three products of a convolution. Weights are packed
// for the first two.
type ConvDirection int

const (
	ConvForward         ConvDirection = iota // y from x
	ConvBackwardData                         // dx from dy
	ConvBackwardWeights                      // dw from x and dy
)

func (d ConvDirection) String() string {
	return [...]string{"forward", "backward data", "backward weights"}[d]
}

// depth and width are the inner dimension and the columns of the products of
// direction d.
func (d ConvDirection) depthWidth(s Conv2dShape) (depth, width int) {
	if d == ConvForward {
		return s.C, s.OC
	}
	return s.OC, s.C
}

// PackedConv2dLen returns how many elements the packed weights of a convolution
// take. It depends on C, OC, KH, KW, the current level and s.Algorithm(d) only.
func PackedConv2dLen(s Conv2dShape, d ConvDirection) int {
	if s.Algorithm(d) == ConvWinograd {
		return directPackedLen(s, d) / (s.KH * s.KW) * winogradPoints
	}
	return directPackedLen(s, d)
}

func directPackedLen(s Conv2dShape, d ConvDirection) int {
	depth, width := d.depthWidth(s)
	nr := brgemmOf[float32]().nr
	return ceilDiv(width, nr) * nr * depth * s.KH * s.KW
}

// PackConv2d brings weights [OC,C,KH,KW] into the form in which the micro-kernels
// of the current level read them for direction d and s.Algorithm(d).
func PackConv2d(dst, w []float32, s Conv2dShape, d ConvDirection) {
	checkConv2d("PackConv2d", s, sliceLength{"w", len(w), s.weightLen()}, sliceLength{"dst", len(dst), PackedConv2dLen(s, d)})
	packScaled(dst, w, 1, s, d)
}

// packScaled packs scale·w.
func packScaled(dst, w []float32, scale float32, s Conv2dShape, d ConvDirection) {
	nr := brgemmOf[float32]().nr
	depth, width := d.depthWidth(s)
	p := packing{dst, w, scale, s, d, nr, cutPanels(ceilDiv(width, nr), ceilDiv(depth, packDepth))}
	if s.Algorithm(d) == ConvWinograd {
		winogradPackLoop.parallel(p.tasks.count(), winogradPacking{p})
	} else {
		packDirectLoop.parallel(p.tasks.count(), p)
	}
}

// TemporaryWeights are packed weights in recycled memory.
type TemporaryWeights struct {
	Data   []float32
	memory *scratch[float32]
}

// PackTemporary is PackConv2d of scale·w into recycled memory, which the kernels' own
// work shares. Free gives it back.
func PackTemporary(w []float32, scale float32, s Conv2dShape, d ConvDirection) TemporaryWeights {
	checkConv2d("PackTemporary", s, sliceLength{"w", len(w), s.weightLen()})
	memory := takeScratch[float32](PackedConv2dLen(s, d))
	packScaled(memory.data, w, scale, s, d)
	return TemporaryWeights{memory.data, memory}
}

// Free gives the memory back and leaves the zero value, which has nothing to free. A
// copy must not be used, or freed, any more.
func (t *TemporaryWeights) Free() {
	if t.memory != nil {
		t.memory.drop()
	}
	*t = TemporaryWeights{}
}

// packDepth is how much of the depth is packed at a time: what is turned stays in the
// first-level cache.
const packDepth = 16

// panelTasks cuts the packing of panels of weights into tasks. Blocks of the depth lie
// side by side in memory, so a task packs neighbouring ones of a panel, one after the
// other; more than one task packs a panel where panels are few.
type panelTasks struct{ panels, blocks, parts int }

func cutPanels(panels, blocks int) panelTasks {
	return panelTasks{panels, blocks, min(ceilDiv(weightsMinTasks, panels), blocks)}
}

func (t panelTasks) count() int { return t.panels * t.parts }

// of returns the panel of a task, and which blocks of the depth it packs.
func (t panelTasks) of(task int) (panel int, blocks span) {
	return task / t.parts, split(t.blocks, t.parts, task%t.parts)
}

// nextDepth is how far in the weights one block of the depth begins from another.
func (d ConvDirection) nextDepth(s *Conv2dShape, block int) int {
	if d == ConvBackwardData {
		return block * s.C * s.KH * s.KW
	}
	return block * s.KH * s.KW
}

// packing copies weights into panels of nr columns, [panel][kh][kw][depth][nr], the
// last one filled up with zeros.
type packing struct {
	dst, w []float32
	scale  float32 // of w
	s      Conv2dShape
	d      ConvDirection
	nr     int
	tasks  panelTasks
}

var packDirectLoop = newLoop((*packing).task)

// task packs some of the depth of one panel.
func (p *packing) task(i int) {
	depth, _ := p.d.depthWidth(p.s)
	length := p.s.KH * p.s.KW * depth * p.nr
	j, blocks := p.tasks.of(i)
	for b := blocks.from; b < blocks.to; b++ {
		rows := blockSpan(packDepth, depth, b)
		p.pack(p.dst[j*length+rows.from*p.nr:(j+1)*length], depth, j, rows)
	}
}

// pack packs at most packDepth rows of the depth of panel j. Taps lie tapRows rows
// apart.
func (p *packing) pack(panel []float32, tapRows, j int, rows span) {
	s, w, nr, taps := &p.s, p.w, p.nr, p.s.KH*p.s.KW
	_, width := p.d.depthWidth(*s)
	cols := min(nr, width-j*nr)
	turned := takeScratch[float32](packDepth*taps*nr + turnedSlack)
	defer turned.drop()
	turnWeights(turned.data, nr, w, p.scale, s, p.d, j*nr, cols, rows, p.d.nextDepth(s, packDepth))
	packTiles(panel, nr, tapRows*nr, turned.data, taps*nr, nr, rows.len(), cols, taps)
}

// turnWeights writes columns of the width of weights, from col on, as rows
// [depth][KH*KW][columns], row apart, for some of the depth, times scale. turned has
// turnedSlack more. What lies ahead of it in w is fetched for a later call.
func turnWeights(turned []float32, row int, w []float32, scale float32, s *Conv2dShape, d ConvDirection, col, cols int, depth span, ahead int) {
	taps := s.KH * s.KW
	if d == ConvForward {
		// [cols][depth*taps] of w
		transposeAhead(turned, row, w[(col*s.C+depth.from)*taps:], s.C*taps, cols, depth.len()*taps, ahead)
	} else {
		for i := range depth.len() {
			// [cols][taps] of w
			to, from := turned[i*taps*row:], w[((depth.from+i)*s.C+col)*taps:]
			if taps == 1 {
				copy(to[:cols], from)
			} else {
				transposeOver(to, row, from, taps, cols, taps, ahead)
			}
		}
	}
	if scale != 1 {
		all := vectorStream{data: turned}
		vecScale.call(1, depth.len()*taps*row, 0, []float32{scale}, []vectorStream{all, all})
	}
}

// turnedSlack is room past the last turned row for what transposeOver writes there.
const turnedSlack = 1 << 10
