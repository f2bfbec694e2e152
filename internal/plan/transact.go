package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/feed"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// commitUnknown is the error of a COMMIT that may or may not have happened.
type commitUnknown struct{ cause error }

func (e *commitUnknown) Error() string { return "outcome of commit is open: " + e.cause.Error() }
func (e *commitUnknown) Unwrap() error { return e.cause }

// maxSmall is how many nodes a request that shares a transaction may read: others wait for the head's lock meanwhile.
const maxSmall = 16

// small reports whether a request may share a transaction. It has no statements of its caller and is not remembered beside the log. It has
// one edit, because an edit that is refused leaves the draft unchanged, while of several edits the first would stay in it. It does not read
// the whole plan, and wants no warnings: these are of the plan right after the request, and others of the group would change it more.
func (r request) small() bool {
	if len(r.Edits) != 1 || r.Warnings || r.Within != nil || r.Then != nil || r.Action != "" {
		return false
	}
	looks := r.reads()
	return !looks.all && !looks.plan && looks.eventsAfter == nil && looks.undoneBy == nil && looks.proposal == nil &&
		len(looks.nodes) <= maxSmall
}

// run carries out changes of one project and answers them, also when code panics.
func (s *Service) run(group []*ticket) {
	err := s.guard.Do(func() error { s.runTogether(group); return nil })
	if err == nil {
		return
	}
	for _, t := range group {
		select {
		case t.answer <- answer{err: err}:
		default: // it has its answer
		}
	}
}

// runTogether carries out changes of one project in one transaction, each with an event and a version of its own, and answers them. A
// change that is refused does not touch the others.
func (s *Service) runTogether(group []*ticket) {
	for _, t := range group {
		s.metrics.queueWait.Observe(time.Since(t.arrived).Seconds())
	}
	s.metrics.together.Observe(float64(len(group)))
	ctx, cancel := lifetime(group)
	answers := make([]answer, len(group))
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error { return s.transact(ctx, conn, group, answers) })
	abandoned := errors.Is(ctx.Err(), context.Canceled) // every sender has gone
	cancel()
	if err != nil && len(group) > 1 && !abandoned && fault.From(err) == nil && !errors.As(err, new(*commitUnknown)) {
		// The database refused what one of them writes. The transaction was rolled back as a whole, so each is safely run again alone,
		// and only the one that is refused fails.
		for _, t := range group {
			s.run([]*ticket{t})
		}
		return
	}
	if err == nil && s.afterCommit != nil && slices.ContainsFunc(answers, func(a answer) bool { return len(a.done.written) > 0 }) {
		s.afterCommit()
	}
	for i, t := range group {
		if err != nil {
			answers[i] = answer{err: err}
		}
		s.announce(t.project, answers[i].done)
		t.answer <- answers[i]
	}
}

// transact fills the answers in two round trips: lock and read, then write and commit. A change with statements of its caller locks, runs
// these, and then reads. After an error none of the answers counts.
func (s *Service) transact(ctx context.Context, conn *pgx.Conn, group []*ticket, answers []answer) (err error) {
	committing := false
	defer func() {
		if p := recover(); p != nil {
			err = s.guard.Caught(p, debug.Stack())
		}
		if !committing || err != nil {
			rollback(ctx, conn)
		}
	}()
	d, earlier, err := read(ctx, conn, group)
	if err != nil {
		return err
	}
	for i, t := range group {
		done, err := t.run(ctx, conn, d, earlier[i])
		if err != nil && fault.From(err) == nil {
			return err
		}
		answers[i] = answer{done, err}
		committing = committing || done.event != nil || d.wrote && err == nil
	}
	if !committing {
		return nil
	}
	return write(ctx, conn, d, group, answers)
}

// run decides a request, after the statements of its caller if it has any.
func (r request) run(ctx context.Context, conn *pgx.Conn, d *draft, earlier *db.GetOperationRow) (committed, error) {
	if r.Within == nil {
		return r.decide(d, earlier)
	}
	if done, err := r.answered(d, earlier); done != nil || err != nil {
		return value(done), err
	}
	edits, err := r.Within(ctx, Tx{Queries: db.New(conn), Conn: conn, At: d.at, Time: d.time})
	if errors.Is(err, ErrUnchanged) {
		return committed{at: d.at}, nil
	}
	if err != nil {
		return committed{at: d.at}, err
	}
	r.Edits = slices.Concat(r.Edits, bindOperations(edits, r.operationKey()))
	b := &pgx.Batch{}
	d.queue(b, r.project, r.reads())
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return committed{}, fmt.Errorf("read after the caller's statements: %w", err)
	}
	d.wrote = true
	return r.decide(d, nil)
}

