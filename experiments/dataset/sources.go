package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/deepuncertainty/ddu/experiments/dataset/download"
)

// source describes a data set that Open knows by name.
type source struct {
	name          string
	shape         Shape
	classNames    []string // nil: the files have them
	classes       int      // number, when classNames is nil
	normalization Normalization
	augmentation  Augmentation

	trainImages, testImages int // of the published set; 0: it has no such part

	formats []format // in order of preference
	hint    string   // what works without the files, or ""
	licence string   // in a few words
	get     []published
	// unpacked is the folder below the root that holds the content of get when
	// that is an archive, and what the names in the archive begin with.
	unpacked string
	limits   download.Limits // of the archive
	needs    string          // another set that is a part of this one, or ""
}

// format is one way in which the files of a set come.
type format struct {
	train, test []string // files of each part; nil: there is none
	// trainFolder and testFolder are folders of images that each part has
	// besides, or "".
	trainFolder, testFolder string
	gzip                    bool     // the files may also be there as .gz
	embedded                bool     // the files are in the program
	folders                 []string // below the root, slash-separated, in order of preference
	ownNames                bool     // no other set has files of these names
	url                     string
	sums                    map[string]download.Want // of the published files, where they are known
	read                    func(s *Set, in input) error
}

// files returns the files of one part.
func (f *format) files(train bool) []string {
	if train {
		return f.train
	}
	return f.test
}

// subfolder returns the folder that one part has besides files.
func (f *format) subfolder(train bool) string {
	if train {
		return f.trainFolder
	}
	return f.testFolder
}

// input is what a format reads a set from.
type input struct {
	folder folder
	files  []file // in the order of the format's list
	base   *Set   // the same part of the set that source.needs names
}

// part says how many images the published part has.
func (src *source) images(train bool) int {
	if train {
		return src.trainImages
	}
	return src.testImages
}

var (
	mnistTrain = []string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}
	mnistTest  = []string{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}

	digitNames   = []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	fashionNames = []string{"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"}
	cifar10Names = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
)

var sources = []source{
	{
		name:          "mnist",
		shape:         Shape{1, 28, 28},
		classNames:    digitNames,
		normalization: mnistNormalization,
		trainImages:   60_000,
		testImages:    10_000,
		formats: []format{{
			train:   mnistTrain,
			test:    mnistTest,
			gzip:    true,
			folders: []string{"mnist", "MNIST/raw", "MNIST"},
			url:     "http://yann.lecun.com/exdb/mnist/ (mirror: https://ossci-datasets.s3.amazonaws.com/mnist/)",
			sums:    sumsOf(mnistFiles),
			read:    readPair,
		}},
		hint:    "mnist-sample needs no files",
		licence: "CC BY-SA 3.0",
		get:     mnistFiles,
	},
	{
		name:          "fashion-mnist",
		shape:         Shape{1, 28, 28},
		classNames:    fashionNames,
		normalization: mnistNormalization,
		trainImages:   60_000,
		testImages:    10_000,
		formats: []format{{
			train:   mnistTrain,
			test:    mnistTest,
			gzip:    true,
			folders: []string{"fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"},
			url:     "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
			sums:    sumsOf(fashionFiles),
			read:    readPair,
		}},
		hint:    "fashion-mnist-sample (test only) needs no files",
		licence: "MIT",
		get:     fashionFiles,
	},
	{
		name:          "dirty-mnist",
		shape:         Shape{1, 28, 28},
		classNames:    digitNames,
		normalization: mnistNormalization,
		trainImages:   120_000,
		testImages:    70_000,
		formats:       ambiguousFormats((*Set).readDirtyMNIST),
		licence:       "CC BY-SA 3.0 (MNIST), Apache 2.0",
		get:           ambiguousFiles,
		needs:         "mnist",
	},
	{
		name:          "ambiguous-mnist",
		shape:         Shape{1, 28, 28},
		classNames:    digitNames,
		normalization: mnistNormalization,
		trainImages:   60_000,
		testImages:    60_000,
		formats:       ambiguousFormats((*Set).readAmbiguousMNIST),
		licence:       "Apache 2.0",
		get:           ambiguousFiles,
	},
	{
		name:          "cifar10",
		shape:         Shape{3, 32, 32},
		classNames:    cifar10Names,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		trainImages:   50_000,
		testImages:    10_000,
		formats: []format{{
			train:    []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
			test:     []string{"test_batch.bin"},
			folders:  []string{"cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10"},
			ownNames: true,
			url:      "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
			sums:     cifar10Sums,
			read:     eachFile((*Set).readCIFAR10),
		}, {
			train:    []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
			test:     []string{"test_batch"},
			folders:  []string{"cifar-10-batches-py", "cifar10/cifar-10-batches-py"},
			ownNames: true,
			url:      "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
			sums:     cifar10PickleSums,
			read:     eachFile((*Set).readCIFAR10Pickle),
		}},
		licence:  "research; cite Krizhevsky 2009",
		get:      cifar10Files,
		unpacked: "cifar-10-batches-bin",
		limits:   download.Limits{Bytes: 200_000_000, Files: 20},
	},
	{
		name:          "cifar100",
		shape:         Shape{3, 32, 32},
		classNames:    cifar100Names,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		trainImages:   50_000,
		testImages:    10_000,
		formats: []format{{
			train:   []string{"train.bin"},
			test:    []string{"test.bin"},
			folders: []string{"cifar-100-binary", "cifar100/cifar-100-binary", "cifar100"},
			url:     "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
			sums:    cifar100Sums,
			read:    eachFile((*Set).readCIFAR100),
		}, {
			train:   []string{"train"},
			test:    []string{"test"},
			folders: []string{"cifar-100-python", "cifar100/cifar-100-python"},
			url:     "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
			sums:    cifar100PickleSums,
			read:    eachFile((*Set).readCIFAR100Pickle),
		}},
		licence:  "research; cite Krizhevsky 2009",
		get:      cifar100Files,
		unpacked: "cifar-100-binary",
		limits:   download.Limits{Bytes: 200_000_000, Files: 20},
	},
	{
		name:          "svhn",
		shape:         Shape{3, 32, 32},
		classNames:    digitNames,
		normalization: cifarNormalization,
		trainImages:   73_257,
		testImages:    26_032,
		formats: []format{{
			train:    []string{"train_32x32.mat"},
			test:     []string{"test_32x32.mat"},
			folders:  []string{"svhn", "SVHN"},
			ownNames: true,
			url:      "http://ufldl.stanford.edu/housenumbers/",
			sums:     sumsOf(svhnFiles),
			read:     eachFile((*Set).readSVHN),
		}},
		licence: "non-commercial use only",
		get:     svhnFiles,
	},
	{
		name:          "tiny-imagenet",
		shape:         Shape{3, 32, 32},
		classes:       tinyImageNetClasses,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		trainImages:   100_000,
		testImages:    10_000,
		formats: []format{{
			train:       []string{"wnids.txt"},
			test:        []string{"wnids.txt", "val/val_annotations.txt"},
			folders:     []string{"tiny-imagenet-200", "tiny-imagenet/tiny-imagenet-200", "tiny-imagenet", "tiny_imagenet"},
			trainFolder: "train", testFolder: "val/images",
			ownNames: true,
			url:      "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
			read:     (*Set).readTinyImageNet,
		}},
		licence:  "research (images of ImageNet)",
		get:      tinyImageNetFiles,
		unpacked: "tiny-imagenet-200",
		limits:   download.Limits{Bytes: 2_000_000_000, Files: 200_000},
	},
	{
		name:          "mnist-sample",
		shape:         Shape{1, 28, 28},
		classNames:    digitNames,
		normalization: mnistNormalization,
		trainImages:   10_000,
		testImages:    2_000,
		formats: []format{{
			train:    []string{"sample/mnist-train-images-idx3-ubyte.gz", "sample/mnist-train-labels-idx1-ubyte.gz"},
			test:     []string{"sample/mnist-t10k-images-idx3-ubyte.gz", "sample/mnist-t10k-labels-idx1-ubyte.gz"},
			embedded: true,
			read:     readPair,
		}},
		licence: "CC BY-SA 3.0",
	},
	{
		name:          "fashion-mnist-sample",
		shape:         Shape{1, 28, 28},
		classNames:    fashionNames,
		normalization: mnistNormalization,
		testImages:    2_000,
		formats: []format{{
			test:     []string{"sample/fashion-mnist-t10k-images-idx3-ubyte.gz", "sample/fashion-mnist-t10k-labels-idx1-ubyte.gz"},
			embedded: true,
			read:     readPair,
		}},
		licence: "MIT",
	},
}

