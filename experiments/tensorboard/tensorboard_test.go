package tensorboard

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What TensorBoard's own Python writer (tensorboard.summary.writer.record_writer)
// makes of these two events.
var (
	knownEvents = []Event{
		{WallTime: 1700000000.25, FileVersion: fileVersion},
		{WallTime: 1700000001.5, Step: 300, Scalars: []Scalar{{"loss/train", 0.125}, {"accuracy/train", 0}}},
	}
	knownBytes, _ = hex.DecodeString("1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9" +
		"3800000000000000a3797d570900006040fc54d94110ac022a2a0a110a0a6c6f73732f747261696e150000003e" +
		"0a150a0e61636375726163792f747261696e1500000000a3fdf352")
)

// clock returns the given times one after the other, then the last.
func clock(unix ...float64) func() time.Time {
	return func() time.Time {
		t := time.UnixMilli(int64(unix[0] * 1000))
		if len(unix) > 1 {
			unix = unix[1:]
		}
		return t
	}
}

func TestCRC32CCheckValue(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), castagnoli); got != 0xe3069283 {
		t.Errorf("CRC32C of the check string is %#x", got)
	}
}

func TestWriterMakesKnownBytes(t *testing.T) {
	dir := t.TempDir()
	w, err := open(dir, 0, clock(1700000000, 1700000000.25, 1700000001.5))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(300, knownEvents[1].Scalars...); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := files(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("files are %v, %v", names, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if base := filepath.Base(names[0]); base != "events.out.tfevents.1700000000."+host {
		t.Errorf("file name is %s", base)
	}
	got, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, knownBytes) {
		t.Errorf("bytes are\n%x, want\n%x", got, knownBytes)
	}
}

func TestReadKnownBytes(t *testing.T) {
	got, err := Read(bytes.NewReader(knownBytes))
	if err != nil || !reflect.DeepEqual(got, knownEvents) {
		t.Errorf("events are %+v, %v", got, err)
	}
}

func TestOpenGoesOnWhereTheRunResumes(t *testing.T) {
	dir := t.TempDir()
	write := func(last int64, steps ...int64) {
		t.Helper()
		w, err := Open(dir, last)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if err := w.Add(s, Scalar{"loss", float32(s)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	name := func() string {
		names, err := files(dir)
		if err != nil || len(names) != 1 {
			t.Fatalf("files are %v, %v", names, err)
		}
		return names[0]
	}
	steps := func() (list []int64) {
		data, err := os.ReadFile(name())
		if err != nil {
			t.Fatal(err)
		}
		events, err := Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if (e.FileVersion != "") != (len(list) == 0) {
				t.Fatalf("events are %+v", events)
			}
			list = append(list, e.Step)
		}
		return list
	}
	write(0, 1, 2, 3)
	write(2, 3, 4)
	if got := steps(); !reflect.DeepEqual(got, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("steps are %v", got)
	}
	// Every way of cutting the last record off keeps what is before it.
	whole, err := os.ReadFile(name())
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole) - 1; cut > 0; cut -= 7 {
		if err := os.WriteFile(name(), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		before := steps0(whole[:cut])
		write(math.MaxInt64, 9)
		want := append(before, 9)
		if len(before) == 0 {
			want = []int64{0, 9}
		}
		if got := steps(); !reflect.DeepEqual(got, want) {
			t.Errorf("cut at %d: steps are %v, want %v", cut, got, want)
		}
	}
}

func steps0(data []byte) (list []int64) {
	events, _ := Read(bytes.NewReader(data))
	for _, e := range events {
		list = append(list, e.Step)
	}
	return list
}

func TestDamageIsAnError(t *testing.T) {
	for at, want := range map[int]string{
		0:  "record 1: wrong checksum of a record's length",
		20: "record 1: wrong checksum of a record's data",
		60: "record 2: wrong checksum of a record's data",
	} {
		data := bytes.Clone(knownBytes)
		data[at] ^= 1
		if _, err := Read(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("byte %d: error is %v, want %s", at, err, want)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filePrefix+"1.host"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if w, err := Open(dir, math.MaxInt64); err == nil {
			w.Close()
			t.Errorf("byte %d: a damaged file was appended to", at)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), 0); err == nil {
		t.Error("a folder that is not there was opened")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(knownBytes)
	f.Add(appendRecord(nil, []byte{eventSummary<<3 | wireBytes, 0x7f}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Read(bytes.NewReader(data))
		// Behind a right checksum the decoder sees anything; what it makes of it
		// is written and read back the same.
		events, err := Read(bytes.NewReader(appendRecord(nil, data)))
		if err != nil {
			return
		}
		again, err := Read(bytes.NewReader(appendRecord(nil, events[0].marshal())))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(events) {
			t.Fatalf("%+v was read back as %+v, %v", events, again, err)
		}
	})
}
