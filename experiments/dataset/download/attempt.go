package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// attempt asks one address for what is missing of a file.
type attempt struct {
	part, address string
	want          Want
	options       Options
	whole         bool // the server cannot send the rest of a file
}

// temporaryError is a failure that another attempt may not have.
type temporaryError struct{ error }

func (e *temporaryError) Unwrap() error { return e.error }

var errStalled = errors.New("no data for too long")

// run appends to the part what the server sends. The part is as long as it
// should be when run returns nil.
func (a *attempt) run(ctx context.Context) error {
	have, err := sizeOf(a.part)
	if err != nil {
		return err
	}
	if a.want.Size > 0 && have == a.want.Size {
		return nil
	}
	if a.whole || a.want.Size > 0 && have > a.want.Size {
		have = 0
	}
	stall := a.options.Stall
	if stall == 0 {
		stall = time.Minute
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer timer.Stop()
	response, err := a.ask(ctx, have)
	if err != nil {
		return a.failed(ctx, err)
	}
	defer response.Body.Close()
	from, total, err := a.judge(response, have)
	if err != nil {
		return err
	}
	body := &timed{response.Body, func() { timer.Reset(stall) }}
	err = a.append(body, from, total)
	if errors.As(err, new(*localError)) {
		return err
	}
	return a.complete(ctx, err, total)
}

// ask requests the file from byte have on.
func (a *attempt) ask(ctx context.Context, have int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.address, nil)
	if err != nil {
		return nil, &localError{err}
	}
	request.Header.Set("Accept-Encoding", "identity") // the sums are those of the files as they are
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	client := a.options.Client
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(request)
}

// judge decides from the header of a response from where on it continues the
// file and how long that is (0: not known).
func (a *attempt) judge(r *http.Response, have int64) (from, total int64, err error) {
	switch {
	case r.StatusCode == http.StatusOK:
		total = max(r.ContentLength, 0)
	case r.StatusCode == http.StatusPartialContent && have > 0:
		var last int64
		_, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &last, &total)
		if err != nil || from != have || last != total-1 {
			a.whole = true
			return 0, 0, &temporaryError{fmt.Errorf("asked for the bytes from %d on, the server sends %.60q", have, r.Header.Get("Content-Range"))}
		}
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		a.whole = true
		return 0, 0, &temporaryError{fmt.Errorf("the server has no bytes from %d on", have)}
	case r.StatusCode >= 500 || r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout:
		return 0, 0, &temporaryError{errors.New(r.Status)}
	default:
		return 0, 0, errors.New(r.Status)
	}
	if total > 0 && a.want.Size > 0 && total != a.want.Size {
		return 0, 0, fmt.Errorf("the server offers %d bytes, the published file has %d", total, a.want.Size)
	}
	return from, total, nil
}

// append writes the body behind the first from bytes of the part.
func (a *attempt) append(body io.Reader, from, total int64) error {
	f, err := os.OpenFile(a.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return &localError{err}
	}
	defer f.Close()
	if err := f.Truncate(from); err != nil {
		return &localError{err}
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return &localError{err}
	}
	limit := a.want.Size
	if limit == 0 {
		limit = maxUnknown
	}
	done := from
	err = writeAll(f, io.LimitReader(body, limit-from+1), func(n int) {
		done += int64(n)
		if a.options.Progress != nil {
			a.options.Progress(done, max(total, a.want.Size))
		}
	})
	if closed := f.Close(); err == nil && closed != nil {
		err = &localError{closed}
	}
	return err
}

// complete tells whether the part has its length after the body ended with err.
func (a *attempt) complete(ctx context.Context, err error, total int64) error {
	size, local := sizeOf(a.part)
	if local != nil {
		return local
	}
	limit := max(a.want.Size, total)
	switch {
	case a.want.Size > 0 && size > a.want.Size || size > maxUnknown:
		_ = os.Remove(a.part)
		return fmt.Errorf("the server sends more than the %d bytes of the published file", a.want.Size)
	case err != nil:
		return a.failed(ctx, fmt.Errorf("broken off after %d of %s bytes: %w", size, known(limit), err))
	case size < limit:
		return &temporaryError{fmt.Errorf("the server ended after %d of %d bytes", size, limit)}
	}
	return nil
}

func known(size int64) string {
	if size == 0 {
		return "unknown"
	}
	return fmt.Sprint(size)
}

// failed makes an error of the network temporary, and gives a stall its name.
func (a *attempt) failed(ctx context.Context, err error) error {
	if errors.As(err, new(*localError)) {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	if strings.Contains(err.Error(), "unsupported protocol scheme") {
		return err
	}
	return &temporaryError{err}
}

// timed reports every read that brings something.
type timed struct {
	io.Reader
	read func()
}

func (t *timed) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	if n > 0 {
		t.read()
	}
	return n, err
}
