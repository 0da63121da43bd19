// Command makesample cuts the built-in sample out of the official files of MNIST
// and Fashion-MNIST:
//
//	go run ./experiments/dataset/internal/makesample [-out experiments/dataset/sample] DIR
//
// DIR holds mnist/ and fashion-mnist/ with the .gz files as published. The first
// images of each part are kept in their order: the classes are about as even
// there as in the whole (863 to 1,127 of each digit in 10,000). Plain gzip is
// small enough, 2.8 MB in all; predicting pixels from their neighbours makes
// digits larger, and bzip2, which Go can read but not write, would save a tenth.
package main

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
)

// part is one split of one set, cut to its first n items.
type part struct {
	set, name string
	n         uint32
}

var parts = []part{
	{"mnist", "train", 10_000},
	{"mnist", "t10k", 2_000},
	{"fashion-mnist", "t10k", 2_000},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("makesample: ")
	out := flag.String("out", filepath.Join("experiments", "dataset", "sample"), "folder to write to")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: makesample [-out DIR] FOLDER_OF_MNIST_AND_FASHION_MNIST")
	}
	if err := makeSample(flag.Arg(0), *out); err != nil {
		log.Fatal(err)
	}
}

func makeSample(from, out string) error {
	for _, p := range parts {
		for _, kind := range []string{"images-idx3", "labels-idx1"} {
			file := fmt.Sprintf("%s-%s-ubyte.gz", p.name, kind)
			source := filepath.Join(from, p.set, file)
			if err := cutFile(filepath.Join(out, p.set+"-"+file), source, p.n); err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
		}
	}
	return nil
}

// cutFile writes the first n items of the gzipped idx file source to target.
func cutFile(target, source string, n uint32) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err == nil {
		err = errors.Join(cut(z, plain, n), z.Close())
	}
	return errors.Join(err, out.Close())
}

// cut copies the first n items of an idx stream of bytes: magic number, number
// of items, sizes of the other dimensions, values.
func cut(w io.Writer, r io.Reader, n uint32) error {
	var start struct{ Magic, Items uint32 }
	if err := binary.Read(r, binary.BigEndian, &start); err != nil {
		return err
	}
	if start.Magic>>8 != 0x08 || start.Magic&0xff == 0 {
		return fmt.Errorf("magic number 0x%08x, want 0x000008 and the number of dimensions", start.Magic)
	}
	if start.Items < n {
		return fmt.Errorf("%d items, want at least %d", start.Items, n)
	}
	sizes := make([]uint32, start.Magic&0xff-1)
	if err := binary.Read(r, binary.BigEndian, sizes); err != nil {
		return err
	}
	start.Items = n
	if err := errors.Join(binary.Write(w, binary.BigEndian, start), binary.Write(w, binary.BigEndian, sizes)); err != nil {
		return err
	}
	total := int64(n)
	for _, size := range sizes {
		total *= int64(size)
	}
	_, err := io.CopyN(w, r, total)
	return err
}
