package dataset

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
)

// python2 writes pickles as the cPickle of Python 2 does with protocol 2, in
// which CIFAR's Python version is published.
type python2 struct {
	bytes.Buffer
	memo int
}

func (p *python2) put() {
	if p.memo < 256 {
		p.Write([]byte{'q', byte(p.memo)})
	} else {
		p.Write(binary.LittleEndian.AppendUint32([]byte{'r'}, uint32(p.memo)))
	}
	p.memo++
}

func (p *python2) text(s string) {
	if len(s) < 256 {
		p.Write([]byte{'U', byte(len(s))})
	} else {
		p.Write(binary.LittleEndian.AppendUint32([]byte{'T'}, uint32(len(s))))
	}
	p.WriteString(s)
	p.put()
}

func (p *python2) number(v int) {
	switch {
	case v >= 0 && v < 256:
		p.Write([]byte{'K', byte(v)})
	case v >= 0 && v < 1<<16:
		p.Write(binary.LittleEndian.AppendUint16([]byte{'M'}, uint16(v)))
	default:
		p.Write(binary.LittleEndian.AppendUint32([]byte{'J'}, uint32(v)))
	}
}

func (p *python2) numbers(list []int) {
	p.WriteString("]")
	p.put()
	for len(list) > 0 { // in batches of 1000
		n := min(len(list), 1000)
		p.WriteString("(")
		for _, v := range list[:n] {
			p.number(v)
		}
		p.WriteString("e")
		list = list[n:]
	}
}

// array writes uint8 [n][size].
func (p *python2) array(pixels []uint8, n int) {
	p.WriteString("cnumpy.core.multiarray\n_reconstruct\n")
	p.put()
	p.WriteString("cnumpy\nndarray\n")
	p.put()
	p.WriteString("K\x00\x85")
	p.put()
	p.text("b")
	p.WriteString("\x87")
	p.put()
	p.WriteString("R")
	p.put()
	p.WriteString("(K\x01")
	p.number(n)
	p.number(len(pixels) / n)
	p.WriteString("\x86")
	p.put()
	p.WriteString("cnumpy\ndtype\n")
	p.put()
	p.text("u1")
	p.WriteString("K\x00K\x01\x87")
	p.put()
	p.WriteString("R")
	p.put()
	p.WriteString("(K\x03")
	p.text("|")
	p.WriteString("NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")
	p.put()
	p.WriteString("b\x89")
	p.text(string(pixels))
	p.WriteString("t")
	p.put()
	p.WriteString("b")
}

// pickledCIFAR writes a file of CIFAR's Python version with some lists of labels.
func pickledCIFAR(pixels []uint8, n int, labels map[string][]int) []byte {
	var p python2
	p.WriteString("\x80\x02}")
	p.put()
	p.WriteString("(")
	p.text("batch_label")
	p.text("testing batch 1 of 1")
	for _, key := range []string{"labels", "fine_labels", "coarse_labels"} {
		if list, ok := labels[key]; ok {
			p.text(key)
			p.numbers(list)
		}
	}
	p.text("data")
	p.array(pixels, n)
	p.WriteString("u.")
	return p.Bytes()
}

func coarse(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i % 20
	}
	return list
}

