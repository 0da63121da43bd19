//go:build !amd64 && !arm64

package kernels

// pause stands for the processor's hint for loops that wait.
func pause(int) {}
