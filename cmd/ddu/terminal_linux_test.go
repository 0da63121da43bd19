package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deepuncertainty/ddu/experiments"
)

// openTerminal returns both ends of a pseudo terminal of that size; a new one has
// no rows and columns.
func openTerminal(t *testing.T, size unix.Winsize) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(keyboard.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return keyboard, terminal
}

// recorder gathers what a terminal is sent.
type recorder struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (r *recorder) record(keyboard *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := keyboard.Read(b)
		r.mu.Lock()
		r.data.Write(b[:n])
		r.mu.Unlock()
		if err != nil { // the other end is closed
			return
		}
	}
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.data.String()
}

// waitFor returns once the terminal was sent the text.
func (r *recorder) waitFor(t *testing.T, part string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.text(), part); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal was never sent %q:\n%q", part, r.text())
		}
	}
}

// A user sees a bar with epoch, speed, loss, accuracy and the time left; Ctrl-C
// leaves a clean screen that says how to go on.
func TestProgressOnATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of images")
	}
	p := newPlace(t, 1500)
	p.write(t, "tiny.toml", tiny)
	keyboard, terminal := openTerminal(t, unix.Winsize{Row: 40, Col: 80})
	c := p.command("run", "tiny.toml", "--set", "train.epochs=100")
	c.Stdin, c.Stdout, c.Stderr = terminal, terminal, terminal
	c.Env = append(c.Env, "TERM=xterm")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var r recorder
	go r.record(keyboard)
	r.waitFor(t, "epoch   1  loss ")
	r.waitFor(t, "epoch 2/100")
	if _, err := keyboard.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	exit, ok := c.Wait().(*exec.ExitError)
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("the run ended with %v, want exit code 1", exit)
	}
	r.waitFor(t, "go on with")

	bar := regexp.MustCompile(`epoch 2/100 +\[[=>-]+\] +\d+ images/s  loss \d\.\d{4} acc \d+\.\d\d %  (\d+m)?\d+s left`)
	if !bar.MatchString(r.text()) {
		t.Errorf("no bar like %s in\n%q", bar, r.text())
	}
	lines := strings.Split(screen(r.text()), "\n")
	for i, want := range []string{
		`^train lenet on 1350 images of mnist, validate on 150$`,
		`^epoch   1  loss \d\.\d{4} acc \d+\.\d\d %  val loss \d\.\d{4} acc \d+\.\d\d %  \d+ images/s$`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) || len(lines[i]) > 80 {
			t.Errorf("line %d of the screen does not match %s:\n%s", i+1, want, strings.Join(lines, "\n"))
		}
	}
	for i, line := range lines[1 : len(lines)-1] {
		if !strings.HasPrefix(line, fmt.Sprintf("epoch %3d  loss ", i+1)) {
			t.Errorf("%q is left on the screen", line)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "ddu: stopped; ") || !strings.HasSuffix(last, "ddu run --resume --out runs/tiny") {
		t.Errorf("the last line is %q", last)
	}
}

// Bars leave no goroutines, and what is drawn at once is drawn without races.
func TestBarsEnd(t *testing.T) {
	t.Run("40 x 80", func(t *testing.T) { drawBars(t, unix.Winsize{Row: 40, Col: 80}) })
	t.Run("size unknown", func(t *testing.T) { drawBars(t, unix.Winsize{}) })
}

func drawBars(t *testing.T, size unix.Winsize) {
	keyboard, terminal := openTerminal(t, size)
	var r recorder
	go r.record(keyboard)
	before := runtime.NumGoroutine()
	o, done := newObserver(terminal, false, stepLines{})
	if _, ok := o.(*barObserver); !ok {
		t.Fatalf("a terminal is told by a %T", o)
	}
	o.Phase("train a network")
	for epoch := 1; epoch <= 3; epoch++ {
		for images := range 50 {
			o.Batch(experiments.Progress{Epoch: epoch, Epochs: 3, Images: images + 1, Total: 50, ImagesPerSecond: 10})
			time.Sleep(2 * time.Millisecond) // long enough in all for bars to be drawn
		}
		o.Batch(experiments.Progress{Epoch: epoch, Epochs: 3, Validation: true, Images: 1, Total: 1})
		o.Epoch(experiments.EpochMetrics{Epoch: epoch})
	}
	o.Phase("score")
	o.Batch(experiments.Progress{Images: 1, Total: 2})
	o.Note("look")
	done()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
	r.waitFor(t, "note: look")
	if !strings.Contains(r.text(), "epoch 1/3  [") {
		t.Errorf("no bar was drawn: %q", r.text())
	}
	want := "train a network\nepoch   1  loss 0.0000 acc 0.00 %  0.0 images/s\nepoch   2  loss 0.0000 acc 0.00 %  0.0 images/s\nepoch   3  loss 0.0000 acc 0.00 %  0.0 images/s\nnote: look"
	if got := screen(r.text()); got != want {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}
