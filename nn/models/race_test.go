//go:build race

package models

// The race detector slows the wide networks down by a factor of ten.
const raceEnabled = true
