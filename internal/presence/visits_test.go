package presence_test

import (
	"context"
	"testing"
	"time"

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
func visits(t *testing.T, url string, connection uuid.UUID) (log string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	const ask = `SELECT coalesce(string_agg(user_name || ' ' || coalesce(reason, 'is there'), ', ' ORDER BY joined_at), '')
		FROM layercake.presence_log WHERE connection_id = $1`
	if err := conn.QueryRow(t.Context(), ask, connection).Scan(&log); err != nil {
		t.Fatal(err)
	}
	return log
}

func TestEachVisitIsLoggedOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	now := time.Now() // the clock need not step
	who := func(name string) presence.Identity {
		return presence.Identity{UserID: "u", Name: name, Transport: presence.Collaboration}
	}
	join := func(connection uuid.UUID, name string) {
		t.Helper()
		if err := room.Join(connection, who(name), nil, now); err != nil {
			t.Fatal(err)
		}
	}
	ann := uuid.New()
	join(ann, "Ann")
	awaitRows(t, url, 1, countOpen)
	written := query(t, url, "SELECT xmin::text::bigint FROM presence_log")
	room.Touch(ann, now.Add(time.Second)) // writes the row again
	awaitRows(t, url, 1, "SELECT count(*) FROM presence WHERE revision = 2")
	join(ann, "Ann")
	awaitRows(t, url, 1, "SELECT count(*) FROM presence WHERE revision = 3")
	awaitRows(t, url, 1, "SELECT count(*) FROM presence_log WHERE xmin::text::bigint = $1", written) // which was not touched since
	join(ann, "Beth")
	awaitRows(t, url, 2, countVisits)
	room.Leave(ann, presence.ReasonLeft)
	join(ann, "Beth")
	awaitRows(t, url, 3, countVisits)
	room.Leave(ann, presence.ReasonSlow)
	awaitRows(t, url, 0, countOpen)
	if got, want := visits(t, url, ann), "Ann renamed, Beth left, Beth slow"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}

	// Neither was ever seen in the table, unless the machine was busy meanwhile.
	hasty, other := uuid.New(), uuid.New()
	join(hasty, "Hasty")
	join(hasty, "Hurried")
	room.Leave(hasty, presence.ReasonClosed)
	join(other, "Other")
	awaitRows(t, url, 1, countOpen+" AND connection_id = $1", other)
	if got, want := visits(t, url, hasty), "Hasty renamed, Hurried closed"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
	a.stop()
	if got, want := visits(t, url, other), "Other drained"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestVisitGoesOnInAnotherLife(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	ann := join(t, room, "ann")
	awaitRows(t, url, 1, countOpen)
	for _, death := range []string{
		"DELETE FROM replicas",
		`WITH dead AS (DELETE FROM replicas RETURNING incarnation) UPDATE presence_log l SET left_at = now(), reason = 'replica died'
			FROM dead d WHERE l.incarnation = d.incarnation`,
	} {
		execute(t, url, death)
		awaitRows(t, url, 1, countOpen+" AND connection_id = $1 AND reason IS NULL", ann)
		awaitRows(t, url, 1, "SELECT count(*) FROM presence_log JOIN replicas USING (incarnation) JOIN presence USING (incarnation)")
	}
	if got, want := visits(t, url, ann), "Name of ann is there"; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestVisitEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a := start(t, url)
	id := a.newProject(t)
	dead, lost := uuid.New(), uuid.New()
	execute(t, url, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at)
		VALUES ($1, 'test', 'nowhere', now() - interval '9 s', now() - interval '4 s')`, dead)
	execute(t, url, `INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent, left_at,
			reason)
		SELECT gen_random_uuid(), now() - v.since, v.life, $3, v.name, v.name, false, v.left_at, CASE WHEN v.left_at IS NOT NULL THEN 'left' END
		FROM (VALUES ('dead', $1::uuid, interval '1 hour', NULL), ('lost', $2, interval '40 days', NULL),
			('young', $2, interval '40 days', now() - interval '29 days'), ('old', $2, interval '40 days', now() - interval '31 days')
		) v (name, life, since, left_at)`, dead, lost, id)
	ann := join(t, a.enter(t, id), "ann")
	awaitRows(t, url, 1, countOpen+" AND connection_id = $1", ann)
	awaitRows(t, url, 1, `SELECT count(*) FROM presence_log WHERE user_name = 'dead' AND reason = 'replica died'
		AND left_at BETWEEN now() - interval '40 s' AND now() - interval '4 s'`) // with its lease, not when somebody noticed
	removed, err := a.TrimLog(t.Context(), time.Now().Add(-30*24*time.Hour))
	if err != nil || removed != 1 {
		t.Errorf("removed %d visits, %v, want the old one", removed, err)
	}
	awaitRows(t, url, 0, "SELECT count(*) FROM presence_log WHERE user_name = 'old'")
	awaitRows(t, url, 1, "SELECT count(*) FROM presence_log WHERE user_name = 'lost' AND reason = 'lost'")
	awaitRows(t, url, 1, countOpen) // ann's
	awaitRows(t, url, 4, countVisits)

	execute(t, url, `WITH nobody AS (
			INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
				joined_at, active_at)
			SELECT gen_random_uuid(), incarnation, project_id, 1, 'nobody', 'nobody', '', false, transport, joined_at, active_at FROM presence
			RETURNING *
		) INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent)
		SELECT connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent FROM nobody`)
	awaitRows(t, url, 2, countOpen)
	a.Doubt("hole") // or 15 s later
	awaitRows(t, url, 1, "SELECT count(*) FROM presence_log WHERE user_name = 'nobody' AND reason = 'lost'")
	awaitRows(t, url, 1, countPresence)
}
