package nn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
	"github.com/deepuncertainty/ddu/tensor"
)

// StateDict returns a copy of all parameters and buffers of m under PyTorch's
// names and in its order.
func StateDict(m Module) []checkpoint.Entry {
	var entries []checkpoint.Entry
	walk(m, "", func(name string, member Member) {
		if count := member.count(); count != nil {
			entries = append(entries, checkpoint.NewInt64(name, []int64{*count}))
		} else if value := member.value(); value != nil {
			entries = append(entries, checkpoint.NewFloat32(name, value.ToContiguous().Float32s(), member.shape()...))
		}
	})
	return entries
}

// LoadStateDict sets all parameters and buffers of m. The names may carry the
// prefix "module." that PyTorch's DataParallel puts before them. Entries that
// are missing, unexpected or of another shape than m wants are named in the
// error, the first few of each kind, and then m is left as it was.
func LoadStateDict(m Module, entries []checkpoint.Entry) error {
	given, misfit := index(entries)
	var apply []func()
	walk(m, "", func(name string, member Member) {
		if member.Module != nil {
			return
		}
		e, ok := given[name]
		if !ok {
			misfit.missing = append(misfit.missing, name)
			return
		}
		delete(given, name)
		if !slices.Equal(e.Shape, member.shape()) {
			misfit.shape = append(misfit.shape, fmt.Sprintf("%s is %v, want %v", name, e.Shape, member.shape()))
			return
		}
		set, err := member.setter(e)
		if err != nil {
			misfit.invalid = append(misfit.invalid, err.Error())
			return
		}
		apply = append(apply, set)
	})
	for _, e := range entries {
		if _, left := given[misfit.name(e)]; left {
			misfit.unexpected = append(misfit.unexpected, e.Name)
		}
	}
	if err := misfit.err(); err != nil {
		return err
	}
	for _, set := range apply {
		set()
	}
	return nil
}

// misfit gathers why entries do not fit a module.
type misfit struct {
	prefix                                        string
	missing, unexpected, shape, invalid, repeated []string
}

// index finds entries by name, without the prefix that all share.
func index(entries []checkpoint.Entry) (map[string]checkpoint.Entry, *misfit) {
	const parallel = "module."
	m := new(misfit)
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e checkpoint.Entry) bool { return !strings.HasPrefix(e.Name, parallel) }) {
		m.prefix = parallel
	}
	given := make(map[string]checkpoint.Entry, len(entries))
	for _, e := range entries {
		name := m.name(e)
		if _, twice := given[name]; twice {
			m.repeated = append(m.repeated, e.Name)
		}
		given[name] = e
	}
	return given, m
}

func (m *misfit) name(e checkpoint.Entry) string { return strings.TrimPrefix(e.Name, m.prefix) }

// namesTold is how many names of a kind an error tells: a file of another network
// has hundreds.
const namesTold = 8

func (m *misfit) err() error {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"missing ", m.missing}, {"unexpected ", m.unexpected}, {"wrong shape: ", m.shape}, {"", m.invalid}, {"twice ", m.repeated}} {
		if more := len(p.names) - namesTold; more > 1 {
			parts = append(parts, fmt.Sprintf("%s%s and %d more", p.what, strings.Join(p.names[:namesTold], ", "), more))
		} else if len(p.names) > 0 {
			parts = append(parts, p.what+strings.Join(p.names, ", "))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return fmt.Errorf("state dict does not fit the network: %s", strings.Join(parts, "; "))
}

func (m Member) count() *int64 {
	if m.Buffer == nil {
		return nil
	}
	return m.Buffer.Count
}

func (m Member) value() *tensor.Tensor {
	switch {
	case m.Parameter != nil:
		return m.Parameter.Value
	case m.Buffer != nil:
		return m.Buffer.Value
	}
	return nil
}

// shape returns the shape in a state dict.
func (m Member) shape() []int {
	switch {
	case m.count() != nil:
		return nil
	case m.Buffer != nil && m.Buffer.Flat:
		return []int{m.Buffer.Value.Len()}
	}
	return m.value().Shape()
}

// setter decodes e, which has the right shape, and returns what stores it.
func (m Member) setter(e checkpoint.Entry) (func(), error) {
	if count := m.count(); count != nil {
		v, err := e.Int64s()
		if err != nil {
			return nil, err
		}
		return func() { *count = v[0] }, nil
	}
	v, err := e.Float32s()
	if err != nil {
		return nil, err
	}
	return func() {
		value := m.value()
		value.CopyFrom(tensor.FromFloat32(v, value.Shape()...))
		if m.Parameter != nil {
			m.Parameter.BumpVersion()
		} else {
			m.Buffer.BumpVersion()
		}
	}, nil
}
