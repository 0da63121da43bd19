package figures

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// Every figure is a PNG of a sensible size, the same bytes each time. With
// DDU_FIGURES set the pictures are kept in that folder, to look at. Rasterising
// is slow under the race detector: -short draws one of each layout.
func TestFigures(t *testing.T) {
	keep := os.Getenv("DDU_FIGURES")
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			if testing.Short() && e.name != "density_far" && e.name != "reliability" {
				t.Skip("drawn without -short")
			}
			draw := func() []byte {
				f, err := e.make()
				if err != nil {
					t.Fatal(err)
				}
				data, err := f.PNG()
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			first := draw()
			if !bytes.Equal(first, draw()) {
				t.Error("equal inputs give different bytes")
			}
			image, err := png.Decode(bytes.NewReader(first))
			if err != nil {
				t.Fatal(err)
			}
			if b := image.Bounds(); b.Dx() < 800 || b.Dy() < 600 || b.Dx() > 3000 || b.Dy() > 2000 {
				t.Errorf("the picture is %v", b)
			}
			if keep != "" {
				if err := os.WriteFile(filepath.Join(keep, e.name+".png"), first, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
