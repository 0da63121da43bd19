package kernels

import "unsafe"

// GemmBF16 is Gemm for matrices A and B of bfloat16, the upper halves of float32; C
// is float32. Every element is the sum of sums over 2,048 terms, each added up in
// float32. At the AMX level denormal numbers count as zero; elsewhere this is Gemm on
// the same numbers.
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

// amxTerms is how many terms of float32 results tiles add up before they are added
// to C.
const amxTerms = 2048

// amxMatrices is a product with its operands as tiles read them.
type amxMatrices struct {
	m, n, k     int // k filled up to whole steps
	steps, step int
	a           []uint16
	lda         int
	panels      []uint16 // of B: [panel][k/2][32][2]
	c           []float32
	ldc         int
	accumulate  bool
}

func amxGemm(transA, transB bool, m, n, k int, a []uint16, lda int, b []uint16, ldb int, accumulate bool, c []float32, ldc int) {
	g := &amxMatrices{m: m, n: n, a: a, lda: lda, c: c, ldc: ldc, accumulate: accumulate}
	if g.step = amxStep(k); !transA && g.step >= amxMinStep {
		g.steps = k / g.step
	} else {
		g.steps, g.step = amxCut(k)
		rows := ceilTo(m, turnCols)
		g.lda = ceilTo(k, turnRows)
		packed := takeScratch[uint16](rows * g.lda)
		defer packed.drop()
		g.a = packed.data
		g.packA(a, lda, transA, k)
	}
	g.k = g.steps * g.step
	panels := takeScratch[uint16](ceilDiv(n, amxPanel) * g.k * amxPanel)
	defer panels.drop()
	g.panels = panels.data
	g.packB(b, ldb, transB, k)
	chunks := ceilDiv(m, amxGemmRows)
	rows := ceilTo(ceilDiv(m, chunks), amxRows) // about as many in each
	groups := min(ceilDiv(n, amxPanel), max(1, ceilDiv(gemmMinTasks, chunks)))
	Parallel(chunks*groups, func(t int) {
		g.block(blockSpan(rows, m, t/groups), split(ceilDiv(n, amxPanel), groups, t%groups))
	})
}

// amxGemmRows is up to how many rows of A share a panel of B: amxTerms of so many, 1 MB,
// stay in the second-level cache while panels pass by.
const amxGemmRows = 8 * amxRows

// packA writes A with rows that are filled up with zeros to whole steps.
func (g *amxMatrices) packA(a []uint16, lda int, trans bool, k int) {
	Parallel(ceilDiv(g.m, amxRows), func(t int) {
		of := blockSpan(amxRows, g.m, t)
		if trans {
			turnHalves(g.a[of.from*g.lda:], g.lda, a[of.from:], lda, k, of.len())
			return
		}
		for i := of.from; i < of.to; i++ {
			row := g.a[i*g.lda : (i+1)*g.lda]
			clear(row[copy(row, a[i*lda:i*lda+k]):])
		}
	})
}

// packB writes the panels of B. Of a transposed B pairs lie side by side already and
// are turned as if they were float32.
func (g *amxMatrices) packB(b []uint16, ldb int, trans bool, k int) {
	const block = 128 // of k
	blocks, panelLen := ceilDiv(g.k, block), g.k*amxPanel
	Parallel(ceilDiv(g.n, amxPanel)*blocks, func(t int) {
		p, of := t/blocks, blockSpan(block, g.k, t%blocks)
		col := p * amxPanel
		cols, rows := min(amxPanel, g.n-col), min(of.to, k)-of.from
		panel := g.panels[p*panelLen+of.from*amxPanel : p*panelLen+of.to*amxPanel]
		if !trans {
			amxPairPixels(panel, panelLayout(panelLen, 1), b[of.from*ldb+col:], ldb, rows, cols, of.len())
			return
		}
		pairs := takeScratch[float32](amxPanel * block / 2)
		defer pairs.drop()
		width := of.len() / 2
		lines := unsafe.Slice((*uint16)(unsafe.Pointer(&pairs.data[0])), 2*len(pairs.data))
		for j := range cols {
			line := lines[2*j*width : 2*(j+1)*width]
			clear(line[copy(line, b[(col+j)*ldb+of.from:(col+j)*ldb+of.from+rows]):])
		}
		if cols < amxPanel {
			clear(panel)
		}
		transpose(unsafe.Slice((*float32)(unsafe.Pointer(&panel[0])), len(panel)/2), amxPanel, pairs.data, width, cols, width)
	})
}

// block computes some rows of some panels of columns.
func (g *amxMatrices) block(rows, panels span) {
	args := takeAMXArgs()
	defer args.drop()
	args.aRow, args.cRow, args.taps = 2*g.lda, 4*g.ldc, &oneTap[0]
	whole, rest := rowTiles(nil, rows.len(), args.aRow, args.cRow, 1)
	for _, sum := range (span{0, g.steps}).cut(amxTerms / amxMaxStep) {
		k, end := sum.from*g.step, amxEndStore
		if k > 0 || g.accumulate {
			end = amxEndAdd
		}
		args.steps = sum.len()
		for p := panels.from; p < panels.to; p++ {
			col := p * amxPanel
			args.a, args.b = unsafe.Pointer(&g.a[rows.from*g.lda+k]), unsafe.Pointer(&g.panels[p*g.k*amxPanel+k*amxPanel])
			args.c = unsafe.Pointer(&g.c[rows.from*g.ldc+col])
			args.aheadStep = 0
			if p+1 < panels.to { // the next panel, which all row tiles would wait for
				args.ahead = uintptr(unsafe.Pointer(&g.panels[((p+1)*g.k+k)*amxPanel]))
				args.aheadStep = ceilDiv(2*g.step*amxPanel, ceilDiv(rows.len(), amxRows))
			}
			eachRowTiles(rows.len(), whole, rest, func(tileRows, _ int, list []amxTile) {
				args.shape(tileRows, min(amxPanel, g.n-col), g.step)
				args.run(end, list)
			})
		}
	}
}
