package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

func (versionCommand) Run(term terminal) error {
	_, err := fmt.Fprintln(term.out, versionText())
	return err
}

func versionText() string {
	return fmt.Sprintf("ddu %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version is the module version that the Go toolchain recorded: a tag, or a
// pseudo-version with the commit when built from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
