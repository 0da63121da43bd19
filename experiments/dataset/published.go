package dataset

import (
	"path"

	"github.com/deepuncertainty/ddu/experiments/dataset/download"
)

// published is one file that a set is downloaded as.
type published struct {
	urls   []string // in order of preference
	folder string   // below the root, where it comes to lie; of an archive: "", see source.unpacked
	want   download.Want
}

// name is the file's own name.
func (p published) name() string { return path.Base(p.urls[0]) }

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
		{urls: []string{"https://github.com/BlackHC/ddu_dirty_mnist/releases/download/data-v1.0.0/amnist_samples.pt"}, folder: "ambiguous-mnist", want: download.Want{MD5: "4f7865093b1d28e34019847fab917722"}},
		{urls: []string{"https://github.com/BlackHC/ddu_dirty_mnist/releases/download/data-v1.0.0/amnist_labels.pt"}, folder: "ambiguous-mnist", want: download.Want{MD5: "3bfc055a9f91a76d8d493e8b898c3c95"}},
	}
	cifar10Files = []published{{
		urls: []string{"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"},
		want: download.Want{Size: 170_052_171, SHA256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
	}}
	cifar100Files = []published{{
		urls: []string{"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"},
		want: download.Want{Size: 168_513_733, SHA256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"},
	}}
	svhnFiles = fromMirrors("svhn",
		[]string{"http://ufldl.stanford.edu/housenumbers/"},
		namedFile{"train_32x32.mat", 182_040_794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"},
		namedFile{"test_32x32.mat", 64_275_384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"},
	)
	tinyImageNetFiles = []published{{
		urls: []string{"http://cs231n.stanford.edu/tiny-imagenet-200.zip"},
		want: download.Want{Size: 248_100_043, MD5: "90528d7ca1a48142e341f4ef8d21d0de"},
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
		list[i] = published{folder: folder, want: download.Want{Size: f.size, SHA256: f.sha256}}
		for _, mirror := range mirrors {
			list[i].urls = append(list[i].urls, mirror+f.name)
		}
	}
	return list
}

// The sums of the files in the archives. Those of the Python versions are
// torchvision's.
var (
	cifar10Sums = map[string]download.Want{
		"data_batch_1.bin": {Size: 30_730_000, SHA256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
		"data_batch_2.bin": {Size: 30_730_000, SHA256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
		"data_batch_3.bin": {Size: 30_730_000, SHA256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
		"data_batch_4.bin": {Size: 30_730_000, SHA256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
		"data_batch_5.bin": {Size: 30_730_000, SHA256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
		"test_batch.bin":   {Size: 30_730_000, SHA256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
	}
	cifar10PickleSums = map[string]download.Want{
		"data_batch_1": {MD5: "c99cafc152244af753f735de768cd75f"},
		"data_batch_2": {MD5: "d4bba439e000b95fd0a9bffe97cbabec"},
		"data_batch_3": {MD5: "54ebc095f3ab1f0389bbae665268c751"},
		"data_batch_4": {MD5: "634d18415352ddfa80567beed471001a"},
		"data_batch_5": {MD5: "482c414d41f54cd18b22e5b47cb7c3cb"},
		"test_batch":   {MD5: "40351d587109b95175f43aff81a1287e"},
	}
	cifar100Sums = map[string]download.Want{
		"train.bin": {Size: 153_700_000, SHA256: "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
		"test.bin":  {Size: 30_740_000, SHA256: "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
	}
	cifar100PickleSums = map[string]download.Want{
		"train": {MD5: "16019d7e3df5f24257cddd939b257f8d"},
		"test":  {MD5: "f0ef6b0ae62326f3e7ffdfab6717acfc"},
	}
)

// sumsOf are the sums of files that are published one by one.
func sumsOf(files []published) map[string]download.Want {
	sums := map[string]download.Want{}
	for _, f := range files {
		sums[f.name()] = f.want
	}
	return sums
}
