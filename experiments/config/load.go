package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Load reads an experiment file. Where it does not exist, the preset of its
// base name is taken ("quickstart", "quickstart.toml" and
// "experiments/quickstart.toml" are the same). Overrides are as in Parse.
func Load(presets fs.FS, file string, overrides ...string) (*Config, error) {
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		return Parse(file, data, overrides...)
	case isFolder(file), !errors.Is(err, fs.ErrNotExist):
		if _, found := readPreset(presets, file); !found {
			return nil, fmt.Errorf("experiment %s: %w", file, unwrapPath(err))
		}
	}
	return LoadPreset(presets, file, overrides...)
}

// LoadPreset reads a preset by its base name.
func LoadPreset(presets fs.FS, name string, overrides ...string) (*Config, error) {
	data, found := readPreset(presets, name)
	if !found {
		list, err := Presets(presets)
		if err != nil {
			return nil, err
		}
		names := make([]string, len(list))
		for i, p := range list {
			names[i] = p.Name
		}
		otherwise := "want a TOML file or one of the presets " + strings.Join(names, ", ")
		return nil, fmt.Errorf("experiment %s: there is no such file and no preset of that name%s", name, suggestion(presetName(name), names, otherwise))
	}
	return Parse(presetName(name)+".toml", data, overrides...)
}

// Preset is an experiment that is built in.
type Preset struct {
	Name string // "quickstart"
	Doc  string // its first comment line
}

// Presets lists the experiments in presets by name.
func Presets(presets fs.FS) ([]Preset, error) {
	files, err := fs.Glob(presets, "*.toml")
	if err != nil {
		return nil, err
	}
	var list []Preset
	for _, f := range files {
		data, err := fs.ReadFile(presets, f)
		if err != nil {
			return nil, fmt.Errorf("preset: %w", err)
		}
		list = append(list, Preset{Name: presetName(f), Doc: firstComment(data)})
	}
	return list, nil
}

func readPreset(presets fs.FS, name string) ([]byte, bool) {
	data, err := fs.ReadFile(presets, presetName(name)+".toml")
	return data, err == nil
}

// presetName is the base name of a path without .toml.
func presetName(file string) string {
	return strings.TrimSuffix(path.Base(filepath.ToSlash(file)), ".toml")
}

func firstComment(data []byte) string {
	s := bufio.NewScanner(bytes.NewReader(data))
	for s.Scan() {
		if text, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "#"); ok {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// unwrapPath drops the path that os puts into its errors.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
