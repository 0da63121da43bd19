package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepuncertainty/ddu/experiments/dataset/download"
)

// publish replaces the files that a set is published as by generated ones on a
// local server, until the test ends. Each file is sent halfway the first time.
func publish(t *testing.T, set string, files map[string][]byte) *source {
	t.Helper()
	src, err := lookup(set)
	if err != nil {
		t.Fatal(err)
	}
	before := *src
	t.Cleanup(func() { *src = before })
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if asked[r.URL.Path]++; asked[r.URL.Path] == 1 {
			_, _ = w.Write(b[:len(b)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(server.Close)
	src.formats = slices.Clone(src.formats)
	src.get = slices.Clone(src.get)
	for i, p := range src.get {
		sum := sha256.Sum256(files[p.name()])
		src.get[i].urls = []string{server.URL + "/" + p.name()}
		src.get[i].want = download.Want{Size: int64(len(files[p.name()])), SHA256: hex.EncodeToString(sum[:])}
	}
	if src.unpacked == "" {
		src.formats[0].sums = sumsOf(src.get)
	}
	return src
}

func archived(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

func digits(n int) map[string][]byte {
	files := map[string][]byte{}
	for i, part := range []string{"train", "t10k"} {
		images, labels := idxPair(n + i)
		files[part+"-images-idx3-ubyte.gz"], files[part+"-labels-idx1-ubyte.gz"] = zipped(images), zipped(labels)
	}
	return files
}

func quickGet(root string, notes *[]string) GetOptions {
	return GetOptions{
		Root: root, Note: func(text string) { *notes = append(*notes, text) },
		download: download.Options{Pause: time.Millisecond},
	}
}

// A set that was got is found, read and verified.
func TestGetFiles(t *testing.T) {
	src := publish(t, "mnist", digits(30))
	src.trainImages, src.testImages = 30, 31
	root := filepath.Join(t.TempDir(), "new", "root")
	var notes []string
	progress := map[string]int64{}
	o := quickGet(root, &notes)
	o.Progress = func(file string, done, total int64) {
		if progress[file] = done; done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	}
	if err := Get(t.Context(), "mnist", o); err != nil {
		t.Fatal(err)
	}
	if len(progress) != 4 || progress["t10k-labels-idx1-ubyte.gz"] != src.get[3].want.Size {
		t.Errorf("progress %v", progress)
	}
	parts, err := Verify("mnist", root)
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	for _, v := range parts {
		if v.Missing || len(v.Problems) > 0 || v.Images != v.Want || v.Checked != 2 || v.Files != 2 {
			t.Errorf("%+v", v)
		}
	}
	if err := Get(t.Context(), "mnist", o); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "there already") {
		t.Errorf("the second time: %v, %q", err, notes)
	}
}

// A file of the user's stays, and what is missing comes beside it.
func TestGetKeepsWhatIsThere(t *testing.T) {
	publish(t, "mnist", digits(30))
	root := t.TempDir()
	mine, _ := idxPair(5)
	path := filepath.Join(root, "mnist", "train-images-idx3-ubyte.gz")
	write(t, zipped(mine), path)
	var notes []string
	if err := Get(t.Context(), "mnist", quickGet(root, &notes)); err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], path) || !strings.Contains(notes[0], "stays as it is") {
		t.Errorf("notes %q", notes)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, zipped(mine)) {
		t.Errorf("the file has changed: %v", err)
	}
	parts, err := Verify("mnist", root)
	if err != nil {
		t.Fatal(err)
	}
	if text := parts[0].String(); !strings.Contains(text, "31 bytes") && !strings.Contains(text, "the published file has") {
		t.Errorf("verification says %q", text)
	}
}

// An archive is unpacked to where the set is looked for, and does not stay.
func TestGetArchive(t *testing.T) {
	pixels, labels := synthetic(5, 100, Shape{3, 32, 32})
	publish(t, "cifar100", map[string][]byte{"cifar-100-binary.tar.gz": archived(t, map[string][]byte{
		"cifar-100-binary/train.bin": cifar100File(pixels, labels), "cifar-100-binary/test.bin": cifar100File(pixels, labels),
		"cifar-100-binary/fine_label_names.txt": []byte("apple\n"),
	})})
	root := t.TempDir()
	mine := cifar100File(pixels[:3072], labels[:1])
	write(t, mine, root, "cifar-100-binary", "test.bin")
	var notes []string
	if err := Get(t.Context(), "cifar100", quickGet(root, &notes)); err != nil {
		t.Fatal(err)
	}
	train, err := Open("cifar100", Options{Train: true, Root: root})
	if err != nil || !bytes.Equal(train.Pixels, pixels) {
		t.Errorf("training images: %v", err)
	}
	if test, err := Open("cifar100", Options{Root: root}); err != nil || test.Len() != 1 {
		t.Errorf("the test images that were there have changed: %v", err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("left in the root: %v, %v", entries, err)
	}
}

// A corrupt file is refused whole, and the set stays missing.
func TestGetCorrupt(t *testing.T) {
	files := digits(30)
	src := publish(t, "mnist", files)
	files[src.get[0].name()][20] ^= 1
	root := t.TempDir()
	var notes []string
	wantError(t, Get(t.Context(), "mnist", quickGet(root, &notes)), "data set mnist", "train-images-idx3-ubyte.gz", "not the published one", "SHA-256")
	if entries, err := os.ReadDir(filepath.Join(root, "mnist")); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// Dirty-MNIST brings MNIST with it.
func TestGetNeeds(t *testing.T) {
	publish(t, "mnist", digits(10))
	values := ambiguousValues(2)
	publish(t, "dirty-mnist", map[string][]byte{
		"amnist_samples.pt": torchTensor(t, "FloatStorage", floatBytes(values), 2, 1, 28, 28),
		"amnist_labels.pt":  torchTensor(t, "LongStorage", longBytes([]int{1, 2, 3, 4}), 2, 2),
	})
	root := t.TempDir()
	var notes []string
	if err := Get(t.Context(), "dirty_mnist", quickGet(root, &notes)); err != nil {
		t.Fatal(err)
	}
	if s, err := Open("dirty-mnist", Options{Train: true, Root: root}); err != nil || s.Len() != 12 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestGetRefuses(t *testing.T) {
	for name, want := range map[string]string{"mnist-sample": "built into the program", "mnits": `"mnits" is unknown`, "folder:x": "a data set of your own"} {
		wantError(t, Get(t.Context(), name, GetOptions{Root: t.TempDir()}), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	publish(t, "mnist", digits(3))
	wantError(t, Get(ctx, "mnist", GetOptions{Root: t.TempDir()}), "context canceled")
	_, err := Verify("mnits", "")
	wantError(t, err, `"mnits" is unknown`)
}

func TestListAndVerify(t *testing.T) {
	root := t.TempDir()
	writeCIFAR10(t, filepath.Join(root, "cifar10"), 2)
	writeMNIST(t, filepath.Join(root, "mnist"), 3, true)
	write(t, []byte("damaged"), root, "mnist", "t10k-labels-idx1-ubyte.gz")
	if err := os.Remove(filepath.Join(root, "mnist", "train-images-idx3-ubyte.gz")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(root, "tiny-imagenet-200"), tinyFolder(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "tiny-imagenet-200", "train")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "svhn", "test_32x32.mat"), 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := List(root)
	if err != nil || len(list) != len(Names()) {
		t.Fatalf("%d sets, %v", len(list), err)
	}
	for _, l := range list {
		if l.Licence == "" || l.TestImages == 0 || l.HasTrain != (l.TrainImages > 0) || l.URL == "" && !strings.HasSuffix(l.Name, "-sample") {
			t.Errorf("%+v", l)
		}
		cifar, tiny := filepath.Join(root, "cifar10"), filepath.Join(root, "tiny-imagenet-200")
		want := map[string][2]string{
			"cifar10": {cifar, cifar}, "mnist": {"", filepath.Join(root, "mnist")}, "tiny-imagenet": {"", tiny},
			"mnist-sample": {"built-in", "built-in"}, "fashion-mnist-sample": {"", "built-in"},
		}[l.Name]
		if got := [2]string{l.Train, l.Test}; got != want {
			t.Errorf("%s is found in %q, want %q", l.Name, got, want)
		}
		// Dirty-MNIST needs MNIST.
		half := "no train-images-idx3-ubyte beside the other"
		problem := map[string]string{"mnist": half, "dirty-mnist": half, "svhn": "test_32x32.mat is a folder, want a file"}[l.Name]
		if got := strings.Join(l.Problems, "; "); !strings.Contains(got, problem) || (got == "") != (problem == "") || len(l.Problems) > 1 {
			t.Errorf("problems of %s are %q, want %q", l.Name, l.Problems, problem)
		}
	}
	for set, want := range map[string][2]string{
		"cifar10":       {"cifar10 (training): 10 images, the published part has 50000; ", "cifar10 (test): 2 images, the published part has 10000; "},
		"mnist":         {"no train-images-idx3-ubyte beside the other", "t10k-labels-idx1-ubyte.gz"},
		"svhn":          {"svhn (training): not found", "test_32x32.mat is a folder, want a file"},
		"tiny-imagenet": {"tiny-imagenet (training): not found", "tiny-imagenet (test): 3 images, the published part has 10000"},
		"mnist-sample":  {"mnist-sample (training): 10000 images, built in", "mnist-sample (test): 2000 images, built in"},
	} {
		parts, err := Verify(set, root)
		if err != nil || len(parts) != 2 {
			t.Fatalf("%s: %v, %v", set, parts, err)
		}
		for i, v := range parts {
			if !strings.Contains(v.String(), want[i]) {
				t.Errorf("%q, want %q in it", v, want[i])
			}
		}
	}
}

// The checksums of all published files are whole, and those in $DDU_DATA that
// are the published ones have them.
func TestPublishedSums(t *testing.T) {
	for _, src := range sources {
		for _, f := range src.get {
			if len(f.want.SHA256) != 64 && len(f.want.MD5) != 32 || len(f.urls) == 0 {
				t.Errorf("%s: %+v", src.name, f)
			}
		}
		for _, format := range src.formats {
			for _, name := range slices.Concat(format.train, format.test) {
				if want := format.sums[name]; format.sums != nil && !format.gzip && len(want.SHA256) != 64 && len(want.MD5) != 32 {
					t.Errorf("%s: no checksum of %s", src.name, name)
				}
			}
		}
	}
	for _, set := range []string{"mnist", "cifar10"} {
		for _, train := range []bool{true, false} {
			s := realData(t, set, train)
			parts, err := Verify(set, "")
			if err != nil || len(parts[0].Problems)+len(parts[1].Problems) > 0 {
				t.Errorf("%v: %v, %v", s, parts, err)
			}
		}
	}
}
