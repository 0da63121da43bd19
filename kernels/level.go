// Package kernels holds the loops over slices that everything else stands on:
// GEMM, convolution, batch normalisation, pooling, activations, softmax and
// optimiser steps. Each instruction-set level implements the same tables of
// micro-kernels in Go assembly, beside one portable twin in Go; the level is
// chosen at run time.
//
// Activations are stored [H][W][N][C] ("HWNC"): element (n, c, h, w) of a
// logical NCHW tensor lies at ((h*W+w)*N+n)*C+c. Weights are OIHW, matrices
// row-major.
//
// Results have the same bits for any number of threads: whatever orders a sum
// is fixed by the level and the shape alone.
package kernels

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// Level is an instruction-set level. A higher level of one architecture
// includes the lower ones.
type Level int32

// The levels, portable first. NEON exists on arm64 only, AVX2 (with FMA) and
// AVX512 (F, CD, BW, DQ, VL) on amd64 only, AMX (tiles of
// bfloat16, with AVX512_BF16) on Linux on amd64 only.
const (
	Portable Level = iota
	NEON
	AVX2
	AVX512
	AMX
	numLevels
)

var levelNames = [numLevels]string{"portable", "neon", "avx2", "avx512", "amx"}

func (l Level) String() string {
	if l < 0 || l >= numLevels {
		return fmt.Sprintf("Level(%d)", int32(l))
	}
	return levelNames[l]
}

// ParseLevel returns the level of that name, whether or not this CPU has it.
func ParseLevel(name string) (Level, error) {
	for l, n := range levelNames {
		if strings.EqualFold(name, n) {
			return Level(l), nil
		}
	}
	return 0, fmt.Errorf("unknown instruction-set level %q: want one of %s", name, strings.Join(levelNames[:], ", "))
}

// Levels returns the levels this CPU can run, portable first, best last.
func Levels() []Level {
	var have []Level
	for l := range numLevels {
		if levelAvailable(l) {
			have = append(have, l)
		}
	}
	return have
}

var current atomic.Int32

// CurrentLevel returns the level in use.
func CurrentLevel() Level { return Level(current.Load()) }

// tables is the level whose tables serve float32 and float64: tiles multiply
// bfloat16 only.
func (l Level) tables() Level {
	if l == AMX {
		return AVX512
	}
	return l
}

// SetLevel makes every later call use level l. It must not run while kernels
// are running. Weights packed at another level must be packed again.
func SetLevel(l Level) error {
	if l < 0 || l >= numLevels || !levelAvailable(l) {
		return fmt.Errorf("instruction-set level %s: this CPU has %v", l, Levels())
	}
	current.Store(int32(l))
	return nil
}

// DDU_ISA lowers the level for a whole process. A bad value is reported by
// EnvironmentError rather than here, so that importing never prints or exits.
func init() {
	have := Levels()
	current.Store(int32(have[len(have)-1]))
	if name := os.Getenv("DDU_ISA"); name != "" {
		l, err := ParseLevel(name)
		if err == nil {
			err = SetLevel(l)
		}
		if err != nil {
			environmentError = fmt.Errorf("environment variable DDU_ISA: %w", err)
		}
	}
}

var environmentError error

// EnvironmentError tells why $DDU_ISA could not be obeyed; nil if it was, or is unset.
func EnvironmentError() error { return environmentError }
