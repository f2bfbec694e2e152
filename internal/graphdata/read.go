package graphdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// errGone is the fault for a content that is not there any more.
var errGone = fault.New(fault.NotFound, "The graph was built again or deleted, and what it was before is gone: begin anew")

// Cursor names a place in a content, for pages: it has the id of the content and the ordinal of the last element that was read.
func Cursor(contentID int64, ordinal int32) string { return fmt.Sprintf("%d.%d", contentID, ordinal) }

// ParseCursor returns what Cursor was given. The fault is BadRequest.
func ParseCursor(cursor string) (contentID int64, ordinal int32, err error) {
	content, place, _ := strings.Cut(cursor, ".")
	contentID, err1 := strconv.ParseInt(content, 10, 64)
	n, err2 := strconv.ParseInt(place, 10, 32)
	if err1 != nil || err2 != nil || contentID < 1 || n < 0 {
		return 0, 0, fault.New(fault.BadRequest, "The cursor is not one of a page of a graph").With("detail", cursor)
	}
	return contentID, int32(n), nil
}

// After returns where a page begins that leaves out so many elements after one. After the last ordinal that there can be a page is empty.
func After(ordinal, offset int32) int32 {
	return int32(min(int64(ordinal)+1+int64(offset), math.MaxInt32))
}

// Nodes returns at most limit nodes of a content from an ordinal on. The fault is NotFound when the content was removed.
func (s *Service) Nodes(ctx context.Context, contentID int64, from, limit int32) ([]Node, error) {
	return page(ctx, s.db.Requests, nodes, contentID, from, limit)
}

// Edges returns at most limit edges of a content from an ordinal on. The fault is NotFound when the content was removed.
func (s *Service) Edges(ctx context.Context, contentID int64, from, limit int32) ([]Edge, error) {
	return page(ctx, s.db.Requests, edges, contentID, from, limit)
}

// EachNode yields all nodes of a content, a range of ordinals a statement, so a slow reader holds no connection. The fault is NotFound when
// the content was removed meanwhile.
func (s *Service) EachNode(ctx context.Context, contentID int64) iter.Seq2[layered.Node, error] {
	return func(yield func(layered.Node, error) bool) {
		for n, err := range each(ctx, s.db.Requests, nodes, contentID) {
			if !yield(n.Node, err) {
				return
			}
		}
	}
}

// EachEdge yields all edges of a content, as EachNode.
func (s *Service) EachEdge(ctx context.Context, contentID int64) iter.Seq2[layered.Edge, error] {
	return func(yield func(layered.Edge, error) bool) {
		for e, err := range each(ctx, s.db.Requests, edges, contentID) {
			if !yield(e.Edge, err) {
				return
			}
		}
	}
}

// Preview is the beginning of a content, to be looked at.
type Preview struct {
	Nodes     []Node
	Edges     []Edge // those whose ends are among Nodes
	Truncated bool   // whether the content has more
}

// What a preview shows at most.
const (
	previewElements = 50_000
	previewBytes    = 16 << 20
)

// Preview returns the beginning of a content: at most 50,000 elements and 16 MB. Of a larger one, up to half are edges. The fault is
// NotFound when the content was removed.
func (s *Service) Preview(ctx context.Context, contentID int64) (Preview, error) {
	header, _, err := find(ctx, s.db.Requests, contentID)
	if err != nil {
		return Preview{}, err
	}
	p, bytes := Preview{Nodes: []Node{}, Edges: []Edge{}}, int64(0)
	mostNodes := min(int(header.Nodes), max(previewElements-int(header.Edges), previewElements/2))
	shown := make(map[string]bool, mostNodes)
	size := rangeSize(header, readRange, readBytes)
	for chunk, err := range ranges(ctx, s.db.Requests, nodes, header, size) {
		if err != nil {
			return Preview{}, err
		}
		for i := range chunk {
			bytes += nodeSize(&chunk[i].Node)
			if len(p.Nodes) == mostNodes || bytes > previewBytes {
				break
			}
			p.Nodes = append(p.Nodes, chunk[i])
			shown[chunk[i].ID] = true
		}
		if len(p.Nodes) == mostNodes || bytes > previewBytes {
			break
		}
	}
	looked := 0
	for chunk, err := range ranges(ctx, s.db.Requests, edges, header, size) {
		if err != nil {
			return Preview{}, err
		}
		for i := range chunk {
			if looked++; !shown[chunk[i].Source] || !shown[chunk[i].Target] {
				continue
			}
			bytes += edgeSize(&chunk[i].Edge)
			if len(p.Nodes)+len(p.Edges) == previewElements || bytes > previewBytes {
				break
			}
			p.Edges = append(p.Edges, chunk[i])
		}
		if len(p.Nodes)+len(p.Edges) == previewElements || bytes > previewBytes || looked >= 4*previewElements {
			break
		}
	}
	p.Truncated = len(p.Nodes) < int(header.Nodes) || len(p.Edges) < int(header.Edges)
	return p, nil
}

