package graphdata

import (
	"encoding/binary"
	"io"
	"math"

	"layercake/internal/layered"
)

// The rows of elements go to the server in the binary format of COPY, written by hand: through values of their own, each of millions of
// columns is an allocation, and their collection slows the requests of this process down.
const (
	copyNodes = "COPY content_nodes (content_id, ordinal, id, label, layer, weight, is_partition, belongs_to, comment, attrs) " +
		"FROM STDIN (FORMAT binary)"
	copyEdges = "COPY content_edges (content_id, ordinal, id, source, target, label, layer, weight, comment, attrs) " +
		"FROM STDIN (FORMAT binary)"
	copyColumns = 10 // of both
)

// rows is what COPY reads: a header, rows and an end. It encodes some rows at a time.
type rows struct {
	encode func(r *rows, i int) // appends row i
	next   int
	count  int
	buf    []byte
	unread []byte
	begun  bool
	ended  bool
}

// rowsAtOnce are the bytes after which encoded rows are passed on.
const rowsAtOnce = 32 << 10

// Read implements io.Reader.
func (r *rows) Read(p []byte) (int, error) {
	if len(r.unread) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		r.fill()
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

func (r *rows) fill() {
	r.buf = r.buf[:0]
	if !r.begun {
		r.begun = true
		r.buf = append(r.buf, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...) // no flags, no extension
	}
	for ; r.next < r.count && len(r.buf) < rowsAtOnce; r.next++ {
		r.encode(r, r.next)
	}
	if r.next == r.count {
		r.ended = true
		r.buf = append(r.buf, 0xff, 0xff)
	}
	r.unread = r.buf
}

func (r *rows) row(content int64, ordinal int) {
	r.buf = binary.BigEndian.AppendUint16(r.buf, copyColumns)
	r.int32(int32(content))
	r.int32(int32(ordinal))
}

func (r *rows) int32(n int32) {
	r.buf = binary.BigEndian.AppendUint32(append(r.buf, 0, 0, 0, 4), uint32(n))
}

func (r *rows) number(f float64) {
	r.buf = binary.BigEndian.AppendUint64(append(r.buf, 0, 0, 0, 8), math.Float64bits(f))
}

func (r *rows) truth(b bool) {
	n := byte(0)
	if b {
		n = 1
	}
	r.buf = append(r.buf, 0, 0, 0, 1, n)
}

func (r *rows) text(s string) {
	r.buf = append(binary.BigEndian.AppendUint32(r.buf, uint32(len(s))), s...)
}

// textOrNull writes null for a text that is none.
func (r *rows) textOrNull(s string) {
	if s == "" {
		r.null()
		return
	}
	r.text(s)
}

func (r *rows) jsonOrNull(j []byte) {
	if len(j) == 0 {
		r.null()
		return
	}
	r.buf = append(binary.BigEndian.AppendUint32(r.buf, uint32(len(j))), j...)
}

func (r *rows) null() { r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff) }

func (r *rows) node(n *layered.Node) {
	r.text(n.ID)
	r.text(n.Label)
	r.textOrNull(n.Layer)
	r.number(n.Weight)
	r.truth(n.IsPartition)
	r.textOrNull(n.BelongsTo)
	r.textOrNull(n.Comment)
	r.jsonOrNull(n.Attrs)
}

func (r *rows) edge(e *layered.Edge) {
	r.text(e.ID)
	r.text(e.Source)
	r.text(e.Target)
	r.text(e.Label)
	r.textOrNull(e.Layer)
	r.number(e.Weight)
	r.textOrNull(e.Comment)
	r.jsonOrNull(e.Attrs)
}
