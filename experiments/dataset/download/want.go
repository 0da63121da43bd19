package download

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// Want is what is known of a published file.
type Want struct {
	Size   int64  // bytes; 0: not known
	SHA256 string // hexadecimal, or ""
	MD5    string // or "": only against damage, and only where there is no SHA-256
}

// Known reports that a file can be told from others.
func (w Want) Known() bool { return w.SHA256 != "" || w.MD5 != "" }

// Check says how the file at path differs from the wanted one, if it does.
func (w Want) Check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if w.Size > 0 && info.Size() != w.Size {
		return fmt.Errorf("%d bytes, the published file has %d", info.Size(), w.Size)
	}
	for _, sum := range []struct {
		name, want string
		hash       hash.Hash
	}{{"SHA-256", w.SHA256, sha256.New()}, {"MD5", w.MD5, md5.New()}} {
		if sum.want == "" {
			continue
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(sum.hash, f); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.hash.Sum(nil)); got != sum.want {
			return fmt.Errorf("%s is %s, that of the published file %s", sum.name, got, sum.want)
		}
	}
	return nil
}
