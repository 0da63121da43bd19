package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/dataset/download"
)

// Listing is what List tells of one set.
type Listing struct {
	Info
	Licence     string `json:"licence"`
	URL         string `json:"url,omitempty"`
	TrainImages int    `json:"train_images"` // of the published set
	TestImages  int    `json:"test_images"`
	Train       string `json:"train,omitempty"` // folder in which the part was found, "" when it was not
	Test        string `json:"test,omitempty"`
	// Problems say why a part of which there is something cannot be used.
	Problems []string `json:"problems,omitempty"`
}

// List describes all sets that Open knows by name and where their files are. It
// does not read them.
func List(root string) ([]Listing, error) {
	var list []Listing
	for i := range sources {
		src := &sources[i]
		info, err := Lookup(src.name)
		if err != nil {
			return nil, err
		}
		l := Listing{Info: info, Licence: src.licence, URL: src.formats[0].url, TrainImages: src.trainImages, TestImages: src.testImages}
		if src.trainImages > 0 {
			l.Train = l.look(src, Options{Train: true, Root: root})
		}
		l.Test = l.look(src, Options{Root: root})
		list = append(list, l)
	}
	return list, nil
}

// look returns the folder of a part, "" when it is not there or of no use.
func (l *Listing) look(src *source, o Options) string {
	found, err := src.where(o)
	if err != nil && !errors.As(err, new(*MissingError)) && !slices.Contains(l.Problems, err.Error()) {
		l.Problems = append(l.Problems, err.Error())
	}
	return found.folder.label
}

// where returns the place of a part that is there with all that it needs. When
// something is not there the error is a *MissingError.
func (src *source) where(o Options) (place, error) {
	if src.needs != "" {
		base, err := lookup(src.needs)
		if err == nil {
			_, err = base.where(o)
		}
		if err != nil {
			return place{}, err
		}
	}
	found, err := src.locate(o)
	if err != nil {
		return place{}, err
	}
	if sub := found.format.subfolder(o.Train); sub != "" {
		switch _, err := fs.Stat(found.folder.fs, sub); {
		case isAbsent(err):
			return place{}, src.missing(o.Train)
		case err != nil:
			return place{}, fmt.Errorf("%s: %w", found.folder.label, err)
		}
	}
	return found, nil
}

// Verification is what Verify found out about one part of a set.
type Verification struct {
	Set    string `json:"set"`
	Train  bool   `json:"train"`
	Folder string `json:"folder,omitempty"`
	Images int    `json:"images"` // that could be read
	Want   int    `json:"want"`   // of the published part

	Missing bool `json:"missing"` // the files are not there
	// Problems say what is damaged or differs from the published files.
	Problems []string `json:"problems,omitempty"`
	Files    int      `json:"files"`   // of the part
	Checked  int      `json:"checked"` // of those, whose checksums are known and right
}

// Verify reads both parts of a set and compares their files with the published
// ones: sizes, checksums where they are known, numbers of images.
func Verify(name, root string) ([]Verification, error) {
	src, err := lookup(name)
	if err != nil {
		return nil, err
	}
	var parts []Verification
	for _, train := range []bool{true, false} {
		if src.images(train) > 0 {
			parts = append(parts, src.verify(Options{Train: train, Root: root}))
		}
	}
	return parts, nil
}

func (src *source) verify(o Options) Verification {
	v := Verification{Set: src.name, Train: o.Train, Want: src.images(o.Train)}
	found, err := src.where(o)
	if errors.As(err, new(*MissingError)) {
		v.Missing = true
		return v
	}
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
		return v
	}
	v.Folder = found.folder.label
	set, err := Open(src.name, o)
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	} else if v.Images = set.Len(); v.Images != v.Want {
		v.Problems = append(v.Problems, fmt.Sprintf("%d images, the published part has %d", v.Images, v.Want))
	}
	v.compare(found, o.Train)
	return v
}

// compare checks the sums of the files.
func (v *Verification) compare(found place, train bool) {
	if found.format.embedded {
		return
	}
	for _, name := range found.format.files(train) {
		v.Files++
		real, err := found.folder.find(name)
		want := found.format.sums[real]
		if err == nil && want == (download.Want{}) {
			continue
		}
		if err == nil {
			err = want.Check(filepath.Join(found.folder.label, filepath.FromSlash(real)))
		}
		if err != nil {
			v.Problems = append(v.Problems, fmt.Sprintf("%s: %v", found.folder.path(real), err))
			continue
		}
		v.Checked++
	}
}

// String is one line: what was read, or what is wrong.
func (v Verification) String() string {
	part := describe(v.Set, v.Train)
	switch {
	case v.Missing:
		return part + ": not found"
	case len(v.Problems) > 0:
		return part + ": " + strings.Join(slices.Compact(v.Problems), "; ")
	}
	text := fmt.Sprintf("%s: %d images", part, v.Images)
	switch {
	case v.Files == 0:
		return text + ", built in"
	case v.Checked == v.Files:
		return fmt.Sprintf("%s, %d of %d files as published, %s", text, v.Checked, v.Files, v.Folder)
	}
	return fmt.Sprintf("%s, all could be read; no checksum known for %d of %d files, %s", text, v.Files-v.Checked, v.Files, v.Folder)
}
