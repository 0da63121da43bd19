//go:build unix

package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// peakResident returns the highest resident memory of this process so far, in
// bytes; 0 where the system does not tell.
func peakResident() int64 {
	if peak := ownPeak(); peak > 0 {
		return peak
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) * 1024
}

// ownPeak is what Linux tells of this program alone: its resource usage counts
// the memory of the process that started it, too, which may hide a small peak.
func ownPeak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	var kilobytes int64
	if _, err := fmt.Sscan(string(rest), &kilobytes); err != nil {
		return 0
	}
	return kilobytes * 1024
}
