package tensorboard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	filePrefix  = "events.out.tfevents."
	fileVersion = "brain.Event:2"
)

// Writer appends scalars to an event file. It is not for several goroutines.
type Writer struct {
	file *os.File
	now  func() time.Time
}

// Open goes on with the newest event file in dir, or starts one. Of a file that
// is there it keeps the steps up to lastStep and drops later ones and a record
// that was cut short: a resumed run writes them again.
func Open(dir string, lastStep int64) (*Writer, error) {
	return open(dir, lastStep, time.Now)
}

func open(dir string, lastStep int64, now func() time.Time) (*Writer, error) {
	w := &Writer{now: now}
	names, err := files(dir)
	if err != nil {
		return nil, fmt.Errorf("event file: %w", err)
	}
	if len(names) == 0 {
		if err := w.create(dir); err != nil {
			return nil, err
		}
		return w, nil
	}
	name := names[len(names)-1]
	if w.file, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("event file: %w", err)
	}
	if err := w.keep(lastStep); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("event file %s: %w", name, err)
	}
	return w, nil
}

// files lists the event files of dir, oldest first: their names begin with the
// time of creation.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filePrefix) && e.Type().IsRegular() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// create starts a file with the record that says which format it is in.
func (w *Writer) create(dir string) error {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '-'
		}
		return r
	}, host)
	name := filepath.Join(dir, fmt.Sprintf("%s%010d.%s", filePrefix, w.now().Unix(), host))
	if w.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return fmt.Errorf("event file: %w", err)
	}
	if err := w.append(&Event{WallTime: w.wallTime(), FileVersion: fileVersion}); err != nil {
		w.file.Close()
		return err
	}
	return nil
}

// keep cuts the file after the last record of a step up to lastStep and leaves
// the position there.
func (w *Writer) keep(lastStep int64) error {
	r := bufio.NewReader(w.file)
	var end int64
	for {
		data, err := readRecord(r)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if err != nil {
			return fmt.Errorf("at byte %d: %w", end, err)
		}
		var e Event
		if err := e.unmarshal(data); err != nil {
			return fmt.Errorf("at byte %d: %w", end, err)
		}
		if e.Step > lastStep {
			break
		}
		end += recordHeader + int64(len(data)) + recordFooter
	}
	if err := w.file.Truncate(end); err != nil {
		return err
	}
	if _, err := w.file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if end == 0 {
		return w.append(&Event{WallTime: w.wallTime(), FileVersion: fileVersion})
	}
	return nil
}

// Add writes the scalars of one step. Each call is one write, so a reader that
// follows the file sees whole records.
func (w *Writer) Add(step int64, scalars ...Scalar) error {
	return w.append(&Event{WallTime: w.wallTime(), Step: step, Scalars: scalars})
}

func (w *Writer) append(e *Event) error {
	if _, err := w.file.Write(appendRecord(nil, e.marshal())); err != nil {
		return fmt.Errorf("event file: %w", err)
	}
	return nil
}

func (w *Writer) wallTime() float64 {
	t := w.now()
	return float64(t.Unix()) + float64(t.Nanosecond())/1e9
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// Read returns the events of a file, the first of which holds the format
// version. A record that was cut short ends it without an error.
func Read(r io.Reader) ([]Event, error) {
	buffered := bufio.NewReader(r)
	var events []Event
	for {
		data, err := readRecord(buffered)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return events, nil
		case err != nil:
			return events, fmt.Errorf("event file, record %d: %w", len(events)+1, err)
		}
		var e Event
		if err := e.unmarshal(data); err != nil {
			return events, fmt.Errorf("event file, record %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
