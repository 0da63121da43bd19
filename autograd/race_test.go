//go:build race

package autograd

// The race detector makes sync.Pool forget things on purpose.
const raceEnabled = true
