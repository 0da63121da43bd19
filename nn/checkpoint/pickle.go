package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The values that a pickle is made of here, besides nil, bool, int64, float64
// and string. What has an identity is a pointer, since a pickle may fill it
// after it has been put into something else.
type (
	pickleTuple []any
	pickleList  struct{ items []any }
	pickleDict  struct{ keys, values []any } // in the order of insertion, as OrderedDict
	pickleClass string                       // "collections.OrderedDict": a name, never code
	pickleLong  string                       // an integer beyond 64 bits: its bytes
)

// get returns the last value under a text key.
func (d *pickleDict) get(key string) (any, bool) {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if d.keys[i] == any(key) {
			return d.values[i], true
		}
	}
	return nil, false
}

// maxPickleSteps bounds the work and the memory of one pickle: each step makes
// at most one small object. The state dict of a network with a thousand tensors
// takes 30,000, with the state of an optimiser beside it three times that.
const maxPickleSteps = 4 << 20

// unpickler runs the program that a pickle is (Python's pickletools describes
// the opcodes), as far as a state dict needs them. It knows no way to import or
// call anything: a class is a name that must be among those of classes, and
// what is built of it is built by construct and persistent.
type unpickler struct {
	data       []byte
	at         int
	stack      []any
	marks      []int // heights of the stack
	memo       map[uint32]any
	classes    map[pickleClass]bool
	construct  func(class pickleClass, arguments pickleTuple) (any, error)
	persistent func(id any) (any, error)
}

// load runs one pickle from data[at:] on and returns its value.
func (u *unpickler) load() (any, error) {
	u.stack, u.marks, u.memo = u.stack[:0], u.marks[:0], map[uint32]any{}
	for range maxPickleSteps {
		start := u.at
		code, err := u.take(1)
		if err != nil {
			return nil, err
		}
		if code[0] == opStop {
			return u.pop()
		}
		run, ok := pickleOps[code[0]]
		if !ok {
			return nil, fmt.Errorf("pickle byte %d: opcode 0x%02x, which no state dict needs", start, code[0])
		}
		if err := run(u); err != nil {
			if _, foreign := err.(foreignClass); foreign {
				return nil, err // where it stands tells nobody anything
			}
			return nil, fmt.Errorf("pickle byte %d: %w", start, err)
		}
	}
	return nil, fmt.Errorf("the pickle takes more than %d steps, far more than a state dict", maxPickleSteps)
}

const opStop = '.'

// pickleOps has what each opcode does, by the names of pickletools.
var pickleOps = map[byte]func(u *unpickler) error{
	0x80: func(u *unpickler) error { return u.skip(1) },                  // PROTO
	0x95: func(u *unpickler) error { return u.skip(8) },                  // FRAME
	'N':  func(u *unpickler) error { return u.push(nil) },                // NONE
	0x88: func(u *unpickler) error { return u.push(true) },               // NEWTRUE
	0x89: func(u *unpickler) error { return u.push(false) },              // NEWFALSE
	'K':  func(u *unpickler) error { return u.integer(1) },               // BININT1
	'M':  func(u *unpickler) error { return u.integer(2) },               // BININT2
	'J':  func(u *unpickler) error { return u.integer(4) },               // BININT
	0x8a: (*unpickler).long,                                              // LONG1
	'G':  (*unpickler).float,                                             // BINFLOAT
	0x8c: func(u *unpickler) error { return u.text(1) },                  // SHORT_BINUNICODE
	'X':  func(u *unpickler) error { return u.text(4) },                  // BINUNICODE
	0x8d: func(u *unpickler) error { return u.text(8) },                  // BINUNICODE8
	')':  func(u *unpickler) error { return u.push(pickleTuple{}) },      // EMPTY_TUPLE
	']':  func(u *unpickler) error { return u.push(new(pickleList)) },    // EMPTY_LIST
	'}':  func(u *unpickler) error { return u.push(new(pickleDict)) },    // EMPTY_DICT
	0x85: func(u *unpickler) error { return u.tuple(1) },                 // TUPLE1
	0x86: func(u *unpickler) error { return u.tuple(2) },                 // TUPLE2
	0x87: func(u *unpickler) error { return u.tuple(3) },                 // TUPLE3
	't':  (*unpickler).tupleToMark,                                       // TUPLE
	'(':  (*unpickler).mark,                                              // MARK
	'0':  func(u *unpickler) error { _, err := u.pop(); return err },     // POP
	'1':  func(u *unpickler) error { _, err := u.popMark(); return err }, // POP_MARK
	'a':  func(u *unpickler) error { return u.append(u.popN(1)) },        // APPEND
	'e':  func(u *unpickler) error { return u.append(u.popMark()) },      // APPENDS
	's':  func(u *unpickler) error { return u.set(u.popN(2)) },           // SETITEM
	'u':  func(u *unpickler) error { return u.set(u.popMark()) },         // SETITEMS
	'q':  func(u *unpickler) error { return u.put(1) },                   // BINPUT
	'r':  func(u *unpickler) error { return u.put(4) },                   // LONG_BINPUT
	0x94: (*unpickler).memoize,                                           // MEMOIZE
	'h':  func(u *unpickler) error { return u.get(1) },                   // BINGET
	'j':  func(u *unpickler) error { return u.get(4) },                   // LONG_BINGET
	'c':  (*unpickler).global,                                            // GLOBAL
	0x93: (*unpickler).stackGlobal,                                       // STACK_GLOBAL
	'R':  (*unpickler).reduce,                                            // REDUCE
	'b':  (*unpickler).build,                                             // BUILD
	'Q':  (*unpickler).persistentID,                                      // BINPERSID
}

