package kernels

// levelAvailable: every arm64 CPU that Go supports has NEON.
func levelAvailable(l Level) bool { return l == Portable || l == NEON }
