package presence_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server"
	"layercake/internal/task"

	"github.com/google/uuid"
)

// robot is who an agent is.
func robot(name string) presence.Identity {
	return presence.Identity{UserID: name, Name: name, Color: presence.ColorOf(name), Agent: true, Transport: caller.MCP}
}

// see notes a call of an agent.
func see(n *node, project int32, name string) { n.SeeGuest(project, name, maker, robot(name)) }

func place(t testing.TB, n *node, project int32, name string, x float64, selected string) {
	t.Helper()
	if err := n.PlaceGuest(project, name, presence.OnCanvas(x, 7, selected)); err != nil {
		t.Fatal(err)
	}
}

// isAt reports whether a guest is at a place with this x.
func isAt(room *presence.Room, guest uuid.UUID, x float64) bool {
	e := room.Entry(guest)
	if e == nil || e.Place == nil {
		return false
	}
	var position struct{ X float64 }
	return json.Unmarshal(e.Place.Position, &position) == nil && position.X == x
}

// countEnded counts visits that ended for a reason.
const countEnded = "SELECT count(*) FROM layercake.presence_log WHERE reason = $1"

func TestPlacesOfGuestsAreSeenOnAllReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	here, there := a.enter(t, id), b.enter(t, id)
	guest := presence.GuestID(id, "r")
	see(a, id, "r")
	place(t, a, id, "r", 1, "n")
	await(t, there, "the agent in its place", func() bool { return isAt(there, guest, 1) })
	await(t, here, "the agent in its place", func() bool { return isAt(here, guest, 1) })
	e := there.Entry(guest)
	if e.Identity != robot("r") || e.Place.Document != "plan-dag-canvas" || e.Place.Type != "canvas" || e.Place.Selected != "n" ||
		e.Place.At.IsZero() || e.JoinedAt.IsZero() {
		t.Errorf("got %+v in %+v", e, e.Place)
	}
	pgtest.AwaitCount(t, conn, 90, leaseOf, "r")

	// Its calls go to any replica.
	place(t, b, id, "r", 2, "")
	for _, room := range []*presence.Room{here, there} {
		await(t, room, "another place", func() bool { return isAt(room, guest, 2) })
		if e := room.Entry(guest); e.Place.Selected != "" || e.Identity != robot("r") {
			t.Errorf("got %+v in %+v", e, e.Place)
		}
	}
	late := start(t, url)
	if room := late.enter(t, id); !isAt(room, guest, 2) { // reads the table
		t.Errorf("who came late sees %+v", room.Entry(guest))
	}
	const cursor = "SELECT count(*) FROM layercake.who WHERE cursor->>'x' = '2' AND is_agent AND transport = 'mcp' AND replica IS NULL"
	pgtest.AwaitCount(t, conn, 1, cursor)

	// Joining again under another name leaves it where it is.
	renamed := robot("r")
	renamed.Name = "Renamed"
	joinGuest(t, b, id, "r", renamed)
	for _, room := range []*presence.Room{here, there} {
		await(t, room, "another name", func() bool { return room.Entry(guest).Name == "Renamed" })
		if !isAt(room, guest, 2) {
			t.Errorf("it is in %+v, want where it was", room.Entry(guest).Place)
		}
	}

	people, count, err := late.People(t.Context(), auth.Unchecked(auth.Actor{}, id), 1)
	if err != nil || count != 1 || len(people) != 1 || people[0].Connection != guest {
		t.Errorf("%d people, %v: %+v", count, err, people)
	}
	if _, _, err := late.People(t.Context(), auth.Unchecked(auth.Actor{}, 4711), 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("people of no project: %v, want NOT_FOUND", err)
	}

	see(b, id, "r") // both have seen it
	b.AwaitUpdates(t, false, 0)
	for _, n := range []*node{a, b} {
		pgtest.Exec(t, conn, "UPDATE presence SET expires_at = now() - interval '1 s'")
		for _, room := range []*presence.Room{here, there} {
			await(t, room, "the agent to expire", func() bool { return room.Entry(guest) == nil })
		}
		see(n, id, "r")
		await(t, here, "the agent to be back with its next call", func() bool { return here.Entry(guest) != nil })
		await(t, there, "the agent to be back with its next call", func() bool { return there.Entry(guest) != nil })
		pgtest.AwaitCount(t, conn, 1, countPresence)
	}
	if err := a.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, id), "r"); err != nil {
		t.Fatal(err)
	}
	await(t, there, "the agent to leave", func() bool { return there.Entry(guest) == nil })
	see(b, id, "r")
	await(t, there, "the agent to be back after it left on another replica", func() bool { return there.Entry(guest) != nil })
}

