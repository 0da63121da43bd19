package dataset

import (
	"fmt"

	"github.com/deepuncertainty/ddu/tensor/random"
)

// Augmentation says how training images are varied: first a crop of the
// original size at a random place of the image padded with Padding black pixels
// on every side, then, with Flip, a mirror image half of the time. These are
// torchvision's RandomCrop(size, padding) and RandomHorizontalFlip. The zero
// value leaves images as they are.
type Augmentation struct {
	Padding int
	Flip    bool
}

func (a Augmentation) check(s Shape) error {
	if limit := min(s.H, s.W); a.Padding < 0 || a.Padding > limit {
		return fmt.Errorf("augmentation: padding %d, want 0 to %d for images of %v", a.Padding, limit, s)
	}
	return nil
}

// placement says where a varied image reads the original: pixel (y, x) is the
// original's (y+dy, x+dx), or (y+dy, W-1-x+dx) when flipped, or black outside.
type placement struct {
	dy, dx int
	flip   bool
}

// draw chooses the placement of one image in one epoch. It depends on nothing
// else, so batch size, order and threads do not matter.
func (a Augmentation) draw(key random.Key, epoch, index int) placement {
	if a == (Augmentation{}) {
		return placement{}
	}
	k := key.Fold(uint64(epoch), uint64(index))
	return placement{
		dy:   k.Intn(0, 2*a.Padding+1) - a.Padding,
		dx:   k.Intn(1, 2*a.Padding+1) - a.Padding,
		flip: a.Flip && k.Intn(2, 2) == 1,
	}
}
