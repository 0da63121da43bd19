package dataset

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// RootVariable names the environment variable that holds the folder of all data
// sets when Options.Root is empty.
const RootVariable = "DDU_DATA"

// Options says which part of a set Open reads and from where.
type Options struct {
	Train bool   // the training images instead of the test images
	Root  string // folder of all data sets; "" means Root()
}

// Open reads a data set by name (see Names; hyphens and underscores are equal).
// It returns a *MissingError when files are not there, and an error that names
// the file, what was found and what would be right when one is damaged.
func Open(name string, o Options) (*Set, error) {
	src, err := lookup(name)
	if err != nil {
		return nil, err
	}
	names := src.test
	if o.Train {
		names = src.train
	}
	if names == nil {
		return nil, fmt.Errorf("data set %s has no training part, only a test part", src.name)
	}
	folder, err := src.locate(names, o)
	if err != nil {
		return nil, err
	}
	s := &Set{
		Name:          src.name,
		Train:         o.Train,
		ClassNames:    src.classNames,
		Shape:         src.shape,
		Normalization: src.normalization,
		Augmentation:  src.augmentation,
	}
	files, err := folder.open(names)
	defer closeAll(files)
	if err != nil {
		return nil, err
	}
	if err := src.read(s, folder, files); err != nil {
		return nil, err
	}
	return s, nil
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
	Hint   string   // what works without these files, or ""
}

// Error names everything in one line.
func (e *MissingError) Error() string {
	msg := fmt.Sprintf("data set %s: %s not found in %s; get it from %s and set data.root or $%s to the folder that holds it",
		e.Set, strings.Join(e.Files, ", "), strings.Join(e.Looked, " or "), e.URL, RootVariable)
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

// locate returns the first folder that holds all the files.
func (src *source) locate(names []string, o Options) (folder, error) {
	if src.embedded {
		return folder{sampleFiles, "built-in"}, nil
	}
	root := o.Root
	if root == "" {
		var err error
		if root, err = Root(); err != nil {
			return folder{}, err
		}
	}
	missing := &MissingError{Set: describe(src.name, o.Train), URL: src.url, Hint: src.hint}
	for _, name := range names {
		if src.gzip {
			name += "[.gz]"
		}
		missing.Files = append(missing.Files, name)
	}
	for _, sub := range src.foldersIn(root) {
		dir := filepath.Join(root, filepath.FromSlash(sub))
		f := folder{os.DirFS(dir), dir}
		ok, err := f.holds(names)
		if ok || err != nil {
			return f, err
		}
		missing.Looked = append(missing.Looked, dir)
	}
	return folder{}, missing
}

// foldersIn lists where below root the files may be. Root itself counts when it
// is called like one of the set's own folders, or when the set's file names are
// unmistakable: those of MNIST and Fashion-MNIST are the same.
func (src *source) foldersIn(root string) []string {
	subs := src.folders
	abs, err := filepath.Abs(root)
	if err != nil {
		abs = root
	}
	own := src.ownNames
	for _, sub := range src.folders {
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
