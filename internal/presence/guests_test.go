package presence_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server"
)

var agent = presence.Identity{UserID: "agent", Name: "Agent", Color: "#123456", Agent: true, Transport: caller.GraphQL}

// leaseOf is how long a guest may stay after it did something, in seconds.
const leaseOf = "SELECT extract(epoch FROM expires_at - active_at)::int FROM presence WHERE user_id = $1"

// maker makes guests where it does not matter who does.
var maker = presence.Maker{Caller: "caller", Network: netip.MustParsePrefix("203.0.113.7/32")}

func joinGuest(t testing.TB, r *node, project int32, client string, who presence.Identity) {
	t.Helper()
	if err := r.JoinGuest(t.Context(), maker, auth.Unchecked(auth.Actor{}, project), client, who); err != nil {
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
		if err := a.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, id), client); err != nil {
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
		"join":         a.JoinGuest(t.Context(), maker, auth.Unchecked(auth.Actor{}, 4711), "c", agent),
		"leave":        a.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, 4711), "c"),
		"announcement": a.Announce(t.Context(), auth.Unchecked(auth.Actor{}, 4711), false),
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
	if err := a.JoinGuest(t.Context(), maker, auth.Unchecked(auth.Actor{}, id), "more", agent); !fault.Is(err, fault.RateLimited) {
		t.Errorf("got %v, want RATE_LIMITED", err)
	}
}

// Guests cost nothing to be made. So neither one caller nor one address can fill a project, on however many replicas it tries.
func TestGuestsOfACallerAndOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	limited := func(c *server.Config) { c.MaxGuests = 25 }
	a, b := start(t, url, limited), start(t, url, limited)
	ids := []int32{a.newProject(t), a.newProject(t)}
	turn := 0
	join := func(caller, network, client string) error {
		turn++
		by := presence.Maker{Caller: caller, Network: netip.MustParsePrefix(network)}
		return []*node{a, b}[turn%2].JoinGuest(t.Context(), by, auth.Unchecked(auth.Actor{}, ids[turn/2%2]), client, agent)
	}
	const here, there = "203.0.113.7/32", "2001:db8::/64"
	made := func(caller, network string) (n int) {
		for n < 100 {
			err := join(caller, network, fmt.Sprint(caller, network, n))
			if fault.Is(err, fault.RateLimited) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if n := made("ann", here); n != 20 {
		t.Errorf("one caller made %d guests, want 20", n)
	}
	if n := made("beth", here); n != 5 {
		t.Errorf("another of the same address made %d, want the 5 that are left of 25", n)
	}
	if n := made("ann", there); n != 0 {
		t.Errorf("the caller made %d more from elsewhere, want none", n)
	}
	if n := made("cid", there); n != 20 {
		t.Errorf("somebody elsewhere made %d guests, want 20", n)
	}
	turn = 0 // as at the first guest
	if err := join("ann", here, "ann"+here+"0"); err != nil {
		t.Errorf("one that is there may not join again: %v", err)
	}
	if err := b.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, ids[0]), "ann"+here+"0"); err != nil {
		t.Fatal(err)
	}
	if err := join("beth", here, "in its place"); err != nil {
		t.Errorf("one that left is still counted: %v", err)
	}

	free := start(t, url)
	for n := range 20 {
		by := presence.Maker{Caller: fmt.Sprint("free", n), Network: maker.Network}
		if err := free.JoinGuest(t.Context(), by, auth.Unchecked(auth.Actor{}, ids[0]), fmt.Sprint("free", n), agent); err != nil {
			t.Errorf("a replica without a limit: %v", err)
		}
	}
}

