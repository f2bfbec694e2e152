package presence_test

import (
	"testing"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
)

var agent = presence.Identity{UserID: "agent", Name: "Agent", Color: "#123456", Agent: true, Transport: caller.GraphQL}

// leaseOf is how long a guest may stay after it did something, in seconds.
const leaseOf = "SELECT extract(epoch FROM expires_at - active_at)::int FROM presence WHERE user_id = $1"

func joinGuest(t testing.TB, r *node, project int32, client string, who presence.Identity) {
	t.Helper()
	if err := r.JoinGuest(t.Context(), project, client, who); err != nil {
		t.Fatal(err)
	}
}

func TestGuestsAreSeenOnAllReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	here, there := a.enter(t, id), b.enter(t, id)
	joinGuest(t, a, id, "c", agent)
	if here.Person("agent") == nil {
		t.Error("a guest is not there at once where it joined")
	}
	await(t, there, "the guest", func() bool { return there.Person("agent") != nil })
	if e := there.Person("agent").Entries[0]; e.Identity != agent || e.JoinedAt.IsZero() {
		t.Errorf("got %+v", e)
	}
	renamed := agent
	renamed.Name = "Renamed"
	joinGuest(t, b, id, "c", renamed)
	await(t, here, "another name", func() bool { return here.Person("agent").Entries[0].Name == "Renamed" })
	if n := here.Size(); n != 1 {
		t.Errorf("%d connections, want one: the client is the same", n)
	}
	joinGuest(t, b, id, "d", agent)
	await(t, here, "a second client", func() bool { return here.Size() == 2 })

	late := start(t, url).enter(t, id) // reads the table
	if p := late.Person("agent"); p == nil || len(p.Entries) != 2 {
		t.Errorf("who came late sees %+v", p)
	}
	for n, client := range []string{"c", "d"} {
		if err := a.LeaveGuest(t.Context(), id, client); err != nil {
			t.Fatal(err)
		}
		await(t, there, "one to leave", func() bool { return there.Size() == 1-n })
		await(t, late, "one to leave", func() bool { return late.Size() == 1-n })
	}
	if n := pgtest.Count(t, conn, countPresence); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	const log = `SELECT count(*) FROM layercake.presence_log WHERE user_name = $1 AND reason = 'left' AND left_at >= joined_at`
	pgtest.AwaitCount(t, conn, 1, log, "Renamed")
	pgtest.AwaitCount(t, conn, 1, log, "Agent")
	joinGuest(t, b, id, "c", agent)
	if _, err := a.TrimLog(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	pgtest.AwaitCount(t, conn, 1, countOpen) // it is there, though no replica serves it
	await(t, here, "the guest to come back", func() bool { return here.Person("agent") != nil })
}

func TestGuestsOfAProjectThatDoesNotExist(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t))
	for what, err := range map[string]error{
		"join":         a.JoinGuest(t.Context(), 4711, "c", agent),
		"leave":        a.LeaveGuest(t.Context(), 4711, "c"),
		"announcement": a.Announce(t.Context(), 4711, false),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, want NOT_FOUND", what, err)
		}
	}
}

func TestProjectTakesNoMoreGuestsThanPeople(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	id := a.newProject(t)
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) SELECT gen_random_uuid(), now() + interval '1 h', $1, 1, 'u', 'U', '', true, 'graphql', now(), now()
		FROM generate_series(2, $2)`, id, presence.MaxPeople)
	joinGuest(t, a, id, "last", agent)
	joinGuest(t, a, id, "last", agent) // is there already
	if err := a.JoinGuest(t.Context(), id, "more", agent); !fault.Is(err, fault.RateLimited) {
		t.Errorf("got %v, want RATE_LIMITED", err)
	}
}

func TestGuestsGoUnlessTheyDoSomething(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	joinGuest(t, a, id, "busy", presence.Identity{UserID: "busy", Name: "Busy", Transport: caller.GraphQL})
	joinGuest(t, a, id, "idle", presence.Identity{UserID: "idle", Name: "Idle", Transport: caller.GraphQL})
	there := b.enter(t, id)
	const leave = "UPDATE presence SET expires_at = now() + make_interval(secs => $2), active_at = now() - interval '1 min' WHERE user_id = $1"
	pgtest.Exec(t, conn, leave, "busy", 20)
	a.RenewGuest(id, "busy")
	a.RenewGuest(id, "nobody") // who is no guest becomes none
	pgtest.AwaitCount(t, conn, 90, leaseOf, "busy")
	pgtest.Exec(t, conn, leave, "idle", 0)
	await(t, there, "the idle to go", func() bool { return there.Person("idle") == nil })
	if there.Person("busy") == nil {
		t.Error("who did something is gone, too")
	}
	pgtest.AwaitCount(t, conn, 1, countPresence)
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM layercake.presence_log WHERE user_name = 'Idle' AND reason = 'expired'")
	b.Doubt("hole")
	await(t, there, "when the busy one was last active", func() bool {
		return time.Since(there.Person("busy").Entries[0].ActiveAt) < time.Minute
	})

	// Once is enough for a while.
	pgtest.Exec(t, conn, leave, "busy", 0.5)
	a.RenewGuest(id, "busy")
	joinGuest(t, a, id, "witness", agent) // time for a renewal to be written, were there one
	await(t, there, "the busy one to go", func() bool { return there.Person("busy") == nil })
	if there.Person("agent") == nil {
		t.Error("another guest is gone, too")
	}
}
