package dataset

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepuncertainty/ddu/tensor/random"
)

// encodeReference does to one image what torchvision's transforms do, one step
// after the other: pad with black, crop at (dy+padding, dx+padding), mirror,
// ToTensor, Normalize. The result is [C][H][W].
func encodeReference(s *Set, i, padding int, at placement) []float32 {
	c, h, w := s.Shape.C, s.Shape.H, s.Shape.W
	ph, pw := h+2*padding, w+2*padding
	padded := make([]uint8, c*ph*pw)
	for k := range c {
		for y := range h {
			copy(padded[(k*ph+y+padding)*pw+padding:], s.Image(i)[(k*h+y)*w:][:w])
		}
	}
	out := make([]float32, 0, s.Shape.Len())
	for k := range c {
		for y := range h {
			for x := range w {
				if at.flip {
					x = w - 1 - x
				}
				v := float32(padded[(k*ph+y+at.dy+padding)*pw+x+at.dx+padding])
				v /= 255
				v -= s.Normalization.Mean[k]
				v /= s.Normalization.Std[k]
				out = append(out, v)
			}
		}
	}
	return out
}

// Every place of the crop, mirrored or not, equals the reference bit for bit,
// whatever else is in the batch.
func TestEncodeEqualsReference(t *testing.T) {
	for _, shape := range []Shape{{3, 8, 8}, {1, 7, 5}, {3, 32, 32}} {
		t.Run(shape.String(), func(t *testing.T) {
			s, padding := syntheticSet(6, shape), min(4, shape.H, shape.W)
			var places []placement
			for dy := -padding; dy <= padding; dy++ {
				for dx := -padding; dx <= padding; dx++ {
					places = append(places, placement{dy, dx, false}, placement{dy, dx, true})
				}
			}
			index := make([]int, len(places))
			for n := range index {
				index[n] = (n * 5) % s.Len()
			}
			batch := make([]float32, len(index)*shape.Len())
			s.encode(batch, index, places, s.Normalization.encoding())
			for n := range index {
				compareImage(t, fmt.Sprintf("image %d at %+v", index[n], places[n]), batch, len(index), n, shape,
					encodeReference(s, index[n], padding, places[n]))
			}
		})
	}
}

// compareImage checks image n of an [H][W][N][C] batch against [C][H][W] values.
func compareImage(t *testing.T, what string, batch []float32, size, n int, shape Shape, want []float32) {
	t.Helper()
	for c := range shape.C {
		for y := range shape.H {
			for x := range shape.W {
				got, ref := batch[((y*shape.W+x)*size+n)*shape.C+c], want[(c*shape.H+y)*shape.W+x]
				if math.Float32bits(got) != math.Float32bits(ref) {
					t.Fatalf("%s: channel %d at (%d, %d) is %v, want %v", what, c, y, x, got, ref)
				}
			}
		}
	}
}

// Values of torchvision's ToTensor and Normalize.
func TestNormalization(t *testing.T) {
	for _, c := range []struct {
		n       Normalization
		channel int
		v       uint8
		want    float64
	}{
		{mnistNormalization, 0, 0, -0.4242129623889923},
		{mnistNormalization, 0, 255, 2.821486711502075},
		{cifarNormalization, 0, 0, -2.429065704345703},
		{cifarNormalization, 1, 128, 0.09910139441490173},
		{cifarNormalization, 2, 255, 2.7537312507629395},
	} {
		if got := c.n.tables()[c.channel][c.v]; math.Abs(float64(got)-c.want) > 1e-6 {
			t.Errorf("pixel %d of channel %d becomes %v, want %v", c.v, c.channel, got, c.want)
		}
	}
}

// Each of the 9 x 9 x 2 placements comes equally often: chi-squared with 161
// degrees of freedom stays below its 1 - 1e-6 quantile (256).
func TestAugmentationIsUniform(t *testing.T) {
	a, key := Augmentation{Padding: 4, Flip: true}, random.NewKey(3, "augment")
	count := map[placement]int{}
	const draws = 81_000
	for i := range draws {
		p := a.draw(key, i%9, i/9)
		if p.dy < -4 || p.dy > 4 || p.dx < -4 || p.dx > 4 {
			t.Fatalf("placement %+v, want -4 to 4", p)
		}
		count[p]++
	}
	if len(count) != 162 {
		t.Errorf("%d different placements, want 162", len(count))
	}
	expected, chi2 := float64(draws)/162, 0.0
	for _, n := range count {
		chi2 += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	if chi2 > 256 {
		t.Errorf("chi-squared %.0f, want at most 256", chi2)
	}
	if p := (Augmentation{}).draw(key, 1, 2); p != (placement{}) {
		t.Errorf("no augmentation moves images: %+v", p)
	}
	if p := (Augmentation{Flip: true}).draw(key, 1, 2); p.dy != 0 || p.dx != 0 {
		t.Errorf("a mirror alone moves images: %+v", p)
	}
}
