package download

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// content is a file to download, large enough for several packets.
var content = func() []byte {
	b := make([]byte, 300_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

func wanted(b []byte) Want {
	sum := sha256.Sum256(b)
	return Want{Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
}

// server answers the n-th request for the file by handle and remembers what was
// asked for.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

func serve(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.ranges)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		handle(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func honest(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// breakOff announces all and sends half of what is asked for.
func breakOff(w http.ResponseWriter, r *http.Request) {
	start := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(content)-1, len(content)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)-start))
	if start > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(content[start : start+(len(content)-start)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

var quick = Options{Pause: time.Millisecond, Stall: 10 * time.Second}

// wantFile checks that the download is whole, and nothing else is in its folder.
func wantFile(t *testing.T, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v; want the published file", len(got), err)
	}
	wantOnly(t, filepath.Dir(path), filepath.Base(path))
}

func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if !slices.Equal(found, names) {
		t.Errorf("the folder holds %q, want %q", found, names)
	}
}

// Whatever a server does that can be put right, the file arrives.
func TestFileArrives(t *testing.T) {
	for name, c := range map[string]struct {
		part   []byte // there from before
		handle func(n int, w http.ResponseWriter, r *http.Request)
		ranges []string // of the requests
	}{
		"at once":   {nil, func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) }, []string{""}},
		"continued": {content[:1000], func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) }, []string{"bytes=1000-"}},
		"whole before": {content, func(_ int, w http.ResponseWriter, r *http.Request) {
			t.Error("asked for a file that is there")
		}, nil},
		"broken off twice": {nil, func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 2 {
				breakOff(w, r)
			}
			honest(w, r)
		}, []string{"", "bytes=150000-", "bytes=225000-"}},
		"ignores Range": {content[:1000], func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(content)
		}, []string{"bytes=1000-"}},
		"another Range": {content[:1000], func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 500-%d/%d", len(content)-1, len(content)))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[500:])
				return
			}
			honest(w, r)
		}, []string{"bytes=1000-", ""}},
		"refuses Range": {content[:1000], func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			honest(w, r)
		}, []string{"bytes=1000-", ""}},
		"part of another file": {bytes.Repeat([]byte("x"), 1000), func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) }, []string{"bytes=1000-", ""}},
		"part too long":        {make([]byte, len(content)+1), func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) }, []string{""}},
		"busy": {nil, func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			honest(w, r)
		}, []string{"", "", ""}},
		"length not told": {nil, func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(content[:100_000])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(content[100_000:])
		}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.handle)
			path := filepath.Join(t.TempDir(), "sub", "file.bin")
			if c.part != nil {
				putPart(t, path, c.part)
			}
			if err := File(t.Context(), path, []string{s.URL}, wanted(content), quick); err != nil {
				t.Fatal(err)
			}
			wantFile(t, path)
			if !slices.Equal(s.ranges, c.ranges) {
				t.Errorf("asked for the ranges %q, want %q", s.ranges, c.ranges)
			}
		})
	}
}

func putPart(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(PartName(path), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What is not the published file never gets its name. Only what may still become
// it is kept.
func TestFileRefuses(t *testing.T) {
	corrupt := bytes.Clone(content)
	corrupt[200_000] ^= 1
	for name, c := range map[string]struct {
		handle func(n int, w http.ResponseWriter, r *http.Request)
		asked  int
		kept   int64 // bytes
		want   []string
	}{
		"corrupt": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(corrupt))
		}, 1, 0, []string{"not the published one", "SHA-256 is " + wanted(corrupt).SHA256, wanted(content).SHA256}},
		"another length": {func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("<html>please log in</html>"))
		}, 1, 0, []string{"offers 26 bytes", "has 300000"}},
		"endless": {func(_ int, w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}, 1, 0, []string{"more than the 300000 bytes"}},
		"always breaks off at the same byte": {func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:70_000])
		}, attempts, 70_000, []string{"broken off after 70000 of 300000 bytes"}},
		"ends early without a word": {func(_ int, w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(content[:70_000])
			_ = http.NewResponseController(w).Flush()
		}, attempts, 70_000, []string{"ended after 70000 of 300000 bytes"}},
		"not there": {func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, 1, 0, []string{"404 Not Found"}},
		"always busy": {func(_ int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, attempts, 0, []string{"503 Service Unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.handle)
			path := filepath.Join(t.TempDir(), "file.bin")
			err := File(t.Context(), path, []string{s.URL + "/x"}, wanted(content), quick)
			wantError(t, err, append(c.want, "file.bin", s.URL+"/x")...)
			if len(s.ranges) != c.asked {
				t.Errorf("asked %d times, want %d", len(s.ranges), c.asked)
			}
			if size, err := sizeOf(PartName(path)); err != nil || size != c.kept {
				t.Errorf("%d bytes kept, %v; want %d", size, err, c.kept)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is there: %v", err)
			}
		})
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is longer than a line", err)
	}
}

