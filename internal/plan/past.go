package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxWalks returns how many callers of a replica read stretches of the log at once to learn what was: each keeps a processor busy, and
// people who edit need the other half of them.
func maxWalks() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// At returns the plan after a version. Executions are no part of it. Faults: NotFound for the project, and with "oldest" for a
// version that is not kept; BadRequest for one that is not there yet.
func (s *Service) At(ctx context.Context, access auth.Access, version int64) (DAG, error) {
	if err := access.May(auth.View); err != nil {
		return DAG{}, err
	}
	projectID := access.Project()
	p, err := s.past(ctx, projectID, version)
	if err != nil {
		return DAG{}, err
	}
	return DAG{
		ProjectID: projectID, At: p.at, Name: p.record.Name, Nodes: p.nodes, Edges: p.edges, CreatedAt: p.createdAt, ChangedAt: p.changedAt,
	}, nil
}

// AtTime returns the plan as it was at a time, with the faults of At.
func (s *Service) AtTime(ctx context.Context, access auth.Access, at time.Time) (DAG, error) {
	if err := access.May(auth.View); err != nil {
		return DAG{}, err
	}
	projectID := access.Project()
	var row db.GetVersionAtRow
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetVersionAt(ctx, db.GetVersionAtParams{At: at, ProjectID: projectID})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return DAG{}, project.ErrNotFound
	case err != nil:
		return DAG{}, fmt.Errorf("find version: %w", err)
	case row.Future:
		return DAG{}, fault.New(fault.BadRequest, "The time is in the future")
	case row.Gone:
		return DAG{}, notKept(oldest(row.LogFloor))
	}
	return s.At(ctx, access, row.Version)
}

// oldest returns the first version that a plan can be asked for at. The state at a floor has no event, and so no time, unless it is the
// state in which a plan is born.
func oldest(floor int64) int64 {
	if floor == 0 {
		return 0
	}
	return floor + 1
}

func notKept(oldest int64) *fault.Error {
	return fault.New(fault.NotFound, "The plan is no longer kept as it was then").With("oldest", oldest)
}

var errNegative = fault.New(fault.BadRequest, "A version cannot be negative")

// checkVersion returns a fault unless a version is one that a plan can be asked for at.
func checkVersion(version, head, floor int64) error {
	switch {
	case version < 0:
		return errNegative
	case version > head:
		return fault.New(fault.BadRequest, "The plan has no such version yet").With("currentVersion", head)
	case version < oldest(floor):
		return notKept(oldest(floor))
	}
	return nil
}

// pastPlan is a plan as it was after a version.
type pastPlan struct {
	at        Cursor
	changedAt time.Time
	createdAt time.Time
	record    description
	nodes     []Node // in their order
	edges     []Edge
}

// past returns the plan after a version, with the faults of At. Callers that ask for the same at once share one read and its result: it
// is never changed.
func (s *Service) past(ctx context.Context, projectID int32, version int64) (*pastPlan, error) {
	if version < 0 {
		return nil, errNegative
	}
	read := func(ctx context.Context) (p *pastPlan, err error) {
		err = s.guard.Do(func() (err error) { // the read has a goroutine of its own
			p, err = s.readPast(ctx, projectID, version)
			return err
		})
		return p, err
	}
	p, err := s.pasts.Do(ctx, fmt.Sprint(projectID, " ", version), sharedReadLimit, read)
	if fault.Is(err, fault.BadRequest) {
		// The shared read may have begun before this caller made the version.
		p, err = read(ctx)
	}
	return p, postgres.Classify(ctx, err)
}

func (s *Service) readPast(ctx context.Context, projectID int32, version int64) (*pastPlan, error) {
	done, err := s.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	state, err := s.walk(ctx, s.db.Requests, projectID, version)
	if err != nil {
		return nil, err
	}
	return state.plan()
}

// takeTurn waits until the caller may read a stretch of the log.
func (s *Service) takeTurn(ctx context.Context) (done func(), err error) {
	if err := s.walks.Acquire(ctx, 1); err != nil {
		return nil, postgres.Classify(ctx, fmt.Errorf("wait for a turn to read the log: %w", err))
	}
	return func() { s.walks.Release(1) }, nil
}

