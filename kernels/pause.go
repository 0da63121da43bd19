//go:build amd64 || arm64

package kernels

// pause lets that many instructions pass that tell the processor of a loop that waits.
//
//go:noescape
func pause(times int)
