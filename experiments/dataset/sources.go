package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// source describes a data set that Open knows.
type source struct {
	name          string
	shape         Shape
	classNames    []string // nil: the files have them
	classes       int      // number, when classNames is nil
	normalization Normalization
	augmentation  Augmentation

	train, test []string // files of each part; nil: there is none
	gzip        bool     // the files may also be there as .gz
	embedded    bool     // the files are in the program
	folders     []string // below the root, slash-separated, in order of preference
	ownNames    bool     // no other set has files of these names
	url, hint   string
	read        func(s *Set, dir folder, files []file) error
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
		train:         mnistTrain,
		test:          mnistTest,
		gzip:          true,
		folders:       []string{"mnist", "MNIST/raw", "MNIST"},
		url:           "http://yann.lecun.com/exdb/mnist/ (mirror: https://ossci-datasets.s3.amazonaws.com/mnist/)",
		hint:          "mnist-sample needs no files",
		read:          readPair,
	},
	{
		name:          "fashion-mnist",
		shape:         Shape{1, 28, 28},
		classNames:    fashionNames,
		normalization: mnistNormalization,
		train:         mnistTrain,
		test:          mnistTest,
		gzip:          true,
		folders:       []string{"fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"},
		url:           "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
		hint:          "fashion-mnist-sample (test only) needs no files",
		read:          readPair,
	},
	{
		name:          "cifar10",
		shape:         Shape{3, 32, 32},
		classNames:    cifar10Names,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		train:         []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
		test:          []string{"test_batch.bin"},
		folders:       []string{"cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10"},
		ownNames:      true,
		url:           "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
		read: func(s *Set, _ folder, files []file) error {
			for _, f := range files {
				if err := s.readCIFAR10(f); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name:          "cifar100",
		shape:         Shape{3, 32, 32},
		classNames:    cifar100Names,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		train:         []string{"train.bin"},
		test:          []string{"test.bin"},
		folders:       []string{"cifar-100-binary", "cifar100/cifar-100-binary", "cifar100"},
		url:           "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
		read:          func(s *Set, _ folder, files []file) error { return s.readCIFAR100(files[0]) },
	},
	{
		name:          "svhn",
		shape:         Shape{3, 32, 32},
		classNames:    digitNames,
		normalization: cifarNormalization,
		train:         []string{"train_32x32.mat"},
		test:          []string{"test_32x32.mat"},
		folders:       []string{"svhn", "SVHN"},
		ownNames:      true,
		url:           "http://ufldl.stanford.edu/housenumbers/",
		read:          func(s *Set, _ folder, files []file) error { return s.readSVHN(files[0]) },
	},
	{
		name:          "tiny-imagenet",
		shape:         Shape{3, 32, 32},
		classes:       tinyImageNetClasses,
		normalization: cifarNormalization,
		augmentation:  Augmentation{Padding: 4, Flip: true},
		train:         []string{"wnids.txt"},
		test:          []string{"wnids.txt", "val/val_annotations.txt"},
		folders:       []string{"tiny-imagenet-200", "tiny-imagenet/tiny-imagenet-200", "tiny-imagenet", "tiny_imagenet"},
		ownNames:      true,
		url:           "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
		read:          (*Set).readTinyImageNet,
	},
	{
		name:          "mnist-sample",
		shape:         Shape{1, 28, 28},
		classNames:    digitNames,
		normalization: mnistNormalization,
		train:         []string{"sample/mnist-train-images-idx3-ubyte.gz", "sample/mnist-train-labels-idx1-ubyte.gz"},
		test:          []string{"sample/mnist-t10k-images-idx3-ubyte.gz", "sample/mnist-t10k-labels-idx1-ubyte.gz"},
		embedded:      true,
		read:          readPair,
	},
	{
		name:          "fashion-mnist-sample",
		shape:         Shape{1, 28, 28},
		classNames:    fashionNames,
		normalization: mnistNormalization,
		test:          []string{"sample/fashion-mnist-t10k-images-idx3-ubyte.gz", "sample/fashion-mnist-t10k-labels-idx1-ubyte.gz"},
		embedded:      true,
		read:          readPair,
	},
}

// readPair reads a file of images and a file of labels.
func readPair(s *Set, _ folder, files []file) error { return s.readIDX(files[0], files[1]) }

// Names lists the sets that Open knows.
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
	return Info{src.name, src.shape, classes, src.train != nil}, nil
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