// A guest that enters a document is told whole, so that it is seen where the line about its join was lost or is late.
func TestGuestsThatEnterADocumentAreToldWhole(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	never := func(c *server.Config) { c.Presence.Correct, c.Presence.Rest = time.Hour, time.Hour }
	a, b := start(t, url, never), start(t, url, never)
	id := a.newProject(t)
	room := b.enter(t, id)
	guest := presence.GuestID(id, "r")
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) VALUES ($1, now() + interval '1 h', $2, 1, 'r', 'R', '', true, 'mcp', now(), now())`, guest, id)
	place(t, a, id, "r", 1, "")
	await(t, room, "the agent", func() bool { return isAt(room, guest, 1) })
	place(t, a, id, "r", 2, "")
	await(t, room, "the agent elsewhere", func() bool { return isAt(room, guest, 2) })
	if e := room.Entry(guest); e.Name != "R" || !e.Agent {
		t.Errorf("got %+v", e)
	}
}

// Nobody hears anything, and all rooms come to say what the table does.
func TestLostPlacesOfGuestsAreFound(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	deaf := func(c *server.Config) { c.Loss = 1 }
	a, b := start(t, url, deaf), start(t, url, deaf)
	id := a.newProject(t)
	here, there := a.enter(t, id), b.enter(t, id)
	guest := presence.GuestID(id, "r")
	for x := range 5 {
		see(a, id, "r")
		place(t, a, id, "r", float64(x), "")
		await(t, here, "the place", func() bool { return isAt(here, guest, float64(x)) })
		b.Doubt("hole") // or 15 s later
		await(t, there, "the lost place", func() bool { return isAt(there, guest, float64(x)) })
		a.Doubt("hole")
	}
	if !isAt(here, guest, 4) {
		t.Errorf("a comparison undid the place: %+v", here.Entry(guest).Place)
	}
}

// Two replicas place the same guests at once. No write fails, and in the end all rooms say what the table does.
func TestGuestsThatTwoReplicasPlace(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	quick := func(c *server.Config) { c.Presence.GatherMoves = time.Microsecond }
	nodes := []*node{start(t, url, quick), start(t, url, quick)}
	id := nodes[0].newProject(t)
	rooms := []*presence.Room{nodes[0].enter(t, id), nodes[1].enter(t, id)}
	const guests = 200
	name := func(n int) string { return fmt.Sprint("robot ", n) }
	for n := range guests {
		nodes[n%2].SeeGuest(id, name(n), presence.Maker{Caller: name(n), Network: maker.Network}, robot(name(n)))
	}
	for _, room := range rooms {
		await(t, room, "all agents", func() bool { return room.Size() == guests })
	}
	var calls sync.WaitGroup
	for side, n := range nodes {
		moved := make(chan struct{}, 1)
		t.Cleanup(rooms[side].Watch(func() { task.Wake(moved) }))
		deadline := time.After(pgtest.Patience)
		calls.Go(func() {
			for x := range 50 {
				for g := range guests {
					if err := n.PlaceGuest(id, name(g), presence.OnCanvas(float64(x*2+side), 7, "")); err != nil {
						t.Error(err)
					}
				}
				select {
				case <-moved:
				case <-deadline:
					t.Error("no place is written")
					return
				}
			}
		})
	}
	calls.Wait()
	for g := range guests {
		for _, n := range nodes {
			place(t, n, id, name(g), 1000, "")
		}
	}
	pgtest.AwaitCount(t, conn, guests, "SELECT count(*) FROM presence WHERE position->>'x' = '1000'")
	for _, room := range rooms {
		for g := range guests {
			await(t, room, "the last place", func() bool { return isAt(room, presence.GuestID(id, name(g)), 1000) })
		}
	}
	if n := pgtest.Count(t, conn, "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// An agent whom a limit keeps out tries again later. One that floods costs a few statements, and keeps nobody else out.
func TestGuestsThatAreRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a := start(t, url, func(c *server.Config) { c.MaxGuests, c.Presence.RenewGuest = 25, 50*time.Millisecond })
	id, full := a.newProject(t), a.newProject(t)
	room, fullRoom := a.enter(t, id), a.enter(t, full)
	pgtest.Exec(t, conn, `CREATE SEQUENCE joins; CREATE FUNCTION count_join() RETURNS trigger LANGUAGE plpgsql
		AS $$ BEGIN PERFORM nextval('joins'); RETURN NULL; END $$;
		CREATE TRIGGER joins BEFORE INSERT ON guest_makers FOR EACH STATEMENT EXECUTE FUNCTION count_join()`)
	here, there := maker.Network, netip.MustParsePrefix("203.0.113.8/32")
	for n := range 5000 {
		name := fmt.Sprint("flood ", n)
		a.SeeGuest(id, name, presence.Maker{Caller: name, Network: here}, robot(name))
	}
	a.SeeGuest(id, "other", presence.Maker{Caller: "other", Network: there}, robot("other"))
	a.SeeGuest(4711, "lost", presence.Maker{Caller: "lost", Network: there}, robot("lost")) // there is no such project
	await(t, room, "the other", func() bool { return room.Person("other") != nil })
	pgtest.AwaitCount(t, conn, 25, "SELECT count(*) FROM presence WHERE network = $1", here.String())

	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) SELECT gen_random_uuid(), now() + interval '1 h', $1, 1, 'u', 'U', '', true, 'graphql', now(), now()
		FROM generate_series(1, $2)`, full, presence.MaxPeople)
	tick := time.NewTicker(20 * time.Millisecond) // of its calls
	defer tick.Stop()
	enough := time.After(pgtest.Patience)
	for calls := 0; fullRoom.Person("patient") == nil || a.Updates() > 0; calls++ {
		if calls == 10 {
			pgtest.Exec(t, conn, "DELETE FROM presence WHERE project_id = $1", full)
			a.Doubt("hole")
		}
		a.SeeGuest(full, "patient", presence.Maker{Caller: "patient", Network: there}, robot("patient"))
		select {
		case <-tick.C:
		case <-enough:
			t.Fatalf("an agent does not join although there is room now, or one of %d waits for ever", a.Updates())
		}
	}
	if n := pgtest.Count(t, conn, "SELECT last_value::int FROM joins"); n > 500 {
		t.Errorf("%d joins were tried, want a few more than 25", n)
	}
}

