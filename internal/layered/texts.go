package layered

import "strings"

// Texts keeps copies of the many short texts of a graph in few large blocks. As long as one text of a block is referred to, the whole block
// is. The zero value is ready.
type Texts struct {
	block strings.Builder
	size  int // of the block
}

// The sizes of blocks: the first one is small, as most graphs are.
const leastBlock, mostBlock = 1 << 10, 64 << 10

// Keep returns a copy of a text. A block never grows beyond its capacity, so texts that were cut out of it stay where they are.
func (t *Texts) Keep(text string) string {
	t.room(len(text))
	from := t.block.Len()
	t.block.WriteString(text)
	return t.block.String()[from:]
}

// KeepBytes is Keep for bytes.
func (t *Texts) KeepBytes(text []byte) string {
	t.room(len(text))
	from := t.block.Len()
	t.block.Write(text)
	return t.block.String()[from:]
}

// room opens another block when the one that is open has not so many bytes left.
func (t *Texts) room(bytes int) {
	if bytes <= t.block.Cap()-t.block.Len() {
		return
	}
	t.size = min(max(2*t.size, leastBlock), mostBlock)
	t.block = strings.Builder{}
	t.block.Grow(max(t.size, bytes))
}
