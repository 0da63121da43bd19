package dataset

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/deepuncertainty/ddu/tensor"
	"github.com/deepuncertainty/ddu/tensor/random"
)

// DefaultPrefetch is how many batches a loader prepares ahead when
// LoaderOptions.Prefetch is 0.
const DefaultPrefetch = 2

// LoaderOptions says which images a Loader delivers and how. The zero value with
// a Batch is an evaluation: all images in order, not augmented.
type LoaderOptions struct {
	Batch   int   // images per batch; the last batch of an epoch may be shorter
	Indices []int // images of the set, in order, repetitions allowed; nil: all

	Shuffle bool         // a new order every epoch
	Augment Augmentation // usually Set.Augmentation for training
	Seed    uint64       // of order and augmentation

	// NormalizeAs is the in-distribution set whose normalisation to use; nil:
	// the set's own. Its images must have the same shape.
	NormalizeAs *Set
	// Prefetch is how many batches are prepared ahead; 0: DefaultPrefetch.
	Prefetch int
}

// Batch is a number of images ready for a network.
type Batch struct {
	Images  *tensor.Tensor // float32, logical [N,C,H,W], in memory [H][W][N][C]
	Labels  []int          // [N]
	Indices []int          // [N], the images' places in the set

	pixels []float32 // room for a full batch
	full   *tensor.Tensor
	place  []placement
}

// Loader delivers batches of one set. Its methods may be called from many
// goroutines at once.
type Loader struct {
	set     *Set
	o       LoaderOptions
	encode  encoding
	shuffle random.Key
	augment random.Key

	mu    sync.Mutex
	spare []*Batch // of epochs that are over
}

// NewLoader checks the options against the set.
func NewLoader(set *Set, o LoaderOptions) (*Loader, error) {
	if o.Batch < 1 {
		return nil, fmt.Errorf("batch size %d, want at least 1", o.Batch)
	}
	if o.Prefetch < 0 {
		return nil, fmt.Errorf("prefetch of %d batches, want at least 1, or 0 for %d", o.Prefetch, DefaultPrefetch)
	}
	if o.Prefetch == 0 {
		o.Prefetch = DefaultPrefetch
	}
	if err := o.Augment.check(set.Shape); err != nil {
		return nil, err
	}
	if o.NormalizeAs == nil {
		o.NormalizeAs = set
	}
	if err := CheckShapes(o.NormalizeAs, set); err != nil {
		return nil, err
	}
	if o.Indices == nil {
		o.Indices = make([]int, set.Len())
		for i := range o.Indices {
			o.Indices[i] = i
		}
	} else {
		o.Indices = slices.Clone(o.Indices)
	}
	for _, i := range o.Indices {
		if i < 0 || i >= set.Len() {
			return nil, fmt.Errorf("image %d of %s, want 0 to %d", i, set, set.Len()-1)
		}
	}
	o.Batch = min(o.Batch, max(1, len(o.Indices))) // no memory for images that never come
	return &Loader{
		set:     set,
		o:       o,
		encode:  o.NormalizeAs.Normalization.encoding(),
		shuffle: random.NewKey(o.Seed, "shuffle"),
		augment: random.NewKey(o.Seed, "augment"),
	}, nil
}

// Len returns the number of images of an epoch.
func (l *Loader) Len() int { return len(l.o.Indices) }

// Batches returns the number of batches of an epoch.
func (l *Loader) Batches() int { return (l.Len() + l.o.Batch - 1) / l.o.Batch }

// Epoch delivers every image once:
//
//	for batch, err := range loader.Epoch(ctx, epoch) {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// The batches are a function of set, options and epoch alone. A batch is valid
// until the loop goes on: its memory is used again. A goroutine prepares the
// next ones meanwhile; it has ended when the loop is left, in whatever way.
// When ctx is done before the epoch is, the last pair is (nil, ctx.Err()).
func (l *Loader) Epoch(ctx context.Context, epoch int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		buffers := l.take(min(l.o.Prefetch+1, l.Batches()))
		defer l.give(buffers)
		producer, stop := context.WithCancel(ctx)
		ready := make(chan *Batch, len(buffers))
		free := make(chan *Batch, len(buffers))
		for _, b := range buffers {
			free <- b
		}
		go func() {
			defer close(ready)
			l.produce(producer, epoch, free, ready)
		}()
		defer func() {
			stop()
			for range ready { // until the goroutine has ended
			}
		}()
		for range l.Batches() {
			b := <-ready // nil when ctx ended the goroutine
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
			free <- b
		}
	}
}

// produce fills free batches in order until the epoch or ctx is over.
func (l *Loader) produce(ctx context.Context, epoch int, free <-chan *Batch, ready chan<- *Batch) {
	order := l.order(epoch)
	for len(order) > 0 {
		select {
		case <-ctx.Done():
			return
		case b := <-free:
			n := min(l.o.Batch, len(order))
			l.fill(b, epoch, order[:n])
			order = order[n:]
			ready <- b // has room for all batches there are
		}
	}
}

func (l *Loader) order(epoch int) []int {
	if !l.o.Shuffle {
		return l.o.Indices
	}
	order := l.shuffle.Fold(uint64(epoch)).Perm(l.Len())
	for i, p := range order {
		order[i] = l.o.Indices[p]
	}
	return order
}

func (l *Loader) fill(b *Batch, epoch int, index []int) {
	b.Labels, b.Indices, b.place = b.Labels[:0], append(b.Indices[:0], index...), b.place[:0]
	for _, i := range index {
		b.Labels = append(b.Labels, l.set.Labels[i])
		b.place = append(b.place, l.o.Augment.draw(l.augment, epoch, i))
	}
	shape := l.set.Shape
	b.Images = b.full
	if len(index) < l.o.Batch {
		b.Images = tensor.ImageFromFloat32(b.pixels[:len(index)*shape.Len()], len(index), shape.C, shape.H, shape.W)
	}
	l.set.encode(b.Images.Float32s(), index, b.place, l.encode)
}

// take returns n batches that nobody else uses, from earlier epochs if possible.
func (l *Loader) take(n int) []*Batch {
	l.mu.Lock()
	kept := min(n, len(l.spare))
	rest := len(l.spare) - kept
	batches := append([]*Batch(nil), l.spare[rest:]...)
	l.spare = l.spare[:rest]
	l.mu.Unlock()
	shape := l.set.Shape
	for len(batches) < n {
		pixels := make([]float32, l.o.Batch*shape.Len())
		batches = append(batches, &Batch{
			pixels: pixels,
			full:   tensor.ImageFromFloat32(pixels, l.o.Batch, shape.C, shape.H, shape.W),
		})
	}
	return batches
}

func (l *Loader) give(batches []*Batch) {
	l.mu.Lock()
	l.spare = append(l.spare, batches...)
	l.mu.Unlock()
}
