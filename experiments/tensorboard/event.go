// Package tensorboard writes scalars to TensorBoard event files, and reads them
// back. An event file is a row of TFRecords, each an Event protocol buffer
// (tensorflow/core/util/event.proto); scalars are Summary.Value.simple_value.
package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Scalar is one value of a curve.
type Scalar struct {
	Tag   string // TensorBoard groups by what stands before the slash: "loss/train"
	Value float32
}

// Event is one record of a file: the format version, or scalars of one step.
type Event struct {
	WallTime    float64 // seconds since 1970
	Step        int64
	FileVersion string // "brain.Event:2" in the first record, else ""
	Scalars     []Scalar
}

// Field numbers of event.proto and summary.proto, and the wire types of
// protocol buffers.
const (
	eventWallTime    = 1 // double
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // message Summary
	summaryValue     = 1 // repeated message Value
	valueTag         = 1 // string
	valueSimple      = 2 // float

	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// marshal encodes e as protoc's code does: fields in order, zeros left out.
func (e *Event) marshal() []byte {
	var b []byte
	if e.WallTime != 0 {
		b = appendTag(b, eventWallTime, wireFixed64)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(e.WallTime))
	}
	if e.Step != 0 {
		b = appendTag(b, eventStep, wireVarint)
		b = binary.AppendUvarint(b, uint64(e.Step))
	}
	if e.FileVersion != "" {
		b = appendBytes(b, eventFileVersion, []byte(e.FileVersion))
	}
	if len(e.Scalars) > 0 {
		var summary []byte
		for _, s := range e.Scalars {
			value := appendBytes(nil, valueTag, []byte(s.Tag))
			value = appendTag(value, valueSimple, wireFixed32)
			value = binary.LittleEndian.AppendUint32(value, math.Float32bits(s.Value))
			summary = appendBytes(summary, summaryValue, value)
		}
		b = appendBytes(b, eventSummary, summary)
	}
	return b
}

func appendTag(b []byte, field, wire uint64) []byte {
	return binary.AppendUvarint(b, field<<3|wire)
}

func appendBytes(b []byte, field uint64, data []byte) []byte {
	b = appendTag(b, field, wireBytes)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

// unmarshal decodes an Event; fields it does not know are skipped.
func (e *Event) unmarshal(data []byte) error {
	return eachField(data, func(f field) error {
		switch {
		case f.is(eventWallTime, wireFixed64):
			e.WallTime = math.Float64frombits(f.number)
		case f.is(eventStep, wireVarint):
			e.Step = int64(f.number)
		case f.is(eventFileVersion, wireBytes):
			e.FileVersion = string(f.data)
		case f.is(eventSummary, wireBytes):
			return eachField(f.data, func(f field) error {
				if !f.is(summaryValue, wireBytes) {
					return nil
				}
				return e.unmarshalValue(f.data)
			})
		}
		return nil
	})
}

func (e *Event) unmarshalValue(data []byte) error {
	var s Scalar
	simple := false
	err := eachField(data, func(f field) error {
		switch {
		case f.is(valueTag, wireBytes):
			s.Tag = string(f.data)
		case f.is(valueSimple, wireFixed32):
			s.Value, simple = math.Float32frombits(uint32(f.number)), true
		}
		return nil
	})
	if simple {
		e.Scalars = append(e.Scalars, s)
	}
	return err
}

// field is one decoded field of a message: number for the fixed and varint wire
// types, data for the length-delimited one.
type field struct {
	id, wire uint64
	number   uint64
	data     []byte
}

func (f field) is(id, wire uint64) bool { return f.id == id && f.wire == wire }

var errShort = errors.New("protocol buffer ends inside a field")

func eachField(data []byte, visit func(field) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 {
			return errShort
		}
		data = data[n:]
		f := field{id: tag >> 3, wire: tag & 7}
		switch f.wire {
		case wireVarint:
			if f.number, n = binary.Uvarint(data); n <= 0 {
				return errShort
			}
		case wireFixed64:
			if n = 8; len(data) < n {
				return errShort
			}
			f.number = binary.LittleEndian.Uint64(data)
		case wireFixed32:
			if n = 4; len(data) < n {
				return errShort
			}
			f.number = uint64(binary.LittleEndian.Uint32(data))
		case wireBytes:
			size, m := binary.Uvarint(data)
			if m <= 0 || size > uint64(len(data)-m) {
				return errShort
			}
			n = m + int(size)
			f.data = data[m:n]
		default:
			return fmt.Errorf("protocol buffer field %d has wire type %d", f.id, f.wire)
		}
		data = data[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}
