package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// global pushes a name, if it is one that an array needs.
func (m *machine) global() error {
	var names [2]string
	for i := range names {
		end := bytes.IndexByte(m.data[m.at:], '\n')
		if end < 0 {
			return errEnds
		}
		names[i] = string(m.data[m.at : m.at+end])
		m.at += end + 1
	}
	name := class(names[0] + "." + names[1])
	if name != reconstruct && name != ndarray && name != dtypeClass {
		return fmt.Errorf("the file asks for %.100q, want nothing but a NumPy array. Nothing in it was run", string(name))
	}
	return m.push(name)
}

// reduce makes the empty array or the type that a name and its arguments stand
// for.
func (m *machine) reduce() error {
	items, err := m.pop(2)
	if err != nil {
		return err
	}
	arguments, _ := items[1].(Tuple)
	switch {
	case items[0] == any(reconstruct) && len(arguments) == 3 && arguments[0] == any(ndarray):
		return m.push(new(Array))
	case items[0] == any(dtypeClass) && len(arguments) == 3:
		if name, ok := arguments[0].([]byte); ok {
			return m.push(&dtype{name: string(name)})
		}
	}
	return errors.New("a value is made in another way than a NumPy array")
}

// build gives an array or a type its state.
func (m *machine) build() error {
	items, err := m.pop(1)
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	state, _ := items[0].(Tuple)
	switch target := target.(type) {
	case *dtype:
		if len(state) < 2 {
			return errors.New("a NumPy type without its byte order")
		}
		order, _ := state[1].([]byte)
		target.order = string(order)
		return nil
	case *Array:
		return target.build(state)
	}
	return fmt.Errorf("a state is given to a %T, want a NumPy array", target)
}

// build takes (version, shape, type, Fortran order, data), and checks that they
// fit together.
func (a *Array) build(state Tuple) error {
	if len(state) != 5 {
		return fmt.Errorf("a NumPy array of %d parts, want 5", len(state))
	}
	shape, ok := state[1].(Tuple)
	kind, ok2 := state[2].(*dtype)
	data, ok3 := state[4].([]byte)
	if !ok || !ok2 || !ok3 || state[3] != any(false) || len(kind.name) != 2 || kind.name[1] < '1' || kind.name[1] > '8' {
		return errors.New("want a row-major NumPy array of numbers")
	}
	size := int(kind.name[1] - '0')
	a.Type, a.Shape, a.Data = kind.order+kind.name, nil, data
	for _, side := range shape {
		n, ok := side.(int64)
		if !ok || n < 0 || n > 0 && int64(size) > math.MaxInt32/n {
			return fmt.Errorf("a NumPy array of size %v", shape)
		}
		a.Shape = append(a.Shape, int(n))
		size *= int(n)
	}
	if len(data) != size {
		return fmt.Errorf("%d bytes in a NumPy array %v of %s, want %d", len(data), a.Shape, a.Type, size)
	}
	return nil
}