// rollback ends the transaction. A connection on which that fails is not lent again.
func rollback(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, "rollback")
}

// read is the first round trip. Stepping the head comes first and waits for its lock; every later statement sees what was
// committed before the lock was given. A change with statements of its caller only holds the head, and reads after them. It returns the
// draft, and for each request the row of its own earlier event.
func read(ctx context.Context, conn *pgx.Conn, group []*ticket) (*draft, []*db.GetOperationRow, error) {
	looks := newReads()
	for _, t := range group {
		for _, e := range t.Edits {
			e.reads(looks)
		}
	}
	projectID := group[0].project
	d := &draft{}
	earlier := make([]*db.GetOperationRow, len(group))
	roles := make([]*string, len(group))
	lock := db.StepHead
	if d.held = group[0].Within != nil; d.held { // then it is the only one
		lock = db.HoldHead
	}
	var head db.StepHeadRow
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(lock, projectID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&head.Version, &head.ChangedAt, &head.Hash, &head.LogSize)
	})
	for i, t := range group {
		queueOperation(b, t.request, &earlier[i])
		queueRole(b, t.access, &roles[i])
	}
	if group[0].Action != "" { // then it is the only one
		queueRemembered(b, group[0].request, &d.remembered)
	}
	if slices.ContainsFunc(group, func(t *ticket) bool { return t.Expected != nil }) {
		d.queueLog(b, projectID)
	}
	if !d.held {
		d.queue(b, projectID, looks)
	}
	err := conn.SendBatch(ctx, b).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, project.ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("lock and read: %w", err)
	}
	for i, t := range group {
		if _, stored := t.access.Stored(); stored {
			t.access = t.access.Renewed(roles[i])
		}
	}
	if !d.held {
		head.Version--
	}
	d.at = Cursor{Epoch: postgres.EpochOfConn(conn), Version: head.Version, Hash: head.Hash}
	d.time, d.size = head.ChangedAt, head.LogSize
	return d, earlier, nil
}

// queueRole reads the role of a sender again. The statement comes after the one that waits for the head's lock, and who changes roles holds
// that lock: so a role that was taken away before this change is not seen any more.
func queueRole(b *pgx.Batch, access auth.Access, role **string) {
	if account, stored := access.Stored(); stored {
		b.Queue(db.GetRole, access.Project(), account).Query(func(rows pgx.Rows) (err error) {
			*role, err = first(rows, pgx.RowToAddrOf[string])
			return err
		})
	}
}

// queueOperation looks up the event of a request's operation id: nil when the log does not have it.
func queueOperation(b *pgx.Batch, r request, earlier **db.GetOperationRow) {
	b.Queue(db.GetOperation, r.project, r.actor.OpActor(), r.OpID).Query(func(rows pgx.Rows) (err error) {
		*earlier, err = first(rows, pgx.RowToAddrOfStructByPos[db.GetOperationRow])
		return err
	})
}

// queueRemembered looks up the hash of the request that was remembered under an operation id: nil when none was.
func queueRemembered(b *pgx.Batch, r request, hash *[]byte) {
	b.Queue(db.GetRememberedOperation, r.actor.OpActor(), r.OpID, r.project).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if len(found) > 0 {
			*hash = found[0]
		}
		return err
	})
}

// first returns the first row, or nil when there is none.
func first[T any](rows pgx.Rows, f pgx.RowToFunc[*T]) (*T, error) {
	v, err := pgx.CollectOneRow(rows, f)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return v, err
}

// errOperationUsed is the fault for an operation id under which something else was asked.
var errOperationUsed = fault.New(fault.BadRequest, "Operation id was used for another request")

