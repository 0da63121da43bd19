// Package bench measures throughput: of single layers as a share of the
// machine's measured FMA peak, and of whole networks in images per second,
// doing the same work as a PyTorch peer would.
package bench