// What one statement reads at most, by the average size of elements, for whoever reads on and for a build.
const (
	readRange, readBytes = 10_000, 4 << 20
	loadRange, loadBytes = 50_000, 16 << 20
)

// rangeSize returns how many elements of a content one statement is to read.
func rangeSize(header db.GetContentRow, most int32, bytes int64) int32 {
	average := header.Bytes/max(int64(header.Nodes)+int64(header.Edges), 1) + 1
	return int32(min(max(bytes/average, 1), int64(most)))
}

// find returns the record of a complete content, and its layers.
func find(ctx context.Context, pool *postgres.Pool, id int64) (row db.GetContentRow, layers []layered.Layer, err error) {
	err = pool.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetContent(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return row, nil, errGone
	case err != nil:
		return row, nil, fmt.Errorf("read a content: %w", err)
	}
	var stored []storedLayer
	if err := json.Unmarshal(row.Layers, &stored); err != nil {
		return row, nil, fmt.Errorf("read the layers of a content: %w", err)
	}
	for _, l := range stored {
		layers = append(layers, layered.Layer(l))
	}
	return row, layers, nil
}

// kind is a table of elements.
type kind[E any] struct {
	count func(db.GetContentRow) int32
	read  func(ctx context.Context, q *db.Queries, content int64, first, below int32) ([]E, error)
}

var nodes = kind[Node]{
	count: func(c db.GetContentRow) int32 { return c.Nodes },
	read: func(ctx context.Context, q *db.Queries, content int64, first, below int32) ([]Node, error) {
		rows, err := q.ListContentNodes(ctx, db.ListContentNodesParams{ContentID: content, First: first, Below: below})
		if err != nil {
			return nil, err
		}
		nodes := make([]Node, len(rows))
		for i, row := range rows {
			nodes[i] = Node{Ordinal: row.Ordinal, Node: layered.Node{
				ID: row.ID, Label: row.Label, Layer: row.Layer, IsPartition: row.IsPartition, BelongsTo: row.BelongsTo, Weight: row.Weight,
				Comment: row.Comment, Attrs: row.Attrs,
			}}
		}
		return nodes, nil
	},
}

var edges = kind[Edge]{
	count: func(c db.GetContentRow) int32 { return c.Edges },
	read: func(ctx context.Context, q *db.Queries, content int64, first, below int32) ([]Edge, error) {
		rows, err := q.ListContentEdges(ctx, db.ListContentEdgesParams{ContentID: content, First: first, Below: below})
		if err != nil {
			return nil, err
		}
		edges := make([]Edge, len(rows))
		for i, row := range rows {
			edges[i] = Edge{Ordinal: row.Ordinal, Edge: layered.Edge{
				ID: row.ID, Source: row.Source, Target: row.Target, Label: row.Label, Layer: row.Layer, Weight: row.Weight,
				Comment: row.Comment, Attrs: row.Attrs,
			}}
		}
		return edges, nil
	},
}

// page reads one range. A page that is not full is the last one of a content that is there, or the content is being removed.
func page[E any](ctx context.Context, pool *postgres.Pool, k kind[E], content int64, from, limit int32) (elements []E, err error) {
	from = max(from, 0)
	below := int32(min(int64(from)+int64(max(limit, 0)), 1<<31-1))
	err = pool.Query(ctx, func(q *db.Queries) (err error) {
		elements, err = k.read(ctx, q, content, from, below)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a page of a content: %w", err)
	}
	if int32(len(elements)) == below-from {
		return elements, nil
	}
	header, _, err := find(ctx, pool, content)
	if err == nil && int32(len(elements)) < min(k.count(header), below)-from {
		err = errGone
	}
	return elements, err
}

// each yields the elements of a content one by one.
func each[E any](ctx context.Context, pool *postgres.Pool, k kind[E], content int64) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		var none E
		header, _, err := find(ctx, pool, content)
		if err != nil {
			yield(none, err)
			return
		}
		for chunk, err := range ranges(ctx, pool, k, header, rangeSize(header, readRange, readBytes)) {
			if err != nil {
				yield(none, err)
				return
			}
			for _, e := range chunk {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// ranges yields the elements of a content, a statement each time. After an error it ends.
func ranges[E any](ctx context.Context, pool *postgres.Pool, k kind[E], header db.GetContentRow, size int32) iter.Seq2[[]E, error] {
	return func(yield func([]E, error) bool) {
		count := k.count(header)
		for from := int32(0); from < count; from += size {
			below := min(from+size, count)
			var chunk []E
			err := pool.Query(ctx, func(q *db.Queries) (err error) {
				chunk, err = k.read(ctx, q, header.ID, from, below)
				return err
			})
			switch {
			case err != nil:
				yield(nil, fmt.Errorf("read a content: %w", err))
				return
			case int32(len(chunk)) < below-from:
				yield(nil, errGone)
				return
			}
			if !yield(chunk, nil) {
				return
			}
		}
	}
}