// A header that promises less than the file has is refused before a byte is
// written, and one that promises more than comes is a broken connection: a raw
// server, since net/http does not lie.
func TestLengthIsALie(t *testing.T) {
	for name, c := range map[string]struct {
		announced int
		want      string
	}{"less": {len(content) - 1, "offers 299999 bytes"}, "more": {len(content) + 1, "offers 300001 bytes"}, "not as much comes": {len(content), "broken off after 100000 of 300000 bytes"}} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", c.announced, content[:100_000])
					_ = conn.Close()
				}
			}()
			path := filepath.Join(t.TempDir(), "file.bin")
			wantError(t, File(t.Context(), path, []string{"http://" + listener.Addr().String()}, wanted(content), quick), c.want)
		})
	}
}

// A stop keeps what has come, and the next call goes on from there.
func TestStopAndGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	half := make(chan struct{})
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n > 0 {
			honest(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:len(content)/2])
		_ = http.NewResponseController(w).Flush()
		close(half)
		<-r.Context().Done()
	})
	o := quick
	o.Progress = func(done, total int64) {
		if total != int64(len(content)) {
			t.Errorf("%d bytes of %d", done, total)
		}
		if done == int64(len(content)/2) {
			<-half
			cancel()
		}
	}
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := File(ctx, path, []string{s.URL}, wanted(content), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	var last int64
	o.Progress = func(done, _ int64) { last = done }
	if err := File(t.Context(), path, []string{s.URL}, wanted(content), o); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path)
	if want := []string{"", "bytes=150000-"}; !slices.Equal(s.ranges, want) || last != int64(len(content)) {
		t.Errorf("asked for %q, progress ends at %d; want %q and %d", s.ranges, last, want, len(content))
	}
}

// A server that falls silent is left, and the next mirror goes on.
func TestMirrors(t *testing.T) {
	silent := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:1000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	gone := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	good := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) })
	o := quick
	o.Stall = 300 * time.Millisecond
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := File(t.Context(), path, []string{gone.URL, "http://127.0.0.1:1/", silent.URL, good.URL}, wanted(content), o); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path)
	if len(silent.ranges) != attempts || good.ranges[0] != "bytes=1000-" {
		t.Errorf("the silent server was asked %d times, the good one for %q", len(silent.ranges), good.ranges)
	}
	err := File(t.Context(), filepath.Join(t.TempDir(), "f"), []string{gone.URL, silent.URL}, wanted(content), o)
	wantError(t, err, gone.URL+": 404", silent.URL+": ", "no data for too long")
}

// Where only an MD5 sum is known, that decides, of a file of any length.
func TestUnknownSize(t *testing.T) {
	sum := md5.Sum(content)
	want := Want{MD5: hex.EncodeToString(sum[:])}
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			breakOff(w, r)
		}
		honest(w, r)
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := File(t.Context(), path, []string{s.URL}, want, quick); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path)
	want.MD5 = strings.Repeat("0", 32)
	wantError(t, File(t.Context(), filepath.Join(t.TempDir(), "f"), []string{s.URL}, want, quick), "MD5 is "+hex.EncodeToString(sum[:]))
}

// A disk that cannot be written to is told as such, and no other mirror is asked.
func TestLocalFailure(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { honest(w, r) })
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := os.Mkdir(PartName(path), 0o755); err != nil {
		t.Fatal(err)
	}
	err := File(t.Context(), path, []string{s.URL, s.URL}, wanted(content), quick)
	wantError(t, err, PartName(path))
	if len(s.ranges) > 1 {
		t.Errorf("asked %d times", len(s.ranges))
	}
}