// decide makes the change in the draft and steps its version, or returns the fault that refuses it, with the version at which it is
// refused. The draft stays usable for the next of a group after a fault, but not after any other error.
func (r request) decide(d *draft, earlier *db.GetOperationRow) (committed, error) {
	if done, err := r.answered(d, earlier); done != nil || err != nil {
		return value(done), err
	}
	d.record = record{}
	for i, e := range r.Edits {
		if err := e.apply(d); err != nil {
			return committed{at: d.at}, r.numberedFault(i, err)
		}
	}
	done := committed{at: d.at}
	if len(d.operations) == 0 {
		for _, id := range d.named {
			done.nodes = append(done.nodes, *d.nodes.get(id))
		}
		for _, id := range d.namedEdges {
			done.edges = append(done.edges, *d.edges.get(id))
		}
		return done, nil
	}
	done.nodes, done.edges = d.changedNodes(), d.touchedEdges
	for part, operations := range inParts(d.operations) {
		event := &Event{
			Prev: d.at.Hash, ProjectID: r.project, Version: d.at.Version + 1, At: d.time, OpID: r.OpID, ClientID: r.ClientID,
			ActorID: r.actor.ID, ActorKind: string(r.actor.Kind), ActorName: r.actor.Name,
			Via: r.Via, Note: r.Note, Undoes: d.undoes, Operations: operations,
		}
		if part == 0 {
			done.event = event
		} else {
			event.OpID += "/" + strconv.Itoa(part+1)
		}
		body, err := json.Marshal(event)
		if err != nil {
			return committed{}, fmt.Errorf("encode event: %w", err)
		}
		d.at.Version++
		d.at.Hash = feed.Hash(body)
		if event.Edits() {
			d.lastEdit = d.at.Version
		}
		done.written = append(done.written, written{at: d.at, opID: event.OpID, body: body})
	}
	done.at = d.at
	return done, nil
}

// answered returns the answer of a request that was carried out before, or the fault of one that cannot be now; neither when it is to be
// decided.
func (r request) answered(d *draft, earlier *db.GetOperationRow) (*committed, error) {
	if err := r.access.May(r.need()); err != nil {
		return nil, err
	}
	switch {
	case earlier != nil && !slices.Equal(earlier.RequestHash, r.hash), d.remembered != nil && !slices.Equal(d.remembered, r.hash):
		return nil, errOperationUsed.With("opId", r.OpID)
	case earlier != nil:
		return new(earlierEvent(d.at.Epoch, *earlier)), nil
	case d.remembered != nil:
		return &committed{at: d.at}, nil
	case r.Expected != nil && !d.knows(*r.Expected):
		return nil, versionConflict(*r.Expected, d.at.Version)
	}
	return nil, nil
}

// numberedFault says in a fault which edit it comes from. Operations say so themselves.
func (r request) numberedFault(edit int, err error) error {
	f := fault.From(err)
	if _, operation := r.Edits[edit].(operationEdit); f == nil || operation || !r.numbered {
		return err
	}
	return f.With("edit", edit)
}

// write is the second round trip: the rows that the draft changed, the events, the head, and COMMIT.
func write(ctx context.Context, conn *pgx.Conn, d *draft, group []*ticket, answers []answer) error {
	b := &pgx.Batch{}
	projectID := group[0].project
	var near *touched
	if group[0].Warnings && answers[0].done.event != nil { // it is alone in its group
		near = touchedBy(answers[0].done.event.Operations, d.record)
		near.queue(b, projectID) // before the writes, as Try does
	}
	d.queueWrites(b, projectID)
	steps, size := 0, d.size
	for i, t := range group {
		if done := answers[i].done; done.event != nil {
			for _, e := range done.written {
				size += int64(len(e.body))
				b.Queue(db.InsertEvent, projectID, e.at.Version, d.time, t.actor.OpActor(), e.opID, t.hash, json.RawMessage(e.body), e.at.Hash,
					len(e.body), size, done.event.Undoes, done.event.Edits())
				steps++
			}
			if d.accepts != nil { // then it is the only one
				d.queueAcceptance(b, t.request, done.at.Version)
			}
		}
	}
	if then := group[0].Then; then != nil && answers[0].done.event != nil { // it is alone in its group
		then(b, answers[0].done.nodes)
	}
	if r := group[0].request; r.Action != "" { // it is alone in its group
		b.Queue(db.InsertRememberedOperation, r.actor.OpActor(), r.OpID, projectID, r.Action, r.hash)
	}
	if d.held && steps > 0 {
		b.Queue(db.StepHead, projectID)
	}
	if steps > 0 {
		b.Queue(db.FinishHead, steps-1, d.at.Hash, size, projectID)
	}
	b.Queue("commit")
	err := conn.SendBatch(ctx, b).Close()
	if err == nil {
		if near != nil {
			answers[0].done.warnings = near.warnings(d.nodes.len())
		}
		return nil
	}
	// An ordinary error comes from a statement before COMMIT and aborts the transaction. A broken connection, or the server
	// ending the session, can come after COMMIT took effect.
	if pg := new(pgconn.PgError); errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" {
		return fmt.Errorf("write: %w", err)
	}
	return &commitUnknown{cause: err}
}
