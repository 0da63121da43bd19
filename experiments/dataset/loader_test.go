package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func newLoader(t testing.TB, s *Set, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// delivered is one image as a loader delivered it: [C][H][W].
type delivered struct {
	index, label int
	values       []float32
}

func collect(t testing.TB, l *Loader, epoch int) (images []delivered, sizes []int) {
	t.Helper()
	for b, err := range l.Epoch(context.Background(), epoch) {
		if err != nil {
			t.Fatal(err)
		}
		n, shape := len(b.Labels), l.set.Shape
		if got := b.Images.Shape(); !slices.Equal(got, []int{n, shape.C, shape.H, shape.W}) || !b.Images.IsImage() || len(b.Indices) != n {
			t.Fatalf("batch of shape %v, image layout %v, %d labels, %d indices", got, b.Images.IsImage(), n, len(b.Indices))
		}
		values := b.Images.Float32s()
		for i := range n {
			d := delivered{index: b.Indices[i], label: b.Labels[i]}
			for c := range shape.C {
				for p := range shape.H * shape.W {
					d.values = append(d.values, values[(p*n+i)*shape.C+c])
				}
			}
			images = append(images, d)
		}
		sizes = append(sizes, n)
	}
	return images, sizes
}

func same(a, b []delivered) bool {
	return slices.EqualFunc(a, b, func(a, b delivered) bool {
		return a.index == b.index && a.label == b.label && slices.EqualFunc(a.values, b.values, func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y)
		})
	})
}

// An evaluation delivers the images in order, the last batch short.
func TestEvaluationOrder(t *testing.T) {
	s := syntheticSet(23, Shape{3, 6, 6})
	for _, indices := range [][]int{nil, {5, 3, 3, 22, 0, 7, 8}, {}} {
		l := newLoader(t, s, LoaderOptions{Batch: 5, Indices: indices})
		want, wantSizes := indices, []int{5, 2}
		switch {
		case indices == nil:
			wantSizes = []int{5, 5, 5, 5, 3}
			for i := range 23 {
				want = append(want, i)
			}
		case len(indices) == 0:
			wantSizes = nil
		}
		images, sizes := collect(t, l, 0)
		if !slices.Equal(sizes, wantSizes) || l.Batches() != len(wantSizes) || l.Len() != len(want) || len(images) != len(want) {
			t.Fatalf("batches of %v (%d), %d images of %d; want %v, %d", sizes, l.Batches(), len(images), l.Len(), wantSizes, len(want))
		}
		for i, d := range images {
			if d.index != want[i] || d.label != s.Labels[want[i]] || !slices.Equal(d.values, encodeReference(s, want[i], 0, placement{})) {
				t.Errorf("place %d holds image %d with label %d, want image %d with label %d and its values", i, d.index, d.label, want[i], s.Labels[want[i]])
			}
		}
	}
}

// Shuffling delivers every image once, in an order of its own for every epoch
// and seed; the order does not depend on the batch size.
func TestShuffle(t *testing.T) {
	s := syntheticSet(200, Shape{1, 2, 2})
	order := func(seed uint64, batch, epoch int) []int {
		images, _ := collect(t, newLoader(t, s, LoaderOptions{Batch: batch, Shuffle: true, Seed: seed}), epoch)
		var order []int
		for _, d := range images {
			order = append(order, d.index)
		}
		sorted := slices.Sorted(slices.Values(order))
		for i := range 200 {
			if len(sorted) != 200 || sorted[i] != i {
				t.Fatalf("epoch %d delivers %v", epoch, sorted)
			}
		}
		return order
	}
	first := order(1, 7, 0)
	if !slices.Equal(first, order(1, 200, 0)) || !slices.Equal(first, order(1, 1000, 0)) {
		t.Error("the order depends on the batch size")
	}
	if slices.Equal(first, order(1, 7, 1)) || slices.Equal(first, order(2, 7, 0)) || slices.IsSorted(first) {
		t.Error("two epochs or seeds have the same order, or it is no shuffle")
	}
}

