package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestBytesDecode has objdump decode every instruction that is written as bytes,
// and compares with its comment.
func TestBytesDecode(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("no objdump")
	}
	if help, err := exec.Command(objdump, "--help").Output(); err != nil || !bytes.Contains(help, []byte("x86-64")) {
		t.Skip("objdump does not decode x86")
	}
	instruction := regexp.MustCompile(`(?m)^\t((?:BYTE \$0x[0-9A-F]{2}(?:; )?)+) // (.+)$`)
	var code []byte
	var comments []string
	for _, f := range files() {
		lines := instruction.FindAllSubmatch(f.content, -1)
		if found := bytes.Count(f.content, []byte("\tBYTE $")); found != len(lines) {
			t.Errorf("%s: %d of %d instructions in bytes have a comment", f.name, len(lines), found)
		}
		for _, m := range lines {
			for _, b := range strings.Split(string(m[1]), "; ") {
				v, err := strconv.ParseUint(strings.TrimPrefix(b, "BYTE $0x"), 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				code = append(code, byte(v))
			}
			comments = append(comments, string(m[2]))
		}
	}
	path := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(path, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--insn-width=16", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var decoded []string
	for _, m := range regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t(?:[0-9a-f]{2} )+ *\t(.+)$`).FindAllStringSubmatch(string(out), -1) {
		decoded = append(decoded, strings.Join(strings.Fields(m[1]), " "))
	}
	if len(decoded) != len(comments) || len(comments) == 0 {
		t.Fatalf("%d instructions decoded, want %d, at least one", len(decoded), len(comments))
	}
	for i, c := range comments {
		if decoded[i] != c {
			t.Errorf("%q is decoded as %q", c, decoded[i])
		}
	}
}
