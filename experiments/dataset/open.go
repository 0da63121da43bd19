package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// RootVariable names the environment variable that holds the folder of all data
// sets when Options.Root is empty.
const RootVariable = "DDU_DATA"

// Options says which part of a set Open reads and from where.
type Options struct {
	Train bool   // the training images instead of the test images
	Root  string // folder of all data sets; "" means Root()

	// OOD says that the set is only to be told apart from another one. Folders
	// and npz files that are not divided into parts then count whole, and labels
	// need not be there.
	OOD bool
	// Shape is what the images of a folder are resized to; zero: FolderShape.
	Shape Shape
}

// Open reads a data set by name (see Names; hyphens and underscores are equal),
// or as "folder:PATH" (a folder of PNG and JPEG images per class) or "npz:PATH"
// (NumPy arrays). It returns a *MissingError when files are not there, and an
// error that names the file, what was found and what would be right when one is
// damaged.
func Open(name string, o Options) (*Set, error) {
	if kind, path, ok := cutPath(name); ok {
		return kind.open(path, o)
	}
	src, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if src.images(o.Train) == 0 {
		return nil, fmt.Errorf("data set %s has no training part, only a test part", src.name)
	}
	found, err := src.locate(o)
	if err != nil {
		return nil, err
	}
	files, err := found.folder.open(found.format.files(o.Train))
	defer closeAll(files)
	if err != nil {
		return nil, err
	}
	in := input{folder: found.folder, files: files}
	if src.needs != "" {
		if in.base, err = Open(src.needs, o); err != nil {
			return nil, fmt.Errorf("%s is a part of %s: %w", src.needs, src.name, err)
		}
	}
	s := src.empty(o.Train)
	if err := found.format.read(s, in); err != nil {
		return nil, err
	}
	return s, nil
}

// empty returns the set without images.
func (src *source) empty(train bool) *Set {
	return &Set{
		Name:          src.name,
		Train:         train,
		ClassNames:    src.classNames,
		Shape:         src.shape,
		Normalization: src.normalization,
		Augmentation:  src.augmentation,
	}
}

// Root returns the folder of all data sets: $DDU_DATA, or else ddu/data in the
// user's cache folder.
func Root() (string, error) {
	if root := os.Getenv(RootVariable); root != "" {
		return root, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("data sets: set data.root or $%s: %w", RootVariable, err)
	}
	return filepath.Join(cache, "ddu", "data"), nil
}

// MissingError says that the files of a set are not where Open looked. It is an
// fs.ErrNotExist.
type MissingError struct {
	Set    string   // "cifar10 (test)"
	Files  []string // all that the set needs; idx files may also end in .gz
	Looked []string // folders, in the order in which they were tried
	URL    string   // where the set is published
	Get    string   // command that downloads it, or ""
	Hint   string   // what works without these files, or ""
}

// Error names everything in one line.
func (e *MissingError) Error() string {
	get := ""
	if e.Get != "" {
		get = " (" + e.Get + ")"
	}
	msg := fmt.Sprintf("data set %s: %s not found in %s; get it from %s%s and set data.root or $%s to the folder that holds it",
		e.Set, strings.Join(e.Files, ", "), strings.Join(e.Looked, " or "), e.URL, get, RootVariable)
	if e.Hint != "" {
		msg += "; " + e.Hint
	}
	return msg
}

// Unwrap makes errors.Is(err, fs.ErrNotExist) true.
func (e *MissingError) Unwrap() error { return fs.ErrNotExist }

// folder is a place with data files; label stands before file names in errors.
type folder struct {
	fs    fs.FS
	label string
}

// place is where the files of one part of a set are.
type place struct {
	folder folder
	format *format
}

