package kernels

import "unsafe"

// GemmBF16 is Gemm for matrices A and B of bfloat16, the upper halves of float32; C
// is float32. At the AMX level every element is the sum of sums over 8,192 terms, each
// added up in float32, and denormal numbers count as zero; elsewhere this is Gemm on the
// same numbers.
func GemmBF16(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int) {
	checkMatrix("GemmBF16", "A", len(a), m, k, lda, transA)
	checkMatrix("GemmBF16", "B", len(b), k, n, ldb, transB)
	checkMatrix("GemmBF16", "C", len(c), m, n, ldc, false)
	if clearEmptySum(m, n, k, accumulate, c, ldc) {
		return
	}
	if CurrentLevel() == AMX {
		amxGemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
		return
	}
	widenedGemm(transA, transB, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
}

// widenedTerms is how much of k is widened at a time, a multiple of maxRun.
const widenedTerms = 8 * maxRun

// widenedGemm widens both operands to float32, some of k at a time.
func widenedGemm(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int) {
	for _, p := range (span{0, k}).cut(widenedTerms) {
		x, dx := widenMatrix(a, lda, m, p, transA)
		y, dy := widenMatrix(b, ldb, n, p, !transB)
		Gemm(transA, transB, m, n, p.len(), x.data, dx, y.data, dy, accumulate || p.from > 0, c, ldc)
		x.drop()
		y.drop()
	}
}

// widenMatrix widens some columns of a matrix of rows rows, of which in memory k is
// the outer index if kOuter; it returns the row stride too.
func widenMatrix(a []uint16, lda, rows int, k span, kOuter bool) (*scratch[float32], int) {
	at, cols := k.from, k.len()
	if kOuter {
		at, rows, cols = k.from*lda, k.len(), rows
	}
	out := takeScratch[float32](rows * cols)
	vecWiden.rows(rows, cols, nil, matrix(a[at:], lda), matrix(out.data, cols))
	return out, cols
}

// amxTerms is how many terms tiles add up before they are added to C: 256 steps, as many
// as Gemm adds up terms in a row.
const amxTerms = 8192

// A product is cut into blocks of up to so many row tiles and panels of columns. Their sums
// stay in the strip, in the second-level cache, while k passes by in runs of amxGemmRun terms:
// of A so many are in that cache too, of a panel of B in the first level. What comes next is
// fetched ahead.
const (
	amxGemmTiles  = 8
	amxGemmPanels = 8
	amxGemmRun    = 256
)

// Steps of a run and of a sum, at most.
const amxRunSteps, amxSumSteps = amxGemmRun / amxMaxStep, amxTerms / amxMaxStep

// amxGemmWork is how many steps of row tiles a task has at least, if there are so many.
const amxGemmWork = 64

// amxMatrices is a product with its operands as tiles read them: run after run, so that what
// a block reads of a run lies together whatever the size of the matrices: rows a power of
// two apart share a few sets of the caches.
type amxMatrices struct {
	m, n, k       int
	tiles, panels int      // of rows of A and of columns of B
	steps, step   int      // k filled up
	a             []uint16 // [run][row tile][steps of the run][32][32], of a row step elements are used; or in place
	lda           int      // of A in place, 0 where it is packed
	b             []uint16 // [run][panel][steps of the run][step/2][32][2]
	c             []float32
	ldc           int
	accumulate    bool
}

// readsA tells whether A can be read in place and a copy would not pay: it would be read by
// few panels, or a block's rows stay in the second-level cache anyway (half a megabyte), unless
// they are whole pages apart, so that they share a few sets of it.
func (g *amxMatrices) readsA(lda int) bool {
	const fewPanels, shortSum, page = 4, 1024, 4096
	return g.k == g.steps*g.step && (g.panels <= fewPanels || g.k <= shortSum && 2*lda%page != 0)
}

func (g *amxMatrices) inPlace() bool { return g.lda > 0 }

func amxGemm(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int) {
	g := &amxMatrices{m: m, n: n, k: k, tiles: ceilDiv(m, amxRows), panels: ceilDiv(n, amxPanel), c: c, ldc: ldc, accumulate: accumulate}
	g.steps, g.step = amxCut(k)
	packedB := takeScratch[uint16](g.panels * g.steps * g.step * amxPanel)
	defer packedB.drop()
	g.b = packedB.data
	tasksB, packB := g.packingB(b, ldb, transB)
	if !transA && g.readsA(lda) {
		g.a, g.lda = a, lda
		Parallel(tasksB, packB)
	} else {
		packedA := takeScratch[uint16](g.tiles * g.steps * amxStepLen)
		defer packedA.drop()
		g.a = packedA.data
		tasksA, packA := g.packingA(a, lda, transA)
		Parallel(tasksA+tasksB, func(t int) {
			if t < tasksA {
				packA(t)
			} else {
				packB(t - tasksA)
			}
		})
	}
	chunks, groups := g.blocks()
	Parallel(chunks*groups, func(t int) {
		g.block(split(g.tiles, chunks, t/groups), split(g.panels, groups, t%groups))
	})
}

// blocks tells into how many parts rows and columns are cut: as few as blocks of full size
// allow, or more where there would be too few for all threads.
func (g *amxMatrices) blocks() (chunks, groups int) {
	chunks, groups = ceilDiv(g.tiles, amxGemmTiles), ceilDiv(g.panels, amxGemmPanels)
	all := g.tiles * g.panels
	for most := min(4*Threads(), all, all*g.steps/amxGemmWork); chunks*groups < most; {
		if g.panels*chunks > g.tiles*groups {
			groups++
		} else {
			chunks++
		}
	}
	return chunks, groups
}

// amxStepLen is how many elements of packed A a row tile takes in a step.
const amxStepLen = amxRows * amxMaxStep

// tile is where row tile t of a run of steps begins in A.
func (g *amxMatrices) tile(run span, t int) int {
	if g.inPlace() {
		return t*amxRows*g.lda + run.from*g.step
	}
	return (run.from*g.tiles + t*run.len()) * amxStepLen
}

// panel is where panel p of a run begins in packed B.
func (g *amxMatrices) panel(run span, p int) int {
	return (run.from*g.panels + p*run.len()) * g.step * amxPanel
}

// packingA returns tasks that pack A.
func (g *amxMatrices) packingA(a []uint16, lda int, trans bool) (int, func(t int)) {
	runs := ceilDiv(g.steps, amxRunSteps)
	if !trans {
		return g.tiles, func(t int) {
			for r := range runs {
				g.packRows(blockSpan(amxRunSteps, g.steps, r), t, a, lda)
			}
		}
	}
	together := packedTogether(g.tiles, 4)
	groups := ceilDiv(g.tiles, together)
	return runs * groups, func(t int) {
		g.turnRows(blockSpan(amxRunSteps, g.steps, t/groups), blockSpan(together, g.tiles, t%groups), a, lda)
	}
}

// packedTogether is how many of n row tiles or panels that lie side by side a task packs.
func packedTogether(n, most int) int { return min(most, ceilDiv(n, Threads())) }

// packRows copies a run of a row tile step after step, and fetches the next run; the last
// step is filled up with zeros.
func (g *amxMatrices) packRows(run span, tile int, a []uint16, lda int) {
	rows := blockSpan(amxRows, g.m, tile)
	to, from := g.a[g.tile(run, tile):], a[rows.from*lda+run.from*g.step:]
	steps := min(run.to, g.k/g.step) - run.from
	packTilesAhead(to, amxMaxStep, amxStepLen, from, lda, g.step, rows.len(), g.step, steps, run.len()*g.step)
	if steps < run.len() {
		packTiles(to[steps*amxStepLen:], amxMaxStep, amxStepLen, from[steps*g.step:], lda, g.step, rows.len(), g.k%g.step, 1)
	}
}

// turnRows packs a run of row tiles of a transposed A.
func (g *amxMatrices) turnRows(run, tiles span, a []uint16, lda int) {
	for s := range run.len() {
		k := blockSpan(g.step, g.k, run.from+s)
		for t := tiles.from; t < tiles.to; t++ {
			rows := blockSpan(amxRows, g.m, t)
			turnHalves(g.a[g.tile(run, t)+s*amxStepLen:], amxMaxStep, a[k.from*lda+rows.from:], lda, k.len(), rows.len())
		}
	}
}

// packingB returns tasks that pack B, panels that lie side by side together.
func (g *amxMatrices) packingB(b []uint16, ldb int, trans bool) (int, func(t int)) {
	together := packedTogether(g.panels, 8)
	runs, groups := ceilDiv(g.steps, amxRunSteps), ceilDiv(g.panels, together)
	return runs * groups, func(t int) {
		run, panels := blockSpan(amxRunSteps, g.steps, t/groups), blockSpan(together, g.panels, t%groups)
		if trans {
			for p := panels.from; p < panels.to; p++ {
				g.turnPanel(run, p, b, ldb)
			}
		} else {
			g.pairPanels(run, panels, b, ldb)
		}
	}
}

// pairPanels packs a run of panels.
func (g *amxMatrices) pairPanels(run, panels span, b []uint16, ldb int) {
	col := panels.from * amxPanel
	cols, to := min(panels.to*amxPanel, g.n)-col, panelLayout(run.len()*g.step*amxPanel, 1)
	for s := range run.len() {
		k := blockSpan(g.step, g.k, run.from+s)
		amxPairPixels(g.b[g.panel(run, panels.from)+s*g.step*amxPanel:], to, b[k.from*ldb+col:], ldb, k.len(), cols, g.step)
	}
}

// turnPanel packs a run of a panel of a transposed B: pairs lie side by side already and are
// turned as if they were float32.
func (g *amxMatrices) turnPanel(run span, p int, b []uint16, ldb int) {
	columns, k := blockSpan(amxPanel, g.n, p), span{run.from * g.step, min(run.to*g.step, g.k)}
	panel, row := pairsOf(g.b[g.panel(run, p):g.panel(run, p+1)]), run.len()*g.step
	src, ld := b[columns.from*ldb+k.from:], ldb
	if k.len() < row || ldb%2 != 0 {
		filled := takeScratch[uint16](amxPanel * row)
		defer filled.drop()
		src, ld = filled.data, row
		for j := range columns.len() {
			line := src[j*row : (j+1)*row]
			clear(line[copy(line, b[(columns.from+j)*ldb+k.from:][:k.len()]):])
		}
	}
	if columns.len() < amxPanel {
		clear(panel)
	}
	transpose(panel, amxPanel, pairsOf(src), ld/2, columns.len(), row/2)
}

// pairsOf views pairs of bfloat16 as float32.
func pairsOf(h []uint16) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(h))), len(h)/2)
}

