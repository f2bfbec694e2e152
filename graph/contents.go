package graph

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"layercake/internal/budget"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/ingest"

	"github.com/99designs/gqlgen/graphql"
)

// Limits of what one response shows of built graphs.
const (
	maxElements     = 50_000   // nodes and edges together
	maxElementBytes = 16 << 20 // bytes of them together; one of any size is shown alone
	maxPage         = 1000     // nodes or edges in a page
)

// contentCost is the memory that a node or edge of a graph takes while it is answered, beside textCost for each byte of its JSON. The
// collector finds half of it meanwhile. TestCostOfContents measures it.
const contentCost = 5000

// elementBytes is the length of a node or edge in a response beside its texts: names of fields, numbers, times and punctuation.
const elementBytes = 200

// contentBudget counts the nodes and edges of graphs in one response.
type contentBudget struct{ elements, bytes atomic.Int64 }

// take takes room for so many elements, and memory.
func (b *contentBudget) take(ctx context.Context, elements int32) error {
	if n := b.elements.Add(int64(elements)); n > maxElements {
		return fault.New(fault.BadRequest, "The operation shows too much of graphs: ask for them one by one, or by pages").
			With("detail", map[string]any{"elements": n, "limit": maxElements})
	}
	return budget.From(ctx).Take(ctx, contentCost*int64(elements))
}

// reader reads a range of the nodes or edges of a content.
type reader[E any] func(ctx context.Context, contentID int64, from, limit int32) ([]E, error)

// part is a range of a content.
type part struct {
	content     int64
	from, limit int32
}

// readPart shows a range of a content, a page at a time. It reports whether the response had room for all of it. Show returns what the
// response shows of an element, and how many bytes of text it has.
func readPart[E, V any](ctx context.Context, p part, read reader[E], show func(E) (V, int)) ([]V, bool, error) {
	b := loadersOf(ctx).contents
	shown := []V{}
	for p.limit > 0 {
		length := min(p.limit, maxPage)
		if err := b.take(ctx, length); err != nil {
			return nil, false, err
		}
		elements, err := read(ctx, p.content, p.from, length)
		if err != nil {
			return nil, false, err
		}
		page := int64(0)
		for _, e := range elements {
			v, text := show(e)
			page += int64(text)
			used := b.bytes.Add(int64(elementBytes + text))
			if used > maxElementBytes && used > int64(elementBytes+text) {
				return shown, false, nil
			}
			shown = append(shown, v)
		}
		if err := budget.From(ctx).Take(ctx, textCost*page); err != nil {
			return nil, false, err
		}
		if len(elements) < int(length) {
			break
		}
		p.from, p.limit = p.from+length, p.limit-length
	}
	return shown, true, nil
}

// partOf returns what a field asks for of a graph: a page, or without first all that it has of them, which is count.
func (r *Resolver) partOf(ctx context.Context, g *graphdata.Graph, count int32, first *int32, after *string, offset int32) (part, error) {
	p := part{content: value(g.ContentID), limit: count, from: offset}
	elements := int64(g.NodeCount) + int64(g.EdgeCount)
	switch {
	case offset < 0:
		return p, fault.New(fault.BadRequest, "The offset is not one of an element").With("detail", map[string]any{"least": 0, "value": offset})
	case first != nil && (*first < 1 || *first > maxPage):
		return p, fault.New(fault.BadRequest, fmt.Sprintf("first must be from 1 to %d", maxPage)).With("detail", *first)
	case first != nil:
		p.limit = *first
	case after != nil:
		p.limit = maxPage
	case elements > maxElements:
		return p, fault.New(fault.BadRequest, fmt.Sprintf("The graph has %d elements, more than the %d that are shown at once: ask for pages "+
			"with first and after, or let an OutputNode render it and download /api/projects/%d/outputs/{nodeId}",
			elements, maxElements, g.ProjectID)).
			With("detail", map[string]any{"elements": elements, "limit": maxElements, "page": maxPage})
	}
	if after == nil {
		return p, nil
	}
	content, ordinal, err := graphdata.ParseCursor(*after)
	if err != nil {
		return p, err
	}
	if content != p.content {
		if err := r.graphs.CheckContent(ctx, g.ProjectID, content); err != nil {
			return p, err
		}
	}
	p.content, p.from = content, graphdata.After(ordinal, offset)
	return p, nil
}

// builtAt returns when the contents of a graph were made.
func builtAt(g *graphdata.Graph) time.Time {
	if g.ComputedAt != nil {
		return *g.ComputedAt
	}
	return g.UpdatedAt
}

