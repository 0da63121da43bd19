package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepuncertainty/ddu/experiments/dataset/download"
)

// GetOptions say where Get puts a set and where it comes from.
type GetOptions struct {
	Root string // folder of all data sets; "" means Root()
	From string // address of a folder that holds the files, "" for where they are published

	// Progress is told how many bytes of a file are there, of how many.
	Progress func(file string, done, total int64)
	// Note is told what is done and what is left as it is.
	Note func(text string)

	download download.Options
}

// Get downloads a set by name to where Open finds it. Files that are there
// already stay as they are, also those that differ from the published ones.
// After a stop, or a connection that breaks, another Get goes on where it was.
func Get(ctx context.Context, name string, o GetOptions) error {
	if IsPath(name) {
		return fmt.Errorf("%s is a data set of your own, want a name of ddu data list", name)
	}
	src, err := lookup(name)
	if err != nil {
		return err
	}
	if src.get == nil {
		return fmt.Errorf("data set %s is built into the program: there is nothing to get", src.name)
	}
	if o.Root == "" {
		if o.Root, err = Root(); err != nil {
			return err
		}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if src.needs != "" {
		if err := Get(ctx, src.needs, o); err != nil {
			return err
		}
	}
	train, lacks := src.where(Options{Train: true, Root: o.Root})
	if _, err := src.where(Options{Root: o.Root}); err == nil && lacks == nil {
		o.Note(fmt.Sprintf("%s is there already: %s", src.name, train.folder.label))
		return nil
	}
	for _, file := range src.get {
		if err := src.getFile(ctx, file, o); err != nil {
			return fmt.Errorf("data set %s: %w", src.name, err)
		}
	}
	return nil
}

// getFile downloads one file to its place below the root, and unpacks it if it
// is an archive.
func (src *source) getFile(ctx context.Context, file published, o GetOptions) error {
	to := filepath.Join(o.Root, filepath.FromSlash(file.folder), file.name())
	there, err := exists(to)
	if err != nil {
		return err
	}
	if there {
		differs := file.want.Check(to)
		switch {
		case differs != nil && src.unpacked != "":
			return fmt.Errorf("%s is not the published archive (%w): move it away", to, differs)
		case differs != nil:
			o.Note(fmt.Sprintf("%s stays as it is, though it is not the published file: %v", to, differs))
			return nil
		}
		o.Note(fmt.Sprintf("%s is there already", to))
	} else if err := file.download(ctx, to, o); err != nil {
		return err
	}
	if src.unpacked == "" {
		return nil
	}
	dir := filepath.Join(o.Root, src.unpacked)
	o.Note(fmt.Sprintf("unpack %s into %s", file.name(), dir))
	if err := download.Unpack(to, src.unpacked, dir, src.limits); err != nil {
		return err
	}
	if there {
		return nil // it is the user's
	}
	return os.Remove(to)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (p published) download(ctx context.Context, to string, o GetOptions) error {
	addresses := p.urls
	if o.From != "" {
		addresses = []string{strings.TrimSuffix(o.From, "/") + "/" + p.name()}
	}
	options := o.download
	if o.Progress != nil {
		options.Progress = func(done, total int64) { o.Progress(p.name(), done, total) }
	}
	return download.File(ctx, to, addresses, p.want, options)
}
