package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"layercake/internal/caller"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	countVisits = "SELECT count(*) FROM layercake.presence_log"
	countOpen   = "SELECT count(*) FROM layercake.presence_log WHERE left_at IS NULL"
)

// visits returns what became of a connection's visits, the first one first.
func visits(t *testing.T, conn *pgx.Conn, connection uuid.UUID) string {
	t.Helper()
	return strings.Join(pgtest.Texts(t, conn, `SELECT user_name || ' ' || coalesce(reason, 'is there') FROM layercake.presence_log
		WHERE connection_id = $1 ORDER BY joined_at`, connection), ", ")
}

func TestEachVisitIsLoggedOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	now := time.Now() // the clock need not step
	who := func(name string) presence.Identity {
		return presence.Identity{UserID: "u", Name: name, Transport: caller.Collaboration}
	}
	join := func(connection uuid.UUID, name string) {
		t.Helper()
		if err := room.Join(connection, who(name), nil, now); err != nil {
			t.Fatal(err)
		}
	}
	ann := uuid.New()
	join(ann, "Ann")
	pgtest.AwaitCount(t, conn, 1, countOpen)
	written := pgtest.Count(t, conn, "SELECT xmin::text::bigint FROM presence_log")
	room.Touch(ann, now.Add(time.Second)) // writes the row again
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence WHERE revision = 2")
	join(ann, "Ann")
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence WHERE revision = 3")
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence_log WHERE xmin::text::bigint = $1", written) // which was not touched since
	later := func() { now = now.Add(time.Minute) }
	later()
	join(ann, "Beth")
	pgtest.AwaitCount(t, conn, 2, countVisits)
	room.Leave(ann, presence.ReasonLeft)
	later()
	join(ann, "Beth")
	pgtest.AwaitCount(t, conn, 3, countVisits)
	room.Leave(ann, presence.ReasonSlow)
	pgtest.AwaitCount(t, conn, 0, countOpen)
	if got, want := visits(t, conn, ann), "Ann renamed, Beth left, Beth slow"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}

	// Neither was ever seen in the table, unless the machine was busy meanwhile.
	hasty, other := uuid.New(), uuid.New()
	join(hasty, "Hasty")
	later()
	join(hasty, "Hurried")
	room.Leave(hasty, presence.ReasonClosed)
	join(other, "Other")
	pgtest.AwaitCount(t, conn, 1, countOpen+" AND connection_id = $1", other)
	if got, want := visits(t, conn, hasty), "Hasty renamed, Hurried closed"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
	a.stop()
	if got, want := visits(t, conn, other), "Other drained"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A client may send 20 messages a second. Whatever it says it is, the log has one row of it for each minute, with what came last.
func TestVisitsWithinAMinuteAreOneRow(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	now, c := time.Now(), uuid.New()
	join := func(name string) {
		t.Helper()
		now = now.Add(time.Millisecond)
		if err := room.Join(c, presence.Identity{UserID: "of " + name, Name: name, Transport: caller.Collaboration}, nil, now); err != nil {
			t.Fatal(err)
		}
	}
	const row = "SELECT count(*) FROM layercake.presence_log WHERE user_id = $1 AND coalesce(reason, 'is there') = $2"
	sees := func(name, reason string) {
		t.Helper()
		pgtest.AwaitCount(t, conn, 1, row, "of "+name, reason)
	}
	// Each in a write of its own.
	join("Ann")
	sees("Ann", "is there")
	join("Beth")
	sees("Beth", "is there")
	room.Leave(c, presence.ReasonLeft)
	sees("Beth", "left")
	join("Cid")
	sees("Cid", "is there")
	// All in one, unless the machine is busy.
	for n := range 100 {
		join(fmt.Sprint("Name ", n))
		if n%3 == 0 {
			room.Leave(c, presence.ReasonLeft)
		}
	}
	sees("Name 99", "left")
	for range 3 {
		join("Dan")
		room.Leave(c, presence.ReasonLeft)
		join("Eve")
	}
	sees("Eve", "is there")
	if n := pgtest.Count(t, conn, countVisits); n != 1 {
		t.Errorf("%d rows, want one", n)
	}
	now = now.Add(time.Minute)
	join("Flo")
	sees("Flo", "is there")
	room.Leave(c, presence.ReasonClosed)
	sees("Flo", "closed")
	if got, want := visits(t, conn, c), "Eve renamed, Flo closed"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestVisitGoesOnInAnotherLife(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	ann := join(t, room, "ann")
	pgtest.AwaitCount(t, conn, 1, countOpen)
	for _, death := range []string{
		"DELETE FROM replicas",
		`WITH dead AS (DELETE FROM replicas RETURNING incarnation) UPDATE presence_log l SET left_at = now(), reason = 'replica died'
			FROM dead d WHERE l.incarnation = d.incarnation`,
	} {
		pgtest.Exec(t, conn, death)
		pgtest.AwaitCount(t, conn, 1, countOpen+" AND connection_id = $1 AND reason IS NULL", ann)
		pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence_log JOIN replicas USING (incarnation) JOIN presence USING (incarnation)")
	}
	if got, want := visits(t, conn, ann), "Name of ann is there"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestVisitEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	id := a.newProject(t)
	dead, lost := uuid.New(), uuid.New()
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at)
		VALUES ($1, 'test', 'nowhere', now() - interval '9 s', now() - interval '4 s')`, dead)
	pgtest.Exec(t, conn, `INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent, left_at,
			reason)
		SELECT gen_random_uuid(), now() - v.since, v.life, $3, v.name, v.name, false, v.left_at, CASE WHEN v.left_at IS NOT NULL THEN 'left' END
		FROM (VALUES ('dead', $1::uuid, interval '1 hour', NULL), ('lost', $2, interval '40 days', NULL),
			('young', $2, interval '40 days', now() - interval '29 days'), ('old', $2, interval '40 days', now() - interval '31 days')
		) v (name, life, since, left_at)`, dead, lost, id)
	ann := join(t, a.enter(t, id), "ann")
	pgtest.AwaitCount(t, conn, 1, countOpen+" AND connection_id = $1", ann)
	pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM presence_log WHERE user_name = 'dead' AND reason = 'replica died'
		AND left_at BETWEEN now() - interval '40 s' AND now() - interval '4 s'`) // with its lease, not when somebody noticed
	removed, err := a.TrimLog(t.Context(), time.Now().Add(-30*24*time.Hour))
	if err != nil || removed != 1 {
		t.Errorf("removed %d visits, %v, want the old one", removed, err)
	}
	pgtest.AwaitCount(t, conn, 0, "SELECT count(*) FROM presence_log WHERE user_name = 'old'")
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence_log WHERE user_name = 'lost' AND reason = 'lost'")
	pgtest.AwaitCount(t, conn, 1, countOpen) // ann's
	pgtest.AwaitCount(t, conn, 4, countVisits)

	pgtest.Exec(t, conn, `WITH nobody AS (
			INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
				joined_at, active_at)
			SELECT gen_random_uuid(), incarnation, project_id, 1, 'nobody', 'nobody', '', false, transport, joined_at, active_at FROM presence
			RETURNING *
		) INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent)
		SELECT connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent FROM nobody`)
	pgtest.AwaitCount(t, conn, 2, countOpen)
	a.Doubt("hole") // or 15 s later
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence_log WHERE user_name = 'nobody' AND reason = 'lost'")
	pgtest.AwaitCount(t, conn, 1, countPresence)
}
