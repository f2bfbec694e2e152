package graphdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Content is what Write stored.
type Content struct {
	ID    int64
	Hash  string
	Nodes int32
	Edges int32
}

const (
	// maxID is how many bytes an id has at most, as in uploads: an entry of an index has room for 2,704.
	maxID = 1000
	// maxLayers is how many layers a graph has at most: they are written by the change that puts the content in place.
	maxLayers = 10_000
)

// errOvertaken is the error of a chunk whose content is not what this writer left: the clean-up has begun to remove it.
var errOvertaken = errors.New("the clean-up removes the content that is being written")

// Write stores a graph as a content, in chunks with a transaction each, or finds an equal one of the project. Began is called with the id
// of the content before the first chunk, or of the equal one, so that a claim can name it; progress with the elements written so far.
// Either may be nil. What a Write that failed leaves behind counts for nothing, and the clean-up removes it. The fault is BadRequest for a
// graph that cannot be stored: it names the element.
func (s *Service) Write(ctx context.Context, projectID int32, g layered.Graph, began func(ctx context.Context, contentID int64) error,
	progress func(done int64),
) (Content, error) {
	if err := check(g); err != nil {
		return Content{}, err
	}
	g.Name = "" // graphs of other names with the same elements are equal
	c := Content{Hash: layered.Hash(g), Nodes: int32(len(g.Nodes)), Edges: int32(len(g.Edges))}
	if began == nil {
		began = func(context.Context, int64) error { return nil }
	}
	if progress == nil {
		progress = func(int64) {}
	}
	err := s.db.Builds.Query(ctx, func(q *db.Queries) error {
		row, err := q.ShareContent(ctx, db.ShareContentParams{Hash: c.Hash, ProjectID: int64(projectID)})
		c.ID = row.ID
		return err
	})
	switch {
	case err == nil:
		progress(int64(len(g.Nodes) + len(g.Edges)))
		return c, began(ctx, c.ID)
	case !errors.Is(err, pgx.ErrNoRows):
		return Content{}, fmt.Errorf("look for an equal content: %w", err)
	}
	layers, err := json.Marshal(storedLayers(g.Layers))
	if err != nil {
		return Content{}, fmt.Errorf("encode layers: %w", err)
	}
	err = s.db.Builds.Query(ctx, func(q *db.Queries) (err error) {
		c.ID, err = q.InsertContent(ctx, db.InsertContentParams{ProjectID: projectID, Layers: layers})
		return err
	})
	if err != nil {
		return Content{}, fmt.Errorf("begin a content: %w", err)
	}
	if err := began(ctx, c.ID); err != nil {
		return Content{}, err
	}
	w := writer{s: s, id: c.ID, buf: make([]byte, 0, 2*rowsAtOnce)}
	for from := 0; from < len(g.Nodes); from += s.chunk {
		if err := w.nodes(ctx, from, g.Nodes[from:min(from+s.chunk, len(g.Nodes))]); err != nil {
			return Content{}, named(err, g)
		}
		progress(int64(w.done.Nodes))
	}
	for from := 0; from < len(g.Edges); from += s.chunk {
		if err := w.edges(ctx, from, g.Edges[from:min(from+s.chunk, len(g.Edges))]); err != nil {
			return Content{}, named(err, g)
		}
		progress(int64(w.done.Nodes) + int64(w.done.Edges))
	}
	err = s.db.Builds.Query(ctx, func(q *db.Queries) error {
		n, err := q.CompleteContent(ctx, db.CompleteContentParams{Hash: c.Hash, ID: c.ID, Nodes: c.Nodes, Edges: c.Edges})
		if err == nil && n == 0 {
			return errOvertaken
		}
		return err
	})
	if err != nil {
		return Content{}, fmt.Errorf("complete a content: %w", err)
	}
	return c, nil
}

// writer writes the chunks of one content.
type writer struct {
	s    *Service
	id   int64
	done db.StepContentParams // Nodes and Edges are those that were committed
	buf  []byte               // for rows
}

func (w *writer) nodes(ctx context.Context, first int, nodes []layered.Node) error {
	var bytes int64
	for i := range nodes {
		bytes += nodeSize(&nodes[i])
	}
	return w.write(ctx, copyNodes, int32(len(nodes)), 0, bytes, func(r *rows, i int) {
		r.row(w.id, first+i)
		r.node(&nodes[i])
	})
}

func (w *writer) edges(ctx context.Context, first int, edges []layered.Edge) error {
	var bytes int64
	for i := range edges {
		bytes += edgeSize(&edges[i])
	}
	return w.write(ctx, copyEdges, 0, int32(len(edges)), bytes, func(r *rows, i int) {
		r.row(w.id, first+i)
		r.edge(&edges[i])
	})
}

