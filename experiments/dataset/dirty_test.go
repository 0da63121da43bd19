package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// torchTensor writes a tensor as torch.save does.
func torchTensor(t *testing.T, storage string, data []byte, shape ...int) []byte {
	t.Helper()
	number := func(v int) string { return string(binary.LittleEndian.AppendUint32([]byte{'J'}, uint32(v))) }
	text := func(s string) string {
		return string(binary.LittleEndian.AppendUint32([]byte{'X'}, uint32(len(s)))) + s
	}
	n, sides, strides := 1, "", ""
	for i := range shape {
		side := shape[len(shape)-1-i]
		sides, strides = number(side)+sides, number(n)+strides
		n *= side
	}
	pickle := "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage + "\n" + text("0") + text("cpu") + number(n) +
		"tQK\x00(" + sides + "t(" + strides + "t\x89ccollections\nOrderedDict\n)RtR."
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range []struct{ name, text string }{{"data.pkl", pickle}, {"data/0", string(data)}, {"version", "3\n"}} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "archive/" + f.name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func floatBytes(values []float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func longBytes(values []int) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// ambiguousValues are images whose values are no multiples of 1/255.
func ambiguousValues(n int) []float32 {
	values := make([]float32, n*784)
	for i := range values {
		values[i] = float32(i%9973) / 9973
	}
	return values
}

// writeAmbiguous writes n images of both parts with each labels a piece.
func writeAmbiguous(t *testing.T, dir string, n, each int) (values []float32, labels []int) {
	t.Helper()
	values = ambiguousValues(n)
	for i := range n * each {
		labels = append(labels, i*3%10)
	}
	write(t, torchTensor(t, "FloatStorage", floatBytes(values), n, 1, 28, 28), dir, "amnist_samples.pt")
	write(t, torchTensor(t, "LongStorage", longBytes(labels), n, each), dir, "amnist_labels.pt")
	return values, labels
}

// Dirty-MNIST is MNIST, then every ambiguous image once with each of its labels,
// with the values of the file; the first half of the file trains.
func TestOpenDirtyMNIST(t *testing.T) {
	root := t.TempDir()
	writeMNIST(t, root+"/mnist", 3, true) // and 4 to test
	values, labels := writeAmbiguous(t, root+"/dirty_mnist", 6, 4)
	for _, train := range []bool{true, false} {
		s, err := Open("dirty_mnist", Options{Train: train, Root: root})
		if err != nil {
			t.Fatal(err)
		}
		clean, err := Open("mnist", Options{Train: train, Root: root})
		if err != nil {
			t.Fatal(err)
		}
		first := 3
		if train {
			first = 0
		}
		if s.Name != "dirty-mnist" || s.Len() != clean.Len()+12 || !slices.Equal(s.Labels, slices.Concat(clean.Labels, labels[4*first:4*first+12])) {
			t.Fatalf("%v of %d images with labels %v", s, s.Len(), s.Labels)
		}
		loader, err := NewLoader(s, LoaderOptions{Batch: 100})
		if err != nil {
			t.Fatal(err)
		}
		for batch, err := range loader.Epoch(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			got := batch.Images.Float32s() // [H][W][N][C]
			for i := range s.Len() {
				for p := range 784 {
					value := float32(0)
					if i < clean.Len() {
						value = float32(clean.Image(i)[p]) / 255
					} else {
						value = values[(first+(i-clean.Len())/4)*784+p]
					}
					if want := (value - float32(0.1307)) / float32(0.3081); got[p*s.Len()+i] != want {
						t.Fatalf("pixel %d of image %d is %v, want %v", p, i, got[p*s.Len()+i], want)
					}
				}
			}
		}
		if got, want := s.Image(clean.Len() + 5)[100], uint8(values[(first+1)*784+100]*255+0.5); got != want {
			t.Errorf("a byte of an ambiguous image is %d, want %d", got, want)
		}
	}
	ambiguous, err := Open("ambiguous-mnist", Options{Root: root})
	if err != nil || ambiguous.Len() != 12 {
		t.Errorf("Ambiguous-MNIST has %d images, %v; want 12", ambiguous.Len(), err)
	}
}

// No image is on both sides of the split, whatever its number of labels.
func TestSplitKeepsImagesTogether(t *testing.T) {
	s := syntheticSet(100, Shape{1, 28, 28})
	for i := range 100 {
		s.Rows = append(s.Rows, int32(i))
	}
	s.Values = make([]float32, 20*784)
	for i := range 20 * 10 {
		s.Rows = append(s.Rows, int32(100+i/10))
		s.Labels = append(s.Labels, i%10)
	}
	train, validate, err := s.Split(7)
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(train), validate...)
	slices.Sort(all)
	if len(all) != 300 || slices.Compact(all)[299] != 299 {
		t.Fatalf("%d and %d labels, want each of 300 once", len(train), len(validate))
	}
	rows := map[int32]bool{}
	for _, i := range validate {
		rows[s.Rows[i]] = true
	}
	if len(rows) != 12 {
		t.Errorf("%d images validate, want a tenth of 120", len(rows))
	}
	for _, i := range train {
		if rows[s.Rows[i]] {
			t.Fatalf("image %d is on both sides", s.Rows[i])
		}
	}
	s.Rows, s.Values, s.Labels = nil, nil, s.Labels[:100]
	train, validate, err = s.Split(7)
	wantTrain, wantValidate, err2 := Split(100, 7)
	if err != nil || err2 != nil || !slices.Equal(train, wantTrain) || !slices.Equal(validate, wantValidate) {
		t.Error("images with one label each are not split as the reference does")
	}
}

func TestDirtyMNISTRefusesDamage(t *testing.T) {
	images := torchTensor(t, "FloatStorage", floatBytes(ambiguousValues(2)), 2, 1, 28, 28)
	labels := torchTensor(t, "LongStorage", longBytes([]int{1, 2, 3, 4}), 2, 2)
	bad := ambiguousValues(2)
	bad[784+5] = 1.5
	nan := ambiguousValues(2)
	nan[784] = float32(math.NaN())
	for name, c := range map[string]struct {
		images, labels []byte
		want           []string
	}{
		"no tensor":         {[]byte("hello"), labels, []string{"amnist_samples.pt"}},
		"cut off":           {images[:2000], labels, []string{"amnist_samples.pt"}},
		"labels for images": {labels, labels, []string{"amnist_samples.pt: tensor I64 [2 2], want F32 [N 1 28 28]"}},
		"images for labels": {images, images, []string{"amnist_labels.pt: tensor F32 [2 1 28 28], want I64 [2 L]"}},
		"odd":               {torchTensor(t, "FloatStorage", floatBytes(ambiguousValues(3)), 3, 1, 28, 28), labels, []string{"amnist_samples.pt", "even N"}},
		"fewer labels":      {images, torchTensor(t, "LongStorage", longBytes([]int{1}), 1, 1), []string{"amnist_labels.pt: tensor I64 [1 1], want I64 [2 L]"}},
		"label":             {images, torchTensor(t, "LongStorage", longBytes([]int{1, 2, 3, 10}), 2, 2), []string{"amnist_labels.pt: label 10 of image 1, want 0 to 9"}},
		"value":             {torchTensor(t, "FloatStorage", floatBytes(bad), 2, 1, 28, 28), labels, []string{"amnist_samples.pt: value 1.5 in image 1, want 0 to 1"}},
		"NaN":               {torchTensor(t, "FloatStorage", floatBytes(nan), 2, 1, 28, 28), labels, []string{"value NaN in image 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, c.images, root, "amnist_samples.pt")
			write(t, c.labels, root, "amnist_labels.pt")
			_, err := Open("ambiguous-mnist", Options{Root: root})
			wantError(t, err, c.want...)
		})
	}
	root := t.TempDir()
	_, err := Open("dirty-mnist", Options{Root: root})
	wantError(t, err, "dirty-mnist (test)", "amnist_samples.pt, amnist_labels.pt not found", "ddu data get dirty-mnist", "BlackHC/ddu_dirty_mnist")
	writeAmbiguous(t, root, 2, 2)
	_, err = Open("dirty-mnist", Options{Root: root})
	wantError(t, err, "mnist is a part of dirty-mnist", "t10k-images-idx3-ubyte", "ddu data get mnist")
	if strings.Contains(fmt.Sprint(err), "ddu data get dirty") {
		t.Errorf("%v tells to get what is there", err)
	}
}
