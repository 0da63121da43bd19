package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strconv"
)

// EncodeTorch writes f as torch.save writes a state dict, in its zip format: an
// OrderedDict of tensors with the attribute _metadata, which moduleVersions
// makes of the names. torch.load and Module.load_state_dict take it. Metadata
// has no place in it.
func (f *File) EncodeTorch(w io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	count := &countingWriter{w: w}
	archive := zip.NewWriter(count)
	if err := addRecord(archive, count, "data.pkl", f.pickle()); err != nil {
		return err
	}
	for i, e := range f.Entries {
		if err := addRecord(archive, count, "data/"+strconv.Itoa(i), e.Data); err != nil {
			return err
		}
	}
	if err := addRecord(archive, count, "version", []byte("3\n")); err != nil {
		return err
	}
	return archive.Close()
}

// recordAlignment is where the content of a record begins, as PyTorch has it:
// its readers may map the file into memory.
const recordAlignment = 64

// addRecord stores a record without compression.
func addRecord(archive *zip.Writer, written *countingWriter, name string, content []byte) error {
	if err := archive.Flush(); err != nil {
		return err
	}
	h := &zip.FileHeader{
		Name: "archive/" + name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content)),
	}
	// The fixed part of a local header has 30 bytes, that of an extra field 4.
	const fixed, field = 30, 4
	begin := written.n + fixed + int64(len(h.Name)) + field
	padding := (recordAlignment - begin%recordAlignment) % recordAlignment
	h.Extra = append([]byte{'F', 'B', byte(padding), 0}, bytes.Repeat([]byte("Z"), int(padding))...)
	w, err := archive.CreateRaw(h)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

var storageClasses = map[DType]string{F32: "FloatStorage", F64: "DoubleStorage", BF16: "BFloat16Storage", F16: "HalfStorage", I64: "LongStorage"}

// pickle returns the state dict as Python's pickler writes it with protocol 2.
func (f *File) pickle() []byte {
	p := &pickler{memo: map[string]int{}}
	p.op("\x80\x02") // PROTO 2
	p.emptyOrderedDict()
	p.remember()
	items(p, f.Entries, func(e Entry, i int) {
		p.text(e.Name)
		p.tensor(e, strconv.Itoa(i))
	})
	// The attributes of the OrderedDict.
	p.emptyDict()
	p.text("_metadata")
	p.emptyOrderedDict()
	p.remember()
	items(p, moduleVersions(f.Entries), func(m moduleVersion, _ int) {
		p.text(m.path)
		p.versions(m)
	})
	p.op("sb.") // SETITEM, BUILD, STOP
	return p.b.Bytes()
}

// pickler writes the opcodes of one pickle.
type pickler struct {
	b     bytes.Buffer
	memo  map[string]int // numbers of texts and classes that were written
	count int            // values that have a number
}

func (p *pickler) op(code string) { p.b.WriteString(code) }

// remember gives the value just written the next number. Nobody may ask for it,
// but Python's pickler numbers everything too.
func (p *pickler) remember() {
	if p.count < 256 {
		p.op("q" + string([]byte{byte(p.count)})) // BINPUT
	} else {
		p.op("r" + uint32Text(p.count)) // LONG_BINPUT
	}
	p.count++
}

// once writes a value that is equal to every other under the same key: at its
// first use whole, later its number.
func (p *pickler) once(key, code string) {
	n, known := p.memo[key]
	switch {
	case !known:
		p.memo[key] = p.count
		p.op(code)
		p.remember()
	case n < 256:
		p.op("h" + string([]byte{byte(n)})) // BINGET
	default:
		p.op("j" + uint32Text(n)) // LONG_BINGET
	}
}

func uint32Text(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func (p *pickler) text(s string) { p.once("text "+s, binUnicode(s)) }

func binUnicode(s string) string { return "X" + uint32Text(len(s)) + s }

func (p *pickler) class(module, name string) {
	p.once("class "+module+" "+name, "c"+module+"\n"+name+"\n") // GLOBAL
}

func (p *pickler) emptyDict() {
	p.op("}") // EMPTY_DICT
	p.remember()
}

// emptyOrderedDict leaves out the number of the dict.
func (p *pickler) emptyOrderedDict() {
	p.class("collections", "OrderedDict")
	p.op(")R") // EMPTY_TUPLE, REDUCE
}

func (p *pickler) integer(n int) {
	switch {
	case n < 1<<8:
		p.op("K" + string([]byte{byte(n)})) // BININT1
	case n < 1<<16:
		p.op("M" + uint32Text(n)[:2]) // BININT2
	case n < 1<<31:
		p.op("J" + uint32Text(n)) // BININT
	default: // LONG1: little endian in two's complement, without needless bytes
		b := binary.LittleEndian.AppendUint64(nil, uint64(n))
		for len(b) > 1 && b[len(b)-1] == 0 && b[len(b)-2] < 0x80 {
			b = b[:len(b)-1]
		}
		p.op("\x8a" + string([]byte{byte(len(b))}) + string(b))
	}
}

// integers writes a tuple.
func (p *pickler) integers(v []int) {
	if len(v) == 0 {
		p.op(")") // EMPTY_TUPLE
		return
	}
	if len(v) > 3 {
		p.op("(") // MARK
	}
	for _, n := range v {
		p.integer(n)
	}
	if len(v) > 3 {
		p.op("t") // TUPLE
	} else {
		p.op(string([]byte{0x84 + byte(len(v))})) // TUPLE1 to TUPLE3
	}
	p.remember()
}

// tensor writes a call of _rebuild_tensor_v2(storage, 0, shape, strides, False,
// OrderedDict()), where the storage is a persistent id.
func (p *pickler) tensor(e Entry, key string) {
	p.class("torch._utils", "_rebuild_tensor_v2")
	p.op("((")
	p.text("storage")
	p.class("torch", storageClasses[e.DType])
	p.text(key)
	p.text("cpu")
	p.integer(e.Len())
	p.op("t")
	p.remember()
	p.op("Q") // BINPERSID
	p.integer(0)
	p.integers(e.Shape)
	p.integers(rowMajor(e.Shape))
	p.op("\x89") // NEWFALSE: requires_grad
	p.emptyOrderedDict()
	p.remember()
	p.op("t")
	p.remember()
	p.op("R")
	p.remember()
}

// rowMajor returns the strides of a tensor whose elements lie in row-major order.
func rowMajor(shape []int) []int {
	steps, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		steps[i] = n
		n *= max(shape[i], 1)
	}
	return steps
}

// versions writes {"version": 1} and what a normalised weight adds.
func (p *pickler) versions(m moduleVersion) {
	p.emptyDict()
	if m.norm != "" {
		p.op("(")
	}
	p.text("version")
	p.integer(m.version)
	if m.norm == "" {
		p.op("s") // SETITEM
		return
	}
	p.text(m.norm)
	p.emptyDict()
	p.op(binUnicode(m.weight + ".version")) // each module's hook makes a text of its own
	p.remember()
	p.integer(1)
	p.op("su") // SETITEM, SETITEMS
}

// items writes the items of the dict on top of the stack, in batches of 1000 as
// Python does: one alone is an item, not a batch.
func items[T any](p *pickler, all []T, write func(item T, i int)) {
	const batch = 1000
	for from := 0; from < len(all); from += batch {
		part := all[from:min(from+batch, len(all))]
		if len(part) > 1 {
			p.op("(")
		}
		for i, item := range part {
			write(item, from+i)
		}
		if len(part) > 1 {
			p.op("u")
		} else {
			p.op("s")
		}
	}
}
