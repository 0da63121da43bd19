package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteSafetensors writes f to path. A reader sees the old file or the whole
// new one, whatever happens meanwhile.
func WriteSafetensors(path string, f *File) error {
	return WriteFile(path, f.Encode)
}

// Encode writes f in the safetensors format, the tensors in their order.
func (f *File) Encode(w io.Writer) error {
	header, err := f.header()
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, e := range f.Entries {
		if _, err := w.Write(e.Data); err != nil {
			return err
		}
	}
	return nil
}

// header returns the JSON object, filled up with spaces to a multiple of 8.
func (f *File) header() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if _, taken := f.Entry(metadataName); taken {
		return nil, fmt.Errorf("tensor %q: this name is taken", metadataName)
	}
	var b bytes.Buffer
	field := func(name string, v any) error {
		if b.Len() == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
		return nil
	}
	if len(f.Metadata) > 0 {
		if err := field(metadataName, f.Metadata); err != nil {
			return nil, err
		}
	}
	at := 0
	for _, e := range f.Entries {
		err := field(e.Name, struct {
			DType   DType  `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{e.DType, append([]int{}, e.Shape...), [2]int{at, at + len(e.Data)}})
		if err != nil {
			return nil, err
		}
		at += len(e.Data)
	}
	if b.Len() == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("the names and shapes take %d bytes, the limit of the format is %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// WriteFile replaces the file at path by what write produces: first into a new
// file in the same folder, which reaches the disk before it takes the name. On
// any error the old file stays and the new one is removed.
func WriteFile(path string, write func(w io.Writer) error) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	file, err := os.CreateTemp(dir, "."+base+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // the first error is the one to tell
			_ = os.Remove(file.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	buffer := bufio.NewWriterSize(file, 1<<20)
	if err := write(buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	// CreateTemp gives 0600; a checkpoint is as readable as any new file.
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes the rename itself survive a power cut, where the system can
// do that: some cannot open or sync a folder, which is no reason to fail.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	_ = d.Sync()
	return d.Close()
}
