package plan

import (
	"encoding/json"
	"iter"
	"time"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// maxWays is from how many nodes the links that can be reached are looked up one by one. For more, all links of the plan are read
// once: each way may be through all of them.
const maxWays = 20

// queue adds the queries of what a change reads. Their results fill the draft when the batch runs.
func (d *draft) queue(b *pgx.Batch, project int32, r *reads) {
	if r.plan {
		b.Queue(db.GetPlanOfProject, project).Query(func(rows pgx.Rows) error {
			row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.GetPlanOfProjectRow])
			p := Plan(row)
			d.plan = &p
			return err
		})
	}
	b.Queue(db.GetPlanShape, project).Query(func(rows pgx.Rows) error {
		shape, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.GetPlanShapeRow])
		d.nodes.shape(shape.LastNode, shape.NodeGaps)
		d.edges.shape(shape.LastEdge, shape.EdgeGaps)
		return err
	})
	if r.eventsAfter != nil {
		d.queueLog(b, project)
		b.Queue(db.ListEventBodies, maxMissedBytes, project, *r.eventsAfter, maxMissed+1).Query(func(rows pgx.Rows) error {
			return each(rows, func(row db.ListEventBodiesRow) {
				d.missed = append(d.missed, row.Body)
				d.missedTooMuch = d.missedTooMuch || row.Body == nil
			})
		})
	}
	if r.hashAt != nil {
		b.Queue(db.GetEventHash, *r.hashAt, project).QueryRow(func(row pgx.Row) error { return row.Scan(&d.hashAt) })
	}
	if r.undoneBy != nil {
		b.Queue(db.GetUndoneBy, *r.undoneBy, project).QueryRow(func(row pgx.Row) error { return row.Scan(&d.undoneBy) })
	}
	if len(r.sources) > 0 {
		d.queueSources(b, project, r.sources)
	}
	if r.proposal != nil {
		d.queueProposal(b, project, *r.proposal)
	}
	if r.all {
		b.Queue(db.ListPlanNodes, project).Query(d.loadNodes)
		b.Queue(db.ListPlanEdges, project).Query(d.loadEdges)
		return
	}
	if r.lastNode {
		b.Queue(db.GetLastPlanNode, project).Query(d.loadNodes)
	}
	for id := range storable(r.nodes) {
		b.Queue(db.GetPlanNode, project, id).Query(d.loadNodes)
	}
	for id := range storable(r.edges) {
		b.Queue(db.GetPlanEdge, project, id).Query(d.loadEdges)
	}
	for id := range storable(r.edgesOf) {
		b.Queue(db.ListPlanEdgesOfNode, project, id).Query(d.loadEdges)
	}
	loadLinks := func(rows pgx.Rows) error {
		return each(rows, func(row db.ListPlanLinksRow) { d.links.add(row.ID, row.Source, row.Target) })
	}
	if len(r.reachableFrom) > maxWays {
		b.Queue(db.ListPlanLinks, project).Query(loadLinks)
		return
	}
	for id := range storable(r.reachableFrom) {
		b.Queue(db.ListPlanLinksFrom, project, id).Query(loadLinks)
	}
}

// queueLog reads how far the log reaches, and which version edited last.
func (d *draft) queueLog(b *pgx.Batch, project int32) {
	b.Queue(db.GetLogOfEdits, project).QueryRow(func(row pgx.Row) error { return row.Scan(&d.floor, &d.lastEdit) })
}

// storable yields the ids in a set that can be in the database at all: one with a NUL would fail the query.
func storable(set map[string]bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for id := range set {
			if checkID("", id) == nil && !yield(id) {
				return
			}
		}
	}
}

func (d *draft) loadNodes(rows pgx.Rows) error {
	return each(rows, func(r db.ListPlanNodesRow) {
		d.nodes.load(r.ID, r.Ordinal, Node{
			ID: r.ID, NodeType: NodeType(r.NodeType), Position: Position{X: r.PositionX, Y: r.PositionY},
			SourcePosition: r.SourcePosition, TargetPosition: r.TargetPosition,
			Metadata: NodeMetadata{Label: r.Label, Description: r.Description}, Config: string(r.Config),
			CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		}.withExecution(storedExecution(r.Execution)))
	})
}

func (d *draft) loadEdges(rows pgx.Rows) error {
	return each(rows, func(r db.ListPlanEdgesRow) {
		d.edges.load(r.ID, r.Ordinal, Edge{
			ID: r.ID, Source: r.Source, Target: r.Target, SourceHandle: r.SourceHandle, TargetHandle: r.TargetHandle,
			Metadata: EdgeMetadata{Label: r.Label, DataType: DataType(r.DataType)}, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		})
		d.links.add(r.ID, r.Source, r.Target)
	})
}

func each[T any](rows pgx.Rows, f func(T)) error {
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	for _, row := range all {
		f(row)
	}
	return err
}

// maxGaps is how many gaps between ordinals a plan keeps before they are closed.
const maxGaps = 128

