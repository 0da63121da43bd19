package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A TFRecord is: length uint64, masked CRC32C of those 8 bytes, the data, masked
// CRC32C of the data; all little-endian
// (tensorflow/core/lib/io/record_writer.h).
const (
	recordHeader = 12
	recordFooter = 4
	// maxRecord bounds what a damaged length can make a reader allocate.
	maxRecord = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is CRC32C rotated right by 15 plus a constant, so that a checksum
// of data that holds checksums is no weaker.
func maskedCRC(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

func appendRecord(b, data []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b[start:]))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(data))
}

// errTorn marks a record that the file ends in: writing it was cut short.
var errTorn = errors.New("the file ends inside a record")

// readRecord returns the next record's data: io.EOF after the last one, errTorn
// inside one, another error where a checksum is wrong.
func readRecord(r io.Reader) ([]byte, error) {
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, tornUnlessEOF(err)
	}
	size := binary.LittleEndian.Uint64(header)
	if maskedCRC(header[:8]) != binary.LittleEndian.Uint32(header[8:]) {
		return nil, errors.New("wrong checksum of a record's length")
	}
	if size > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes, want at most %d", size, maxRecord)
	}
	body := make([]byte, size+recordFooter)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, tornUnlessEOF(err)
	}
	data := body[:size]
	if maskedCRC(data) != binary.LittleEndian.Uint32(body[size:]) {
		return nil, errors.New("wrong checksum of a record's data")
	}
	return data, nil
}

func tornUnlessEOF(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}