var errPickleEnds = errors.New("the pickle ends in the middle: the file is truncated or damaged")

// take returns the next n bytes.
func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.data)-u.at) {
		return nil, errPickleEnds
	}
	b := u.data[u.at : u.at+int(n)]
	u.at += int(n)
	return b, nil
}

func (u *unpickler) skip(n uint64) error {
	_, err := u.take(n)
	return err
}

// number returns the next size bytes as a number, little endian.
func (u *unpickler) number(size uint64) (uint64, error) {
	b, err := u.take(size)
	if err != nil {
		return 0, err
	}
	var word [8]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint64(word[:]), nil
}

// line returns the text up to the next line feed.
func (u *unpickler) line() (string, error) {
	for i, c := range u.data[u.at:] {
		if c == '\n' {
			s := string(u.data[u.at : u.at+i])
			u.at += i + 1
			return s, nil
		}
	}
	return "", errPickleEnds
}

func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return nil
}

func (u *unpickler) pop() (any, error) {
	items, err := u.popN(1)
	if err != nil {
		return nil, err
	}
	return items[0], nil
}

var errPickleStack = errors.New("the pickle takes more from its stack than is there: the file is damaged")

// popN takes the last n values, but none from below the last mark. They are
// valid until the next push.
func (u *unpickler) popN(n int) ([]any, error) {
	floor := 0
	if len(u.marks) > 0 {
		floor = u.marks[len(u.marks)-1]
	}
	from := len(u.stack) - n
	if from < floor {
		return nil, errPickleStack
	}
	items := u.stack[from:]
	u.stack = u.stack[:from]
	return items, nil
}

func (u *unpickler) mark() error {
	u.marks = append(u.marks, len(u.stack))
	return nil
}

// popMark takes the last mark and the values after it.
func (u *unpickler) popMark() ([]any, error) {
	if len(u.marks) == 0 {
		return nil, errPickleStack
	}
	items, err := u.popN(len(u.stack) - u.marks[len(u.marks)-1])
	u.marks = u.marks[:len(u.marks)-1]
	return items, err
}

// top returns the last value and leaves it.
func (u *unpickler) top() (any, error) {
	v, err := u.pop()
	if err != nil {
		return nil, err
	}
	return v, u.push(v)
}

func (u *unpickler) integer(size uint64) error {
	v, err := u.number(size)
	if err != nil {
		return err
	}
	if size == 4 {
		return u.push(int64(int32(v)))
	}
	return u.push(int64(v))
}

// long pushes an integer of up to 255 bytes in two's complement.
func (u *unpickler) long() error {
	n, err := u.number(1)
	if err != nil {
		return err
	}
	b, err := u.take(n)
	if err != nil {
		return err
	}
	if n > 8 {
		return u.push(pickleLong(b))
	}
	var v int64
	for i, c := range b {
		v |= int64(c) << (8 * i)
	}
	unused := 64 - 8*n // Go shifts by 64 give 0, which is the value of no bytes
	return u.push(v << unused >> unused)
}

