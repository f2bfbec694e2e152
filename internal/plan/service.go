package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/feed"
	"layercake/internal/postgres"
	"layercake/internal/project"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Service reads, changes and watches plans.
type Service struct {
	db      *postgres.DB
	hub     *feed.Hub
	queue   *queue
	reads   postgres.SharedReads[DAG]
	pasts   postgres.SharedReads[*pastPlan]
	walks   *semaphore.Weighted // turns to read a stretch of the log
	large   *semaphore.Weighted // bytes of large changes that are taken back
	metrics *metrics
	log     *slog.Logger
	guard   *task.Guard
	timing  Timing

	checkpoints  checkpoints
	historyBytes int // where a page of changes ends, see maxHistoryBytes

	edgeWaiters waiters // edges that wait for another one to go
	oldest      func() int32
	afterCommit func()
}

// hashedLabels is the first wire version whose replicas write and compare labels with hashes.
const hashedLabels = 2

// Config is what a service needs.
type Config struct {
	DB         *postgres.DB
	Hub        *feed.Hub
	WriteSlots int          // changes that are in the database at once
	Log        *slog.Logger // of panics and damage; may be nil
	Metrics    prometheus.Registerer
	Timing     Timing // zero for DefaultTiming
	// Oldest returns the least wire version of the living replicas. Nil stands for replicas that understand everything.
	Oldest func() int32
	// AfterCommit is called when a change is committed but not announced yet. Fault tests die in it; nil does nothing.
	AfterCommit func()
}

// NewService returns the plans in a database.
func NewService(c Config) *Service {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		db: c.DB, hub: c.Hub, metrics: newMetrics(c.Metrics), log: log, guard: task.NewGuard(log, c.Metrics, "plan"),
		timing: cmp.Or(c.Timing, DefaultTiming),
		walks:  semaphore.NewWeighted(int64(maxWalks())), large: semaphore.NewWeighted(maxLarge),
		checkpoints: checkpoints{spacing: checkpointSpacing, largest: maxCheckpoint}, historyBytes: maxHistoryBytes,
		edgeWaiters: waiters{patience: edgePatience, counts: make(map[int32]int)}, oldest: c.Oldest, afterCommit: c.AfterCommit,
	}
	s.queue = newQueue(c.WriteSlots, s.timing.Answer, s.run)
	return s
}

// OfProject returns the plan of a project, or the fault NotFound.
func (s *Service) OfProject(ctx context.Context, access auth.Access) (Plan, error) {
	plans, err := s.OfProjects(ctx, []auth.Access{access}, true)
	if err != nil {
		return Plan{}, err
	}
	p, ok := plans[access.Project()]
	if !ok {
		return Plan{}, project.ErrNotFound
	}
	return p, nil
}