// walk finds the state after a version: from the plan as it is now, or as it was at a checkpoint or at its birth, whichever is nearest,
// over the events in between. A checkpoint that turns out to be damaged is not used, and the walk begins again.
func (s *Service) walk(ctx context.Context, pool *postgres.Pool, projectID int32, version int64) (*state, error) {
	var found *state
	err := pool.Do(ctx, func(conn *pgx.Conn) error {
		skipped := []int64{}
		for {
			w := walker{project: projectID}
			err := w.walk(ctx, conn, version, skipped)
			found = &w.state
			if err != nil {
				rollback(ctx, conn)
			}
			if !errors.Is(err, errDamaged) {
				return err
			}
			s.metrics.checkpoints.WithLabelValues(checkpointDamaged).Inc()
			s.log.ErrorContext(ctx, "checkpoint is damaged", "project_id", projectID, "version", w.base, "error", err)
			skipped = append(skipped, w.base)
		}
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, project.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("walk to version %d: %w", version, err)
	}
	return found, nil
}

// errDamaged is the error of a checkpoint whose body is not what was written.
var errDamaged = errors.New("its body does not have its sum, or is none")

// walker is one walk.
type walker struct {
	project int32
	base    int64 // version at which it began
	state   state
}

// walk makes two round trips in one transaction: where to begin, and then everything else. After an error the transaction is still open.
func (w *walker) walk(ctx context.Context, conn *pgx.Conn, version int64, skipped []int64) error {
	to, err := findPast(ctx, conn, w.project, version, skipped)
	if err != nil {
		return err
	}
	st := &w.state
	st.at = Cursor{Epoch: postgres.EpochOfConn(conn), Version: version, Hash: to.Hash}
	st.changedAt, st.createdAt = to.At, to.CreatedAt
	b := &pgx.Batch{}
	begin := func() {} // called when everything before the events was read
	w.base = nearest(version, to)
	switch {
	case w.base == to.Head:
		var now draft
		now.queue(b, w.project, &reads{plan: true, all: true})
		begin = func() {
			st.record, st.nodes, st.edges = now.plan.description(), sequenceOf(&now.nodes), sequenceOf(&now.edges)
		}
	case w.base == to.Below || w.base == to.Above:
		b.Queue(db.GetCheckpoint, w.project, w.base).QueryRow(st.loadCheckpoint)
	default:
		w.queueFirstRecord(b, version)
	}
	if w.base > version {
		b.Queue(db.ListEventsBackwards, w.project, version, w.base).Query(func(rows pgx.Rows) error {
			begin()
			return eachEvent(rows, w.base, -1, st.undo)
		})
	} else {
		b.Queue(db.ListEventsForwards, w.project, w.base, version).Query(func(rows pgx.Rows) error {
			begin()
			return eachEvent(rows, w.base+1, 1, st.redo)
		})
	}
	b.Queue("commit")
	return conn.SendBatch(ctx, b).Close()
}

// findPast begins a transaction and finds out what lies around a version, or returns a fault of At. After an error the transaction may
// be open.
func findPast(ctx context.Context, conn *pgx.Conn, projectID int32, version int64, skipped []int64) (db.GetPastRow, error) {
	var past db.GetPastRow
	b := &pgx.Batch{}
	b.Queue("begin isolation level repeatable read read only")
	b.Queue(db.GetPast, version, skipped, projectID).Query(func(rows pgx.Rows) (err error) {
		past, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.GetPastRow])
		return err
	})
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return past, err
	}
	return past, checkVersion(version, past.Head, past.LogFloor)
}

// nearest returns the version from which the way to another one is shortest.
func nearest(version int64, past db.GetPastRow) int64 {
	best := past.Head
	candidates := []int64{past.Below, past.Above}
	if past.LogFloor == 0 {
		candidates = append(candidates, 0)
	}
	for _, c := range candidates {
		if c >= 0 && max(c-version, version-c) < max(best-version, version-best) {
			best = c
		}
	}
	return best
}

// queueFirstRecord reads the record that the plan had at a version, unless it was changed between its birth and then, which the walk finds:
// what the next event that changes it found, or else the current one.
func (w *walker) queueFirstRecord(b *pgx.Batch, version int64) {
	b.Queue(db.GetPlanOfProject, w.project).Query(func(rows pgx.Rows) error {
		row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.GetPlanOfProjectRow])
		w.state.record = Plan(row).description()
		return err
	})
	b.Queue(db.GetNextRecordEvent, version, w.project).Query(func(rows pgx.Rows) error {
		var body pgtype.DriverBytes
		_, err := pgx.ForEachRow(rows, []any{&body}, func() error {
			event, err := decodeEvent(body)
			if err != nil {
				return err
			}
			for _, op := range event.Operations {
				if op.Kind == PlanUpdated {
					return w.state.setRecord(op.Before)
				}
			}
			return nil
		})
		return err
	})
}

