package presence

import (
	"context"
	"fmt"
	"time"

	"layercake/internal/db"

	"github.com/google/uuid"
)

// visitTime is the least time from the beginning of a connection's visit to that of its next. Who leaves and joins, or becomes somebody
// else, before that goes on with the same visit, whose row then has the newest name. Otherwise a client could write a row with each frame.
const visitTime = time.Minute

// visit is the end of a visit: the time for which a connection was one user in a project.
type visit struct {
	entry  *Entry
	left   time.Time
	reason Reason
}

// maxVisits is how many visits of one connection may wait for the log. More than one or two wait only while the database is away.
const maxVisits = 16

// appendVisits returns two lists of visits of a connection as one, without the latest beyond maxVisits. A visit that ended, went on and
// ended again is in it once.
func appendVisits(before, after []visit) []visit {
	if n := len(before) - 1; n >= 0 && len(after) > 0 && before[n].entry.since.Equal(after[0].entry.since) {
		before = before[:n:n]
	}
	return append(before, after[:min(len(after), maxVisits-len(before))]...)
}

// beginningsOf returns the visits of connections that are present. They are written with every row: a visit that the log has already stays.
func beginningsOf(rows db.UpsertPresenceParams, entries []*Entry) db.BeginVisitsParams {
	begun := db.BeginVisitsParams{
		Incarnation: rows.Incarnation, ConnectionIds: rows.ConnectionIds, ProjectIds: rows.ProjectIds, UserIds: rows.UserIds,
		UserNames: rows.UserNames, IsAgents: rows.IsAgents,
	}
	for _, e := range entries {
		begun.JoinedAts = append(begun.JoinedAts, e.since)
	}
	return begun
}

// endedVisits returns those of a connection's visits that have ended indeed, since the last one may go on as entry.
func endedVisits(visits []visit, entry *Entry) []visit {
	if n := len(visits) - 1; n >= 0 && entry != nil && visits[n].entry.since.Equal(entry.since) {
		return visits[:n]
	}
	return visits
}

func endsOf(incarnation uuid.UUID, ended []visit) db.EndVisitsParams {
	rows := db.EndVisitsParams{Incarnation: incarnation}
	for _, v := range ended {
		rows.ConnectionIds = append(rows.ConnectionIds, v.entry.Connection)
		rows.JoinedAts = append(rows.JoinedAts, v.entry.since)
		rows.ProjectIds = append(rows.ProjectIds, v.entry.Project)
		rows.UserIds = append(rows.UserIds, v.entry.UserID)
		rows.UserNames = append(rows.UserNames, v.entry.Name)
		rows.IsAgents = append(rows.IsAgents, v.entry.Agent)
		rows.LeftAts = append(rows.LeftAts, v.left)
		rows.Reasons = append(rows.Reasons, string(v.reason))
	}
	return rows
}

// trimChunk is how many visits one statement removes.
const trimChunk = 1000

// TrimLog removes visits that ended before a time, and ends those whose replica could not write their end. While another replica cleans up
// it does nothing. It returns how many it removed, also when it fails half way.
func (t *Tracker) TrimLog(ctx context.Context, before time.Time) (removed int64, err error) {
	for {
		var chunk int64
		err := t.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
			locked, err := q.TryLockCleanUp(ctx)
			if err != nil || !locked {
				return err
			}
			if err := q.EndLostVisits(ctx); err != nil {
				return err
			}
			chunk, err = q.TrimVisits(ctx, db.TrimVisitsParams{Before: &before, Chunk: trimChunk})
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("trim the log of visits: %w", err)
		}
		if removed += chunk; chunk < trimChunk {
			return removed, nil
		}
	}
}
