package experiments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// WeightsFormat is a format of files of weights: "torch" or "safetensors".
type WeightsFormat = checkpoint.Format

// ConvertOptions are the settings of Convert.
type ConvertOptions struct {
	Format WeightsFormat // of the new file; "": what its extension says
	Prefix *string       // before every name, in place of DataParallel's "module."; nil: names stay
	Force  bool          // replaces a file that is there
}

// Converted tells what Convert wrote.
type Converted struct {
	Path             string
	Format           WeightsFormat
	Tensors, Numbers int
}

// Convert writes the weights at from, a file in either format or a run folder
// with one trained network, to the file to. Values, types and their order stay.
// A file that is there is an error unless Force is set; on any error it stays.
func Convert(from, to string, o ConvertOptions) (Converted, error) {
	var err error
	if o.Format == "" {
		if o.Format, err = checkpoint.FormatOf(to); err != nil {
			return Converted{}, fmt.Errorf("%w; or say --to %s or --to %s", err, checkpoint.Torch, checkpoint.Safetensors)
		}
	}
	if err := mayWrite(to, o.Force); err != nil {
		return Converted{}, err
	}
	file, err := readWeights(from)
	if err != nil {
		return Converted{}, err
	}
	if o.Prefix != nil {
		file = file.WithPrefix(*o.Prefix)
	}
	if file.Metadata == nil {
		file.Metadata = map[string]string{"format": "pt"}
	}
	if err := checkpoint.Write(to, file, o.Format); err != nil {
		return Converted{}, err
	}
	c := Converted{Path: to, Format: o.Format, Tensors: len(file.Entries)}
	for _, e := range file.Entries {
		c.Numbers += e.Len()
	}
	return c, nil
}

// mayWrite tells why a new file at path would be a mistake.
func mayWrite(path string, force bool) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: the folder %s is not there", path, filepath.Dir(path))
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file that could be replaced", path)
	case !force:
		return fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	return nil
}
