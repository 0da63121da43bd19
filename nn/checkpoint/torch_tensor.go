package checkpoint

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// torchClasses are the classes that PyTorch's state dicts and tensors are made
// of, beside the storages. Parameters are tensors here.
var torchClasses = map[pickleClass]func(arguments pickleTuple) (any, error){
	"collections.OrderedDict": func(arguments pickleTuple) (any, error) {
		if len(arguments) > 0 {
			return nil, errors.New("an OrderedDict is made of a list, want one without arguments and filled later")
		}
		return new(pickleDict), nil
	},
	// (storage, offset, size, stride), then what only training needs
	"torch._utils._rebuild_tensor":    func(a pickleTuple) (any, error) { return rebuildTensor(a, 4, 4) },
	"torch._utils._rebuild_tensor_v2": func(a pickleTuple) (any, error) { return rebuildTensor(a, 6, 7) },
	// (tensor, requires_grad, backward_hooks)
	"torch._utils._rebuild_parameter": func(a pickleTuple) (any, error) {
		if len(a) == 3 {
			if t, ok := a[0].(*torchTensor); ok {
				return t, nil
			}
		}
		return nil, errors.New("a parameter is not made of a tensor, requires_grad and backward_hooks")
	},
}

// torchStorages are the classes of storages: the type of their elements, "" where
// it is none that an Entry can have, and the bytes of one element.
var torchStorages = map[pickleClass]struct {
	dtype DType
	size  int
}{
	"torch.FloatStorage": {F32, 4}, "torch.DoubleStorage": {F64, 8}, "torch.LongStorage": {I64, 8},
	"torch.HalfStorage": {F16, 2}, "torch.BFloat16Storage": {BF16, 2},
	"torch.IntStorage": {"", 4}, "torch.ShortStorage": {"", 2}, "torch.CharStorage": {"", 1}, "torch.ByteStorage": {"", 1},
	"torch.BoolStorage": {"", 1}, "torch.ComplexFloatStorage": {"", 8}, "torch.ComplexDoubleStorage": {"", 16},
}

// torchStorage is memory that tensors share.
type torchStorage struct {
	class  pickleClass
	key    string
	length int    // elements
	data   []byte // nil until it is read
}

// bytes returns the size of the storage's data.
func (s *torchStorage) bytes() uint64 { return uint64(s.length) * uint64(torchStorages[s.class].size) }

// torchTensor is a view of a storage; offset and stride count elements.
type torchTensor struct {
	storage      *torchStorage
	offset       int
	shape, steps []int
}

// torchUnpickler reads pickles of PyTorch and gathers their storages by key.
type torchUnpickler struct {
	unpickler
	storages map[string]*torchStorage
}

func newTorchUnpickler(data []byte) *torchUnpickler {
	classes := map[pickleClass]bool{}
	for c := range torchClasses {
		classes[c] = true
	}
	for c := range torchStorages {
		classes[c] = true
	}
	t := &torchUnpickler{storages: map[string]*torchStorage{}}
	t.unpickler = unpickler{data: data, classes: classes, persistent: t.storage, construct: func(class pickleClass, arguments pickleTuple) (any, error) {
		build, ok := torchClasses[class]
		if !ok {
			return nil, fmt.Errorf("%s is called, which is no function", class)
		}
		return build(arguments)
	}}
	return t
}

// storage returns the storage of a persistent id:
// ("storage", class, key, device, elements), in legacy files with a sixth part
// that is None unless the storage is part of another one.
func (t *torchUnpickler) storage(id any) (any, error) {
	parts, ok := id.(pickleTuple)
	if !ok || len(parts) < 5 || len(parts) > 6 || parts[0] != any("storage") {
		return nil, fmt.Errorf("a persistent id is %s, want that of a storage", kindOf(id))
	}
	class, isClass := parts[1].(pickleClass)
	key, isText := parts[2].(string)
	length, isInt := parts[4].(int64)
	kind, known := torchStorages[class]
	if !isClass || !isText || !isInt || !known || length < 0 || uint64(length) > 1<<62/uint64(kind.size) {
		return nil, errors.New("a storage is not described by its class, key, device and number of elements")
	}
	if len(parts) == 6 && parts[5] != nil {
		return nil, errors.New("a storage is part of another one, as in files from before PyTorch 0.4: save it again with a newer version")
	}
	if s, ok := t.storages[key]; ok {
		if s.class != class || s.length != int(length) {
			return nil, fmt.Errorf("storage %.40q is described in two ways", key)
		}
		return s, nil
	}
	s := &torchStorage{class: class, key: key, length: int(length)}
	t.storages[key] = s
	return s, nil
}

