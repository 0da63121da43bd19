package experiments

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/deepuncertainty/ddu/nn"
)

// Scores and densities are kept with fingerprints of the weights and images that
// they are of: a resumed run must not take those of others that happen to have the
// same name.

// weightsFingerprint identifies the weights of a network.
func weightsFingerprint(network nn.Network) string {
	h := sha256.New()
	for _, e := range nn.StateDict(network) {
		fmt.Fprintf(h, "%q %s %v\n", e.Name, e.DType, e.Shape)
		h.Write(e.Data)
	}
	return sum(h)
}

// fingerprint identifies the images and labels of a part, in their order.
func (p part) fingerprint() string {
	h, s := sha256.New(), p.set
	fmt.Fprintf(h, "%v %v %d\n", s.Shape, s.Normalization, s.Classes())
	h.Write(s.Pixels)
	writeNumbers(h, s.Values)
	writeNumbers(h, s.Rows)
	writeNumbers(h, int64s(p.indices))
	writeNumbers(h, int64s(s.Labels))
	return sum(h)
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:16]) }

func int64s(list []int) []int64 {
	wide := make([]int64, len(list))
	for i, v := range list {
		wide[i] = int64(v)
	}
	return wide
}

// writeNumbers adds a list and its length.
func writeNumbers[T int32 | int64 | float32](h hash.Hash, list []T) {
	const block = 1 << 14
	fmt.Fprintf(h, "%d\n", len(list))
	for len(list) > 0 {
		n := min(block, len(list))
		data, _ := binary.Append(nil, binary.LittleEndian, list[:n]) // of a type of fixed size
		h.Write(data)
		list = list[n:]
	}
}
