//go:build !amd64

package kernels

var amxPeakLoop peakLoop
