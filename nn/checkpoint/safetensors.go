package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxHeader bounds the header, as the format's own implementation does.
const maxHeader = 100_000_000

const metadataName = "__metadata__"

// ParseSafetensors decodes a safetensors file (https://huggingface.co/docs/safetensors):
// 8 bytes with the length of the header, little endian; a JSON object from
// names to type, shape and place; the elements. Entries come in the order of
// their data and share memory with it.
//
// It is strict: names are unique, every tensor's place has the size its type
// and shape want, and the places cover the data without gap or overlap.
func ParseSafetensors(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("not a safetensors file: %d bytes, want at least 8", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader {
		return nil, fmt.Errorf("not a safetensors file: its header would be %d bytes long, the limit is %d", n, maxHeader)
	}
	if n > uint64(len(data)-8) {
		return nil, fmt.Errorf("safetensors file is truncated: header of %d bytes, %d are there", n, len(data)-8)
	}
	header, body := data[8:8+n], data[8+n:]
	if len(header) == 0 || header[0] != '{' {
		return nil, errors.New("not a safetensors file: its header does not start with {")
	}
	f, places, err := parseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	if err := f.place(places, body); err != nil {
		return nil, err
	}
	return f, nil
}

// span is where a tensor lies in the data.
type span struct {
	entry      Entry
	begin, end uint64
}

// parseHeader walks the JSON object token by token, since decoding into a map
// would hide names that appear twice.
func parseHeader(header []byte) (*File, []span, error) {
	d := json.NewDecoder(bytes.NewReader(header))
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	f := new(File)
	var places []span
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name := token.(string)
		if err := checkName(name); err != nil {
			return nil, nil, err
		}
		if seen[name] {
			return nil, nil, fmt.Errorf("%q appears twice", name)
		}
		seen[name] = true
		if name == metadataName {
			if err := d.Decode(&f.Metadata); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", metadataName, err)
			}
			continue
		}
		s, err := parseSpan(d, name)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		places = append(places, s)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("something follows the closing }")
	}
	return f, places, nil
}

func parseSpan(d *json.Decoder, name string) (span, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return span{}, err
	}
	var v struct {
		DType   *DType    `json:"dtype"`
		Shape   *[]int    `json:"shape"`
		Offsets *[]uint64 `json:"data_offsets"`
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&v); err != nil {
		return span{}, err
	}
	if v.DType == nil || v.Shape == nil || v.Offsets == nil || len(*v.Offsets) != 2 {
		return span{}, errors.New("want dtype, shape and two data_offsets")
	}
	s := span{Entry{Name: name, DType: *v.DType, Shape: *v.Shape}, (*v.Offsets)[0], (*v.Offsets)[1]}
	size, err := byteSize(s.entry.DType, s.entry.Shape)
	if err != nil {
		return span{}, err
	}
	if s.end < s.begin || s.end-s.begin != uint64(size) {
		return span{}, fmt.Errorf("data_offsets [%d, %d], %s%v wants %d bytes", s.begin, s.end, s.entry.DType, s.entry.Shape, size)
	}
	return s, nil
}

// place gives every entry its part of body.
func (f *File) place(places []span, body []byte) error {
	slices.SortStableFunc(places, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := uint64(0)
	f.Entries = make([]Entry, 0, len(places))
	for _, s := range places {
		if s.begin != at {
			return fmt.Errorf("safetensors file: tensor %q begins at byte %d of the data, want %d: no gap and no overlap", s.entry.Name, s.begin, at)
		}
		if s.end > uint64(len(body)) {
			return fmt.Errorf("safetensors file is truncated: tensor %q ends at byte %d of the data, %d are there", s.entry.Name, s.end, len(body))
		}
		s.entry.Data = body[s.begin:s.end:s.end]
		f.Entries = append(f.Entries, s.entry)
		at = s.end
	}
	if at != uint64(len(body)) {
		return fmt.Errorf("safetensors file: %d bytes of data, its tensors take %d", len(body), at)
	}
	return nil
}
