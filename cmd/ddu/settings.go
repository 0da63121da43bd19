package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/config"
)

// setting is the value that a flag gives to a key of an experiment file.
type setting struct{ flag, key, value string }

// settings are those of one command line. Every key has one flag; two flags of
// one key are named together.
type settings []setting

func (s *settings) text(flag, key, value string) { *s = append(*s, setting{flag, key, value}) }
func (s *settings) whole(flag, key string, value int) {
	s.text(flag, key, strconv.Itoa(value))
}
func (s *settings) number(flag, key string, value float64) {
	s.text(flag, key, strconv.FormatFloat(value, 'g', -1, 64))
}
func (s *settings) truth(flag, key string, value bool) {
	s.text(flag, key, strconv.FormatBool(value))
}

// config makes an experiment of the settings alone.
func (s settings) config() (*config.Config, error) {
	cfg, err := config.Parse("", nil, s.overrides()...)
	return cfg, s.named(err)
}

// overrides are the settings as config.Parse takes them.
func (s settings) overrides() []string {
	list := make([]string, len(s))
	for i, one := range s {
		list[i] = one.key + "=" + one.value
	}
	return list
}

// named makes an error about a key name the flag that set it: --threads rather
// than --set threads.
func (s settings) named(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, one := range s {
		text = strings.ReplaceAll(text, "--set "+one.key+": ", one.flag+": ")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// engine adds the flags of every command that are given.
func (s *settings) engine(f engineFlags) {
	if f.Threads != nil {
		s.whole("--threads", "threads", *f.Threads)
	}
	if f.ISA != "" {
		s.text("--isa", "isa", f.ISA)
	}
	if f.Conv != "" {
		s.text("--conv", "conv", f.Conv)
	}
}

// publishedCommands take their arguments as the published scripts do.
var publishedCommands = []string{"train", "train-ensemble", "evaluate", "active-learning"}

// longTokens are flags that the published scripts write with one dash although
// they have several letters.
var longTokens = []string{"-sn", "-mod", "-tsn", "-tmod", "-mi", "-ambiguous", "-tb", "-sb"}

// publishedArguments rewrites the arguments of commands that are called like the
// published scripts: -sn becomes --sn, and the names of flags may have
// underscores.
func publishedArguments(args []string) []string {
	if len(args) == 0 || !slices.Contains(publishedCommands, args[0]) {
		return args
	}
	list := slices.Clone(args)
	for i, arg := range list {
		if arg == "--" {
			break
		}
		name, value, given := strings.Cut(arg, "=")
		switch {
		case slices.Contains(longTokens, name):
			name = "-" + name
		case strings.HasPrefix(name, "--"):
			name = strings.ReplaceAll(name, "_", "-")
		default:
			continue
		}
		if list[i] = name; given {
			list[i] += "=" + value
		}
	}
	return list
}
