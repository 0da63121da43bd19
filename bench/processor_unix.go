//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processorTime returns how long the threads of this process have run on
// processors so far; 0 where the system does not tell.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
