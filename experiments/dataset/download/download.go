// Package download brings files from the network onto the disk, whole and as
// they were published or not at all, and unpacks archives without trusting them.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say how to download. The zero value works.
type Options struct {
	Client *http.Client // nil: one that follows redirects and proxies as usual
	// Progress is told how many bytes are there, of how many (0: not known).
	Progress func(done, total int64)
	Pause    time.Duration // before the second attempt, doubling from there; 0: a second
	Stall    time.Duration // without a byte, after which an attempt ends; 0: a minute
}

// attempts is how often a server may fail in a row without sending a new byte.
const attempts = 4

// maxUnknown bounds a file whose size is not known.
const maxUnknown = 1 << 32

// File downloads the wanted file to path, from the first of the addresses that
// has it. Until it is whole and its checksum is right it is called PartName(path);
// what is there of that is continued, now after a broken connection and later
// after a stop. A corrupt one is removed.
func File(ctx context.Context, path string, addresses []string, want Want, o Options) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var failures []string
	for _, address := range addresses {
		err := fetch(ctx, path, address, want, o)
		var network *url.Error
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, new(*localError)):
			return err
		case errors.As(err, &network): // it names the address too
			err = network.Err
		}
		failures = append(failures, fmt.Sprintf("%s: %v", address, err))
	}
	return fmt.Errorf("download of %s: %s", filepath.Base(path), strings.Join(failures, "; "))
}

// PartName is what an unfinished download of path is called.
func PartName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
}

// localError is a failure on this machine, which no other server mends.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// fetch downloads from one address. A part that was there before may be of
// another file: when the sum is wrong it is fetched once more as a whole.
func fetch(ctx context.Context, path, address string, want Want, o Options) error {
	part := PartName(path)
	for {
		before, err := sizeOf(part)
		if err != nil {
			return err
		}
		if err := transfer(ctx, part, address, want, o); err != nil {
			return err
		}
		err = want.Check(part)
		if err == nil {
			return finish(part, path)
		}
		if removed := os.Remove(part); removed != nil {
			return &localError{removed}
		}
		if before == 0 {
			return fmt.Errorf("the file that came is not the published one: %w", err)
		}
	}
}

// transfer makes attempts until the part is as long as it should be.
func transfer(ctx context.Context, part, address string, want Want, o Options) error {
	pause := o.Pause
	if pause == 0 {
		pause = time.Second
	}
	t := &attempt{part: part, address: address, want: want, options: o}
	var best int64
	for failed := 0; ; {
		err := t.run(ctx)
		if err == nil || !errors.As(err, new(*temporaryError)) || ctx.Err() != nil {
			return err
		}
		size, local := sizeOf(part)
		if local != nil {
			return local
		}
		if failed++; size > best {
			best, failed = size, 1
		}
		if failed == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause << (failed - 1)):
		}
	}
}

func sizeOf(part string) (int64, error) {
	info, err := os.Stat(part)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, &localError{err}
	}
	return info.Size(), nil
}

// finish gives the part, which reaches the disk first, its name.
func finish(part, path string) error {
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return &localError{err}
	}
	err = errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return &localError{err}
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// syncFolder makes a rename survive a power cut where the system can do that.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// writeAll copies a stream to a file, reporting how many bytes came; reading and
// writing fail differently.
func writeAll(w io.Writer, r io.Reader, came func(n int)) error {
	buffer := make([]byte, 1<<16)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return &localError{err}
			}
			came(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
