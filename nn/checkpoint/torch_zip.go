package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// torchZip is the zip format of torch.save: NAME/data.pkl, which is a pickle,
// NAME/data/KEY for each storage, and NAME/version. Records are stored, not
// compressed, so nothing in it is larger than the file.
type torchZip struct {
	data    []byte
	records map[string]*zip.File // by their names after NAME/
	left    uint64               // bytes that may still be read: records do not overlap
}

func openTorchZip(data []byte) (any, torchFile, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, nil, fmt.Errorf("the file is truncated or damaged: %w", err)
	}
	z := &torchZip{data: data, records: map[string]*zip.File{}, left: uint64(len(data))}
	root := ""
	for i, f := range archive.File {
		folder, name, _ := strings.Cut(f.Name, "/")
		if i == 0 {
			root = folder
		}
		if _, twice := z.records[name]; twice || folder != root {
			return nil, nil, fmt.Errorf("not a file of torch.save: record %.100q of the archive is there twice or in another folder than %.100q", f.Name, root)
		}
		z.records[name] = f
	}
	if _, ok := z.records["constants.pkl"]; ok {
		return nil, nil, errors.New("it is a TorchScript archive, want a state dict: torch.save(module.state_dict(), ...)")
	}
	if err := z.checkByteOrder(); err != nil {
		return nil, nil, err
	}
	pickle, err := z.record("data.pkl")
	if err != nil {
		return nil, nil, err
	}
	u := newTorchUnpickler(pickle)
	value, err := u.load()
	return value, z, err
}

// checkByteOrder reads what PyTorch 2 adds to its files.
func (z *torchZip) checkByteOrder() error {
	if _, ok := z.records["byteorder"]; !ok {
		return nil
	}
	order, err := z.record("byteorder")
	if err == nil && string(order) != "little" {
		return fmt.Errorf("its numbers have byte order %.20q, want little", order)
	}
	return err
}

// record returns the content of a record, which is a part of the file.
func (z *torchZip) record(name string) ([]byte, error) {
	f, ok := z.records[name]
	if !ok {
		return nil, fmt.Errorf("the archive has no record %.100q: not a file of torch.save, or damaged", name)
	}
	size := f.UncompressedSize64
	if f.Method != zip.Store || f.CompressedSize64 != size {
		return nil, fmt.Errorf("record %.100q is compressed, want it stored as torch.save does", name)
	}
	offset, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("record %.100q: the file is damaged: %w", name, err)
	}
	if size > z.left || offset < 0 || uint64(offset) > uint64(len(z.data)) || size > uint64(len(z.data))-uint64(offset) {
		return nil, fmt.Errorf("record %.100q with its %d bytes reaches out of the file or overlaps another", name, size)
	}
	z.left -= size
	content := z.data[offset : uint64(offset)+size]
	if crc32.ChecksumIEEE(content) != f.CRC32 {
		return nil, fmt.Errorf("record %.100q does not have its checksum: the file is damaged", name)
	}
	return content, nil
}

func (z *torchZip) read(s *torchStorage) error {
	if s.data != nil {
		return nil
	}
	content, err := z.record("data/" + s.key)
	if err != nil {
		return err
	}
	if uint64(len(content)) != s.bytes() {
		return fmt.Errorf("record \"data/%.40s\" has %d bytes, its %d elements of %s take %d", s.key, len(content), s.length, s.class, s.bytes())
	}
	s.data = content
	return nil
}