// Both versions of a set are the same images, and the binary one comes first.
func TestOpenPythonVersion(t *testing.T) {
	for _, c := range []struct {
		set, folder string
		classes     int
		train, test []string
	}{
		{"cifar10", "cifar-10-batches-py", 10, []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"}, []string{"test_batch"}},
		{"cifar100", "cifar-100-python", 100, []string{"train"}, []string{"test"}},
	} {
		t.Run(c.set, func(t *testing.T) {
			root := t.TempDir()
			const n = 300
			pixels, labels := synthetic(len(c.train)*n, c.classes, Shape{3, 32, 32})
			for i, name := range append(slices.Clone(c.train), c.test...) {
				at := i % len(c.train) * n
				lists := map[string][]int{"labels": labels[at : at+n]}
				if c.set == "cifar100" {
					lists = map[string][]int{"fine_labels": labels[at : at+n], "coarse_labels": coarse(n)}
				}
				write(t, pickledCIFAR(pixels[at*3072:(at+n)*3072], n, lists), root, c.folder, name)
			}
			train, err := Open(c.set, Options{Train: true, Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(train.Pixels, pixels) || !slices.Equal(train.Labels, labels) {
				t.Error("training images or labels differ from what was written")
			}
			test, err := Open(c.set, Options{Root: filepath.Join(root, c.folder)})
			if err != nil || test.Len() != n || !bytes.Equal(test.Pixels, pixels[:n*3072]) {
				t.Errorf("test images differ: %v", err)
			}
			if c.set != "cifar10" {
				return
			}
			writeCIFAR10(t, filepath.Join(root, "cifar-10-batches-bin"), 2)
			if binary, err := Open(c.set, Options{Train: true, Root: root}); err != nil || binary.Len() != 10 {
				t.Errorf("the binary version is not taken first: %v", err)
			}
		})
	}
}

func TestPythonVersionRefusesDamage(t *testing.T) {
	pixels, labels := synthetic(3, 10, Shape{3, 32, 32})
	file := func(labels []int) []byte { return pickledCIFAR(pixels, 3, map[string][]int{"labels": labels}) }
	good := file(labels)
	change := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for name, c := range map[string]struct {
		b    []byte
		want []string
	}{
		"empty":           {nil, []string{"F: the pickle ends", "cut off"}},
		"cut off":         {good[:5000], []string{"F: pickle byte ", "cut off"}},
		"more":            {append(bytes.Clone(good), 0), []string{"F: the pickle ends at byte"}},
		"protocol":        {change("\x80\x02", "\x80\x04"), []string{"F: pickle byte 0: protocol 4, want 2"}},
		"no pickle":       {[]byte("\x1f\x8b\x08"), []string{"F: pickle byte 0: opcode 0x1f"}},
		"a command":       {[]byte("\x80\x02cposix\nsystem\nU\x0ftouch pwned.txt\x85R."), []string{`"posix.system"`, "Nothing in it was run"}},
		"another class":   {change("cnumpy\nndarray\n", "csubprocess\nPopen\n"), []string{`"subprocess.Popen"`}},
		"other reduction": {change("cnumpy\nndarray\n", "cnumpy\ndtype\n"), []string{"another way than a NumPy array"}},
		"no dictionary":   {[]byte("\x80\x02]."), []string{"F: a pickled *pickle.List, want a dictionary"}},
		"no data":         {change("U\x04data", "U\x04dada"), []string{"F: data is a <nil>, want a NumPy array"}},
		"no labels":       {change("U\x06labels", "U\x06babels"), []string{"F: labels is a <nil>, want a list"}},
		"signed":          {change("U\x02u1", "U\x02i1"), []string{"F: data is |i1 [3 3072], want |u1"}},
		"too few bytes":   {change("K\x03M\x00\x0c\x86", "K\x04M\x00\x0c\x86"), []string{"9216 bytes in a NumPy array [4 3072]", "want 12288"}},
		"other size":      {change("K\x03M\x00\x0c\x86", "M\x00\x0cK\x03\x86"), []string{"data is |u1 [3072 3], want |u1 (uint8) [N 3072]"}},
		"label too large": {file([]int{0, 10, 1}), []string{"F: labels: 10 for image 1, want 0 to 9"}},
		"label missing":   {file([]int{0, 1}), []string{"F: labels has 2 items, want 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, cifarLike().readCIFAR10Pickle(memoryFile("F", c.b)), c.want...)
		})
	}
	both := map[string][]int{"fine_labels": labels, "coarse_labels": {0, 20, 1}}
	wantError(t, cifar100Like().readCIFAR100Pickle(memoryFile("F", pickledCIFAR(pixels, 3, both))), "coarse_labels: 20 for image 1")
	huge := memoryFile("F", nil)
	huge.size = 1 << 40
	wantError(t, cifarLike().readCIFAR10Pickle(huge), "F: 1099511627776 bytes")
}

// Whatever the bytes: no panic, and what is accepted is a whole set.
func FuzzReadCIFARPickle(f *testing.F) {
	pixels, labels := synthetic(1, 10, Shape{3, 32, 32})
	f.Add(pickledCIFAR(pixels, 1, map[string][]int{"labels": labels}))
	f.Add([]byte("\x80\x02}q\x00(U\x04dataq\x01h\x00u."))
	f.Add([]byte("\x80\x02cnumpy\nndarray\n."))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := cifarLike()
		if err := s.readCIFAR10Pickle(memoryFile("f", b)); err == nil && (s.Len() == 0 || len(s.Pixels) != s.Len()*3072) {
			t.Errorf("%d images, %d bytes", s.Len(), len(s.Pixels))
		}
	})
}
