package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// ParseTorch decodes a state dict that PyTorch's torch.save wrote, in its zip
// format or the legacy one: named tensors, alone or under "state_dict" or
// "model_state_dict" of a dict with other things, which are left out. Tensors
// may be views and share storages; Entries come in the order of the dict and may
// share memory with data.
//
// Nothing in the file is run: the pickle in it is read by a program of its own,
// which knows the few classes that tensors are made of and refuses all others.
// Memory is bounded: 4 times the file and 64 MiB for tensors.
func ParseTorch(data []byte) (*File, error) {
	root, file, err := openTorch(data)
	if err != nil {
		return nil, err
	}
	dict, err := stateDict(root)
	if err != nil {
		return nil, err
	}
	f, seen := new(File), map[string]bool{}
	budget := torchBudget(data)
	for i, key := range dict.keys {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("a key of the state dict is %s, want the name of a tensor", kindOf(key))
		}
		if err := checkName(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("%.100q appears twice", name)
		}
		seen[name] = true
		t, ok := dict.values[i].(*torchTensor)
		if !ok {
			return nil, fmt.Errorf("%.100q is %s, want a tensor", name, kindOf(dict.values[i]))
		}
		e, err := t.entry(name, &budget, file.read)
		if err != nil {
			return nil, err
		}
		f.Entries = append(f.Entries, e)
	}
	return f, nil
}

// ParseTorchTensor decodes a single tensor that torch.save wrote. The entry has
// no name and may share memory with data.
func ParseTorchTensor(data []byte) (Entry, error) {
	root, file, err := openTorch(data)
	if err != nil {
		return Entry{}, err
	}
	t, ok := root.(*torchTensor)
	if !ok {
		return Entry{}, fmt.Errorf("it holds %s, want one tensor", kindOf(root))
	}
	budget := torchBudget(data)
	return t.entry("", &budget, file.read)
}

// torchBudget is how many bytes the tensors of a file may take.
func torchBudget(data []byte) int { return 4*len(data) + 64<<20 }

// torchFile is where the data of storages is found.
type torchFile interface {
	// read sets the data of a storage, which is then as long as s.bytes().
	read(s *torchStorage) error
}

// legacyMagic is in the first bytes of every legacy file: a pickle of the number
// 0x1950a86a20f9469cfc6c.
var legacyMagic = []byte("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

func isZip(data []byte) bool    { return bytes.HasPrefix(data, []byte("PK\x03\x04")) }
func isLegacy(data []byte) bool { return bytes.Contains(data[:min(len(data), 32)], legacyMagic) }

// openTorch returns the pickled value of a file.
func openTorch(data []byte) (root any, file torchFile, err error) {
	switch {
	case isZip(data):
		return openTorchZip(data)
	case isLegacy(data):
		return openTorchLegacy(data)
	}
	return nil, nil, fmt.Errorf("not a file of torch.save: it begins with %q", data[:min(len(data), 8)])
}

// stateDict finds the dict with the tensors.
func stateDict(root any) (*pickleDict, error) {
	dict, ok := root.(*pickleDict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, want a state dict: names and tensors", kindOf(root))
	}
	for _, key := range []string{"state_dict", "model_state_dict"} {
		if v, ok := dict.get(key); ok {
			if nested, ok := v.(*pickleDict); ok {
				return nested, nil
			}
		}
	}
	isTensor := func(v any) bool { _, ok := v.(*torchTensor); return ok }
	if len(dict.values) > 0 && !slices.ContainsFunc(dict.values, isTensor) {
		return nil, errors.New(`it holds a dict without tensors, want a state dict, alone or under "state_dict" or "model_state_dict"`)
	}
	return dict, nil
}