// Joins at the same moment do not see each other's rows, and yet no limit is exceeded.
func TestGuestsThatJoinAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	limited := func(c *server.Config) { c.MaxGuests = 25 }
	nodes := []*node{start(t, url, limited), start(t, url, limited)}
	id := nodes[0].newProject(t)
	const here = "203.0.113.7/32"
	var joins sync.WaitGroup
	begin := make(chan struct{})
	for n := range 60 {
		for _, by := range []presence.Maker{
			{Caller: "ann", Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 32)}, // one caller, from many addresses
			{Caller: fmt.Sprint("somebody", n), Network: netip.MustParsePrefix(here)},                       // many callers, from one
		} {
			joins.Go(func() {
				<-begin
				err := nodes[n%2].JoinGuest(t.Context(), by, auth.Unchecked(auth.Actor{}, id), fmt.Sprint(by.Caller, n), agent)
				if err != nil && !fault.Is(err, fault.RateLimited) {
					t.Error(err)
				}
			})
		}
	}
	close(begin)
	joins.Wait()
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM presence WHERE caller = 'ann'"); n != 20 {
		t.Errorf("a caller has %d guests, want 20", n)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM presence WHERE network = $1", here); n != 25 {
		t.Errorf("an address has %d guests, want 25", n)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM guest_makers"); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// However many guests of one address wait for each other, others join meanwhile.
func TestGuestsOfOtherAddressesDoNotWait(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn, other := pgtest.Connect(t, url), pgtest.Connect(t, url)
	a := start(t, url, func(c *server.Config) { c.MaxGuests = 25 })
	id := a.newProject(t)
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const busy = "203.0.113.7/32"
	pgtest.Exec(t, tx, "INSERT INTO guest_makers VALUES ($1)", "network "+busy) // another replica makes a guest
	var joins sync.WaitGroup
	for n := range 100 {
		by := presence.Maker{Caller: fmt.Sprint("waits", n), Network: netip.MustParsePrefix(busy)}
		joins.Go(func() {
			if err := a.JoinGuest(t.Context(), by, auth.Unchecked(auth.Actor{}, id), by.Caller, agent); err != nil && !fault.Is(err, fault.RateLimited) {
				t.Error(err)
			}
		})
	}
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
	for n := range 20 {
		by := presence.Maker{Caller: fmt.Sprint("free", n), Network: netip.MustParsePrefix("203.0.113.8/32")}
		if err := a.JoinGuest(t.Context(), by, auth.Unchecked(auth.Actor{}, id), by.Caller, agent); err != nil {
			t.Errorf("a guest of another address: %v", err)
		}
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM presence WHERE network = $1", busy); n != 0 {
		t.Errorf("%d guests did not wait", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	joins.Wait()
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM presence WHERE network = $1", busy); n != 25 {
		t.Errorf("%d guests of those that waited are there, want 25", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.JoinGuest(ctx, maker, auth.Unchecked(auth.Actor{}, id), "gone", agent); err == nil {
		t.Error("a guest joined whose client had gone")
	}
}

// A client that leaves and joins in a loop has one row in the log for each minute.
func TestGuestsThatComeAndGoWriteOneVisit(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	a, b := start(t, url), start(t, url)
	id := a.newProject(t)
	for n := range 10 {
		who := agent
		who.Name = fmt.Sprint("Name ", n)
		joinGuest(t, []*node{a, b}[n%2], id, "c", who)
		if err := b.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, id), "c"); err != nil {
			t.Fatal(err)
		}
	}
	const log = "SELECT user_name || ' ' || coalesce(reason, 'is there') FROM layercake.presence_log ORDER BY joined_at"
	if got := pgtest.Texts(t, conn, log); !slices.Equal(got, []string{"Name 9 left"}) {
		t.Errorf("the log has %q, want one visit", got)
	}
	joinGuest(t, a, id, "c", agent)
	if got := pgtest.Texts(t, conn, log); !slices.Equal(got, []string{"Agent is there"}) {
		t.Errorf("the log has %q, want that it goes on", got)
	}
	if err := a.LeaveGuest(t.Context(), auth.Unchecked(auth.Actor{}, id), "c"); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, "UPDATE presence_log SET joined_at = joined_at - interval '1 minute'")
	joinGuest(t, a, id, "c", agent)
	if got := pgtest.Texts(t, conn, log); !slices.Equal(got, []string{"Agent left", "Agent is there"}) {
		t.Errorf("the log has %q, want another visit after a minute", got)
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
