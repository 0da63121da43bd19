//go:build !amd64 && !arm64

package kernels

// pause stands for an instruction that tells the processor of a loop that waits.
func pause(int) {}
