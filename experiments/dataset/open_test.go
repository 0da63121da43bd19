package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeMNIST writes both parts of a set of the MNIST family, n and n+1 images.
func writeMNIST(t *testing.T, dir string, n int, compressed bool) {
	t.Helper()
	for i, part := range []string{"train", "t10k"} {
		images, labels := idxPair(n + i)
		end := ""
		if compressed {
			images, labels, end = zipped(images), zipped(labels), ".gz"
		}
		write(t, images, dir, part+"-images-idx3-ubyte"+end)
		write(t, labels, dir, part+"-labels-idx1-ubyte"+end)
	}
}

// writeCIFAR10 writes five training files and a test file of n images each.
func writeCIFAR10(t *testing.T, dir string, n int) {
	t.Helper()
	pixels, labels := synthetic(6*n, 10, Shape{3, 32, 32})
	for i, name := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		write(t, cifarFile(pixels[i*n*3072:(i+1)*n*3072], labels[i*n:(i+1)*n]), dir, name+".bin")
	}
}

func TestOpenFindsLayouts(t *testing.T) {
	for _, c := range []struct {
		set, written string // folder below the root
		opened       string // root given, below the same
	}{
		{"mnist", "mnist", ""},
		{"mnist", "MNIST/raw", ""},
		{"mnist", "MNIST", ""},
		{"mnist", "mnist", "mnist"},
		{"mnist", "MNIST/raw", "MNIST/raw"},
		{"fashion-mnist", "fashion-mnist", ""},
		{"fashion-mnist", "fashion_mnist", ""},
		{"fashion_mnist", "FashionMNIST/raw", ""},
		{"fashion-mnist", "fashion-mnist", "fashion-mnist"},
		{"cifar10", "cifar-10-batches-bin", ""},
		{"cifar10", "cifar10", ""},
		{"cifar10", "cifar10/cifar-10-batches-bin", ""},
		{"cifar10", "", ""},
		{"cifar10", "anything", "anything"},
		{"cifar100", "cifar-100-binary", ""},
		{"cifar100", "cifar100", ""},
		{"cifar100", "cifar100/cifar-100-binary", ""},
		{"cifar100", "cifar-100-binary", "cifar-100-binary"},
		{"svhn", "svhn", ""},
		{"svhn", "SVHN", ""},
		{"svhn", "anything", "anything"},
		{"tiny-imagenet", "tiny-imagenet-200", ""},
		{"tiny_imagenet", "tiny_imagenet", ""},
		{"tiny-imagenet", "anything", "anything"},
	} {
		t.Run(c.set+" in "+c.written+" from "+c.opened, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, c.written)
			wantTrain, wantTest := 3, 4
			switch c.set {
			case "cifar10":
				writeCIFAR10(t, dir, 2)
				wantTrain, wantTest = 10, 2
			case "cifar100":
				write(t, cifar100File(synthetic(3, 100, Shape{3, 32, 32})), dir, "train.bin")
				write(t, cifar100File(synthetic(4, 100, Shape{3, 32, 32})), dir, "test.bin")
			case "svhn":
				write(t, svhnFile(synthetic(3, 10, Shape{3, 32, 32})), dir, "train_32x32.mat")
				write(t, svhnFile(synthetic(4, 10, Shape{3, 32, 32})), dir, "test_32x32.mat")
			case "tiny-imagenet", "tiny_imagenet":
				if err := os.CopyFS(dir, tinyFolder(t)); err != nil {
					t.Fatal(err)
				}
				wantTrain, wantTest = 201, 3
			default:
				writeMNIST(t, dir, 3, len(c.written)%2 == 0)
			}
			o := Options{Root: filepath.Join(root, c.opened)}
			test, err := Open(c.set, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Train = true
			train, err := Open(c.set, o)
			if err != nil {
				t.Fatal(err)
			}
			if train.Len() != wantTrain || test.Len() != wantTest {
				t.Errorf("%d and %d images, want %d and %d", train.Len(), test.Len(), wantTrain, wantTest)
			}
			if !train.Train || test.Train || train.Name != strings.ReplaceAll(c.set, "_", "-") {
				t.Errorf("opened %v and %v", train, test)
			}
			if info, err := Lookup(c.set); err != nil || train.Classes() != info.Classes || test.Classes() != info.Classes {
				t.Errorf("%d and %d classes, want those of %+v, %v", train.Classes(), test.Classes(), info, err)
			}
		})
	}
}

