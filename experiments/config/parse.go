package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/deepuncertainty/ddu/experiments/dataset"
)

// Parse reads an experiment file and checks it whole; source is what messages
// call the file. Overrides are "key=value" as Set takes them and are applied
// before the checks. The error is an *Error that lists every problem.
func Parse(source string, data []byte, overrides ...string) (*Config, error) {
	c := Default()
	c.source = source
	var document map[string]any
	if err := toml.Unmarshal(data, &document); err != nil {
		return nil, &Error{[]Problem{syntaxProblem(source, err)}}
	}
	r := reader{config: c, places: locate(data)}
	r.table(nil, document)
	for _, o := range overrides {
		name, value, ok := strings.Cut(o, "=")
		if !ok || name == "" {
			r.problems = append(r.problems, Problem{Key: o, Message: "want key=value, as in train.epochs=3", override: true})
			continue
		}
		r.override(strings.TrimSpace(name), value)
	}
	c.derive()
	if len(r.problems) == 0 {
		r.problems = c.contradictions()
	}
	if len(r.problems) > 0 {
		return nil, newError(r.problems)
	}
	return c, nil
}

func syntaxProblem(source string, err error) Problem {
	p := Problem{File: source, Message: strings.TrimPrefix(err.Error(), "toml: ")}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		p.Line, p.Column = decode.Position()
	}
	return p
}

// origin is where a key was written.
type origin struct {
	line, column int
	override     bool
}

// reader moves a parsed document into a Config, gathering problems.
type reader struct {
	config   *Config
	places   map[string]origin // by joinPath
	problems []Problem
}

func (r *reader) refuse(name string, at origin, format string, args ...any) {
	r.problems = append(r.problems, r.config.problem(name, at, fmt.Sprintf(format, args...)))
}

// table takes the entries of the table at path: the document, or one section.
func (r *reader) table(path []string, table map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		value, place, full := table[name], r.places[joinPath(at)], displayPath(at)
		if k, ok := findKey(full); ok {
			r.assign(k, value, place)
			continue
		}
		section := len(path) == 0 && slices.Contains(sections(), name)
		inner, isTable := value.(map[string]any)
		switch {
		case section && isTable:
			r.table(at, inner)
		case section:
			r.refuse(full, place, "found %s, want a table: write [%s] on a line of its own and its keys below", describe(value), full)
		case isTable:
			r.refuse(full, place, "unknown table%s", suggestion(name, sections(), "want one of ["+strings.Join(sections(), "], [")+"]"))
		default:
			r.refuse(full, place, "unknown key%s", suggestKey(full))
		}
	}
}

// assign stores a value of the document under its key, if it can work.
func (r *reader) assign(k key, value any, at origin) {
	if err := k.store(r.config, value); err != nil {
		r.refuse(k.name, at, "%v", err)
		return
	}
	r.config.written[k.name] = at
}

// contradictions finds values that cannot work together.
func (c *Config) contradictions() []Problem {
	var list []Problem
	refuse := func(name, format string, args ...any) {
		list = append(list, c.problem(name, c.written[name], fmt.Sprintf(format, args...)))
	}
	for _, name := range []string{"data.name", "model.name"} {
		if k, _ := findKey(name); *k.field(c).(*string) == "" {
			refuse(name, "missing, want %s", k.rule.want)
		}
	}
	if slices.Contains(c.Data.OOD, c.Data.Name) {
		refuse("data.ood", "found %q, which is data.name too: images cannot be out of their own distribution", c.Data.Name)
	}
	if c.Data.Shape != "" && c.Data.Name != "" && !dataset.IsFolder(c.Data.Name) {
		refuse("data.shape", "found %q with data.name = %q: only the images of a folder:PATH are resized", c.Data.Shape, c.Data.Name)
	}
	t := c.Train
	if t.Nesterov && t.Momentum == 0 && t.Optimizer == "sgd" {
		refuse("train.nesterov", "found true with train.momentum = 0, want a momentum above 0")
	}
	if t.Warmup > 0 && t.Schedule == "onecycle" {
		refuse("train.warmup", "found %d with train.schedule = \"onecycle\", which has its own rise: want 0", t.Warmup)
	} else if t.Warmup > 0 && t.Warmup >= t.Epochs {
		refuse("train.warmup", "found %d, want fewer than train.epochs (%d)", t.Warmup, t.Epochs)
	}
	if len(c.Eval.Methods) == 0 && c.Model.Checkpoint != "" {
		refuse("eval.methods", "found [] with model.checkpoint, which leaves nothing to do: want some of %s", strings.Join(methods, ", "))
	}
	if c.Uses("ensemble") && c.Runs.Ensemble < 2 {
		refuse("runs.ensemble", "found %d, want at least 2: eval.methods holds \"ensemble\"", c.Runs.Ensemble)
	}
	if networks := float64(c.Runs.Count) * float64(c.Runs.Ensemble); float64(c.Seed)+networks-1 > maxSeed {
		refuse("seed", "found %d, want seeds of all %.0f networks to stay at or below %d", c.Seed, networks, uint64(maxSeed))
	}
	return list
}

// locate finds where each key and table of a valid document starts.
func locate(data []byte) map[string]origin {
	places := map[string]origin{}
	var p unstable.Parser
	p.Reset(data)
	mark := func(prefix []string, keys unstable.Iterator) []string {
		path := slices.Clone(prefix)
		var first origin
		for keys.Next() {
			n := keys.Node()
			start := p.Shape(n.Raw).Start
			if first.line == 0 {
				first = origin{line: start.Line, column: start.Column}
			}
			path = append(path, string(n.Data))
			if id := joinPath(path); places[id].line == 0 {
				places[id] = first
			}
		}
		return path
	}
	var pair func(prefix []string, n *unstable.Node)
	pair = func(prefix []string, n *unstable.Node) {
		path := mark(prefix, n.Key())
		if value := n.Value(); value.Kind == unstable.InlineTable {
			for it := value.Children(); it.Next(); {
				pair(path, it.Node())
			}
		}
	}
	var section []string
	for p.NextExpression() {
		switch n := p.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			section = mark(nil, n.Key())
		case unstable.KeyValue:
			pair(section, n)
		}
	}
	return places
}

// joinPath makes a map key of a path; TOML keys cannot hold a NUL unescaped,
// and those that do are unknown keys anyway.
func joinPath(path []string) string { return strings.Join(path, "\x00") }

// displayPath writes a path as a user would: parts that are not bare are quoted.
func displayPath(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = p
		if p == "" || strings.ContainsFunc(p, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
		}) {
			parts[i] = fmt.Sprintf("%q", p)
		}
	}
	return strings.Join(parts, ".")
}
