package dataset

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// FolderShape is what the images of a folder are resized to when Options.Shape
// does not say.
var FolderShape = Shape{3, 32, 32}

// openFolder reads a folder of images. Its folders train and test (or val) are
// the parts; without them it is divided by divide. A part holds one folder per
// class, and the classes are those of the training part in alphabetical order.
func openFolder(path string, o Options) (*Set, error) {
	shape := o.Shape
	if shape == (Shape{}) {
		shape = FolderShape
	}
	if (shape.C != 1 && shape.C != 3) || shape.H < 1 || shape.W < 1 {
		return nil, fmt.Errorf("images of folder %s as %v, want 1 (grey) or 3 (colour) channels", path, shape)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("data set folder:%s: %w", path, errors.Unwrap(err))
	}
	s := folderKind.emptySet(path, o.Train, shape)
	dir := folder{os.DirFS(path), path}
	images, err := s.listFolder(dir, o)
	if err != nil {
		return nil, err
	}
	return s, s.decodeImages(dir, images, checkImage)
}

// listFolder finds the classes and the images of the part that is asked for.
func (s *Set) listFolder(dir folder, o Options) ([]labelledFile, error) {
	train, test, err := dir.parts()
	if err != nil {
		return nil, err
	}
	from, classesFrom := test, train
	if o.Train {
		from = train
	}
	if o.OOD {
		classesFrom = from // other classes are no mistake
	}
	if s.ClassNames, err = dir.classes(classesFrom, o.OOD); err != nil {
		return nil, err
	}
	images, err := dir.labelledImages(from, s.ClassNames)
	if err != nil || train != test || o.OOD {
		return images, err
	}
	part, err := divide(len(images), o.Train)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir.label, err)
	}
	chosen := make([]labelledFile, len(part))
	for i, at := range part {
		chosen[i] = images[at]
	}
	return chosen, nil
}

// parts returns the folders of the training and the test images: "." twice when
// the folder is not divided.
func (f folder) parts() (train, test string, err error) {
	is := func(name string) bool {
		info, err := fs.Stat(f.fs, name)
		return err == nil && info.IsDir()
	}
	train, test = "train", "test"
	if !is(test) && is("val") {
		test = "val"
	}
	switch hasTrain, hasTest := is(train), is(test); {
	case hasTrain && hasTest:
		return train, test, nil
	case hasTrain || hasTest:
		return "", "", fmt.Errorf("%s: folder train there: %t, test or val there: %t, want both or neither", f.label, hasTrain, hasTest)
	}
	return ".", ".", nil
}

// classes returns the sorted names of the folders of a part. A folder of images
// without any, out of distribution, is one class.
func (f folder) classes(part string, ood bool) ([]string, error) {
	entries, err := fs.ReadDir(f.fs, part)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(part), err)
	}
	var names []string
	for _, e := range entries {
		if f.isFolder(part, e) {
			names = append(names, e.Name())
		}
	}
	switch {
	case len(names) == 0 && ood:
		return []string{"."}, nil
	case len(names) < 2 && !ood:
		return nil, fmt.Errorf("%s: %d folders, want at least 2, one for each class", f.path(part), len(names))
	}
	slices.Sort(names)
	return names, nil
}

// isFolder follows links and leaves out what is hidden.
func (f folder) isFolder(part string, e fs.DirEntry) bool {
	if strings.HasPrefix(e.Name(), ".") {
		return false
	}
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := fs.Stat(f.fs, path.Join(part, e.Name()))
	return err == nil && info.IsDir()
}

// labelledImages lists the images of a part, class by class, each by name.
func (f folder) labelledImages(part string, classes []string) ([]labelledFile, error) {
	if extra, err := f.classes(part, true); err != nil {
		return nil, err
	} else if len(classes) > 1 || classes[0] != "." {
		for _, name := range extra {
			if !slices.Contains(classes, name) {
				return nil, fmt.Errorf("%s: class %q has no training images, want one of %s", f.path(part), name, strings.Join(classes, ", "))
			}
		}
	}
	var images []labelledFile
	for class, name := range classes {
		sub := path.Join(part, name)
		entries, err := fs.ReadDir(f.fs, sub)
		if err != nil && !isAbsent(err) { // a class may be missing in the test part
			return nil, fmt.Errorf("%s: %w", f.path(sub), err)
		}
		for _, e := range entries {
			ok, err := isImageName(e.Name())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.path(path.Join(sub, e.Name())), err)
			}
			if ok && !e.IsDir() {
				images = append(images, labelledFile{[]string{path.Join(sub, e.Name())}, class})
			}
		}
	}
	if len(images) == 0 || len(images) > maxImages {
		return nil, fmt.Errorf("%s: %d images (.png, .jpg, .jpeg), want 1 to %d", f.path(part), len(images), maxImages)
	}
	return images, nil
}

// isImageName tells images from other files, which may lie beside them; images
// of other formats are an error, or they would be missed without a word.
func isImageName(name string) (bool, error) {
	if strings.HasPrefix(name, ".") {
		return false, nil
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".png", ".jpg", ".jpeg":
		return true, nil
	case ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".heic", ".ppm", ".pgm", ".jp2":
		return false, fmt.Errorf("image of type %s, want .png, .jpg or .jpeg: convert it or move it away", ext)
	}
	return false, nil
}

func checkImage(c image.Config) error {
	if c.Width < 1 || c.Height < 1 || c.Width > maxImagePixels/c.Height {
		return fmt.Errorf("image of %dx%d, want 1 to %d pixels", c.Width, c.Height, maxImagePixels)
	}
	return nil
}