// block computes some row tiles of some panels of columns. A call takes many panels: each
// has a tap of its own, which says where it lies.
func (g *amxMatrices) block(tiles, panels span) {
	args := takeAMXArgs()
	defer args.drop()
	b := &amxBlock{amxMatrices: g, tiles: tiles, panels: panels, rows: min(tiles.to*amxRows, g.m) - tiles.from*amxRows}
	strip := takeScratch[float32](panels.len() * tiles.len() * amxStripLen)
	defer strip.drop()
	args.aRow, args.cRow, args.c = 2*g.rowLen(), 4*g.ldc, unsafe.Pointer(&g.c[tiles.from*amxRows*g.ldc+panels.from*amxPanel])
	for _, sum := range (span{0, g.steps}).cut(amxSumSteps) {
		for _, run := range sum.cut(amxRunSteps) {
			b.list(run, args.cRow)
			args.taps, args.steps, args.load = &b.taps[0], run.len(), index(run.from > sum.from)
			args.a, args.b = unsafe.Pointer(&g.a[g.tile(run, tiles.from)]), unsafe.Pointer(&g.b[g.panel(run, panels.from)])
			// The last panel, which may be narrower, is followed by another run.
			last := panels.len() - 1
			for _, some := range []span{{0, last}, {last, last + 1}} {
				b.fetchAhead(args, run, some.from)
				b.run(args, g.end(sum, run), some, strip.data)
			}
		}
	}
}