// queueWrites adds the statements that make the tables what the draft says: removals before additions, removed edges before the nodes
// that they refer to, added nodes before the edges that refer to them. Arguments stand in the order of the generated
// parameter types; the types of the inserts are not used themselves because they have no nulls in lists.
func (d *draft) queueWrites(b *pgx.Batch, project int32) {
	edges, nodes := changesOf(&d.edges), changesOf(&d.nodes)
	for _, id := range edges.removed {
		b.Queue(db.DeletePlanEdge, project, id)
	}
	for _, id := range nodes.removed {
		b.Queue(db.DeletePlanNode, project, id)
	}
	if len(nodes.added) > 0 {
		c := nodeColumns(nodes.added)
		b.Queue(db.InsertPlanNodes, project, d.time, c.ids, nodes.ordinals, c.types, c.xs, c.ys, c.sourcePositions,
			c.targetPositions, c.labels, c.descriptions, c.configs, c.createdAts)
	}
	for _, n := range nodes.changed {
		if before := d.nodes.items[n.ID].before; sameNode(*before, n) && before.UpdatedAt.Equal(n.UpdatedAt) {
			continue // only its execution is another one
		}
		b.Queue(db.UpdatePlanNode, n.NodeType, n.Position.X, n.Position.Y, n.SourcePosition, n.TargetPosition, n.Metadata.Label,
			n.Metadata.Description, json.RawMessage(n.Config), n.UpdatedAt, project, n.ID)
	}
	for id, i := range d.nodes.items {
		var before *Execution
		if i.before != nil && !i.added {
			before = i.before.execution()
		}
		if i.now != nil && i.now != i.before && !sameExecution(before, i.now.execution()) {
			b.Queue(db.UpdatePlanNodeExecution, i.now.execution().text(), project, id)
		}
	}
	if len(edges.added) > 0 {
		c := edgeColumns(edges.added)
		b.Queue(db.InsertPlanEdges, project, d.time, c.ids, edges.ordinals, c.sources, c.targets, c.sourceHandles,
			c.targetHandles, c.labels, c.dataTypes, c.createdAts)
	}
	for _, e := range edges.changed {
		b.Queue(db.UpdatePlanEdge, e.SourceHandle, e.TargetHandle, e.Metadata.Label, e.Metadata.DataType, e.UpdatedAt, project, e.ID)
	}
	if d.nodes.gapsChanged || d.edges.gapsChanged {
		if len(d.nodes.gaps) > maxGaps {
			b.Queue(db.CloseNodeGaps, project)
			d.nodes.gaps = nil
		}
		if len(d.edges.gaps) > maxGaps {
			b.Queue(db.CloseEdgeGaps, project)
			d.edges.gaps = nil
		}
		b.Queue(db.UpdatePlanGaps, append([]int64{}, d.nodes.gaps...), append([]int64{}, d.edges.gaps...), project)
	}
	if d.edited {
		p := d.plan
		b.Queue(db.UpdatePlan, p.Name, p.YAMLContent, p.Dependencies, p.Status, p.UpdatedAt, project)
	}
}

// changes are the differences between a list before the first change of a draft and after the last.
type changes[T any] struct {
	removed  []string // ids
	added    []T
	ordinals []int64 // ordinals of the added items, in the same order
	changed  []T
}

func changesOf[T any](l *list[T]) changes[T] {
	var c changes[T]
	for id, i := range l.items {
		if i.before != nil && (i.now == nil || i.added) {
			c.removed = append(c.removed, id)
		}
		switch {
		case i.now == nil:
		case i.added:
			c.added = append(c.added, *i.now)
			c.ordinals = append(c.ordinals, i.ordinal)
		case i.now != i.before:
			c.changed = append(c.changed, *i.now)
		}
	}
	return c
}

type nodeArrays struct {
	ids, types, labels, configs                    []string
	xs, ys                                         []float64
	sourcePositions, targetPositions, descriptions []*string
	createdAts                                     []time.Time
}

func nodeColumns(nodes []Node) nodeArrays {
	var c nodeArrays
	for _, n := range nodes {
		c.ids = append(c.ids, n.ID)
		c.types = append(c.types, string(n.NodeType))
		c.xs = append(c.xs, n.Position.X)
		c.ys = append(c.ys, n.Position.Y)
		c.sourcePositions = append(c.sourcePositions, n.SourcePosition)
		c.targetPositions = append(c.targetPositions, n.TargetPosition)
		c.labels = append(c.labels, n.Metadata.Label)
		c.descriptions = append(c.descriptions, n.Metadata.Description)
		c.configs = append(c.configs, n.Config)
		c.createdAts = append(c.createdAts, n.CreatedAt)
	}
	return c
}

type edgeArrays struct {
	ids, sources, targets, dataTypes     []string
	sourceHandles, targetHandles, labels []*string
	createdAts                           []time.Time
}

func edgeColumns(edges []Edge) edgeArrays {
	var c edgeArrays
	for _, e := range edges {
		c.ids = append(c.ids, e.ID)
		c.sources = append(c.sources, e.Source)
		c.targets = append(c.targets, e.Target)
		c.sourceHandles = append(c.sourceHandles, e.SourceHandle)
		c.targetHandles = append(c.targetHandles, e.TargetHandle)
		c.labels = append(c.labels, e.Metadata.Label)
		c.dataTypes = append(c.dataTypes, string(e.Metadata.DataType))
		c.createdAts = append(c.createdAts, e.CreatedAt)
	}
	return c
}

// configText gives an empty config the meaning that the reference gives it.
func configText(config string) string {
	if config == "" {
		return "{}"
	}
	return config
}
