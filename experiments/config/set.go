package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Set changes one key, with the checks of a file: Set("train.epochs", "3"). The
// value is a TOML value; text needs no quotes and a list no brackets
// ("svhn,cifar100"). On an error c stays as it was.
func (c *Config) Set(name, value string) error {
	r := reader{config: c.clone()}
	r.override(name, value)
	r.config.derive()
	if len(r.problems) == 0 {
		r.problems = r.config.contradictions()
	}
	if len(r.problems) > 0 {
		return newError(r.problems)
	}
	*c = *r.config
	return nil
}

func (r *reader) override(name, text string) {
	at := origin{override: true}
	k, ok := findKey(name)
	if !ok && slices.Contains(sections(), name) {
		r.refuse(name, at, "is a table%s", suggestKey(name+"."))
		return
	}
	if !ok {
		r.refuse(name, at, "unknown key%s", suggestKey(name))
		return
	}
	value, err := parseOverride(k.field(r.config), text)
	if err != nil {
		want := k.rule.want
		if want == "" {
			want = typeName(k.field(r.config))
		}
		r.refuse(name, at, "%v: want %s", err, want)
		return
	}
	r.assign(k, value, at)
}

// Resolved writes every key with the value that is used, as a TOML file that
// Parse reads back to an equal Config.
func (c *Config) Resolved() ([]byte, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return nil, fmt.Errorf("write the experiment as TOML: %w", err)
	}
	return b.Bytes(), nil
}

// Settings returns every key with its value, by dotted name.
func (c *Config) Settings() map[string]any {
	m := make(map[string]any, len(keys))
	n := c.clone()
	for _, k := range keys {
		switch f := k.field(n).(type) {
		case *string:
			m[k.name] = *f
		case *bool:
			m[k.name] = *f
		case *int:
			m[k.name] = *f
		case *uint64:
			m[k.name] = *f
		case *float64:
			m[k.name] = *f
		case *[]string:
			m[k.name] = *f
		case *[]int:
			m[k.name] = *f
		}
	}
	return m
}

// Changed lists the keys that differ between two experiments, with both values:
// what a resumed run compares.
func Changed(old, new *Config) []string {
	var list []string
	for _, k := range keys {
		was, is := tomlValue(k.field(old)), tomlValue(k.field(new))
		if was != is {
			list = append(list, fmt.Sprintf("%s: %s -> %s", k.name, was, is))
		}
	}
	return list
}

// String names the experiment by its file.
func (c *Config) String() string {
	if c.source != "" {
		return c.source
	}
	return strings.TrimSpace(c.Model.Name + " " + c.Data.Name)
}
