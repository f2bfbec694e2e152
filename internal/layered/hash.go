package layered

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math"
)

// Hasher makes the content hash of a list of parts. Every part is written with its length and kind, so that no two different
// lists have the same text. Take one from NewHasher.
type Hasher struct {
	h       hash.Hash
	scratch []byte
}

// NewHasher returns a Hasher without parts.
func NewHasher() *Hasher { return &Hasher{h: sha256.New()} }

// Sum returns the hash of the parts so far: 64 lower-case hex digits.
func (h *Hasher) Sum() string { return hex.EncodeToString(h.h.Sum(nil)) }

// Text adds a text.
func (h *Hasher) Text(s string) {
	h.scratch = binary.AppendUvarint(append(h.scratch[:0], 't'), uint64(len(s)))
	h.scratch = append(h.scratch, s...)
	h.h.Write(h.scratch)
}

// Number adds a number.
func (h *Hasher) Number(f float64) {
	h.scratch = binary.BigEndian.AppendUint64(append(h.scratch[:0], 'n'), math.Float64bits(f))
	h.h.Write(h.scratch)
}

// Graph adds everything in g: its name, and all elements in their order.
func (h *Hasher) Graph(g Graph) {
	h.Text(g.Name)
	h.count(len(g.Nodes))
	for i := range g.Nodes {
		n := &g.Nodes[i]
		h.Text(n.ID)
		h.Text(n.Label)
		h.Text(n.Layer)
		h.Text(n.BelongsTo)
		h.Text(n.Comment)
		h.Number(n.Weight)
		h.flag(n.IsPartition)
		h.attrs(n.Attrs)
	}
	h.count(len(g.Edges))
	for i := range g.Edges {
		e := &g.Edges[i]
		h.Text(e.ID)
		h.Text(e.Source)
		h.Text(e.Target)
		h.Text(e.Label)
		h.Text(e.Layer)
		h.Text(e.Comment)
		h.Number(e.Weight)
		h.attrs(e.Attrs)
	}
	h.count(len(g.Layers))
	for _, l := range g.Layers {
		h.Text(l.ID)
		h.Text(l.Label)
		h.Text(l.Background)
		h.Text(l.Text)
		h.Text(l.Border)
	}
}

func (h *Hasher) count(n int) { h.Number(float64(n)) }

func (h *Hasher) flag(b bool) {
	if b {
		h.count(1)
	} else {
		h.count(0)
	}
}

// attrs adds attributes whatever the order of their names; no attributes are equal to an empty object.
func (h *Hasher) attrs(attrs json.RawMessage) {
	attrs = CanonicalAttrs(attrs)
	h.scratch = binary.AppendUvarint(append(h.scratch[:0], 't'), uint64(len(attrs)))
	h.scratch = append(h.scratch, attrs...)
	h.h.Write(h.scratch)
}

// Hash returns the content hash of a graph.
func Hash(g Graph) string {
	h := NewHasher()
	h.Graph(g)
	return h.Sum()
}

// HashParts returns the content hash of a list of texts, such as a node's kind, its configuration and its inputs' hashes.
func HashParts(parts ...string) string {
	h := NewHasher()
	for _, p := range parts {
		h.Text(p)
	}
	return h.Sum()
}