func rebuildTensor(arguments pickleTuple, least, most int) (any, error) {
	if len(arguments) < least || len(arguments) > most {
		return nil, fmt.Errorf("a tensor is made of %d parts, want %d to %d", len(arguments), least, most)
	}
	storage, ok := arguments[0].(*torchStorage)
	offset, ok2 := arguments[1].(int64)
	shape, ok3 := sizes(arguments[2])
	steps, ok4 := sizes(arguments[3])
	if !ok || !ok2 || !ok3 || !ok4 || offset < 0 || len(shape) != len(steps) {
		return nil, errors.New("a tensor is not made of a storage, an offset, a shape and as many strides, all at least 0")
	}
	return &torchTensor{storage, int(offset), shape, steps}, nil
}

// maxDims bounds the dimensions of a tensor, as PyTorch does.
const maxDims = 64

// sizes returns a tuple of integers that are at least 0.
func sizes(v any) ([]int, bool) {
	t, ok := v.(pickleTuple)
	if !ok || len(t) > maxDims {
		return nil, false
	}
	n := make([]int, len(t))
	for i, x := range t {
		v, ok := x.(int64)
		if !ok || v < 0 {
			return nil, false
		}
		n[i] = int(v)
	}
	return n, true
}

// check tells whether all elements lie within the storage, and returns the size
// of the tensor in bytes.
func (t *torchTensor) check() (bytes int, err error) {
	kind := torchStorages[t.storage.class]
	if kind.dtype == "" {
		return 0, fmt.Errorf("its elements are those of %s, want a Float, Double, Half, BFloat16 or Long storage", t.storage.class)
	}
	bytes, err = byteSize(kind.dtype, t.shape)
	if err != nil || bytes == 0 {
		return bytes, err
	}
	last, carry := uint64(t.offset), uint64(0)
	for i, d := range t.shape {
		high, low := bits.Mul64(uint64(d-1), uint64(t.steps[i]))
		last, carry = bits.Add64(last, low, 0)
		if high|carry != 0 {
			last = 1 << 63
			break
		}
	}
	if last >= uint64(t.storage.length) {
		return 0, fmt.Errorf("shape %v, strides %v and offset %d leave its storage of %d elements", t.shape, t.steps, t.offset, t.storage.length)
	}
	return bytes, nil
}

// elements returns the elements in row-major order, of a tensor that check
// passes and whose storage is read. They share memory with the storage if they
// lie there in that order.
func (t *torchTensor) elements(bytes int) []byte {
	size := torchStorages[t.storage.class].size
	if bytes == 0 {
		return nil
	}
	data := t.storage.data[t.offset*size:]
	shape, steps := t.collapsed()
	if len(shape) == 0 || len(shape) == 1 && steps[0] == 1 {
		return data[:bytes:bytes]
	}
	out := make([]byte, 0, bytes)
	last := len(shape) - 1
	index, at := make([]int, len(shape)), 0
	for {
		for i := range shape[last] {
			from := (at + i*steps[last]) * size
			out = append(out, data[from:from+size]...)
		}
		d := last - 1
		for ; d >= 0; d-- {
			index[d]++
			at += steps[d]
			if index[d] < shape[d] {
				break
			}
			at -= shape[d] * steps[d]
			index[d] = 0
		}
		if d < 0 {
			return out
		}
	}
}

// collapsed returns shape and strides without dimensions of size 1, and with
// those that lie one after the other taken together.
func (t *torchTensor) collapsed() (shape, steps []int) {
	for i, d := range t.shape {
		last := len(shape) - 1
		switch {
		case d == 1:
		case last >= 0 && steps[last] == d*t.steps[i]:
			shape[last] *= d
			steps[last] = t.steps[i]
		default:
			shape, steps = append(shape, d), append(steps, t.steps[i])
		}
	}
	return shape, steps
}

// entry returns the tensor under a name. read sees to it that the storage has
// its data.
func (t *torchTensor) entry(name string, budget *int, read func(*torchStorage) error) (Entry, error) {
	fail := func(err error) (Entry, error) { return Entry{}, fmt.Errorf("tensor %.100q: %w", name, err) }
	bytes, err := t.check()
	if err != nil {
		return fail(err)
	}
	// Views may show few numbers over and over.
	if *budget -= bytes; *budget < 0 {
		return fail(fmt.Errorf("with its %d bytes the tensors take more than four times the file", bytes))
	}
	if bytes > 0 {
		if err := read(t.storage); err != nil {
			return fail(err)
		}
	}
	return Entry{Name: name, DType: torchStorages[t.storage.class].dtype, Shape: slices.Clone(t.shape), Data: t.elements(bytes)}, nil
}