// An image in an epoch is varied alike whatever the batch size, the order, the
// other images, the prefetching and the threads; and as the reference does it.
func TestAugmentedBatchesAreDeterministic(t *testing.T) {
	s := syntheticSet(60, Shape{3, 32, 32})
	o := LoaderOptions{Batch: 16, Shuffle: true, Augment: Augmentation{Padding: 4, Flip: true}, Seed: 5}
	l := newLoader(t, s, o)
	want, _ := collect(t, l, 2)
	for _, d := range want {
		at := o.Augment.draw(l.augment, 2, d.index)
		if !slices.Equal(d.values, encodeReference(s, d.index, 4, at)) {
			t.Fatalf("image %d at %+v differs from the reference", d.index, at)
		}
	}
	if again, _ := collect(t, l, 2); !same(want, again) {
		t.Error("the same epoch delivered twice differs")
	}
	if other, _ := collect(t, l, 3); same(want, other) {
		t.Error("two epochs are the same")
	}
	for _, variant := range []struct{ batch, prefetch, threads int }{{60, 1, 1}, {7, 1, 4}, {1, 9, 2}, {16, 100, 3}} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(variant.threads))
		v := o
		v.Batch, v.Prefetch = variant.batch, variant.prefetch
		if got, _ := collect(t, newLoader(t, s, v), 2); !same(want, got) {
			t.Errorf("%+v changes the images", variant)
		}
	}
	v := o
	v.Shuffle, v.Indices = false, []int{want[3].index, want[3].index}
	if got, _ := collect(t, newLoader(t, s, v), 2); !same([]delivered{want[3], want[3]}, got) {
		t.Error("an image is varied otherwise in another subset")
	}
}

// An out-of-distribution set takes the normalisation of the other one.
func TestNormalizeAs(t *testing.T) {
	s, in := syntheticSet(3, Shape{3, 4, 4}), syntheticSet(1, Shape{3, 4, 4})
	in.Normalization = Normalization{Mean: []float32{0.1, 0.2, 0.3}, Std: []float32{1, 2, 4}}
	images, _ := collect(t, newLoader(t, s, LoaderOptions{Batch: 3, NormalizeAs: in}), 0)
	like := *s
	like.Normalization = in.Normalization
	for _, d := range images {
		if !slices.Equal(d.values, encodeReference(&like, d.index, 0, placement{})) {
			t.Errorf("image %d is not normalised like the other set", d.index)
		}
	}
}

func TestLoaderRefusesOptions(t *testing.T) {
	s := syntheticSet(10, Shape{3, 32, 32})
	digits := openSample(t, "mnist-sample", false)
	for _, c := range []struct {
		name string
		o    LoaderOptions
		want []string
	}{
		{"no batch size", LoaderOptions{}, []string{"batch size 0", "at least 1"}},
		{"negative prefetch", LoaderOptions{Batch: 1, Prefetch: -1}, []string{"prefetch of -1"}},
		{"index too large", LoaderOptions{Batch: 1, Indices: []int{0, 10}}, []string{"image 10 of synthetic (training)", "0 to 9"}},
		{"index negative", LoaderOptions{Batch: 1, Indices: []int{-1}}, []string{"image -1"}},
		{"padding", LoaderOptions{Batch: 1, Augment: Augmentation{Padding: 33}}, []string{"padding 33", "0 to 32", "3x32x32"}},
		{"shape", LoaderOptions{Batch: 1, NormalizeAs: digits}, []string{"synthetic (training)", "3x32x32", "1x28x28", "mnist-sample (test)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewLoader(s, c.o)
			wantError(t, err, c.want...)
		})
	}
	if err := CheckShapes(digits, openSample(t, "fashion-mnist-sample", false)); err != nil {
		t.Error(err)
	}
}