func (u *unpickler) float() error {
	b, err := u.take(8)
	if err != nil {
		return err
	}
	return u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// text pushes a string with size bytes of length before it.
func (u *unpickler) text(size uint64) error {
	n, err := u.number(size)
	if err != nil {
		return err
	}
	b, err := u.take(n)
	if err != nil {
		return err
	}
	return u.push(string(b))
}

func (u *unpickler) tuple(n int) error {
	items, err := u.popN(n)
	if err != nil {
		return err
	}
	return u.push(append(pickleTuple{}, items...))
}

func (u *unpickler) tupleToMark() error {
	items, err := u.popMark()
	if err != nil {
		return err
	}
	return u.push(append(pickleTuple{}, items...))
}

func (u *unpickler) append(items []any, err error) error {
	if err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	list, ok := target.(*pickleList)
	if !ok {
		return fmt.Errorf("items are added to %s, want a list", kindOf(target))
	}
	list.items = append(list.items, items...)
	return nil
}

func (u *unpickler) set(items []any, err error) error {
	if err != nil {
		return err
	}
	// Reading the top writes no value anew, so items stay as they are.
	target, err := u.top()
	if err != nil {
		return err
	}
	dict, ok := target.(*pickleDict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values are put into %s, want pairs and a dict", len(items), kindOf(target))
	}
	for i := 0; i < len(items); i += 2 {
		dict.keys = append(dict.keys, items[i])
		dict.values = append(dict.values, items[i+1])
	}
	return nil
}

func (u *unpickler) put(size uint64) error {
	key, err := u.number(size)
	if err != nil {
		return err
	}
	v, err := u.top()
	u.memo[uint32(key)] = v
	return err
}

func (u *unpickler) memoize() error {
	v, err := u.top()
	u.memo[uint32(len(u.memo))] = v
	return err
}

func (u *unpickler) get(size uint64) error {
	key, err := u.number(size)
	if err != nil {
		return err
	}
	v, ok := u.memo[uint32(key)]
	if !ok {
		return fmt.Errorf("the pickle refers to value %d, which is not there: the file is damaged", key)
	}
	return u.push(v)
}

func (u *unpickler) global() error {
	module, err := u.line()
	if err != nil {
		return err
	}
	name, err := u.line()
	if err != nil {
		return err
	}
	return u.class(module, name)
}

func (u *unpickler) stackGlobal() error {
	names, err := u.popN(2)
	if err != nil {
		return err
	}
	module, ok := names[0].(string)
	name, ok2 := names[1].(string)
	if !ok || !ok2 {
		return fmt.Errorf("a class is named by %s and %s, want two strings", kindOf(names[0]), kindOf(names[1]))
	}
	return u.class(module, name)
}

// class pushes a class if it is one of those allowed.
func (u *unpickler) class(module, name string) error {
	class := pickleClass(module + "." + name)
	if !u.classes[class] {
		return foreignClass(class)
	}
	return u.push(class)
}

// foreignClass is the error of a pickle that asks for something which no state
// dict needs.
type foreignClass string

func (c foreignClass) Error() string {
	return fmt.Sprintf("asks for %.100q, which is no part of a state dict; want one saved with torch.save(model.state_dict(), ...). Nothing in the file was run", string(c))
}

func (u *unpickler) reduce() error {
	items, err := u.popN(2)
	if err != nil {
		return err
	}
	class, ok := items[0].(pickleClass)
	arguments, ok2 := items[1].(pickleTuple)
	if !ok || !ok2 {
		return fmt.Errorf("%s is called with %s, want a class and a tuple", kindOf(items[0]), kindOf(items[1]))
	}
	v, err := u.construct(class, arguments)
	if err != nil {
		return err
	}
	return u.push(v)
}

// build drops the attributes of a dict, such as _metadata: nothing in them is
// needed to read it.
func (u *unpickler) build() error {
	if _, err := u.pop(); err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	if _, ok := target.(*pickleDict); !ok {
		return fmt.Errorf("attributes are given to %s, want a dict", kindOf(target))
	}
	return nil
}

func (u *unpickler) persistentID() error {
	id, err := u.pop()
	if err != nil {
		return err
	}
	v, err := u.persistent(id)
	if err != nil {
		return err
	}
	return u.push(v)
}

// kindOf names the type of a value in a pickle.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, pickleLong:
		return "an integer"
	case float64:
		return "a number"
	case string:
		return "text"
	case pickleTuple:
		return "a tuple"
	case *pickleList:
		return "a list"
	case *pickleDict:
		return "a dict"
	case pickleClass:
		return "a class"
	case *torchTensor:
		return "a tensor"
	case *torchStorage:
		return "a storage"
	}
	return fmt.Sprintf("%T", v)
}
