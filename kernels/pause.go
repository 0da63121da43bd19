//go:build amd64 || arm64

package kernels

// pause runs the processor's hint for loops that wait as often as that, at least once.
func pause(times int)
