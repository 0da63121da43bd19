// Package bench measures speed: of whole networks in images per second, doing
// the same work as a PyTorch peer would, and of their convolutions as a share of
// the machine's measured FMA peak, with baselines to tell what fell. It also
// writes the trace of a step as text. docs/bench.md shows how to use it.
package bench
