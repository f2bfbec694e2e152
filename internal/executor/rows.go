package executor

import (
	"context"
	"fmt"

	"layercake/internal/db"
	"layercake/internal/graphdata"
	"layercake/internal/ingest"
	"layercake/internal/plan"
	"layercake/internal/source"

	"github.com/jackc/pgx/v5"
)

// loading collects the rows of boards.
type loading struct {
	boards map[int32]*board
	edges  map[int32][][2]string
	graphs map[int32]*header // by id
}

// loadBoards reads projects as builds see them, in one round trip. All is of one moment in a snapshot or, for one project, under the lock
// of its head. Projects that do not exist have boards without steps.
func loadBoards(ctx context.Context, conn *pgx.Conn, projects []int32, version string) (map[int32]*board, error) {
	l := loading{boards: make(map[int32]*board), edges: make(map[int32][][2]string), graphs: make(map[int32]*header)}
	wide := make([]int64, len(projects))
	for i, id := range projects {
		l.boards[id] = &board{project: id, version: version, byID: make(map[string]*step)}
		wide[i] = int64(id)
	}
	b := &pgx.Batch{}
	b.Queue(db.ListSteps, projects).Query(each(l.step))
	b.Queue(db.ListStepLinks, projects).Query(each(l.link))
	b.Queue(db.ListStepSources, wide).Query(each(l.source))
	b.Queue(db.ListStepGraphs, projects).Query(each(l.graph))
	b.Queue(db.ListOpenBuilds, wide).Query(each(l.build))
	b.Queue(db.ListClaims, wide).Query(each(l.claim))
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("read what is built: %w", err)
	}
	for id, board := range l.boards {
		board.link(l.edges[id])
	}
	return l.boards, nil
}

// each passes the rows of a statement on.
func each[T any](f func(T)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		for _, row := range all {
			f(row)
		}
		return err
	}
}

func (l *loading) step(r db.ListStepsRow) {
	b := l.boards[r.ProjectID]
	s := &step{id: r.ID, label: r.Label, kind: plan.NodeType(r.NodeType), config: string(r.Config)}
	if s.kind == plan.DataSourceNode {
		s.sourceID = sourceOf(s.config)
	}
	b.steps = append(b.steps, s)
	b.byID[s.id] = s
}

func (l *loading) link(r db.ListStepLinksRow) {
	l.edges[r.ProjectID] = append(l.edges[r.ProjectID], [2]string{r.Source, r.Target})
}

func (l *loading) source(r db.ListStepSourcesRow) {
	src := &source.Source{
		ID: r.ID, ProjectID: r.ProjectID, Filename: r.Filename, Format: ingest.Format(r.Format), Kind: ingest.Kind(r.Kind), Status: r.Status,
		ErrorMessage: r.ErrorMessage, FileID: r.FileID, Size: r.Size, SHA256: r.Sha256, Rows: r.RowCount,
	}
	for _, s := range l.boards[r.ProjectID].steps {
		if s.sourceID == src.ID {
			s.source = src
		}
	}
}

func (l *loading) graph(r db.ListStepGraphsRow) {
	h := &header{
		ID: r.ID, Name: r.Name, State: r.State, ContentID: r.ContentID, ContentHash: r.ContentHash, Bytes: r.Bytes, Recipe: r.Recipe,
		Ingredients: r.Ingredients, Requested: r.Requested, NodeCount: r.NodeCount, EdgeCount: r.EdgeCount, ErrorMessage: r.ErrorMessage,
		Metadata: r.Metadata, ComputedAt: r.ComputedAt,
	}
	l.graphs[h.ID] = h
	if s := l.boards[r.ProjectID].byID[r.NodeID]; s != nil {
		s.graph = h
	}
}

func (l *loading) build(r db.ListOpenBuildsRow) {
	open := &build{
		ID: r.ID, NodeID: r.NodeID, Label: r.Label, GraphID: r.GraphID, Generation: r.Generation, State: r.State, Attempt: r.Attempt,
		Replica: r.Replica, Error: r.Error, RequestedBy: r.RequestedBy, RequestedAt: r.RequestedAt, RetryAt: r.RetryAt, StartedAt: r.StartedAt,
	}
	if h := l.graphs[r.GraphID]; h != nil {
		h.build = open
		return
	}
	b := l.boards[r.ProjectID]
	b.lost = append(b.lost, open)
}