// amxBlock is a block of a product.
type amxBlock struct {
	*amxMatrices
	tiles, panels span
	rows          int // of A

	listed      int         // for runs of how many steps the lists are
	taps        []brgemmTap // by panel
	whole, rest []amxTile   // [panel][row tile], [panel] the row tile that is not whole
}

// list makes the lists for a run; they depend on its length alone.
func (b *amxBlock) list(run span, cRow int) {
	if run.len() == b.listed {
		return
	}
	b.listed, b.taps, b.whole, b.rest = run.len(), b.taps[:0], b.whole[:0], b.rest[:0]
	panel, tile := b.panel(run, 1)-b.panel(run, 0), b.tile(run, 1)-b.tile(run, 0)
	for p := range b.panels.len() {
		b.taps = append(b.taps, brgemmTap{b: 2 * p * panel})
		for t := range b.tiles.len() {
			entry := amxTile{a: 2 * t * tile, c: t*amxRows*cRow + p*amxPanel*4, taps: p * tapBytes, numTaps: 1}
			if (t+1)*amxRows <= b.rows {
				b.whole = append(b.whole, entry)
			} else {
				b.rest = append(b.rest, entry)
			}
		}
	}
}

// run computes some panels; sums of whole row tiles lie before the others in the strip.
func (b *amxBlock) run(args *amxArgs, end amxEnd, panels span, strip []float32) {
	if panels.len() == 0 {
		return
	}
	cols, whole := min(amxPanel, b.n-(b.panels.from+panels.from)*amxPanel), b.rows/amxRows
	part := func(rows int, list []amxTile, first int) {
		if len(list) == 0 {
			return
		}
		args.keepStrip(strip[first*amxStripLen:])
		args.shape(rows, cols, b.step)
		args.aStep = 2 * b.stepLen() // shape takes steps for neighbours in a row
		args.run(end, list)
	}
	part(amxRows, b.whole[panels.from*whole:panels.to*whole], panels.from*whole)
	if len(b.rest) > 0 {
		part(b.rows%amxRows, b.rest[panels.from:panels.to], len(b.whole)+panels.from)
	}
}

