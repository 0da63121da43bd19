package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/deepuncertainty/ddu/experiments"
)

const traceVariable = "DDU_TRACE"

// traceWanted tells whether the environment asks for the trace of a step.
func traceWanted() (bool, error) {
	switch v := os.Getenv(traceVariable); v {
	case "", "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, fmt.Errorf("environment variable %s: found %q, want 1 to trace a step, or 0", traceVariable, v)
	}
}

// traceNote returns what shows a trace among the progress of a run, or alone
// where there is no progress.
func traceNote(o experiments.Observer, term terminal) func(text string) {
	if o == nil {
		return func(text string) { fmt.Fprint(term.err, text) }
	}
	return func(text string) { o.Note(strings.TrimRight(text, "\n")) }
}