// ambiguousFormats are the two files of Ambiguous-MNIST, which hold both parts.
func ambiguousFormats(read func(s *Set, in input) error) []format {
	files := []string{"amnist_samples.pt", "amnist_labels.pt"}
	return []format{{
		train:    files,
		test:     files,
		folders:  []string{"ambiguous-mnist", "ambiguous_mnist", "AmbiguousMNIST", "dirty-mnist", "dirty_mnist", "DirtyMNIST"},
		ownNames: true,
		url:      "https://github.com/BlackHC/ddu_dirty_mnist/releases/tag/data-v1.0.0",
		sums:     sumsOf(ambiguousFiles),
		read:     read,
	}}
}

// eachFile reads the files of a part one after the other.
func eachFile(read func(s *Set, f file) error) func(s *Set, in input) error {
	return func(s *Set, in input) error {
		for _, f := range in.files {
			if err := read(s, f); err != nil {
				return err
			}
		}
		return nil
	}
}

// readPair reads a file of images and a file of labels.
func readPair(s *Set, in input) error { return s.readIDX(in.files[0], in.files[1]) }

// Names lists the sets that Open knows by name.
func Names() []string {
	names := make([]string, len(sources))
	for i, src := range sources {
		names[i] = src.name
	}
	return names
}

// Info is what is known of a set before its files are read.
type Info struct {
	Name     string // canonical
	Shape    Shape
	Classes  int
	HasTrain bool // there is a training part
}

// Lookup describes a set by name, or says which names there are.
func Lookup(name string) (Info, error) {
	src, err := lookup(name)
	if err != nil {
		return Info{}, err
	}
	classes := src.classes
	if src.classNames != nil {
		classes = len(src.classNames)
	}
	return Info{src.name, src.shape, classes, src.trainImages > 0}, nil
}

func lookup(name string) (*source, error) {
	canonical := strings.ReplaceAll(name, "_", "-")
	i := slices.IndexFunc(sources, func(s source) bool { return s.name == canonical })
	if i < 0 {
		return nil, fmt.Errorf("data set %q is unknown, want one of %s", name, strings.Join(Names(), ", "))
	}
	return &sources[i], nil
}

// isAbsent reports that a file is not there, also because its folder is a file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