// rowLen and stepLen are by how many elements rows of a tile of A and its steps are apart.
func (g *amxMatrices) rowLen() int {
	if g.inPlace() {
		return g.lda
	}
	return amxMaxStep
}

func (g *amxMatrices) stepLen() int {
	if g.inPlace() {
		return g.step
	}
	return amxStepLen
}

// end is what becomes of the sums after a run.
func (g *amxMatrices) end(sum, run span) amxEnd {
	switch {
	case run.to < sum.to:
		return amxEndKeep
	case sum.from > 0 || g.accumulate:
		return amxEndAdd
	}
	return amxEndStore
}

// fetchAhead lets the row tiles of a panel, and of those after it, fetch what comes next: the
// next panel, and a share of the next run's A. After the last run it is the first one's: the
// next block is likely to have the same rows.
func (b *amxBlock) fetchAhead(args *amxArgs, run span, panel int) {
	args.fetchNothing()
	next := span{run.to, min(run.to+amxRunSteps, b.steps)}
	if run.to == b.steps {
		next = span{0, min(amxRunSteps, b.steps)}
	}
	steps := max(b.rows/amxRows, 1) * run.len()
	fetch := func(ahead *amxAhead, p *uint16, elements int) { ahead.fetch(unsafe.Pointer(p), 2*elements/steps) }
	if at := b.panels.from + panel + 1; at < b.panels.to {
		fetch(&args.ahead[0], &b.b[b.panel(run, at)], b.panel(run, 1)-b.panel(run, 0))
	} else if next.from > 0 {
		fetch(&args.ahead[0], &b.b[b.panel(next, b.panels.from)], b.panel(next, 1)-b.panel(next, 0))
	}
	if !b.inPlace() && next != run {
		share := (b.tile(next, b.tiles.to) - b.tile(next, b.tiles.from)) / b.panels.len()
		fetch(&args.ahead[1], &b.a[b.tile(next, b.tiles.from)+panel*share], share)
	}
}
