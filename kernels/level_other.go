//go:build !amd64 && !arm64

package kernels

func levelAvailable(l Level) bool { return l == Portable }
