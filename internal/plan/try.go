package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/jackc/pgx/v5"
)

// Try finds out what a change would do to the plan as it is now: its event, its result and its warnings, or the fault that would refuse it.
// It locks and writes nothing and steps no version, so the change itself may find another plan. The place of the result is the newest one.
// For an operation id that is in the log already it answers as Change does. The faults are those of Change.
//
// Changes that read the whole plan come one after the other to it; here they take turns.
func (s *Service) Try(ctx context.Context, access auth.Access, c Change) (Result, error) {
	if err := access.May(c.need()); err != nil {
		return Result{}, err
	}
	projectID := access.Project()
	if err := c.check(); err != nil {
		return Result{}, err
	}
	if c.Within != nil {
		return Result{}, errors.New("what a change does within its transaction cannot be tried")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.Answer)
	defer cancel()
	r := newRequest(access, c)
	looks := r.reads()
	if looks.all {
		turn, err := s.takeTurn(ctx)
		if err != nil {
			return Result{}, err
		}
		defer turn()
	}
	var done committed
	var refusal error
	err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) (err error) {
		done, refusal, err = r.try(ctx, conn, looks)
		if err != nil {
			rollback(ctx, conn)
		}
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Result{}, project.ErrNotFound
	case err != nil:
		return Result{}, fmt.Errorf("try a change: %w", err)
	case refusal != nil:
		return Result{}, refusal
	}
	result, err := done.result()
	if err == nil && c.Warnings && done.event == nil {
		result.Warnings, err = s.warningsNow(ctx, projectID, result)
	}
	return result, err
}

// try decides a request in a snapshot. After an error a transaction may be open.
func (r request) try(ctx context.Context, conn *pgx.Conn, looks *reads) (done committed, refusal, err error) {
	d := &draft{time: time.Now().UTC().Truncate(time.Microsecond)}
	var head db.GetHeadRow
	var earlier *db.GetOperationRow
	b := &pgx.Batch{}
	b.Queue("begin isolation level repeatable read read only")
	b.Queue(db.GetHead, r.project).QueryRow(func(row pgx.Row) error { return row.Scan(&head.Version, &head.ChangedAt, &head.Hash) })
	queueOperation(b, r, &earlier)
	if r.Expected != nil {
		d.queueLog(b, r.project)
	}
	d.queue(b, r.project, looks)
	if !r.Warnings {
		b.Queue("commit")
	}
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return committed{}, nil, err
	}
	newest := Cursor{Epoch: postgres.EpochOfConn(conn), Version: head.Version, Hash: head.Hash}
	d.at = newest
	done, refusal = r.decide(d, earlier)
	if earlier == nil {
		done.at = newest
	}
	if !r.Warnings {
		return done, refusal, nil
	}
	b = &pgx.Batch{}
	near := new(touched)
	if refusal == nil && done.event != nil {
		near = touchedBy(done.event.Operations, d.record)
		near.queue(b, r.project)
	}
	b.Queue("commit")
	err = conn.SendBatch(ctx, b).Close()
	done.warnings = near.warnings(d.nodes.len())
	return done, refusal, err
}