// noGoroutines runs f and waits until as many goroutines are left as before.
func noGoroutines(t *testing.T, f func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	f()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// Leaving the loop, in whatever way, ends the goroutine that works ahead, and
// the next epoch is whole.
func TestLeavingAnEpoch(t *testing.T) {
	l := newLoader(t, syntheticSet(100, Shape{1, 4, 4}), LoaderOptions{Batch: 3, Shuffle: true, Prefetch: 4})
	want, _ := collect(t, l, 1)
	noGoroutines(t, func() {
		for range 20 {
			for range l.Epoch(context.Background(), 0) {
				break
			}
			func() {
				defer func() { recover() }()
				for range l.Epoch(context.Background(), 0) {
					panic("in the loop")
				}
			}()
		}
	})
	if len(l.spare) != 5 {
		t.Errorf("%d batches kept for later, want 5: they are used again", len(l.spare))
	}
	if got, _ := collect(t, l, 1); !same(want, got) {
		t.Error("an epoch differs after others were left early")
	}
}

func TestCancellation(t *testing.T) {
	l := newLoader(t, syntheticSet(100, Shape{1, 4, 4}), LoaderOptions{Batch: 3})
	for _, after := range []int{0, 1, 5} {
		t.Run(fmt.Sprintf("after %d batches", after), func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if after == 0 {
				cancel()
			}
			seen, failed := 0, error(nil)
			noGoroutines(t, func() {
				for b, err := range l.Epoch(ctx, 0) {
					if failed != nil {
						t.Error("the loop goes on after an error")
					}
					if err != nil {
						failed = err
						continue
					}
					if b == nil {
						t.Fatal("neither batch nor error")
					}
					if seen++; seen == after {
						cancel()
					}
				}
			})
			if seen != after || !errors.Is(failed, context.Canceled) {
				t.Errorf("%d batches and error %v, want %d and %v", seen, failed, after, context.Canceled)
			}
		})
	}
	// Cancelling after the last batch is too late to fail.
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	for _, err := range l.Epoch(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == l.Batches() {
			cancel()
		}
	}
	cancel()
}

// Many goroutines may run epochs of one loader: each gets its own batches.
func TestConcurrentEpochs(t *testing.T) {
	l := newLoader(t, syntheticSet(50, Shape{3, 8, 8}), LoaderOptions{Batch: 8, Shuffle: true, Augment: Augmentation{Padding: 2, Flip: true}})
	var want [3][]delivered
	for epoch := range want {
		want[epoch], _ = collect(t, l, epoch)
	}
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			if got, _ := collect(t, l, i%3); !same(want[i%3], got) {
				t.Errorf("epoch %d differs when run beside others", i%3)
			}
		})
	}
	group.Wait()
}

// An epoch allocates a few small things, not its batches.
func TestEpochReusesMemory(t *testing.T) {
	l := newLoader(t, syntheticSet(256, Shape{3, 32, 32}), LoaderOptions{Batch: 64, Augment: Augmentation{Padding: 4, Flip: true}})
	run := func() {
		for _, err := range l.Epoch(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	bytes := allocatedBytes(run)
	if bytes > 16<<10 {
		t.Errorf("%d bytes allocated per epoch, want at most 16 KiB (one batch has 768 KiB)", bytes)
	}
}

func BenchmarkLoader(b *testing.B) {
	for _, c := range []struct {
		name  string
		shape Shape
		o     LoaderOptions
	}{
		{"cifar10/train", Shape{3, 32, 32}, LoaderOptions{Batch: 128, Shuffle: true, Augment: Augmentation{Padding: 4, Flip: true}}},
		{"cifar10/eval", Shape{3, 32, 32}, LoaderOptions{Batch: 128}},
		{"mnist/train", Shape{1, 28, 28}, LoaderOptions{Batch: 128, Shuffle: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newLoader(b, syntheticSet(10_000, c.shape), c.o)
			b.ReportAllocs()
			for epoch := range b.N {
				for _, err := range l.Epoch(context.Background(), epoch) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*l.Len())/b.Elapsed().Seconds(), "images/s")
		})
	}
}

func BenchmarkOpenSample(b *testing.B) {
	for range b.N {
		openSample(b, "mnist-sample", true)
	}
}
