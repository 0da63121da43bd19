//go:build !unix

package bench

// peakResident returns 0: the system does not tell.
func peakResident() int64 { return 0 }
