// Package golden reads the golden vectors in the tests of nn: values that
// PyTorch computed, and formula tensors, which are rebuilt from their names.
package golden

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/deepuncertainty/ddu/nn"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// Path returns where a file of the golden vectors lies: in $DDU_GOLDEN, else in
// testdata/golden at the root of the module.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("DDU_GOLDEN")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for !exists(filepath.Join(root, "go.mod")) {
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above the test's folder")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "testdata", "golden")
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// JSON decodes a file of the golden vectors into v.
func JSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Tag returns what stands before the name of every formula tensor.
func Tag(t testing.TB) string {
	t.Helper()
	var meta struct{ Tag string }
	JSON(t, "meta.json", &meta)
	return meta.Tag
}

// Tensor returns the formula tensor of that name: n numbers uniform within
// bound of offset, computed in float64 and rounded once.
func Tensor(name string, n int, bound, offset float64) []float32 {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	v := make([]float32, n)
	for i := range v {
		x := h + uint64(i) + 0x9e3779b97f4a7c15 // splitmix64
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		r := float64(x>>40) / (1 << 24)
		v[i] = float32(offset + float64(bound*(2*r-1)))
	}
	return v
}

// FillState sets every parameter and buffer of m from its own name.
func FillState(t testing.TB, m nn.Module, tag string) {
	t.Helper()
	entries := nn.StateDict(m)
	for i, e := range entries {
		if !strings.HasSuffix(e.Name, "num_batches_tracked") {
			entries[i] = checkpoint.NewFloat32(e.Name, formula(tag+e.Name, e), e.Shape...)
		}
	}
	if err := nn.LoadStateDict(m, entries); err != nil {
		t.Fatal(err)
	}
}

// formula returns the values of one entry, by the ending of its name and its
// rank.
func formula(key string, e checkpoint.Entry) []float32 {
	n := e.Len()
	ends := func(suffix string) bool { return strings.HasSuffix(e.Name, suffix) }
	switch {
	case ends("weight_u") || ends("weight_v"):
		return unit(Tensor(key, n, 1, 0))
	case ends("weight_sigma"):
		return Tensor(key, n, 0, 1)
	case ends("running_mean"):
		return Tensor(key, n, 0.1, 0)
	case ends("running_var"):
		return Tensor(key, n, 0.5, 1)
	case len(e.Shape) >= 2:
		return Tensor(key, n, math.Sqrt(6/float64(n/e.Shape[0])), 0)
	case ends("bias"):
		return Tensor(key, n, 0.1, 0)
	}
	return Tensor(key, n, 0.1, 1)
}

// unit divides by the length.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// Op is one case of ops.json with its tensors of ops.safetensors.
type Op struct {
	Case                          int
	Op, Name                      string
	Kernel, Stride, Padding, Size int
	Coeff                         float64
	Iterations, Forwards, Steps   int
	tensors                       *checkpoint.File
}

// Ops returns the cases of one operation.
func Ops(t testing.TB, op string) []Op {
	t.Helper()
	var all, wanted []Op
	JSON(t, "ops.json", &all)
	tensors, err := checkpoint.ReadSafetensors(Path(t, "ops.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if o.Op == op {
			o.tensors = tensors
			wanted = append(wanted, o)
		}
	}
	if len(wanted) == 0 {
		t.Fatalf("ops.json has no case of %s", op)
	}
	return wanted
}

// Tensor returns a tensor of the case and its shape.
func (o Op) Tensor(t testing.TB, name string) ([]float32, []int) {
	t.Helper()
	e, ok := o.tensors.Entry(strconv.Itoa(o.Case) + "." + name)
	if !ok {
		t.Fatalf("ops.safetensors has no tensor %d.%s", o.Case, name)
	}
	v, err := e.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v, e.Shape
}

// Close fails the test when the largest difference between got and want is more
// than tolerance times the largest value of want, and returns that ratio.
func Close(t testing.TB, what string, got, want []float64, tolerance float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s has %d numbers, want %d", what, len(got), len(want))
		return math.Inf(1)
	}
	largest, worst, at := 0.0, 0.0, 0
	for i, w := range want {
		largest = math.Max(largest, math.Abs(w))
		if d := math.Abs(got[i] - w); !(d <= worst) {
			worst, at = d, i
		}
	}
	ratio := worst / math.Max(largest, math.SmallestNonzeroFloat64)
	if worst == 0 {
		ratio = 0
	}
	if !(ratio <= tolerance) {
		t.Errorf("%s: element %d is %v, want %v: %.2g of the largest, at most %.2g is allowed", what, at, got[at], want[at], ratio, tolerance)
	}
	return ratio
}

// Float64s widens v.
func Float64s(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}
