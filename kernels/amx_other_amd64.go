//go:build !linux

package kernels

// requestTiles: only Linux has been tried.
func requestTiles() bool { return false }
