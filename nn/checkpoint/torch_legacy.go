package checkpoint

import (
	"errors"
	"fmt"
)

// torchLegacy is the format of torch.save before PyTorch 1.6: five pickles (a
// magic number, the version of the format, the sizes of C's types, the value,
// the keys of its storages), then for each key the number of elements, 8 bytes
// little endian, and the elements.
type torchLegacy struct{}

func openTorchLegacy(data []byte) (any, torchFile, error) {
	u := newTorchUnpickler(data)
	var values [5]any
	for i := range values {
		var err error
		if values[i], err = u.load(); err != nil {
			return nil, nil, err
		}
	}
	version, system, root := values[1], values[2], values[3]
	if version != any(int64(1001)) {
		return nil, nil, errors.New("the version of its format is not 1001")
	}
	if s, ok := system.(*pickleDict); ok {
		if little, _ := s.get("little_endian"); little != any(true) {
			return nil, nil, errors.New("its numbers are not little endian")
		}
	}
	keys, ok := values[4].(*pickleList)
	if !ok {
		return nil, nil, fmt.Errorf("the keys of its storages are %s, want a list", kindOf(values[4]))
	}
	for _, key := range keys.items {
		name, _ := key.(string)
		s, ok := u.storages[name]
		if !ok || s.data != nil {
			return nil, nil, fmt.Errorf("storage %.40q is no part of the value, or there twice", name)
		}
		n, err := u.number(8)
		if err == nil && n != uint64(s.length) {
			return nil, nil, fmt.Errorf("storage %.40q has %d elements, want %d", name, n, s.length)
		}
		if err == nil {
			s.data, err = u.take(s.bytes())
		}
		if err != nil {
			return nil, nil, fmt.Errorf("storage %.40q: the file is truncated or damaged", name)
		}
	}
	return root, torchLegacy{}, nil
}

func (torchLegacy) read(s *torchStorage) error {
	if s.data == nil {
		return fmt.Errorf("storage %.40q is not in the file", s.key)
	}
	return nil
}
