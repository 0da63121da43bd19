package dataset

// published is one file that a set is downloaded as.
type published struct {
	urls   []string // in order of preference
	folder string   // below the root, where it comes to lie; of an archive: "", see source.unpacked
	size   int64    // bytes; 0: not known
	sha256 string   // or
	md5    string   // where no SHA-256 is known
}

// The sums are those that the owners, torchvision and TensorFlow Datasets give.
var (
	mnistFiles = fromMirrors("mnist",
		[]string{"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/", "http://yann.lecun.com/exdb/mnist/"},
		namedFile{"train-images-idx3-ubyte.gz", 9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
		namedFile{"train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
		namedFile{"t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
		namedFile{"t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
	)
	fashionFiles = fromMirrors("fashion-mnist",
		[]string{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
		namedFile{"train-images-idx3-ubyte.gz", 26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
		namedFile{"train-labels-idx1-ubyte.gz", 29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
		namedFile{"t10k-images-idx3-ubyte.gz", 4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
		namedFile{"t10k-labels-idx1-ubyte.gz", 5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
	)
	ambiguousFiles = []published{
		{urls: []string{"https://github.com/BlackHC/ddu_dirty_mnist/releases/download/data-v1.0.0/amnist_samples.pt"}, folder: "ambiguous-mnist", md5: "4f7865093b1d28e34019847fab917722"},
		{urls: []string{"https://github.com/BlackHC/ddu_dirty_mnist/releases/download/data-v1.0.0/amnist_labels.pt"}, folder: "ambiguous-mnist", md5: "3bfc055a9f91a76d8d493e8b898c3c95"},
	}
	cifar10Files = []published{{
		urls: []string{"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"}, size: 170_052_171,
		sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
	}}
	cifar100Files = []published{{
		urls: []string{"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"}, size: 168_513_733,
		sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
	}}
	svhnFiles = fromMirrors("svhn",
		[]string{"http://ufldl.stanford.edu/housenumbers/"},
		namedFile{"train_32x32.mat", 182_040_794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"},
		namedFile{"test_32x32.mat", 64_275_384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"},
	)
	tinyImageNetFiles = []published{{
		urls: []string{"http://cs231n.stanford.edu/tiny-imagenet-200.zip"}, size: 248_100_043,
		md5: "90528d7ca1a48142e341f4ef8d21d0de",
	}}
)

type namedFile struct {
	name   string
	size   int64
	sha256 string
}

func fromMirrors(folder string, mirrors []string, files ...namedFile) []published {
	list := make([]published, len(files))
	for i, f := range files {
		list[i] = published{folder: folder, size: f.size, sha256: f.sha256}
		for _, mirror := range mirrors {
			list[i].urls = append(list[i].urls, mirror+f.name)
		}
	}
	return list
}
