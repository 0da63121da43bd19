package download

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// item is an entry of an archive.
type item struct {
	name, text string
	kind       byte // of tar; 0: a file, or a folder when name ends in /
}

func tarOf(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Mode: 0o600, Size: int64(len(i.text)), Typeflag: i.kind}
		switch {
		case i.kind == tar.TypeSymlink || i.kind == tar.TypeLink:
			h.Linkname, h.Size = i.text, 0
		case strings.HasSuffix(i.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = w.Write([]byte(i.text))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

func zipOf(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		h.SetMode(0o600)
		if i.kind == tar.TypeSymlink {
			h.SetMode(0o777 | os.ModeSymlink)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(i.text))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	archiveOf = map[string]func(testing.TB, []item) []byte{"a.tar.gz": tarOf, "a.zip": zipOf}
	some      = []item{{name: "top/"}, {name: "top/a.txt", text: "aa"}, {name: "top/sub/b.txt", text: "bbb"}}
	enough    = Limits{Bytes: 100, Files: 10}
)

func put(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestUnpack(t *testing.T) {
	for name, make := range archiveOf {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			archive := put(t, filepath.Join(root, name), make(t, some))
			dir := filepath.Join(root, "data", "top")
			if err := Unpack(archive, "top", dir, enough); err != nil {
				t.Fatal(err)
			}
			wantText(t, filepath.Join(dir, "a.txt"), "aa")
			wantText(t, filepath.Join(dir, "sub", "b.txt"), "bbb")
			wantOnly(t, filepath.Dir(dir), "top")
		})
	}
}

// A folder that is there gets what it lacks, and keeps what it has.
func TestUnpackAddsWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	archive := put(t, filepath.Join(root, "a.tar.gz"), tarOf(t, some))
	dir := filepath.Join(root, "data", "top")
	put(t, filepath.Join(dir, "a.txt"), []byte("mine"))
	if err := Unpack(archive, "top", dir, enough); err != nil {
		t.Fatal(err)
	}
	wantText(t, filepath.Join(dir, "a.txt"), "mine")
	wantText(t, filepath.Join(dir, "sub", "b.txt"), "bbb")
	wantOnly(t, filepath.Dir(dir), "top")
}

// Nothing is written of an archive that holds anything else than files below its
// folder, and nothing outside of the folder ever.
func TestUnpackRefuses(t *testing.T) {
	with := func(i ...item) []item { return append(append([]item{}, some...), i...) }
	for name, c := range map[string]struct {
		items  []item
		limits Limits
		want   string
	}{
		"path upwards":         {with(item{name: "top/../../evil", text: "x"}), enough, "top/../../evil"},
		"path upwards at once": {with(item{name: "../evil", text: "x"}), enough, "../evil"},
		"absolute":             {with(item{name: "/tmp/evil", text: "x"}), enough, "/tmp/evil"},
		"backslashes":          {with(item{name: `top\..\..\evil`, text: "x"}), enough, `evil`},
		"beside the folder":    {with(item{name: "topper/evil", text: "x"}), enough, "topper/evil"},
		"link":                 {with(item{name: "top/l", text: "/etc/passwd", kind: tar.TypeSymlink}), enough, "top/l"},
		"file twice":           {with(item{name: "top/a.txt", text: "x"}), enough, "exists"},
		"file as folder":       {with(item{name: "top/a.txt/b", text: "x"}), enough, "a.txt"},
		"too long":             {some, Limits{Bytes: 4, Files: 10}, "more than the published files are long"},
		"too many":             {some, Limits{Bytes: 100, Files: 1}, "more files"},
	} {
		for archive, make := range archiveOf {
			t.Run(name+" in "+archive, func(t *testing.T) {
				root := t.TempDir()
				path := put(t, filepath.Join(root, archive), make(t, c.items))
				err := Unpack(path, "top", filepath.Join(root, "data", "top"), c.limits)
				wantError(t, err, archive, c.want)
				wantOnly(t, root, archive, "data")
				wantOnly(t, filepath.Join(root, "data"))
			})
		}
	}
	root := t.TempDir()
	hard := put(t, filepath.Join(root, "hard.tar.gz"), tarOf(t, with(item{name: "top/l", text: "top/a.txt", kind: tar.TypeLink})))
	wantError(t, Unpack(hard, "top", filepath.Join(root, "top"), enough), "top/l", "link")
}

// A damaged archive leaves nothing.
func TestUnpackCutOff(t *testing.T) {
	for name, make := range archiveOf {
		root := t.TempDir()
		b := make(t, some)
		path := put(t, filepath.Join(root, name), b[:len(b)-12])
		wantError(t, Unpack(path, "top", filepath.Join(root, "top"), enough), name)
		wantOnly(t, root, name)
	}
}

// Whatever an archive holds: nothing outside of the folder.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, some), false)
	f.Add(zipOf(f, some), true)
	f.Add(tarOf(f, []item{{name: "top/../x", text: "x"}, {name: "top/l", text: "/", kind: tar.TypeSymlink}}), false)
	f.Fuzz(func(t *testing.T, b []byte, zipped bool) {
		root := t.TempDir()
		name := "a.tar.gz"
		if zipped {
			name = "a.zip"
		}
		path := put(t, filepath.Join(root, name), b)
		data := filepath.Join(root, "data")
		if err := Unpack(path, "top", filepath.Join(data, "top"), enough); err != nil {
			wantOnly(t, data)
		} else {
			wantOnly(t, data, "top")
		}
		wantOnly(t, root, name, "data")
	})
}
