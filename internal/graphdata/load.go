package graphdata

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"layercake/internal/db"
	"layercake/internal/layered"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Load reads a whole content into memory, on the connections of builds. Progress is called with the elements read so far; it may be nil.
// The fault is NotFound when the content was removed.
func (s *Service) Load(ctx context.Context, contentID int64, progress func(done int64)) (layered.Graph, error) {
	return s.load(ctx, contentID, true, true, progress)
}

// LoadPart is Load for who needs only the nodes of a content, or only its edges. There are none of what is not asked for.
func (s *Service) LoadPart(ctx context.Context, contentID int64, withNodes, withEdges bool) (layered.Graph, error) {
	return s.load(ctx, contentID, withNodes, withEdges, nil)
}

func (s *Service) load(ctx context.Context, contentID int64, withNodes, withEdges bool, progress func(done int64)) (layered.Graph, error) {
	header, layers, err := find(ctx, s.db.Builds, contentID)
	if err != nil {
		return layered.Graph{}, err
	}
	g := layered.Graph{Layers: layers}
	if withNodes {
		g.Nodes = make([]layered.Node, header.Nodes)
	}
	if withEdges {
		g.Edges = make([]layered.Edge, header.Edges)
	}
	l := loader{pool: s.db.Builds, content: header.ID, size: int(rangeSize(header, loadRange, loadBytes)), known: make(map[string]string)}
	if progress == nil {
		progress = func(int64) {}
	}
	err = l.all(ctx, db.ListContentNodes, nodeFormats, len(g.Nodes), func(i int, row [][]byte) { l.node(&g.Nodes[i], row) }, progress)
	if err == nil {
		read := int64(len(g.Nodes))
		err = l.all(ctx, db.ListContentEdges, edgeFormats, len(g.Edges), func(i int, row [][]byte) { l.edge(&g.Edges[i], row) },
			func(done int64) { progress(read + done) })
	}
	if err != nil {
		return layered.Graph{}, err
	}
	return g, nil
}

// loader reads elements of a content as they come from the server, because a graph has millions of texts: they are kept in blocks, and
// those that most elements have in common are kept once.
type loader struct {
	pool    *postgres.Pool
	content int64
	size    int               // elements of a statement
	known   map[string]string // layers and parents
	texts   layered.Texts
	attrs   []byte // block of attributes that is being filled
}

// The sizes of blocks of attributes: the first one is small, as most graphs are.
const leastAttrs, mostAttrs = 1 << 10, 64 << 10

// nodeFormats and edgeFormats are those of the columns of ListContentNodes and ListContentEdges: numbers and truth values come in binary.
var (
	nodeFormats = pgx.QueryResultFormats{1, 0, 0, 0, 1, 1, 0, 0, 0}
	edgeFormats = pgx.QueryResultFormats{1, 0, 0, 0, 0, 0, 1, 0, 0}
)

// all reads the elements of a table in ranges, a statement each.
func (l *loader) all(ctx context.Context, query string, formats pgx.QueryResultFormats, count int, keep func(i int, row [][]byte),
	progress func(done int64),
) error {
	for from := 0; from < count; from += l.size {
		below := min(from+l.size, count)
		read := from
		err := l.pool.Do(ctx, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, query, formats, l.content, int32(from), int32(below))
			if err != nil {
				return err
			}
			defer rows.Close()
			for read = from; rows.Next(); read++ {
				keep(read, rows.RawValues())
			}
			return rows.Err()
		})
		switch {
		case err != nil:
			return fmt.Errorf("read a content: %w", err)
		case read < below:
			return errGone
		}
		progress(int64(below))
	}
	return nil
}

func (l *loader) node(n *layered.Node, row [][]byte) {
	n.ID, n.Label, n.Layer = l.texts.KeepBytes(row[1]), l.texts.KeepBytes(row[2]), l.once(row[3])
	n.Weight, n.IsPartition = number(row[4]), row[5][0] != 0
	n.BelongsTo, n.Comment, n.Attrs = l.once(row[6]), l.texts.KeepBytes(row[7]), l.json(row[8])
}

func (l *loader) edge(e *layered.Edge, row [][]byte) {
	e.ID, e.Source, e.Target = l.texts.KeepBytes(row[1]), l.texts.KeepBytes(row[2]), l.texts.KeepBytes(row[3])
	e.Label = l.texts.KeepBytes(row[4])
	e.Layer, e.Weight, e.Comment, e.Attrs = l.once(row[5]), number(row[6]), l.texts.KeepBytes(row[7]), l.json(row[8])
}

func number(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }

// once keeps a text that other elements have, too.
func (l *loader) once(b []byte) string {
	kept, ok := l.known[string(b)]
	if !ok {
		kept = string(b)
		l.known[kept] = kept
	}
	return kept
}

func (l *loader) json(b []byte) json.RawMessage {
	if b == nil {
		return nil
	}
	if len(b) > cap(l.attrs)-len(l.attrs) {
		l.attrs = make([]byte, 0, max(min(2*cap(l.attrs), mostAttrs), leastAttrs, len(b)))
	}
	from := len(l.attrs)
	l.attrs = append(l.attrs, b...)
	return l.attrs[from:len(l.attrs):len(l.attrs)]
}