// The five training files must come in their order, and be all of them.
func TestOpenCIFAR10Content(t *testing.T) {
	root := t.TempDir()
	writeCIFAR10(t, root, 3)
	pixels, labels := synthetic(18, 10, Shape{3, 32, 32})
	train, err := Open("cifar10", Options{Train: true, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	test, err := Open("cifar10", Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(train.Pixels, test.Pixels...), pixels) || !slices.Equal(append(train.Labels, test.Labels...), labels) {
		t.Error("images or labels differ from what was written")
	}
	if train.Augmentation != (Augmentation{Padding: 4, Flip: true}) {
		t.Errorf("augmentation %+v", train.Augmentation)
	}
}

func TestRoot(t *testing.T) {
	explicit, variable, cache := t.TempDir(), t.TempDir(), t.TempDir()
	for i, dir := range []string{explicit, variable, filepath.Join(cache, "ddu", "data")} {
		writeMNIST(t, filepath.Join(dir, "mnist"), 3*i+1, true)
	}
	// Each system has its own variable for the cache folder; $HOME decides on some.
	t.Setenv("XDG_CACHE_HOME", cache)
	if got, err := os.UserCacheDir(); err != nil || got != cache {
		t.Skip("the cache folder cannot be set on this system")
	}
	count := func(root string) int {
		t.Helper()
		s, err := Open("mnist", Options{Train: true, Root: root})
		if err != nil {
			t.Fatal(err)
		}
		return s.Len()
	}
	t.Setenv(RootVariable, "")
	if n := count(""); n != 7 {
		t.Errorf("without root and $%s: %d images, want the 7 of the cache folder", RootVariable, n)
	}
	t.Setenv(RootVariable, variable)
	if n := count(""); n != 4 {
		t.Errorf("with $%s: %d images, want its 4", RootVariable, n)
	}
	if n := count(explicit); n != 1 {
		t.Errorf("with a root: %d images, want its 1", n)
	}
	// The first of the three that is set decides: nothing is picked up elsewhere.
	_, err := Open("mnist", Options{Root: t.TempDir()})
	wantError(t, err, "not found")
}

func TestMissingFiles(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		set   string
		train bool
		want  []string
	}{
		{"mnist", true, []string{"mnist (training)", "train-images-idx3-ubyte[.gz]", "train-labels-idx1-ubyte[.gz]", filepath.Join(root, "mnist"),
			filepath.Join(root, "MNIST", "raw"), "http://yann.lecun.com/exdb/mnist/", "data.root", "$DDU_DATA", "mnist-sample"}},
		{"fashion_mnist", false, []string{"fashion-mnist (test)", "t10k-images-idx3-ubyte[.gz]", "github.com/zalandoresearch/fashion-mnist"}},
		{"cifar10", true, []string{"cifar10 (training)", "data_batch_1.bin", "data_batch_5.bin", "cifar-10-batches-bin", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"}},
		{"cifar10", false, []string{"cifar10 (test)", "test_batch.bin"}},
		{"cifar100", true, []string{"cifar100 (training)", "train.bin", "cifar-100-binary", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"}},
		{"cifar100", false, []string{"cifar100 (test)", "test.bin"}},
		{"svhn", true, []string{"svhn (training)", "train_32x32.mat", filepath.Join(root, "svhn"), "http://ufldl.stanford.edu/housenumbers/"}},
		{"svhn", false, []string{"svhn (test)", "test_32x32.mat"}},
		{"tiny_imagenet", false, []string{"tiny-imagenet (test)", "wnids.txt", "val/val_annotations.txt", "tiny-imagenet-200", "http://cs231n.stanford.edu/tiny-imagenet-200.zip"}},
	} {
		t.Run(fmt.Sprint(c.set, c.train), func(t *testing.T) {
			s, err := Open(c.set, Options{Train: c.train, Root: root})
			if s != nil {
				t.Error("a set beside the error")
			}
			wantError(t, err, c.want...)
			var missing *MissingError
			if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%T, want a *MissingError that is fs.ErrNotExist", err)
			}
		})
	}
}

// The out-of-distribution sets of colour images fit CIFAR-10, take its
// normalisation, and only those that a mirror leaves alone are mirrored.
func TestColourSetsFitCIFAR10(t *testing.T) {
	for name, want := range map[string]Augmentation{"cifar10": {4, true}, "cifar100": {4, true}, "svhn": {}, "tiny-imagenet": {4, true}} {
		src, err := lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if src.shape != (Shape{3, 32, 32}) || &src.normalization.Mean[0] != &cifarNormalization.Mean[0] || &src.normalization.Std[0] != &cifarNormalization.Std[0] {
			t.Errorf("%s: %v normalised by %v, want 3x32x32 and %v", name, src.shape, src.normalization, cifarNormalization)
		}
		if src.augmentation != want {
			t.Errorf("%s: augmentation %+v, want %+v", name, src.augmentation, want)
		}
	}
}

// Files called train.bin and test.bin are not CIFAR-100's wherever they lie.
func TestCIFAR100FilesInRootAreAmbiguous(t *testing.T) {
	root := t.TempDir()
	write(t, cifar100File(synthetic(2, 100, Shape{3, 32, 32})), root, "test.bin")
	_, err := Open("cifar100", Options{Root: root})
	wantError(t, err, "cifar100", "not found")
}

// MNIST and Fashion-MNIST have files of the same names, so a folder that is
// called like neither must not pass as both.
func TestMNISTFilesInRootAreAmbiguous(t *testing.T) {
	root := filepath.Join(t.TempDir(), "mnist")
	writeMNIST(t, root, 2, false)
	if _, err := Open("mnist", Options{Root: root}); err != nil {
		t.Error(err)
	}
	_, err := Open("fashion-mnist", Options{Root: root})
	wantError(t, err, "fashion-mnist", "not found")
}

func TestIncompleteFolder(t *testing.T) {
	root := t.TempDir()
	writeCIFAR10(t, filepath.Join(root, "cifar10"), 1)
	if err := os.Remove(filepath.Join(root, "cifar10", "data_batch_4.bin")); err != nil {
		t.Fatal(err)
	}
	_, err := Open("cifar10", Options{Train: true, Root: root})
	wantError(t, err, filepath.Join(root, "cifar10"), "no data_batch_4.bin", "other 4 of 5")
	if err := os.Mkdir(filepath.Join(root, "cifar10", "data_batch_4.bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Open("cifar10", Options{Train: true, Root: root})
	wantError(t, err, "data_batch_4.bin", "is a folder")
}

func TestOpenNamesDamagedFile(t *testing.T) {
	root := t.TempDir()
	writeCIFAR10(t, root, 2)
	path := filepath.Join(root, "data_batch_3.bin")
	if err := os.Truncate(path, 4000); err != nil {
		t.Fatal(err)
	}
	s, err := Open("cifar10", Options{Train: true, Root: root})
	if s != nil {
		t.Error("a set beside the error")
	}
	wantError(t, err, filepath.ToSlash(path), "4000 bytes", "3073")

	images, _ := idxPair(3)
	write(t, images[:50], root, "mnist", "t10k-images-idx3-ubyte")
	_, labels := idxPair(3)
	write(t, labels, root, "mnist", "t10k-labels-idx1-ubyte")
	_, err = Open("mnist", Options{Root: root})
	wantError(t, err, filepath.ToSlash(filepath.Join(root, "mnist", "t10k-images-idx3-ubyte")), "34 bytes, want 2352")
}

func TestNames(t *testing.T) {
	classes := map[string]int{"cifar100": 100, "tiny-imagenet": 200}
	for _, name := range Names() {
		info, err := Lookup(strings.ReplaceAll(name, "-", "_"))
		if err != nil || info.Name != name || info.Classes != max(10, classes[name]) {
			t.Errorf("%s with underscores: %+v, %v", name, info, err)
		}
	}
	_, err := Lookup("imagenet")
	wantError(t, err, `"imagenet"`, "cifar10, cifar100, svhn, tiny-imagenet, mnist-sample")
	_, err = Open("imagenet", Options{})
	wantError(t, err, `"imagenet"`, "cifar10, cifar100, svhn, tiny-imagenet, mnist-sample")
	_, err = Open("fashion-mnist-sample", Options{Train: true})
	wantError(t, err, "fashion-mnist-sample has no training part")
	if info, err := Lookup("fashion-mnist-sample"); err != nil || info.HasTrain {
		t.Errorf("fashion-mnist-sample: %+v, %v, want no training part", info, err)
	}
}

// realData opens a set in $DDU_DATA, or skips the test when it is not there.
func realData(t testing.TB, name string, train bool) *Set {
	t.Helper()
	if os.Getenv(RootVariable) == "" {
		t.Skipf("$%s is not set", RootVariable)
	}
	s, err := Open(name, Options{Train: train})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRealData(t *testing.T) {
	for _, c := range []struct {
		set   string
		train bool
		n     int
		first []int
	}{
		{"mnist", true, 60_000, []int{5, 0, 4, 1, 9, 2, 1, 3, 1, 4}},
		{"mnist", false, 10_000, []int{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}},
		{"fashion-mnist", true, 60_000, []int{9, 0, 0, 3, 0, 2, 7, 2, 5, 5}},
		{"fashion-mnist", false, 10_000, []int{9, 2, 1, 1, 6, 1, 4, 6, 5, 7}},
		{"cifar10", true, 50_000, []int{6, 9, 9, 4, 1, 1, 2, 7, 8, 3}},
		{"cifar10", false, 10_000, []int{3, 8, 8, 0, 6, 6, 1, 6, 3, 1}},
	} {
		t.Run(describe(c.set, c.train), func(t *testing.T) {
			s := realData(t, c.set, c.train)
			if s.Len() != c.n || len(s.Pixels) != c.n*s.Shape.Len() || !slices.Equal(s.Labels[:10], c.first) {
				t.Errorf("%d images, %d bytes, first labels %v; want %d and %v", s.Len(), len(s.Pixels), s.Labels[:10], c.n, c.first)
			}
		})
	}
}

// Sets of which $DDU_DATA may hold a part, or another order: what is there is
// as the published files are.
func TestRealOutOfDistributionSets(t *testing.T) {
	for _, c := range []struct {
		set   string
		train bool
		n     []int // possible numbers of images
		share float64
		mean  float64 // of all pixels
	}{
		{"cifar100", false, []int{10_000}, 0.01, 122},
		{"cifar100", true, []int{50_000}, 0.01, 122},
		{"svhn", false, []int{10_000, 26_032}, 0.2, 116},
		{"svhn", true, []int{73_257}, 0.2, 112},
		{"tiny-imagenet", false, []int{2_000, 10_000}, 0.02, 114},
		{"tiny-imagenet", true, []int{100_000}, 0.01, 114},
	} {
		t.Run(describe(c.set, c.train), func(t *testing.T) {
			s := realData(t, c.set, c.train)
			if !slices.Contains(c.n, s.Len()) || len(s.Pixels) != s.Len()*s.Shape.Len() {
				t.Errorf("%d images, %d bytes; want %v images of %v", s.Len(), len(s.Pixels), c.n, s.Shape)
			}
			perClass, sum, rough := make([]int, s.Classes()), 0, [2]int{}
			for i, label := range s.Labels {
				perClass[label]++
				image := s.Image(i)
				for p, v := range image {
					sum += int(v)
					if p%32 != 0 {
						rough[0] += max(int(v), int(image[p-1])) - min(int(v), int(image[p-1]))
					}
					if p%1024 >= 32 {
						rough[1] += max(int(v), int(image[p-32])) - min(int(v), int(image[p-32]))
					}
				}
			}
			if least, most := slices.Min(perClass), slices.Max(perClass); least == 0 || float64(most) > c.share*float64(s.Len()) {
				t.Errorf("%d to %d images of a class among %d", least, most, s.Len())
			}
			if mean := float64(sum) / float64(len(s.Pixels)); mean < c.mean-6 || mean > c.mean+6 {
				t.Errorf("mean pixel %.1f, want about %v", mean, c.mean)
			}
			// Planes cut at a wrong place, or of wrong row length, are rough.
			for axis, v := range rough {
				if step := float64(v) / float64(len(s.Pixels)); step > 16 {
					t.Errorf("neighbours along axis %d differ by %.1f on average, want at most 16", axis, step)
				}
			}
			if c.set == "svhn" && !c.train && !slices.Equal(s.Labels[:10], []int{5, 2, 1, 0, 6, 1, 9, 1, 1, 8}) {
				t.Errorf("first labels %v", s.Labels[:10])
			}
		})
	}
}
