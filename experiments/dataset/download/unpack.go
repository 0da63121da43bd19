package download

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Limits bound what an archive may hold.
type Limits struct {
	Bytes int64 // of all files, unpacked
	Files int
}

// Unpack writes the files of an archive (.tar.gz, .tgz or .zip) that lie below
// top in it into the folder dir, which appears when all are there. Where dir is
// there already, files that it has stay as they are. An archive with anything
// else in it is refused: paths elsewhere, links, more than the limits.
func Unpack(archive, top, dir string, limits Limits) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".*.unpacking")
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(work); err == nil {
			err = removed
		}
	}()
	u := &unpacker{dir: work, top: top, left: limits}
	if err := u.read(archive); err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(work, dir); err != nil {
			return err
		}
	} else if err := addMissing(work, dir); err != nil {
		return err
	}
	syncFolder(parent)
	return nil
}

// addMissing moves the files of work into dir that it does not have.
func addMissing(work, dir string) error {
	return filepath.WalkDir(work, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		sub, err := filepath.Rel(work, from)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, sub)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(from, to)
	})
}

type unpacker struct {
	dir, top string
	left     Limits
}

func (u *unpacker) read(archive string) error {
	if strings.HasSuffix(archive, ".zip") {
		return u.zip(archive)
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := u.tar(tar.NewReader(z)); err != nil {
		return err
	}
	// Reading to the end makes gzip check its checksum; tar fills blocks up.
	n, err := io.Copy(io.Discard, io.LimitReader(z, maxPadding+1))
	if err == nil && n > maxPadding {
		err = fmt.Errorf("more than %d bytes follow the archive", maxPadding)
	}
	return err
}

const maxPadding = 1 << 20

func (u *unpacker) tar(r *tar.Reader) error {
	for {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err
		case err == nil && h.Typeflag == tar.TypeXGlobalHeader:
			continue
		}
		mode := h.FileInfo().Mode()
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			mode |= fs.ModeIrregular // a hard link looks like a file
		}
		if err := u.entry(h.Name, mode, func() (io.ReadCloser, error) { return io.NopCloser(r), nil }); err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(archive string) error {
	z, err := zip.OpenReader(archive)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if err := u.entry(f.Name, f.Mode(), f.Open); err != nil {
			return err
		}
	}
	return nil
}

// entry writes one file or makes one folder.
func (u *unpacker) entry(name string, mode fs.FileMode, open func() (io.ReadCloser, error)) error {
	sub, below := strings.CutPrefix(path.Clean(strings.TrimPrefix(name, "./"))+"/", u.top+"/")
	sub = filepath.FromSlash(strings.TrimSuffix(sub, "/"))
	if !below || sub != "" && !filepath.IsLocal(sub) || strings.Contains(name, "..") || strings.Contains(name, `\`) {
		return fmt.Errorf("holds %.100q, want only files below %s", name, u.top)
	}
	if u.left.Files--; u.left.Files < 0 {
		return errors.New("holds more files than the published one")
	}
	to := filepath.Join(u.dir, sub)
	switch {
	case mode.IsDir():
		return os.MkdirAll(to, 0o755)
	case !mode.IsRegular() || sub == "":
		return fmt.Errorf("holds %.100q, a link or device, want only files and folders", name)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	return u.write(to, name, r)
}

// large is the size from which on a file is worth waiting for the disk: a
// hundred thousand small ones are not, and verification finds what a power cut
// took.
const large = 1 << 20

func (u *unpacker) write(to, name string, r io.Reader) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, u.left.Bytes+1))
	if err != nil {
		return fmt.Errorf("%.100q: %w", name, err)
	}
	if u.left.Bytes -= n; u.left.Bytes < 0 {
		return errors.New("holds more than the published files are long")
	}
	if n >= large {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Close()
}