// OfProjects returns the plans of many projects in one query, by project id, with their YAML or without it. Projects that do not exist are
// missing.
func (s *Service) OfProjects(ctx context.Context, accesses []auth.Access, withYAML bool) (map[int32]Plan, error) {
	projectIDs, err := auth.Projects(accesses, auth.View)
	if err != nil {
		return nil, err
	}
	plans := make(map[int32]Plan, len(projectIDs))
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListPlansByProject(ctx, db.ListPlansByProjectParams{ProjectIds: projectIDs, WithYaml: withYAML})
		for _, row := range rows {
			plans[row.ProjectID] = Plan(row)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	return plans, nil
}

// DAG returns a project's plan graph at its newest version, or the fault NotFound. All parts are of one moment.
func (s *Service) DAG(ctx context.Context, access auth.Access) (DAG, error) {
	if err := access.May(auth.View); err != nil {
		return DAG{}, err
	}
	projectID := access.Project()
	dag := DAG{ProjectID: projectID}
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error {
		var d draft
		var head db.GetHeadRow
		b := &pgx.Batch{}
		b.Queue("begin isolation level repeatable read read only")
		d.queue(b, projectID, &reads{plan: true, all: true})
		b.Queue(db.GetHead, projectID).QueryRow(func(row pgx.Row) error { return row.Scan(&head.Version, &head.ChangedAt, &head.Hash) })
		b.Queue("commit")
		if err := conn.SendBatch(ctx, b).Close(); err != nil {
			rollback(ctx, conn)
			return err
		}
		dag.At = Cursor{Epoch: postgres.EpochOfConn(conn), Version: head.Version, Hash: head.Hash}
		dag.ChangedAt = head.ChangedAt
		dag.Name, dag.CreatedAt = d.plan.Name, d.plan.CreatedAt
		dag.Nodes, dag.Edges = d.nodes.values(), d.edges.values()
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return DAG{}, project.ErrNotFound
	}
	if err != nil {
		return DAG{}, fmt.Errorf("read plan: %w", err)
	}
	return dag, nil
}

// Head returns the place of a project's plan now, as the database has it, or the fault NotFound.
func (s *Service) Head(ctx context.Context, access auth.Access) (Cursor, error) {
	if err := access.May(auth.View); err != nil {
		return Cursor{}, err
	}
	projectID := access.Project()
	var at Cursor
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error {
		head, err := db.New(conn).GetHead(ctx, projectID)
		at = Cursor{Epoch: postgres.EpochOfConn(conn), Version: head.Version, Hash: head.Hash}
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Cursor{}, project.ErrNotFound
	}
	if err != nil {
		return Cursor{}, fmt.Errorf("read head: %w", err)
	}
	return at, nil
}

// Node returns one node of a project's plan as it is now, or the fault NotFound: for the project, or with the id as detail.
func (s *Service) Node(ctx context.Context, access auth.Access, id string) (Node, error) {
	if err := access.May(auth.View); err != nil {
		return Node{}, err
	}
	projectID := access.Project()
	looks := newReads()
	looks.nodes[id] = true
	d, err := s.readParts(ctx, projectID, looks)
	if err != nil {
		return Node{}, err
	}
	node := d.nodes.get(id)
	if node == nil {
		return Node{}, errNodeNotFound.With("detail", id)
	}
	return *node, nil
}

// NodeCount returns how many nodes a project's plan has now, or the fault NotFound. It does not read them.
func (s *Service) NodeCount(ctx context.Context, access auth.Access) (int, error) {
	if err := access.May(auth.View); err != nil {
		return 0, err
	}
	projectID := access.Project()
	d, err := s.readParts(ctx, projectID, newReads())
	return d.nodes.len(), err
}

// readParts reads parts of a plan as it is now, or returns the fault NotFound.
func (s *Service) readParts(ctx context.Context, projectID int32, parts *reads) (d draft, err error) {
	b := &pgx.Batch{}
	d.queue(b, projectID, parts)
	err = s.db.Requests.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, b).Close() })
	if errors.Is(err, pgx.ErrNoRows) {
		return draft{}, project.ErrNotFound
	}
	if err != nil {
		return draft{}, fmt.Errorf("read parts of a plan: %w", err)
	}
	return d, nil
}

// NodeName is what somebody may call a node: its id, or a part of its label.
type NodeName struct{ ID, Label string }

// FindNodes returns at most so many nodes that somebody may mean who typed a text, in any case: those whose id begins with it, and after
// them those whose label contains it. A project that does not exist has none.
func (s *Service) FindNodes(ctx context.Context, access auth.Access, typed string, most int) (found []NodeName, err error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	projectID := access.Project()
	if strings.ContainsRune(typed, 0) {
		return nil, nil // no text in the database has it
	}
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.FindPlanNodes(ctx, db.FindPlanNodesParams{ProjectID: projectID, Typed: typed, Most: int32(most)})
		found = make([]NodeName, len(rows))
		for i, row := range rows {
			found[i] = NodeName(row)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find nodes: %w", err)
	}
	return found, nil
}

// Label returns the text by which clients that know no cursors name a version. It has a hash once every living replica understands one,
// since a client takes the label of one replica to another. This is decided here and nowhere else.
func (s *Service) Label(at Cursor) string {
	return at.Label(s.oldest == nil || s.oldest() >= hashedLabels)
}

// values returns the present items in order.
func (l *list[T]) values() []T {
	values := make([]T, 0, len(l.items))
	for _, id := range l.inOrder() {
		values = append(values, *l.items[id].now)
	}
	return values
}
