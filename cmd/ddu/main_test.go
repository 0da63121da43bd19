package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// program is the command as users have it.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ddu")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "ddu")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// place is a folder with data sets in which commands run.
type place struct {
	dir string
	env []string
}

// newPlace makes an empty folder to work in, with small data sets of images
// training images each, found by $DDU_DATA; 0: without any.
func newPlace(t *testing.T, images int) place {
	t.Helper()
	p := place{dir: t.TempDir()}
	data := t.TempDir()
	if images > 0 {
		writeDigits(t, filepath.Join(data, "mnist"), images, 1)
		writeDigits(t, filepath.Join(data, "fashion-mnist"), images, 2)
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DDU_") || strings.HasPrefix(v, "DDU_ISA=") {
			p.env = append(p.env, v)
		}
	}
	p.env = append(p.env, "DDU_DATA="+data, "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	return p
}

func (p place) command(args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Dir, c.Env = p.dir, p.env
	return c
}

// ddu runs the program and returns what it printed and its exit code.
func (p place) ddu(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return output(t, p.command(args...))
}

// must is ddu for commands that have to succeed.
func (p place) must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := p.ddu(t, args...)
	if code != 0 {
		t.Fatalf("ddu %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout, stderr
}

func output(t *testing.T, c *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problems.String(), c.ProcessState.ExitCode()
}

func (p place) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

func (p place) write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// tiny is an experiment of a moment.
const tiny = `[data]
name = "mnist"
ood = ["fashion-mnist"]
[model]
name = "lenet"
[train]
epochs = 2
batch = 16
lr = 0.02
schedule = "constant"
`

// writeDigits writes a data set in the format of MNIST, a fifth of the images for
// the test. Each class has a bright square at a place of its own.
func writeDigits(t *testing.T, dir string, images int, salt uint64) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for part, n := range map[string]int{"train": images, "t10k": images / 5} {
		pixels, labels := header(0x803, n, 28, 28), header(0x801, n)
		state := salt
		for i := range n {
			label := i * 7 % 10
			labels = append(labels, byte(label))
			top, left := label/4*8, label%4*7
			for y := range 28 {
				for x := range 28 {
					state = state*6364136223846793005 + 1442695040888963407
					v := byte(state >> 58)
					if y >= top && y < top+8 && x >= left && x < left+7 {
						v += 180
					}
					if salt > 1 { // the other set is a negative
						v = 255 - v
					}
					pixels = append(pixels, v)
				}
			}
		}
		for kind, data := range map[string][]byte{"images-idx3": pixels, "labels-idx1": labels} {
			if err := os.WriteFile(filepath.Join(dir, part+"-"+kind+"-ubyte"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func header(values ...int) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}
