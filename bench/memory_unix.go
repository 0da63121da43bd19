//go:build unix

package bench

import (
	"runtime"
	"syscall"
)

// peakResident returns the highest resident memory of this process so far, in
// bytes; 0 where the system does not tell.
func peakResident() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) * 1024
}
