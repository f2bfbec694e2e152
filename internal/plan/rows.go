package plan

import (
	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// queue adds the queries that read what a change wants. Their results fill the draft when the batch runs.
func (d *draft) queue(b *pgx.Batch, project int32, w *wants) {
	if w.plan {
		b.Queue(db.GetPlanOfProject, project).Query(func(rows pgx.Rows) error {
			row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.Plan])
			p := Plan(row)
			d.plan = &p
			return err
		})
	}
	if w.size {
		b.Queue(db.GetPlanSize, project).QueryRow(func(row pgx.Row) error {
			return row.Scan(&d.nodes.next, &d.edges.next, &d.nodes.ordinal, &d.edges.ordinal)
		})
	}
	if w.whole {
		d.queueWhole(b, project)
		return
	}
	if len(w.nodes) > 0 {
		b.Queue(db.ListPlanNodesByID, project, keys(w.nodes)).Query(func(rows pgx.Rows) error {
			return each(rows, func(row db.ListPlanNodesByIDRow) {
				d.nodes.load(row.ID, int(row.Index), nodeOf(db.ListPlanNodesRow{
					ID: row.ID, NodeType: row.NodeType, PositionX: row.PositionX, PositionY: row.PositionY,
					SourcePosition: row.SourcePosition, TargetPosition: row.TargetPosition, Label: row.Label,
					Description: row.Description, Config: row.Config, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
				}))
			})
		})
	}
	if len(w.edges)+len(w.ends) > 0 {
		b.Queue(db.ListPlanEdgesTouched, project, keys(w.edges), keys(w.ends)).Query(func(rows pgx.Rows) error {
			return each(rows, func(row db.ListPlanEdgesTouchedRow) {
				d.loadEdge(int(row.Index), edgeOf(db.ListPlanEdgesRow{
					ID: row.ID, Source: row.Source, Target: row.Target, SourceHandle: row.SourceHandle,
					TargetHandle: row.TargetHandle, Label: row.Label, DataType: row.DataType,
					CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
				}))
			})
		})
	}
	if len(w.from) > 0 {
		b.Queue(db.ListPlanLinksFrom, project, keys(w.from)).Query(func(rows pgx.Rows) error {
			return each(rows, func(row db.ListPlanLinksFromRow) { d.links.add(row.ID, row.Source, row.Target) })
		})
	}
}

func (d *draft) queueWhole(b *pgx.Batch, project int32) {
	b.Queue(db.ListPlanNodes, project).Query(func(rows pgx.Rows) error {
		place := 0
		return each(rows, func(row db.ListPlanNodesRow) {
			d.nodes.load(row.ID, place, nodeOf(row))
			place++
		})
	})
	b.Queue(db.ListPlanEdges, project).Query(func(rows pgx.Rows) error {
		place := 0
		return each(rows, func(row db.ListPlanEdgesRow) {
			d.loadEdge(place, edgeOf(row))
			place++
		})
	})
}

func (d *draft) loadEdge(place int, e Edge) {
	d.edges.load(e.ID, place, e)
	d.links.add(e.ID, e.Source, e.Target)
}

func each[T any](rows pgx.Rows, f func(T)) error {
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	for _, row := range all {
		f(row)
	}
	return err
}

// keys returns the ids in a set that can be in the database at all: an id with a NUL would fail the query.
func keys(set map[string]bool) []string {
	ids := make([]string, 0, len(set))
	for id := range set {
		if checkID("", id) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func nodeOf(r db.ListPlanNodesRow) Node {
	return Node{
		ID: r.ID, NodeType: NodeType(r.NodeType), Position: Position{X: r.PositionX, Y: r.PositionY},
		SourcePosition: r.SourcePosition, TargetPosition: r.TargetPosition,
		Metadata: NodeMetadata{Label: r.Label, Description: r.Description}, Config: string(r.Config),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func edgeOf(r db.ListPlanEdgesRow) Edge {
	return Edge{
		ID: r.ID, Source: r.Source, Target: r.Target, SourceHandle: r.SourceHandle, TargetHandle: r.TargetHandle,
		Metadata: EdgeMetadata{Label: r.Label, DataType: DataType(r.DataType)}, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// queueWrites adds the statements that make the tables what the draft says: what goes before what comes, edges before the
// nodes that they need to be gone, nodes before the edges that need them. Arguments stand in the order of the generated
// parameter types, which are not used themselves because they have no nulls in lists.
func (d *draft) queueWrites(b *pgx.Batch, project int32) {
	edges, nodes := sortOut(&d.edges), sortOut(&d.nodes)
	if len(edges.removed) > 0 {
		b.Queue(db.DeletePlanEdges, project, edges.removed)
	}
	if len(nodes.removed) > 0 {
		b.Queue(db.DeletePlanNodes, project, nodes.removed)
	}
	if len(nodes.added) > 0 {
		c := nodeColumns(nodes.added)
		b.Queue(db.InsertPlanNodes, project, d.at, c.ids, nodes.ordinals, c.types, c.xs, c.ys, c.sourcePositions,
			c.targetPositions, c.labels, c.descriptions, c.configs)
	}
	if len(nodes.changed) > 0 {
		c := nodeColumns(nodes.changed)
		b.Queue(db.UpdatePlanNodes, d.at, project, c.ids, c.types, c.xs, c.ys, c.sourcePositions, c.targetPositions, c.labels,
			c.descriptions, c.configs)
	}
	if len(edges.added) > 0 {
		c := edgeColumns(edges.added)
		b.Queue(db.InsertPlanEdges, project, d.at, c.ids, edges.ordinals, c.sources, c.targets, c.sourceHandles,
			c.targetHandles, c.labels, c.dataTypes)
	}
	if len(edges.changed) > 0 {
		c := edgeColumns(edges.changed)
		b.Queue(db.UpdatePlanEdges, d.at, project, c.ids, c.sourceHandles, c.targetHandles, c.labels, c.dataTypes)
	}
	if d.edited {
		p := d.plan
		b.Queue(db.UpdatePlan, p.Name, p.YAMLContent, p.Dependencies, p.Status, p.UpdatedAt, project)
	}
}

// outcome is what a change did to a list, all in all.
type outcome[T any] struct {
	removed  []string
	added    []T
	ordinals []int64 // of added
	changed  []T
}

func sortOut[T any](l *list[T]) outcome[T] {
	var o outcome[T]
	for id, i := range l.items {
		if i.before != nil && (i.now == nil || i.added) {
			o.removed = append(o.removed, id)
		}
		switch {
		case i.now == nil:
		case i.added:
			o.added = append(o.added, *i.now)
			o.ordinals = append(o.ordinals, i.ordinal)
		case i.now != i.before:
			o.changed = append(o.changed, *i.now)
		}
	}
	return o
}

type nodeArrays struct {
	ids, types, labels, configs                    []string
	xs, ys                                         []float64
	sourcePositions, targetPositions, descriptions []*string
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
	}
	return c
}

type edgeArrays struct {
	ids, sources, targets, dataTypes     []string
	sourceHandles, targetHandles, labels []*string
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
