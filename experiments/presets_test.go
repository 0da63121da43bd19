package experiments

import (
	"testing"

	"github.com/deepuncertainty/ddu/experiments/config"
)

// The presets of CIFAR-100 run on files of the official format, in small.
func TestCIFAR100PresetsRun(t *testing.T) {
	notShort(t)
	root := t.TempDir()
	writeCIFAR100(t, root)
	small := []string{"data.root=" + root, "data.ood=cifar10", "train.epochs=1", "train.batch=32", "train.lr=0.01"}
	for name, methods := range map[string]int{"cifar100_wrn": 4, "cifar100_wrn_sn": 4, "cifar100_wrn_ensemble": 5} {
		t.Run(name, func(t *testing.T) {
			overrides := append(small[:len(small):len(small)], "model.depth=10", "model.widen=1")
			if methods == 5 {
				overrides = append(overrides, "runs.ensemble=2")
			}
			cfg, err := config.LoadPreset(Presets, name, overrides...)
			if err != nil {
				t.Fatal(err)
			}
			s := mustRun(t, cfg, Options{Folder: Folder(t.TempDir())})
			if s.Dataset != "cifar100" || len(s.Rows) != methods {
				t.Errorf("%d rows of %s, want %d of cifar100", len(s.Rows), s.Dataset, methods)
			}
		})
	}
}

// writeCIFAR100 writes 500 training and 40 test images of 100 classes, and
// CIFAR-10 beside them.
func writeCIFAR100(t *testing.T, root string) {
	t.Helper()
	for file, n := range map[string]int{"train.bin": 500, "test.bin": 40} {
		pixels, _ := tinyImages(n, 3, 32, uint64(n), false)
		var records []byte
		for i := range n {
			class := byte(i % 100)
			records = append(append(records, class/5, class), pixels[i*3*32*32:(i+1)*3*32*32]...)
		}
		writeFile(t, records, root, "cifar-100-binary", file)
	}
	pixels, labels := tinyImages(20, 3, 32, 9, true)
	var records []byte
	for i, label := range labels {
		records = append(append(records, label), pixels[i*3*32*32:(i+1)*3*32*32]...)
	}
	writeFile(t, records, root, "cifar-10-batches-bin", "test_batch.bin")
}
