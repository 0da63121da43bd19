package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with an experiment file.
type Problem struct {
	File         string // "" when not from a file
	Line, Column int    // of the key, counted from 1; 0 when it is not written
	Key          string // dotted, "" when the file is not TOML
	Message      string

	override bool
}

// Error writes the problem on one line: "run.toml:7:1: train.epochs: found ...".
func (p Problem) Error() string {
	var b strings.Builder
	switch {
	case p.override:
		b.WriteString("--set ")
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Message
}

// Error lists all that is wrong, in the order of the file.
type Error struct {
	Problems []Problem
}

func newError(problems []Problem) *Error {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.override != b.override {
			return map[bool]int{false: -1, true: 1}[a.override]
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{problems}
}

// Error writes one problem per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As each Problem.
func (e *Error) Unwrap() []error {
	list := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p
	}
	return list
}

// At wraps an error that a key's value led to later (a data set that is not
// there, a network that does not fit) with where the key is written.
func (c *Config) At(key string, err error) error {
	if err == nil {
		return nil
	}
	return &placed{c.problem(key, c.written[key], err.Error()), err}
}

// placed is a Problem that still unwraps to its cause.
type placed struct {
	Problem
	cause error
}

func (p *placed) Unwrap() []error { return []error{p.Problem, p.cause} }

func (c *Config) problem(key string, at origin, message string) Problem {
	p := Problem{File: c.source, Line: at.line, Column: at.column, Key: key, Message: message, override: at.override}
	if p.override {
		p.File = ""
	}
	return p
}
