package presence_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/replica"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/google/uuid"
)

// fast is what clocks are set to where a test would wait for them otherwise. What makes the machine stand still for longer than a lease
// holds up those who would remove it, too.
var fast = struct {
	lease  replica.Timing
	people presence.Timing
}{replica.DefaultTiming, presence.DefaultTiming}

func init() {
	fast.lease.TTL, fast.lease.Renew, fast.lease.Reap = time.Second, 100*time.Millisecond, 25*time.Millisecond
	fast.people.Retry, fast.people.CorrectPause, fast.people.Rest = 20*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
}

// node is a tracker that runs on a database, under a lease of its own.
type node struct {
	*presence.Tracker
	*replica.Replica
	projects *project.Service
	stop     func() // waits for the end; may be called twice
}

func start(t testing.TB, url string, changes ...func(*server.Config)) *node {
	t.Helper()
	core := servertest.StartCoreOn(t, url, func(c *server.Config) {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		c.Lease, c.Presence = fast.lease, fast.people
		for _, change := range changes {
			change(c)
		}
	})
	return &node{Tracker: core.Presence, Replica: core.Replica, projects: core.Projects, stop: func() { core.Stop(t) }}
}

func (r *node) newProject(t testing.TB) int32 {
	t.Helper()
	p, err := r.projects.Create(t.Context(), auth.UncheckedReach(auth.Anonymous("")), project.Input{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func (r *node) enter(t testing.TB, id int32) *presence.Room {
	t.Helper()
	room, err := r.Enter(t.Context(), auth.Unchecked(auth.Actor{}, id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Exit)
	return room
}

func join(t testing.TB, room *presence.Room, user string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	who := presence.Identity{UserID: user, Name: "Name of " + user, Color: "#123456", Transport: caller.Collaboration}
	if err := room.Join(id, who, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	return id
}

// await returns when holds does, which is asked after each change of the room.
func await(t testing.TB, room *presence.Room, what string, holds func() bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	stop := room.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	deadline := time.After(pgtest.Patience)
	for !holds() {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

const countPresence = "SELECT count(*) FROM presence"

// Replicas of the release before remove one of ours that died by a statement of their own. It leaves nothing of it.
func TestFormerReleaseRemovesAllThatIsHeld(t *testing.T) {
	t.Parallel()
	const former = `WITH dead AS (
		SELECT r.incarnation, r.expires_at FROM replicas r WHERE r.expires_at < now() AND r.incarnation <> gen_random_uuid()
		ORDER BY r.expires_at LIMIT 1 FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM presence p USING dead d WHERE p.incarnation = d.incarnation
		RETURNING p.incarnation, p.connection_id, p.project_id
	), logged AS (
		UPDATE presence_log l SET left_at = greatest(l.joined_at, d.expires_at), reason = 'replica died'
		FROM dead d WHERE l.incarnation = d.incarnation AND l.left_at IS NULL
	), ended AS (
		DELETE FROM replicas r USING dead d WHERE r.incarnation = d.incarnation RETURNING r.incarnation
	)
	SELECT count(g.connection_id) FROM ended e LEFT JOIN gone g ON g.incarnation = e.incarnation`
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	room := a.enter(t, a.newProject(t))
	join(t, room, "ann")
	join(t, room, "bob")
	pgtest.AwaitCount(t, conn, 2, countPresence)
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, "UPDATE replicas SET renewed_at = now() - interval '9 s', expires_at = now() - interval '4 s'")
	for _, step := range []struct {
		sql  string
		want int
	}{
		{former, 2},
		{countPresence, 0},
		{"SELECT count(*) FROM replicas", 0},
		{"SELECT count(*) FROM presence_log WHERE reason = 'replica died'", 2},
		{"SELECT count(*) FROM presence_log WHERE left_at IS NULL", 0},
	} {
		if got := pgtest.Count(t, conn, step.sql); got != step.want {
			t.Errorf("%s: %d, want %d", step.sql, got, step.want)
		}
	}
}

func TestConnectionsAreSeenOnAllReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	early, late := a.enter(t, id), b
	ann := join(t, early, "ann")
	tab := join(t, early, "ann")
	pgtest.AwaitCount(t, conn, 2, countPresence)

	room := late.enter(t, id) // reads the table
	if n := len(room.Roster().People); n != 1 || len(room.Person("ann").Entries) != 2 {
		t.Fatalf("%d people, want one with two connections", n)
	}
	place := presence.Place{Document: "d", Type: "canvas", Position: []byte(`{"x":1}`), Selected: "n", At: time.Now()}
	early.Move(ann, place)
	await(t, room, "the document", func() bool { return room.Entry(ann).Place != nil })
	place.Position = []byte(`{"x":2}`)
	early.Move(ann, place)
	await(t, room, "the cursor", func() bool { return string(room.Entry(ann).Place.Position) == `{"x":2}` })
	if e := room.Entry(ann); e.Name != "Name of ann" || e.Transport != caller.Collaboration || e.Place.Selected != "n" || e.Place.Document != "d" {
		t.Errorf("after a move: %+v", e)
	}

	bob := join(t, room, "bob")
	await(t, early, "bob", func() bool { return early.Entry(bob) != nil })
	early.Leave(ann, presence.ReasonLeft)
	await(t, room, "ann's first tab to go", func() bool { return room.Entry(ann) == nil })
	if room.Person("ann") == nil {
		t.Error("ann is offline although a tab is open")
	}
	early.Leave(tab, presence.ReasonLeft)
	await(t, room, "ann to go", func() bool { return room.Person("ann") == nil })
	pgtest.AwaitCount(t, conn, 1, countPresence)
	b.stop()
	await(t, early, "bob to go with his replica", func() bool { return early.Entry(bob) == nil })
	pgtest.AwaitCount(t, conn, 0, countPresence)
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM replicas")
}

// A cursor that came to rest just before a room was opened is in no line that the room hears.
func TestRoomIsReadAgainSoonAfterItWasOpened(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	ann := join(t, a.enter(t, id), "ann")
	pgtest.AwaitCount(t, conn, 1, countPresence)
	room, began := b.enter(t, id), time.Now()
	pgtest.Exec(t, conn, `UPDATE presence SET revision = revision + 1, document_id = 'd', document_type = 'canvas', document_at = now(), position = '{"x":1}'`)
	await(t, room, "the cursor", func() bool { return room.Entry(ann).Place != nil })
	if took := time.Since(began); took > fast.people.Correct/2 {
		t.Errorf("learned from the comparison of all, after %v", took)
	}
}

func TestRoomOfAProjectThatDoesNotExist(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	if _, err := a.Enter(t.Context(), auth.Unchecked(auth.Actor{}, 4711)); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want NOT_FOUND", err)
	}
	id := a.newProject(t)
	room := a.enter(t, id)
	pgtest.Exec(t, conn, "DELETE FROM projects WHERE id = $1", id)
	a.Doubt("hole") // or 15 s later
	await(t, room, "the end of the room", room.Ended)
}

func TestLeaseThatIsGoneBeginsAnotherLife(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	room, other := a.enter(t, id), b.enter(t, id)
	var people []uuid.UUID
	for n := range 20 {
		people = append(people, join(t, room, fmt.Sprintf("user %d", n)))
	}
	await(t, other, "everybody", func() bool { return len(other.Roster().People) == 20 })
	pgtest.AwaitCount(t, conn, 20, countPresence)
	before := a.Incarnation()
	pgtest.Exec(t, conn, "DELETE FROM replicas WHERE incarnation = $1", before)
	if n := pgtest.Count(t, conn, countPresence+" WHERE incarnation = $1", before); n != 0 {
		t.Fatalf("%d rows outlived their lease", n)
	}
	pgtest.AwaitCount(t, conn, 20, countPresence)
	for _, connection := range people {
		if other.Entry(connection) == nil {
			t.Error("somebody was reported as gone")
		}
	}
	room.Leave(people[0], presence.ReasonLeft)
	await(t, other, "one to go", func() bool { return other.Entry(people[0]) == nil })
}

func TestMemoryCorrectsTheTableBothWays(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	room, other := a.enter(t, id), b.enter(t, id)
	ann := join(t, room, "ann")
	pgtest.AwaitCount(t, conn, 1, countPresence)
	await(t, other, "ann", func() bool { return other.Entry(ann) != nil })

	pgtest.Exec(t, conn, "UPDATE presence SET connection_id = gen_random_uuid()") // ann's row is missing, and one is nobody's
	b.Doubt("hole")
	await(t, other, "nobody's row", func() bool { return len(other.Roster().People[0].Entries) == 2 || other.Entry(ann) == nil })
	a.Doubt("hole")
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence WHERE connection_id = $1", ann)
	pgtest.AwaitCount(t, conn, 1, countPresence)
	b.Doubt("hole")
	await(t, other, "the truth", func() bool {
		people := other.Roster().People
		return len(people) == 1 && len(people[0].Entries) == 1 && people[0].Entries[0].Connection == ann
	})
}

func TestDeadReplicaIsReapedByASteadyOne(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url)
	id := a.newProject(t)
	dead, ghost := uuid.New(), uuid.New()
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at)
		VALUES ($1, 'test', 'nowhere', now() - interval '9 s', now() + interval '1 hour')`, dead)
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent,
		transport, joined_at, active_at) VALUES ($1, $2, $3, 1, 'ghost', 'Ghost', '', false, 'collaboration', now(), now())`, ghost, dead, id)
	room := a.enter(t, id)
	if room.Entry(ghost) == nil {
		t.Fatal("the ghost is not there")
	}
	pgtest.Exec(t, conn, "UPDATE replicas SET expires_at = now() - interval '4 s' WHERE incarnation = $1", dead)
	await(t, room, "the ghost to go", func() bool { return room.Entry(ghost) == nil })
	// From the second renewal on, which never comes before the lease, they are a period apart.
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM replicas WHERE now() - started_at < $1 * interval '1 s'", 3*fast.lease.Renew.Seconds()); n != 0 {
		t.Error("reaped by a replica that had not renewed five times")
	}
	if n := pgtest.Count(t, conn, countPresence); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}