// write commits one chunk, of nodes or of edges. It locks the content before it adds rows, so the clean-up never removes a content while
// rows are added to it.
func (w *writer) write(
	ctx context.Context, statement string, nodes, edges int32, bytes int64, encode func(r *rows, i int),
) error {
	step := w.done
	step.ID, step.AddNodes, step.AddEdges, step.AddBytes = w.id, nodes, edges, bytes
	err := w.s.db.Builds.Do(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			q := db.New(tx)
			// What a crash of the server takes away counts for nothing: the chunk and its counts are one transaction, and the writer finds
			// that they are not what it left. The change that puts the content into place waits for the disk, and the log of the server
			// reaches the disk in its order, so nothing refers to a chunk that can still be lost. The record of the content was written to
			// disk when it began: its id would be given again otherwise, to another writer.
			if err := q.DoNotWaitForDisk(ctx); err != nil {
				return err
			}
			n, err := q.StepContent(ctx, step)
			if err == nil && n == 0 {
				err = errOvertaken
			}
			if err == nil {
				_, err = conn.PgConn().CopyFrom(ctx, &rows{encode: encode, count: int(nodes + edges), buf: w.buf}, statement)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("write a chunk: %w", err)
	}
	w.done.Nodes += nodes
	w.done.Edges += edges
	return nil
}

// nodeOverhead and edgeOverhead are the bytes of a row and its entries in two indexes beside the texts, as measured.
const nodeOverhead, edgeOverhead = 130, 110

// nodeSize returns about how many bytes a node takes on disk.
func nodeSize(n *layered.Node) int64 {
	return int64(nodeOverhead + 2*len(n.ID) + len(n.Label) + len(n.Layer) + len(n.BelongsTo) + len(n.Comment) + len(n.Attrs))
}

// edgeSize returns about how many bytes an edge takes on disk.
func edgeSize(e *layered.Edge) int64 {
	return int64(edgeOverhead + 2*len(e.ID) + len(e.Source) + len(e.Target) + len(e.Label) + len(e.Layer) + len(e.Comment) + len(e.Attrs))
}

// check refuses a graph that cannot be stored.
func check(g layered.Graph) error {
	if len(g.Layers) > maxLayers {
		return fault.New(fault.BadRequest, fmt.Sprintf("The graph has %d layers, more than %d", len(g.Layers), maxLayers))
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if err := checkElement("node", n.ID, "label", n.Label, "layer", n.Layer, "parent", n.BelongsTo, "comment", n.Comment); err != nil {
			return err
		}
		if err := checkAttrs("node", n.ID, n.Attrs); err != nil {
			return err
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		err := checkElement("edge", e.ID, "source", e.Source, "target", e.Target, "label", e.Label, "layer", e.Layer, "comment", e.Comment)
		if err != nil {
			return err
		}
		if err := checkAttrs("edge", e.ID, e.Attrs); err != nil {
			return err
		}
	}
	for _, l := range g.Layers {
		err := checkElement("layer", l.ID, "label", l.Label, "background", l.Background, "border", l.Border, "text colour", l.Text)
		if err != nil {
			return err
		}
	}
	return nil
}

// cannot is why a text is refused.
const cannot = "cannot be stored: it has a NUL character, or is not UTF-8"

// checkElement checks an id, and texts after their names.
func checkElement(kind, id string, texts ...string) error {
	if len(id) > maxID {
		return refuse("id", kind, id, fmt.Sprintf("has %d bytes, more than %d", len(id), maxID))
	}
	if !storable(id) {
		return refuse("id", kind, id, cannot)
	}
	for i := 0; i < len(texts); i += 2 {
		if !storable(texts[i+1]) {
			return refuse(texts[i], kind, id, cannot)
		}
	}
	return nil
}

func checkAttrs(kind, id string, attrs json.RawMessage) error {
	if len(attrs) > 0 && (!utf8.Valid(attrs) || !json.Valid(attrs)) {
		return refuse("value in the attributes", kind, id, cannot)
	}
	return nil
}

func refuse(what, kind, id, why string) error {
	return fault.New(fault.BadRequest, fmt.Sprintf("The %s of the %s %q %s", what, kind, fault.Clip(strings.ToValidUTF8(id, "?")), why))
}

// storable reports whether PostgreSQL stores a text.
func storable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// named turns the database's refusal of an id that is there twice into a fault that names it. Every other error stays as it is.
func named(err error, g layered.Graph) error {
	if postgres.State(err) != postgres.UniqueViolation {
		return err
	}
	kind, id, found := "node", "", false
	if id, found = repeated(g.Nodes, func(n *layered.Node) string { return n.ID }); !found {
		kind = "edge"
		id, found = repeated(g.Edges, func(e *layered.Edge) string { return e.ID })
	}
	if !found {
		return err
	}
	return fault.New(fault.BadRequest, fmt.Sprintf("The graph has the %s %q twice", kind, fault.Clip(id))).Because(err)
}

// repeated returns an id that two elements have.
func repeated[E any](elements []E, id func(*E) string) (string, bool) {
	ids := make([]string, len(elements))
	for i := range elements {
		ids[i] = id(&elements[i])
	}
	slices.Sort(ids)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			return ids[i], true
		}
	}
	return "", false
}

// storedLayer is a layer in the column contents.layers.
type storedLayer struct {
	ID         string `json:"id"`
	Label      string `json:"label"`
	Background string `json:"background,omitempty"`
	Text       string `json:"text,omitempty"`
	Border     string `json:"border,omitempty"`
}

func storedLayers(layers []layered.Layer) []storedLayer {
	stored := make([]storedLayer, len(layers))
	for i, l := range layers {
		stored[i] = storedLayer(l)
	}
	return stored
}
