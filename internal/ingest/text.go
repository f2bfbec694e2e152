package ingest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"unicode/utf8"

	"layercake/internal/layered"
)

// text passes UTF-8 on without its byte-order mark. Anything else is an *Error with the byte's offset in the file, from 0.
type text struct {
	r      *bufio.Reader
	offset int64 // in the file, of the next byte
	ready  int   // how many buffered bytes are checked
	err    error // why nothing can be read at all
}

// Text returns a file of UTF-8 without its byte-order mark. What is no text is an *Error, as of Read.
func Text(file []byte) ([]byte, error) { return io.ReadAll(newText(bytes.NewReader(file))) }

func newText(r io.Reader) *text {
	t := &text{r: bufio.NewReaderSize(r, 64<<10)}
	switch start, _ := t.r.Peek(4); {
	case bytes.HasPrefix(start, []byte("\xEF\xBB\xBF")):
		_, _ = t.r.Discard(3)
		t.offset = 3
	case isUTF16(start):
		t.err = refuse("The file is UTF-16; save it as UTF-8")
	}
	return t
}

// middleOfText is newText for what does not begin where the file begins.
func middleOfText(r io.Reader) *text { return &text{r: bufio.NewReaderSize(r, 64<<10)} }

// isUTF16 recognises the byte-order marks of UTF-16, and two ASCII characters in it.
func isUTF16(start []byte) bool {
	if bytes.HasPrefix(start, []byte("\xFF\xFE")) || bytes.HasPrefix(start, []byte("\xFE\xFF")) {
		return true
	}
	zero := func(i int) bool { return start[i] == 0 }
	return len(start) == 4 && zero(0) == zero(2) && zero(1) == zero(3) && zero(0) != zero(1)
}

func (t *text) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.ready == 0 {
		_, err := t.r.Peek(utf8.UTFMax) // so that no character is cut, except by the end of the file
		block, _ := t.r.Peek(t.r.Buffered())
		t.ready = textLength(block)
		switch {
		case t.ready > 0:
		case len(block) == 0 || err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case block[0] == 0:
			return 0, refuse("The file has a NUL at byte %d; it is not a text file", t.offset)
		default:
			return 0, refuse("The file is not UTF-8: byte %d is 0x%02X; save it as UTF-8", t.offset, block[0])
		}
	}
	n, err := t.r.Read(p[:min(len(p), t.ready)])
	t.ready -= n
	t.offset += int64(n)
	return n, err
}

// textLength returns how many leading bytes of b are whole characters other than NUL.
func textLength(b []byte) int {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if utf8.Valid(b) {
		return len(b)
	}
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// interner saves copies of equal strings. What it returns never holds on to a larger text. A nil one makes no copies: it returns what it is
// given, for those who keep nothing.
type interner struct {
	kept    map[string]string
	texts   layered.Texts
	recent  [1 << 12]string          // by hash
	objects [1 << 12]json.RawMessage // by hash
	seed    maphash.Seed
}

// maxKept bounds what an interner keeps; strings beyond it are copied each time.
const maxKept = 1 << 20

func newInterner() *interner {
	return &interner{kept: make(map[string]string), seed: maphash.MakeSeed()}
}

// reference returns the one copy of a string that others are likely to be equal to, such as the ID of a node at an edge.
func (in *interner) reference(s string) string {
	if in == nil {
		return s
	}
	if kept, ok := in.kept[s]; ok {
		return kept
	}
	kept := in.texts.Keep(s)
	if len(in.kept) < maxKept {
		in.kept[kept] = kept
	}
	return kept
}

// id returns a copy of a string that occurs once.
func (in *interner) id(s string) string {
	if in == nil {
		return s
	}
	return in.texts.Keep(s)
}

// value returns a copy of a string that may or may not occur again soon, such as a label.
func (in *interner) value(s string) string {
	if in == nil {
		return s
	}
	slot := &in.recent[maphash.String(in.seed, s)%uint64(len(in.recent))]
	if *slot != s {
		*slot = in.texts.Keep(s)
	}
	return *slot
}

// object returns a copy of a JSON object, as value does. Nil is none.
func (in *interner) object(o []byte) json.RawMessage {
	if len(o) == 0 || in == nil {
		return o
	}
	slot := &in.objects[maphash.Bytes(in.seed, o)%uint64(len(in.objects))]
	if !bytes.Equal(*slot, o) {
		*slot = bytes.Clone(o)
	}
	return *slot
}