// graphNodes reads nodes of a graph.
func (r *Resolver) graphNodes(ctx context.Context, g *graphdata.Graph, first *int32, after *string, offset int32) ([]GraphNode, error) {
	p, err := r.partOf(ctx, g, g.NodeCount, first, after, offset)
	if err != nil || p.content == 0 {
		return []GraphNode{}, err
	}
	nodes, all, err := readPart(ctx, p, r.graphs.Nodes, func(n graphdata.Node) (GraphNode, int) {
		attrs := ingest.NodeJSON(n.Node)
		return GraphNode{
			ID: n.ID, GraphID: g.ID, Label: &n.Label, Layer: optional(n.Layer), Weight: &n.Weight, IsPartition: n.IsPartition,
			BelongsTo: optional(n.BelongsTo), Attrs: attrs, CreatedAt: builtAt(g), Cursor: graphdata.Cursor(p.content, n.Ordinal),
		}, len(attrs)
	})
	return nodes, orTooLarge(all, err)
}

// graphEdges reads edges of a graph.
func (r *Resolver) graphEdges(ctx context.Context, g *graphdata.Graph, first *int32, after *string, offset int32) ([]GraphEdge, error) {
	p, err := r.partOf(ctx, g, g.EdgeCount, first, after, offset)
	if err != nil || p.content == 0 {
		return []GraphEdge{}, err
	}
	edges, all, err := readPart(ctx, p, r.graphs.Edges, func(e graphdata.Edge) (GraphEdge, int) {
		attrs := ingest.EdgeJSON(e.Edge)
		return GraphEdge{
			ID: e.ID, GraphID: g.ID, Source: e.Source, Target: e.Target, Label: &e.Label, Layer: optional(e.Layer), Weight: &e.Weight,
			Attrs: attrs, CreatedAt: builtAt(g), Cursor: graphdata.Cursor(p.content, e.Ordinal),
		}, len(attrs)
	})
	return edges, orTooLarge(all, err)
}

// orTooLarge returns err, or a fault when the response had no room for all that was asked for.
func orTooLarge(all bool, err error) error {
	if err != nil || all {
		return err
	}
	return fault.New(fault.BadRequest, "The operation shows too much of graphs: ask for smaller pages").
		With("detail", map[string]any{"limit": maxElementBytes})
}

// preview reads what is shown of the graph that a node builds.
func (r *Resolver) preview(ctx context.Context, projectID int32, nodeID string) (*GraphPreview, error) {
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return nil, err
	}
	g, err := r.graphs.OfNode(ctx, access, nodeID)
	if g == nil || err != nil {
		return nil, err
	}
	shown := &GraphPreview{
		NodeID: g.NodeID, GraphID: g.ID, Name: g.Name, Nodes: []GraphNodePreview{}, Edges: []GraphEdgePreview{}, Layers: []graphdata.Layer{},
		NodeCount: g.NodeCount, EdgeCount: g.EdgeCount, ExecutionState: g.State, ComputedDate: timeText(g.ComputedAt),
		ErrorMessage: g.ErrorMessage,
	}
	l := loadersOf(ctx)
	l.graphs.Prime(g.ID, g)
	if g.ContentID == nil {
		return shown, nil
	}
	if err := l.contents.take(ctx, min(g.NodeCount, maxElements)+min(g.EdgeCount, max(0, maxElements-g.NodeCount))); err != nil {
		return nil, err
	}
	p, err := r.graphs.Preview(ctx, *g.ContentID)
	if err != nil {
		return nil, err
	}
	shown.Truncated = p.Truncated
	bytes := 0
	shown.Nodes = convert(p.Nodes, func(n graphdata.Node) GraphNodePreview {
		attrs := ingest.NodeJSON(n.Node)
		bytes += len(attrs)
		return GraphNodePreview{
			ID: n.ID, Label: &n.Label, Layer: optional(n.Layer), Weight: &n.Weight, IsPartition: n.IsPartition, Attrs: attrs,
		}
	})
	shown.Edges = convert(p.Edges, func(e graphdata.Edge) GraphEdgePreview {
		attrs := ingest.EdgeJSON(e.Edge)
		bytes += len(attrs)
		return GraphEdgePreview{
			ID: e.ID, Source: e.Source, Target: e.Target, Label: &e.Label, Layer: optional(e.Layer), Weight: &e.Weight, Attrs: attrs,
		}
	})
	if err := budget.From(ctx).Take(ctx, textCost*int64(bytes)); err != nil {
		return nil, err
	}
	if slices.Contains(graphql.CollectAllFields(ctx), "layers") {
		shown.Layers, err = l.layers.Load(ctx, g.ID)
	}
	return shown, err
}
