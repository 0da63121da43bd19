package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is the content of a checkpoint: named tensors in a fixed order and, in a
// safetensors file, free text about them.
type File struct {
	Entries  []Entry
	Metadata map[string]string
}

// Entry returns the tensor of that name.
func (f *File) Entry(name string) (Entry, bool) {
	i := slices.IndexFunc(f.Entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return f.Entries[i], true
}

// Parallel is the prefix that PyTorch's DataParallel puts before every name.
const Parallel = "module."

// WithPrefix returns the same tensors with prefix before every name. If Parallel
// is before all of them, it gives way to prefix.
func (f *File) WithPrefix(prefix string) *File {
	old := Parallel
	if slices.ContainsFunc(f.Entries, func(e Entry) bool { return !strings.HasPrefix(e.Name, Parallel) }) {
		old = ""
	}
	renamed := &File{Entries: slices.Clone(f.Entries), Metadata: f.Metadata}
	for i, e := range renamed.Entries {
		renamed.Entries[i].Name = prefix + strings.TrimPrefix(e.Name, old)
	}
	return renamed
}

// check tells whether every tensor is whole and has a name of its own.
func (f *File) check() error {
	seen := map[string]bool{}
	for _, e := range f.Entries {
		if err := checkName(e.Name); err != nil {
			return err
		}
		if err := e.check(); err != nil {
			return err
		}
		if seen[e.Name] {
			return fmt.Errorf("tensor %q: this name is taken", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

// Format is a format of checkpoint files.
type Format string

// The formats that are read and written.
const (
	Torch       Format = "torch"       // PyTorch's torch.save
	Safetensors Format = "safetensors" // https://huggingface.co/docs/safetensors
)

// FormatOf returns the format that the extension of a path stands for:
// .safetensors, or .model, .pt and .pth, which torch.save writes.
func FormatOf(path string) (Format, error) {
	switch ext := filepath.Ext(path); strings.ToLower(ext) {
	case ".safetensors":
		return Safetensors, nil
	case ".model", ".pt", ".pth":
		return Torch, nil
	default:
		return "", fmt.Errorf("%s: its extension %q is none of a checkpoint, want .model, .pt, .pth or .safetensors", path, ext)
	}
}

// Read reads a state dict in either format, which the content tells, whatever
// the file is called.
func Read(path string) (*File, error) {
	return readFile(path, parse)
}

// ReadTensor reads a single tensor: what torch.save(tensor) wrote, or a
// safetensors file with one tensor. It may lack a name.
func ReadTensor(path string) (Entry, error) {
	return readFile(path, parseTensor)
}

// ReadSafetensors reads a whole safetensors file.
func ReadSafetensors(path string) (*File, error) {
	return readFile(path, ParseSafetensors)
}

// readFile parses a file and names it in the error.
func readFile[T any](path string, parse func(data []byte) (T, error)) (T, error) {
	var none T
	data, err := os.ReadFile(path)
	if err != nil {
		return none, err
	}
	value, err := parse(data)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

func parse(data []byte) (*File, error) {
	switch format, err := detect(data); {
	case err != nil:
		return nil, err
	case format == Torch:
		return ParseTorch(data)
	}
	return ParseSafetensors(data)
}

func parseTensor(data []byte) (Entry, error) {
	switch format, err := detect(data); {
	case err != nil:
		return Entry{}, err
	case format == Torch:
		return ParseTorchTensor(data)
	}
	f, err := ParseSafetensors(data)
	if err != nil {
		return Entry{}, err
	}
	if len(f.Entries) != 1 {
		return Entry{}, fmt.Errorf("it holds %d tensors, want one", len(f.Entries))
	}
	return f.Entries[0], nil
}

// detect tells the format by the first bytes.
func detect(data []byte) (Format, error) {
	switch {
	case len(data) == 0:
		return "", errors.New("the file is empty, want a file of torch.save or safetensors")
	case isZip(data), isLegacy(data):
		return Torch, nil
	case len(data) > 8 && data[8] == '{':
		return Safetensors, nil
	case bytes.HasPrefix(data, []byte("\x80")):
		return "", errors.New("it is a pickle that torch.save did not write, want a file of torch.save or safetensors")
	}
	return "", fmt.Errorf("neither a file of torch.save nor safetensors: it begins with %q", data[:min(len(data), 8)])
}

// Write writes f to path in the given format. A reader sees the old file or the
// whole new one, whatever happens meanwhile.
func Write(path string, f *File, format Format) error {
	switch format {
	case Torch:
		return WriteFile(path, f.EncodeTorch)
	case Safetensors:
		return WriteFile(path, f.Encode)
	}
	return fmt.Errorf("format %q, want %s or %s", format, Torch, Safetensors)
}
