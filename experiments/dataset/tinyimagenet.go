package dataset

import (
	"bufio"
	"fmt"
	"image"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	tinyImageNetClasses = 200
	tinyImageNetSide    = 64

	// maxTinyImageNet bounds how many images a damaged list can name; the
	// published training part has 100,000.
	maxTinyImageNet = 1 << 17
)

// readTinyImageNet reads Tiny-ImageNet (CS231n, Stanford) from its folder, whose
// files are wnids.txt and, for the test part, val/val_annotations.txt: the
// published labels end with the validation images, which serve as the test
// images. Classes are sorted like folders; images are resized to s.Shape.
func (s *Set) readTinyImageNet(in input) error {
	dir, files := in.folder, in.files
	classes, err := readWnids(files[0])
	if err != nil {
		return err
	}
	var images []labelledFile
	if s.Train {
		images, err = listTinyImageNet(dir, classes)
	} else {
		images, err = readValAnnotations(files[1], classes)
	}
	if err != nil {
		return err
	}
	s.ClassNames = classes
	return s.decodeImages(dir, images, checkTinyImage)
}

// readWnids returns the sorted WordNet numbers of the classes, one a line.
func readWnids(f file) ([]string, error) {
	var classes []string
	err := eachLine(f, tinyImageNetClasses, func(line string) error {
		if len(line) != 9 || line[0] != 'n' || strings.Trim(line[1:], "0123456789") != "" {
			return fmt.Errorf("%.40q, want a WordNet number like n01443537", line)
		}
		classes = append(classes, line)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(classes)
	if classes = slices.Compact(classes); len(classes) != tinyImageNetClasses {
		return nil, fmt.Errorf("%s: %d different classes, want %d", f.name, len(classes), tinyImageNetClasses)
	}
	return classes, nil
}

// readValAnnotations lists the validation images: lines of file name, class and
// the box of the object, separated by tabs.
func readValAnnotations(f file, classes []string) ([]labelledFile, error) {
	var images []labelledFile
	seen := map[string]bool{}
	err := eachLine(f, maxTinyImageNet, func(line string) error {
		fields := strings.Split(line, "\t")
		if len(fields) != 6 {
			return fmt.Errorf("%d fields, want 6 (file, class, box) separated by tabs", len(fields))
		}
		name, wnid := fields[0], fields[1]
		if !fs.ValidPath(name) || path.Base(name) != name || name == "." || seen[name] {
			return fmt.Errorf("file name %.40q, want one in val/images that no other line has", name)
		}
		class, ok := slices.BinarySearch(classes, wnid)
		if !ok {
			return fmt.Errorf("class %.40q, want one of wnids.txt", wnid)
		}
		seen[name] = true
		// The reference sorts these images into a folder per class.
		images = append(images, labelledFile{[]string{path.Join("val/images", name), path.Join("val/images", wnid, name)}, class})
		return nil
	})
	if err == nil && len(images) == 0 {
		err = fmt.Errorf("%s: no images, want 1 to %d", f.name, maxTinyImageNet)
	}
	return images, err
}

// listTinyImageNet lists the training images, a folder per class.
func listTinyImageNet(dir folder, classes []string) ([]labelledFile, error) {
	var images []labelledFile
	for class, wnid := range classes {
		sub := path.Join("train", wnid, "images")
		entries, err := fs.ReadDir(dir.fs, sub)
		if err != nil {
			return nil, fmt.Errorf("%s, want the images of one of %d classes: %w", dir.path(sub), len(classes), err)
		}
		before := len(images)
		for _, e := range entries {
			if path.Ext(e.Name()) == ".JPEG" {
				images = append(images, labelledFile{[]string{path.Join(sub, e.Name())}, class})
			}
		}
		if len(images) == before || len(images) > maxTinyImageNet {
			return nil, fmt.Errorf("%s: %d files *.JPEG, want 1 or more, and at most %d of all classes", dir.path(sub), len(images)-before, maxTinyImageNet)
		}
	}
	return images, nil
}

// eachLine calls use for every line of at most limit, and names file and line in errors.
func eachLine(f file, limit int, use func(line string) error) error {
	lines := bufio.NewScanner(f)
	n := 0
	for lines.Scan() {
		n++
		if n > limit {
			return fmt.Errorf("%s: more than %d lines", f.name, limit)
		}
		if err := use(lines.Text()); err != nil {
			return fmt.Errorf("%s: line %d: %w", f.name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w", f.name, n+1, err)
	}
	return nil
}

// checkTinyImage wants the size of the published images.
func checkTinyImage(c image.Config) error {
	if c.Width != tinyImageNetSide || c.Height != tinyImageNetSide {
		return fmt.Errorf("image of %dx%d, want %dx%d", c.Width, c.Height, tinyImageNetSide, tinyImageNetSide)
	}
	return nil
}
