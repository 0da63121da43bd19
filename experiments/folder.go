package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Folder is where a run lives on disk. Its layout is described in
// docs/experiments.md.
type Folder string

func (f Folder) path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
}

// member returns the folder of one trained network: the run's own when it
// trains a single one, else a folder per run and ensemble member.
func (f Folder) member(run, member, runs, members int) Folder {
	at := f
	if runs > 1 {
		at = Folder(at.path("run" + strconv.Itoa(run+1)))
	}
	if members > 1 {
		at = Folder(at.path("member" + strconv.Itoa(member+1)))
	}
	return at
}

// create makes an empty run folder. One that holds files already is refused:
// a run never writes over another.
func (f Folder) create() error {
	entries, err := os.ReadDir(string(f))
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.MkdirAll(string(f), 0o755)
	case err == nil && len(entries) > 0:
		return fmt.Errorf("run folder %s is not empty: resume the run in it, or choose another folder", f)
	}
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return nil
}

// FreshFolder returns runs/name, or runs/name-2, runs/name-3 ... if that is taken.
func FreshFolder(name string) Folder {
	for i := 1; ; i++ {
		dir := filepath.Join("runs", name)
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return Folder(dir)
		}
	}
}
