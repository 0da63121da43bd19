package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/deepuncertainty/ddu/experiments/dataset"
)

// store puts a decoded TOML value into the key's field of c, or says what was
// found and what would be right.
func (k key) store(c *Config, value any) error {
	field := k.field(c)
	want := k.rule.want
	if want == "" {
		want = typeName(field)
	}
	converted, ok := convert(field, value)
	if !ok {
		if _, list := value.([]any); !list && strings.HasPrefix(typeName(field), "list") {
			want = "a list in brackets: " + want
		}
		return fmt.Errorf("found %s, want %s", describe(value), want)
	}
	converted = canonical(k.name, converted)
	if k.rule.ok != nil && !k.rule.ok(converted) {
		return fmt.Errorf("found %s, want %s", formatValue(value), want)
	}
	switch f := field.(type) {
	case *string:
		*f = converted.(string)
	case *bool:
		*f = converted.(bool)
	case *int:
		*f = converted.(int)
	case *uint64:
		*f = converted.(uint64)
	case *float64:
		*f = converted.(float64)
	case *[]string:
		*f = converted.([]string)
	case *[]int:
		*f = converted.([]int)
	}
	return nil
}

// canonical writes data set names with hyphens.
func canonical(name string, value any) any {
	switch name {
	case "data.name":
		return datasetName(value.(string))
	case "data.ood":
		list := value.([]string)
		for i := range list {
			list[i] = datasetName(list[i])
		}
	}
	return value
}

func datasetName(name string) string {
	if dataset.IsPath(name) {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// convert gives a decoded TOML value the type of the field. Whole numbers may
// stand for numbers, not the other way round.
func convert(field, value any) (any, bool) {
	switch field.(type) {
	case *string:
		v, ok := value.(string)
		return v, ok
	case *bool:
		v, ok := value.(bool)
		return v, ok
	case *int:
		v, ok := value.(int64)
		return int(v), ok && v >= math.MinInt32 && v <= math.MaxInt32
	case *uint64:
		v, ok := value.(int64)
		return uint64(v), ok && v >= 0
	case *float64:
		switch v := value.(type) {
		case float64:
			return v, true
		case int64:
			return float64(v), true
		}
		return nil, false
	case *[]string:
		return convertList[string](new(string), value)
	case *[]int:
		return convertList[int](new(int), value)
	}
	panic(fmt.Sprintf("config: no keys of type %T", field))
}

func convertList[T any](element *T, value any) (any, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	out := make([]T, len(list))
	for i, v := range list {
		converted, ok := convert(element, v)
		if !ok {
			return nil, false
		}
		out[i] = converted.(T)
	}
	return out, true
}

// parseOverride reads the value of a "key=value" for a field: a TOML value, or
// bare text where text is wanted, or items with commas where a list is wanted.
func parseOverride(field any, text string) (any, error) {
	text = strings.TrimSpace(text)
	switch field.(type) {
	case *string:
		if !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, `'`) {
			return text, nil
		}
	case *[]string:
		if !strings.HasPrefix(text, "[") {
			return parseItems(new(string), text)
		}
	case *[]int:
		if !strings.HasPrefix(text, "[") {
			return parseItems(new(int), text)
		}
	}
	var document map[string]any
	err := toml.Unmarshal([]byte("value = "+text), &document)
	if value, ok := document["value"]; err == nil && ok && len(document) == 1 && !strings.ContainsAny(text, "\r\n") {
		return value, nil
	}
	if isWord(text) {
		return text, nil // for the message: found "three"
	}
	return nil, errors.New("found " + strconv.Quote(text) + ", which is not one TOML value")
}

func parseItems(element any, text string) (any, error) {
	list := []any{}
	if text == "" {
		return list, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		v, err := parseOverride(element, item)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\r\n\"'[]{}=#,")
}

// typeName names the type of a field in a user's words.
func typeName(field any) string {
	switch field.(type) {
	case *string:
		return "text"
	case *bool:
		return "true or false"
	case *int, *uint64:
		return "whole number"
	case *float64:
		return "number"
	case *[]string:
		return "list of texts"
	case *[]int:
		return "list of whole numbers"
	}
	panic(fmt.Sprintf("config: no keys of type %T", field))
}

// describe shows a decoded value with its type.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return formatValue(v) + " (text)"
	case map[string]any:
		return "a table"
	case []any:
		if len(v) > 0 {
			if _, tables := v[0].(map[string]any); tables {
				return "a list of tables"
			}
		}
		return formatValue(v)
	case bool, int64, float64:
		return formatValue(v)
	}
	return fmt.Sprintf("the date or time %v", value)
}

// formatValue writes a value, or what a field points to, as TOML. Long ones are cut.
func formatValue(value any) string {
	const limit = 60
	s := tomlValue(value)
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}

func tomlValue(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case int64, int, uint64, bool:
		return fmt.Sprint(v)
	case float64:
		return tomlFloat(v)
	case []any:
		return tomlList(v)
	case []string:
		return tomlList(v)
	case []int:
		return tomlList(v)
	case *string:
		return tomlValue(*v)
	case *bool:
		return tomlValue(*v)
	case *int:
		return tomlValue(*v)
	case *uint64:
		return tomlValue(*v)
	case *float64:
		return tomlValue(*v)
	case *[]string:
		return tomlValue(*v)
	case *[]int:
		return tomlValue(*v)
	}
	return fmt.Sprint(value)
}

func tomlList[T any](list []T) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = tomlValue(v)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// tomlFloat always shows that the number is one: 3.0, 5e-04.
func tomlFloat(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// pythonFloat writes a float as Python's repr does, which is how the published
// scripts put coeff into file names: 3.0, 0.65, 1e-05.
func pythonFloat(v float64) string {
	if a := math.Abs(v); v != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
