package experiments

import "embed"

// Presets holds the experiments that are built in, *.toml, for config.Load.
//
//go:embed *.toml
var Presets embed.FS
