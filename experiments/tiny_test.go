package experiments

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepuncertainty/ddu/experiments/config"
)

// tinyRoot writes small data sets in their official formats: mnist and
// fashion-mnist with images training images each, cifar10 with as many. Classes
// can be told apart: each has a bright square at a place of its own.
func tinyRoot(t *testing.T, images int) string {
	t.Helper()
	root := t.TempDir()
	for salt, set := range []string{"mnist", "fashion-mnist"} {
		for part, n := range map[string]int{"train": images, "t10k": images / 5} {
			pixels, labels := tinyImages(n, 1, 28, uint64(salt), salt == 1)
			header := []uint32{0x803, uint32(n), 28, 28}
			writeFile(t, append(bigEndian(header), pixels...), root, set, part+"-images-idx3-ubyte")
			writeFile(t, append(bigEndian([]uint32{0x801, uint32(n)}), labels...), root, set, part+"-labels-idx1-ubyte")
		}
	}
	for _, part := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		pixels, labels := tinyImages(images/5, 3, 32, uint64(len(part)+int(part[len(part)-1])), false)
		var records []byte
		for i, label := range labels {
			records = append(append(records, label), pixels[i*3*32*32:(i+1)*3*32*32]...)
		}
		writeFile(t, records, root, "cifar-10-batches-bin", part+".bin")
	}
	return root
}

func tinyImages(n, channels, size int, salt uint64, inverted bool) (pixels, labels []byte) {
	state := salt*0x9e3779b97f4a7c15 + 1
	for i := range n {
		label := i * 7 % 10
		labels = append(labels, byte(label))
		top, left := label/4*8, label%4*7
		for range channels {
			for y := range size {
				for x := range size {
					state = state*6364136223846793005 + 1442695040888963407
					v := byte(state >> 58)
					if y >= top && y < top+8 && x >= left && x < left+7 {
						v += 180
					}
					if inverted {
						v = 255 - v
					}
					pixels = append(pixels, v)
				}
			}
		}
	}
	return pixels, labels
}

func bigEndian(values []uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func writeFile(t *testing.T, data []byte, elements ...string) {
	t.Helper()
	path := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// tinyLeNet is the quickest experiment: three epochs of LeNet on digits.
const tinyLeNet = `
[data]
name = "mnist"
ood = ["fashion-mnist"]
root = %q
[model]
name = "lenet"
[train]
epochs = 3
batch = 16
lr = 0.02
schedule = "onecycle"
`

// tinyWRN uses everything that a checkpoint has to bring back: power iteration
// vectors, running statistics, momentum, dropout, augmentation.
const tinyWRN = `
[data]
name = "cifar10"
root = %q
[model]
name = "wide_resnet"
depth = 10
widen = 1
sn = true
mod = true
dropout = 0.3
[train]
epochs = 3
batch = 16
lr = 0.05
schedule = "step"
milestones = [1, 2]
`

func parse(t *testing.T, text, root string, overrides ...string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("tiny.toml", []byte(fmt.Sprintf(text, root)), overrides...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// notShort keeps tests of several whole runs out of -short, with which the race
// detector and the portable kernels are tested.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("several whole runs")
	}
}