// eachEvent calls f with the event of each row, one after the other: a log may be larger than memory. Versions must follow each other from
// the first one, upwards or downwards.
func eachEvent(rows pgx.Rows, first, step int64, f func(*Event) error) error {
	var version int64
	var body pgtype.DriverBytes // valid until the next row
	_, err := pgx.ForEachRow(rows, []any{&version, &body}, func() error {
		if version != first {
			return fmt.Errorf("%w: version %d comes in the place of %d", errBrokenLog, version, first)
		}
		first += step
		event, err := decodeEvent(body)
		if err == nil {
			err = f(event)
		}
		if err != nil {
			return fmt.Errorf("%w: version %d: %w", errBrokenLog, version, err)
		}
		return nil
	})
	return err
}

// errBrokenLog is the error of a log that does not fit together, which trying again does not mend.
var errBrokenLog = errors.New("the log is broken")

// state is a plan on a walk.
type state struct {
	at        Cursor
	changedAt time.Time
	createdAt time.Time
	record    description
	nodes     sequence[Node]
	edges     sequence[Edge]
}

// plan decodes the state. States of executions are no part of it: rows have those of now.
func (s *state) plan() (*pastPlan, error) {
	p := &pastPlan{at: s.at, changedAt: s.changedAt, createdAt: s.createdAt, record: s.record}
	var err1, err2 error
	p.nodes, err1 = s.nodes.values()
	for i, n := range p.nodes {
		p.nodes[i] = n.withExecution(nil)
	}
	p.edges, err2 = s.edges.values()
	return p, errors.Join(err1, err2)
}

func (s *state) redo(e *Event) error {
	for _, op := range e.Operations {
		if err := s.do(op); err != nil {
			return err
		}
	}
	return nil
}

// undo does the opposite of what an event did: from the last operation to the first, each with its values exchanged.
func (s *state) undo(e *Event) error {
	for _, op := range slices.Backward(e.Operations) {
		op.Before, op.After = op.After, op.Before
		if err := s.do(op); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) do(op Operation) error {
	switch op.element().of {
	case ofNode:
		return s.nodes.do(op)
	case ofEdge:
		return s.edges.do(op)
	case ofPlan:
		return s.setRecord(op.After)
	}
	return nil
}

func (s *state) setRecord(text json.RawMessage) error {
	s.record = description{}
	return json.Unmarshal(text, &s.record)
}

// sequence is the nodes or the edges of a plan in their order.
type sequence[T any] []*slot[T]

// slot holds one element. Values stay as events have them until they are needed, since most are replaced on the way.
type slot[T any] struct {
	id    string
	value *T              // nil while there is only the text
	text  json.RawMessage // nil while there is only the value
}

// sequenceOf returns the items of a list, all of which are loaded.
func sequenceOf[T any](l *list[T]) sequence[T] {
	ids := l.inOrder()
	s := make(sequence[T], len(ids))
	for i, id := range ids {
		s[i] = &slot[T]{id: id, value: l.items[id].now}
	}
	return s
}

// do carries out an operation at its index.
func (s *sequence[T]) do(op Operation) error {
	i := *op.Index
	switch {
	case op.Before == nil && i <= len(*s):
		*s = slices.Insert(*s, i, &slot[T]{id: op.ID, text: op.After})
	case op.Before == nil || i >= len(*s) || (*s)[i].id != op.ID:
		return fmt.Errorf("%s %.80q finds something else at %d", op.Kind, op.ID, i)
	case op.After == nil:
		*s = slices.Delete(*s, i, i+1)
	default:
		(*s)[i] = &slot[T]{id: op.ID, text: op.After}
	}
	return nil
}

func (s sequence[T]) values() ([]T, error) {
	values := make([]T, len(s))
	for i, slot := range s {
		if slot.value != nil {
			values[i] = *slot.value
		} else if err := json.Unmarshal(slot.text, &values[i]); err != nil {
			return nil, fmt.Errorf("read %.80q: %w", slot.id, err)
		}
	}
	return values, nil
}

// texts returns the elements as events show them.
func (s sequence[T]) texts() []json.RawMessage {
	texts := make([]json.RawMessage, len(s))
	for i, slot := range s {
		if texts[i] = slot.text; texts[i] == nil {
			texts[i] = encode(*slot.value)
		}
	}
	return texts
}