// turn is the turn of the makers of an address, where guests of an address are limited.
var turn = "network " + maker.Network.String()

// Who comes later does not wait until all guests of another address have joined.
func TestGuestsOfAnAddressJoinInTurns(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), func(c *server.Config) { c.MaxGuests, c.Presence.Query = 10_000, time.Hour })
	id := a.newProject(t)
	room := a.enter(t, id)
	release := a.HoldTurn(t, turn)
	const crowd, few = 900, 100
	for n := range crowd {
		name := fmt.Sprint("crowd ", n)
		a.SeeGuest(id, name, presence.Maker{Caller: name, Network: maker.Network}, robot(name))
	}
	a.AwaitUpdates(t, true, crowd)
	release()
	await(t, room, "the first", func() bool { return room.Size() > few })
	a.SeeGuest(id, "late", presence.Maker{Caller: "late", Network: netip.MustParsePrefix("203.0.113.8/32")}, robot("late"))
	size := 0
	await(t, room, "the late one", func() bool {
		size = room.Size()
		return room.Person("late") != nil
	})
	if size > crowd-few {
		t.Errorf("%d joined before", size)
	}
	await(t, room, "all", func() bool { return room.Size() == crowd+1 })
}

// A join that waits for another of its maker keeps no place of anybody from being written.
func TestPlacesDoNotWaitForJoins(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), func(c *server.Config) { c.MaxGuests, c.Presence.Query = 25, time.Hour })
	id := a.newProject(t)
	room := a.enter(t, id)
	see(a, id, "r")
	guest := presence.GuestID(id, "r")
	await(t, room, "the agent", func() bool { return room.Entry(guest) != nil })
	release := a.HoldTurn(t, turn)
	see(a, id, "waits")
	a.AwaitUpdates(t, true, 1)
	for x := range 5 {
		place(t, a, id, "r", float64(x), "")
		await(t, room, "the place", func() bool { return isAt(room, guest, float64(x)) })
	}
	if room.Size() != 1 {
		t.Error("the other did not wait")
	}
	release()
	await(t, room, "the other", func() bool { return room.Size() == 2 })
}

func TestKickedGuestsAreGoneOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	here, there := a.enter(t, id), b.enter(t, id)
	guest := presence.GuestID(id, "r")
	user := "r"
	kick := func(n *node, guest *uuid.UUID, user *string, at time.Time) int {
		t.Helper()
		removed, err := n.Kick(t.Context(), guest, user, at)
		if err != nil {
			t.Fatal(err)
		}
		return removed
	}
	now := func() (at time.Time) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for round, by := range []struct {
		guest *uuid.UUID
		user  *string
	}{{&guest, nil}, {nil, &user}} {
		see(a, id, "r")
		await(t, there, "the agent", func() bool { return there.Entry(guest) != nil })
		at := now()
		if n := kick(a, by.guest, by.user, at); n != 1 {
			t.Errorf("%d were kicked, want 1", n)
		}
		for _, room := range []*presence.Room{here, there} {
			await(t, room, "the agent to go", func() bool { return room.Entry(guest) == nil })
		}
		pgtest.AwaitCount(t, conn, round+1, countEnded, "kicked")
		see(a, id, "r") // its next call
		await(t, there, "the agent to be back", func() bool { return there.Entry(guest) != nil })
		if n := kick(b, by.guest, by.user, at); n != 0 {
			t.Errorf("%d that came back were kicked by a replica that acted late", n)
		}
	}
	nobody := uuid.New()
	if n := kick(a, &nobody, nil, now()); n != 0 {
		t.Errorf("%d were kicked in the place of nobody", n)
	}
	if n := pgtest.Count(t, conn, countPresence); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}
