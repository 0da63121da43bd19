package figures

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every figure is a PNG of a sensible size and an SVG of its texts, the same bytes each time. With
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
			checkSVG(t, e.make)
			if keep != "" {
				if err := os.WriteFile(filepath.Join(keep, e.name+".png"), first, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// checkSVG wants well-formed XML that holds the title and the legend as text.
func checkSVG(t *testing.T, draw func() (*Figure, error)) {
	t.Helper()
	var files [2][]byte
	var figure *Figure
	for i := range files {
		var err error
		if figure, err = draw(); err != nil {
			t.Fatal(err)
		}
		if files[i], err = figure.SVG(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("equal inputs give different SVG files")
	}
	texts := map[string]bool{}
	decoder := xml.NewDecoder(bytes.NewReader(files[0]))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[string(bytes.TrimSpace(text))] = true
		}
	}
	for _, want := range append(figure.titleLines(figure.width()-2*margin), figure.legend[0].label) {
		if !texts[want] {
			t.Errorf("the SVG lacks the text %q", want)
		}
	}
}

func TestFigureFormats(t *testing.T) {
	f, err := examples()[0].make()
	if err != nil {
		t.Fatal(err)
	}
	for path, begin := range map[string]string{"a/b.png": "\x89PNG", "b.SVG": "<?xml"} {
		if data, err := f.Encode(path); err != nil || !bytes.HasPrefix(data, []byte(begin)) {
			t.Errorf("%s begins with %q, %v; want %q", path, data[:min(len(data), 5)], err, begin)
		}
	}
	for _, path := range []string{"a.pdf", "png"} {
		if _, err := f.Encode(path); err == nil || !strings.Contains(err.Error(), "want .png or .svg") {
			t.Errorf("%s: error is %v", path, err)
		}
	}
}

func TestComparisonRefuses(t *testing.T) {
	if _, err := Comparison("nothing", nil); err == nil || !strings.Contains(err.Error(), "nothing to compare") {
		t.Errorf("error is %v", err)
	}
	_, err := Comparison("x", []Contest{{Points: []Compared{{Configuration: "a", Label: "Energy", StdError: -1}}}})
	if err == nil || !strings.Contains(err.Error(), "Energy of a") {
		t.Errorf("error is %v", err)
	}
}
