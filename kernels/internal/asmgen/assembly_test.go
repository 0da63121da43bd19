package main

import (
	"bytes"
	encoding "encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestWordsDecode has objdump (Debian package binutils-aarch64-linux-gnu) decode
// every instruction that is written as a number, and compares with its comment.
func TestWordsDecode(t *testing.T) {
	objdump, err := exec.LookPath("aarch64-linux-gnu-objdump")
	if err != nil {
		t.Skip("no aarch64-linux-gnu-objdump")
	}
	word := regexp.MustCompile(`(?m)^\tWORD \$0x([0-9A-F]{8}) // (.+)$`)
	var code bytes.Buffer
	var comments []string
	for _, f := range files() {
		lines := word.FindAllSubmatch(f.content, -1)
		if found := bytes.Count(f.content, []byte("WORD $")); found != len(lines) {
			t.Errorf("%s: %d of %d numbers have a comment", f.name, len(lines), found)
		}
		for _, m := range lines {
			w, err := strconv.ParseUint(string(m[1]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(encoding.LittleEndian.AppendUint32(nil, uint32(w)))
			comments = append(comments, string(m[2]))
		}
	}
	path := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(path, code.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var decoded []string
	for _, m := range regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t[0-9a-f]{8} \t(.+)$`).FindAllStringSubmatch(string(out), -1) {
		decoded = append(decoded, strings.ReplaceAll(m[1], "\t", " "))
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

// TestAssemblyKeepsTheRules checks every function: no frame, no register that
// belongs to Go, and on amd64, where there are vectors, no return that leaves the upper
// halves of their registers in use.
func TestAssemblyKeepsTheRules(t *testing.T) {
	banned := map[string]*regexp.Regexp{
		"amd64": regexp.MustCompile(`\b(R14|R15|BP|SP)\b`),
		"arm64": regexp.MustCompile(`\b(R18|R27|R28|R29|R30|RSP|g)\b`),
	}
	vectors := regexp.MustCompile(`\b[XYZ][0-9]+\b|TILE`)
	for _, f := range files() {
		arch := strings.TrimSuffix(f.name[strings.LastIndex(f.name, "_")+1:], ".s")
		if !strings.HasSuffix(f.name, ".s") {
			continue
		}
		functions := strings.Split(string(f.content), "\nTEXT ")[1:]
		if len(functions) == 0 {
			t.Errorf("%s: no function", f.name)
		}
		for _, text := range functions {
			head, body, _ := strings.Cut(text, "\n")
			body, _, _ = strings.Cut(body, "\n// func")
			if !strings.Contains(head, "NOSPLIT, $0-") {
				t.Errorf("%s: %s has a frame", f.name, head)
			}
			if r := banned[arch].FindString(body); r != "" {
				t.Errorf("%s: %s uses %s", f.name, head, r)
			}
			returns := strings.Count(body, "\tRET\n")
			if returns == 0 || arch == "amd64" && vectors.MatchString(body) && strings.Count(body, "\tVZEROUPPER\n\tRET\n") != returns {
				t.Errorf("%s: %s has %d returns, want at least one, each after VZEROUPPER where amd64 has vectors", f.name, head, returns)
			}
		}
	}
}
