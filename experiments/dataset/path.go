package dataset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// pathKind is a kind of data set that is named by a path.
type pathKind string

const (
	folderKind pathKind = "folder"
	npzKind    pathKind = "npz"
)

// IsPath reports whether a name is that of a set named by its path:
// "folder:PATH" or "npz:PATH".
func IsPath(name string) bool {
	_, _, ok := cutPath(name)
	return ok
}

// IsFolder reports whether a name is "folder:PATH", whose images are resized.
func IsFolder(name string) bool {
	kind, _, ok := cutPath(name)
	return ok && kind == folderKind
}

func cutPath(name string) (kind pathKind, path string, ok bool) {
	prefix, path, _ := strings.Cut(name, ":")
	kind = pathKind(prefix)
	return kind, path, path != "" && (kind == folderKind || kind == npzKind)
}

func (k pathKind) open(path string, o Options) (*Set, error) {
	if k == npzKind {
		return openNPZ(path, o)
	}
	return openFolder(path, o)
}

// setName makes a plain name of a path, for files and tables: "folder-cats" of
// /data/Cats/.
func (k pathKind) setName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	base := strings.TrimSuffix(filepath.Base(path), ".npz")
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, base)
	return strings.TrimRight(string(k)+"-"+strings.Trim(clean, "-"), "-")
}

// emptySet returns the set at a path without images. Nothing is known of what
// they show, so they take the habits of the published sets of their shape.
func (k pathKind) emptySet(path string, train bool, shape Shape) *Set {
	s := &Set{Name: k.setName(path), Train: train, Shape: shape, Normalization: mnistNormalization}
	if shape.C == 3 {
		s.Normalization = cifarNormalization
		s.Augmentation = Augmentation{Padding: min(4, shape.H, shape.W), Flip: true}
	}
	return s
}

// divide returns the images, among n, of one part of a set that its owner has
// not divided: a fifth to test, chosen once and for all, so that every network
// is tested on the same.
func divide(n int, train bool) ([]int, error) {
	order, err := NumPyShuffle(n, 0)
	if err != nil {
		return nil, err
	}
	part := order[:n/5]
	if train {
		part = order[n/5:]
	}
	if len(part) == 0 {
		return nil, fmt.Errorf("%d images, want at least 5: a fifth of them is to test", n)
	}
	slices.Sort(part)
	return part, nil
}
