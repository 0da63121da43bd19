// Package pickle reads the pickles in which CIFAR-10 and CIFAR-100 are
// published: protocol 2 as Python 2 writes it, of dictionaries, lists, numbers,
// strings and NumPy arrays. It knows no way to import or call anything: what a
// file names is compared with the three names that an array needs.
package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The values of a pickle are nil, bool, int64, float64, []byte (text or not),
// Tuple, *List, *Dict and *Array.
type (
	// Tuple is a Python tuple.
	Tuple []any
	// List is a Python list.
	List struct{ Items []any }
	// Dict is a Python dictionary whose keys are strings.
	Dict struct{ entries map[string]any }
	// Array is a NumPy array.
	Array struct {
		Type  string // as NumPy writes it, with the byte order: "|u1", "<f4"
		Shape []int
		Data  []byte // shares memory with the pickle, row-major
	}
)

// Get returns the value of a key.
func (d *Dict) Get(key string) (any, bool) {
	v, ok := d.entries[key]
	return v, ok
}

// mark, class and dtype are values on the stack only.
type (
	mark  struct{}
	class string
	dtype struct{ name, order string }
)

// The only names that a pickle may hold.
const (
	reconstruct class = "numpy.core.multiarray._reconstruct"
	ndarray     class = "numpy.ndarray"
	dtypeClass  class = "numpy.dtype"
)

// Load returns the value of a pickle. Its strings and arrays share memory with
// data.
func Load(data []byte) (any, error) {
	m := machine{data: data, memo: map[uint32]any{}}
	for {
		at := m.at
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' {
			return m.result()
		}
		run, ok := ops[op[0]]
		if !ok {
			return nil, fmt.Errorf("pickle byte %d: opcode 0x%02x, which no published file has", at, op[0])
		}
		if err := run(&m); err != nil {
			return nil, fmt.Errorf("pickle byte %d: %w", at, err)
		}
	}
}

// machine runs the program that a pickle is: Python's pickletools describes the
// opcodes. Each makes at most one small value, so time and memory follow the
// length of the pickle.
type machine struct {
	data  []byte
	at    int
	stack []any
	memo  map[uint32]any
}

var ops = map[byte]func(m *machine) error{
	0x80: (*machine).protocol,
	'N':  func(m *machine) error { return m.push(nil) },
	0x88: func(m *machine) error { return m.push(true) },
	0x89: func(m *machine) error { return m.push(false) },
	'K':  func(m *machine) error { return m.integer(1) },
	'M':  func(m *machine) error { return m.integer(2) },
	'J':  func(m *machine) error { return m.integer(4) },
	'G':  (*machine).float,
	'U':  func(m *machine) error { return m.text(1) }, // SHORT_BINSTRING
	'T':  func(m *machine) error { return m.text(4) }, // BINSTRING
	'X':  func(m *machine) error { return m.text(4) }, // BINUNICODE
	'(':  func(m *machine) error { return m.push(mark{}) },
	')':  func(m *machine) error { return m.push(Tuple{}) },
	0x85: func(m *machine) error { return m.tuple(m.pop(1)) },
	0x86: func(m *machine) error { return m.tuple(m.pop(2)) },
	0x87: func(m *machine) error { return m.tuple(m.pop(3)) },
	't':  func(m *machine) error { return m.tuple(m.popMark()) },
	']':  func(m *machine) error { return m.push(new(List)) },
	'a':  func(m *machine) error { return m.extend(m.pop(1)) },
	'e':  func(m *machine) error { return m.extend(m.popMark()) },
	'}':  func(m *machine) error { return m.push(&Dict{map[string]any{}}) },
	's':  func(m *machine) error { return m.set(m.pop(2)) },
	'u':  func(m *machine) error { return m.set(m.popMark()) },
	'q':  func(m *machine) error { return m.put(1) },
	'r':  func(m *machine) error { return m.put(4) },
	'h':  func(m *machine) error { return m.get(1) },
	'j':  func(m *machine) error { return m.get(4) },
	'c':  (*machine).global,
	'R':  (*machine).reduce,
	'b':  (*machine).build,
}

var (
	errEnds  = errors.New("the pickle ends in the middle: the file is cut off")
	errStack = errors.New("the pickle takes more from its stack than is there")
)

func (m *machine) take(n uint64) ([]byte, error) {
	if n > uint64(len(m.data)-m.at) {
		return nil, errEnds
	}
	b := m.data[m.at : m.at+int(n) : m.at+int(n)]
	m.at += int(n)
	return b, nil
}

func (m *machine) result() (any, error) {
	if len(m.stack) != 1 || m.at != len(m.data) {
		return nil, fmt.Errorf("the pickle ends at byte %d of %d with %d values, want 1 at the end", m.at, len(m.data), len(m.stack))
	}
	return m.stack[0], nil
}

func (m *machine) protocol() error {
	v, err := m.take(1)
	if err == nil && v[0] != 2 {
		err = fmt.Errorf("protocol %d, want 2, in which the files are published", v[0])
	}
	return err
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the last n values. They are valid until the next push.
func (m *machine) pop(n int) ([]any, error) {
	from := len(m.stack) - n
	if from < 0 {
		return nil, errStack
	}
	items := m.stack[from:]
	m.stack = m.stack[:from]
	return items, nil
}

// popMark takes the values after the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if m.stack[i] == any(mark{}) {
			items := m.stack[i+1:]
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, errStack
}

func (m *machine) top() (any, error) {
	if len(m.stack) == 0 {
		return nil, errStack
	}
	return m.stack[len(m.stack)-1], nil
}

// number returns the next bytes as a little-endian number.
func (m *machine) number(bytes uint64) (uint32, error) {
	b, err := m.take(bytes)
	var word [4]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint32(word[:]), err
}

func (m *machine) integer(bytes uint64) error {
	v, err := m.number(bytes)
	if err != nil {
		return err
	}
	if bytes == 4 {
		return m.push(int64(int32(v)))
	}
	return m.push(int64(v))
}

func (m *machine) float() error {
	b, err := m.take(8)
	if err != nil {
		return err
	}
	return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// text pushes bytes with their length before them.
func (m *machine) text(bytes uint64) error {
	n, err := m.number(bytes)
	if err != nil {
		return err
	}
	b, err := m.take(uint64(n))
	if err != nil {
		return err
	}
	return m.push(b)
}

func (m *machine) tuple(items []any, err error) error {
	if err != nil {
		return err
	}
	return m.push(append(Tuple{}, items...))
}

func (m *machine) extend(items []any, err error) error {
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	list, ok := target.(*List)
	if !ok {
		return fmt.Errorf("items are added to a %T, want a list", target)
	}
	list.Items = append(list.Items, items...)
	return nil
}

func (m *machine) set(items []any, err error) error {
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	dict, ok := target.(*Dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values are put into a %T, want pairs and a dictionary", len(items), target)
	}
	for i := 0; i < len(items); i += 2 {
		key, ok := items[i].([]byte)
		if !ok {
			return fmt.Errorf("a key is a %T, want a string", items[i])
		}
		dict.entries[string(key)] = items[i+1]
	}
	return nil
}

func (m *machine) put(bytes uint64) error {
	key, err := m.number(bytes)
	if err != nil {
		return err
	}
	m.memo[key], err = m.top()
	return err
}

func (m *machine) get(bytes uint64) error {
	key, err := m.number(bytes)
	if err != nil {
		return err
	}
	v, ok := m.memo[key]
	if !ok {
		return fmt.Errorf("no value %d to repeat", key)
	}
	return m.push(v)
}