func (l *loading) claim(r db.ListClaimsRow) {
	if h := l.graphs[r.GraphID]; h != nil {
		h.claim = &claim{Incarnation: r.Incarnation, Generation: r.Generation}
	}
}

// store writes what the board decided, in the transaction that loaded it, and returns what the plan's event tells of it.
func (b *board) store(ctx context.Context, conn *pgx.Conn) ([]plan.Edit, error) {
	if err := b.storeHeaders(ctx, conn); err != nil {
		return nil, err
	}
	for _, s := range b.order {
		if s.graph == nil || s.graph.made == nil {
			continue
		}
		if _, err := graphdata.Finish(ctx, db.New(conn), s.graph.ID, *s.graph.made); err != nil {
			return nil, fmt.Errorf("put a content into place: %w", err)
		}
	}
	batch := &pgx.Batch{}
	for _, lost := range b.lost {
		lost.queueUpdate(batch)
	}
	var edits []plan.Edit
	for _, s := range b.steps {
		g := s.graph
		if g == nil {
			continue
		}
		if g.changed {
			batch.Queue(db.UpdateGraphBuilt, g.State, g.ContentID, g.ContentHash, g.Recipe, g.Ingredients, g.Requested, g.NodeCount, g.EdgeCount,
				g.ErrorMessage, g.Metadata, g.ComputedAt, g.ID)
			edits = append(edits, plan.SetExecution{NodeID: s.id, Execution: &plan.Execution{Graph: g.execution()}})
		}
		for _, ended := range g.ended { // before the one that is open now: a graph has one
			ended.queue(batch, b.project, g.ID)
		}
		if g.build != nil && g.build.changed {
			g.build.queue(batch, b.project, g.ID)
		}
		if g.dropped {
			batch.Queue(db.DropClaim, g.ID)
		}
		if g.claim != nil && g.claim.New {
			batch.Queue(db.InsertClaim, g.ID, b.project, g.claim.Incarnation, g.claim.Generation)
		}
		if g.copied != nil {
			batch.Queue(db.DeleteLayersNotIn, g.ID, g.copied.ID)
			batch.Queue(db.CopyLayers, g.ID, g.copied.ID)
		}
		if g.former != nil && *g.former != *g.ContentID {
			batch.Queue(db.TouchContent, *g.former) // whoever reads it page by page has some minutes to end
		}
	}
	if batch.Len() == 0 {
		return nil, nil
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("write builds: %w", err)
	}
	return edits, nil
}

// storeHeaders inserts the headers of graphs that are asked for first, since builds and events name their ids.
func (b *board) storeHeaders(ctx context.Context, conn *pgx.Conn) error {
	var params db.InsertGraphsParams
	for _, s := range b.steps {
		if s.graph != nil && s.graph.ID == 0 {
			params.NodeIds, params.Names = append(params.NodeIds, s.id), append(params.Names, s.graph.Name)
		}
	}
	if len(params.NodeIds) == 0 {
		return nil
	}
	params.ProjectID = b.project
	rows, err := db.New(conn).InsertGraphs(ctx, params)
	if err != nil {
		return fmt.Errorf("insert graphs: %w", err)
	}
	for _, row := range rows {
		b.byID[row.NodeID].graph.ID = row.ID
	}
	return nil
}

// queue writes a build that changed.
func (b *build) queue(batch *pgx.Batch, project, graph int32) {
	switch {
	case !b.changed:
	case b.ID == 0:
		batch.Queue(db.InsertBuild, project, b.NodeID, b.Label, graph, b.Generation, b.State, b.Reason, b.Error, b.RequestedBy, b.FinishedAt,
			b.Nodes, b.Edges)
	default:
		b.queueUpdate(batch)
	}
}

func (b *build) queueUpdate(batch *pgx.Batch) {
	batch.Queue(db.UpdateBuild, b.Generation, b.State, b.Attempt, b.Replica, b.Error, b.RetryAt, b.StartedAt, b.FinishedAt, b.Nodes, b.Edges,
		b.ID)
}