// locate returns the first folder that holds all the files of a part, in the
// first format for which there is one.
func (src *source) locate(o Options) (place, error) {
	if src.formats[0].embedded {
		return place{folder{sampleFiles, "built-in"}, &src.formats[0]}, nil
	}
	root := o.Root
	if root == "" {
		var err error
		if root, err = Root(); err != nil {
			return place{}, err
		}
	}
	missing := src.missing(o.Train)
	var incomplete error
	for i := range src.formats {
		format := &src.formats[i]
		for _, sub := range format.foldersIn(root) {
			dir := filepath.Join(root, filepath.FromSlash(sub))
			f := folder{os.DirFS(dir), dir}
			ok, err := f.holds(format.files(o.Train))
			switch {
			case ok:
				return place{f, format}, nil
			case errors.Is(err, fs.ErrNotExist) && incomplete == nil:
				incomplete = err // unless the set is there in another format
			case err != nil:
				return place{}, err
			}
			if !slices.Contains(missing.Looked, dir) {
				missing.Looked = append(missing.Looked, dir)
			}
		}
	}
	if incomplete != nil {
		return place{}, incomplete
	}
	return place{}, missing
}

// missing says what a part of the set needs.
func (src *source) missing(train bool) *MissingError {
	e := &MissingError{Set: describe(src.name, train), URL: src.formats[0].url, Hint: src.hint}
	if src.get != nil {
		e.Get = "ddu data get " + src.name
	}
	for _, name := range src.formats[0].files(train) {
		if src.formats[0].gzip {
			name += "[.gz]"
		}
		e.Files = append(e.Files, name)
	}
	return e
}

// foldersIn lists where below root the files may be. Root itself counts when it
// is called like one of the set's own folders, or when the set's file names are
// unmistakable: those of MNIST and Fashion-MNIST are the same.
func (f *format) foldersIn(root string) []string {
	subs := f.folders
	abs, err := filepath.Abs(root)
	if err != nil {
		abs = root
	}
	own := f.ownNames
	for _, sub := range f.folders {
		own = own || strings.HasSuffix(filepath.ToSlash(abs), "/"+sub)
	}
	if own {
		subs = append(subs[:len(subs):len(subs)], ".")
	}
	return subs
}

// holds reports whether all the files are in f. Some but not all is an error
// that names the first one missing: the user found the right folder.
func (f folder) holds(names []string) (bool, error) {
	found, absent := 0, ""
	for _, name := range names {
		real, err := f.find(name)
		switch {
		case err != nil:
			return false, err
		case real != "":
			found++
		case absent == "":
			absent = name
		}
	}
	if found > 0 && absent != "" {
		return false, fmt.Errorf("%s: no %s beside the other %d of %d files: %w", f.label, absent, found, len(names), fs.ErrNotExist)
	}
	return found > 0, nil
}

// find returns the name under which a file is in f, or "".
func (f folder) find(name string) (string, error) {
	for _, candidate := range []string{name, name + ".gz"} {
		info, err := fs.Stat(f.fs, candidate)
		switch {
		case err == nil && !info.IsDir():
			return candidate, nil
		case err == nil:
			return "", fmt.Errorf("%s is a folder, want a file", f.path(candidate))
		case !isAbsent(err):
			return "", fmt.Errorf("%s: %w", f.label, err)
		}
	}
	return "", nil
}

func (f folder) path(name string) string { return path.Join(filepath.ToSlash(f.label), name) }

// file is an open data file; name is what errors call it.
type file struct {
	io.Reader
	name  string
	size  int64
	close func() error
}

func (f folder) open(names []string) ([]file, error) {
	var files []file
	for _, name := range names {
		real, err := f.find(name)
		if err != nil {
			return files, err
		}
		r, err := f.fs.Open(real)
		if err != nil {
			return files, fmt.Errorf("%s: %w", f.label, err)
		}
		info, err := r.Stat()
		if err != nil {
			r.Close()
			return files, fmt.Errorf("%s: %w", f.label, err)
		}
		files = append(files, file{r, f.path(real), info.Size(), r.Close})
	}
	return files, nil
}

func closeAll(files []file) {
	for _, f := range files {
		f.close()
	}
}
