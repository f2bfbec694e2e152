package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/agent"
	"layercake/internal/fault"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// start runs the service of a replica on a database.
func start(t testing.TB, url string, changes ...func(*server.Config)) *agent.Service {
	t.Helper()
	core := servertest.StartCoreOn(t, url, func(c *server.Config) {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		for _, change := range changes {
			change(c)
		}
	})
	return core.Agents
}

func newSession(transport string) agent.Session {
	return agent.Session{
		ID: uuid.New(), Transport: transport, Network: netip.MustParsePrefix("192.0.2.1/32"),
		Scope: "project=7&read_only=true",
		Hello: agent.Hello{
			Protocol: "2025-11-25", Client: agent.Client{Name: "tester", Title: "The tester", Version: "1.0"},
			Parameters: json.RawMessage(`{"capabilities":{}}`), AgentID: uuid.NewString(), AgentName: "Ann's agent",
		},
	}
}

// create begins a session.
func create(t testing.TB, s *agent.Service, transport string) uuid.UUID {
	t.Helper()
	session := newSession(transport)
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	return session.ID
}

func openStream(t testing.TB, s *agent.Service, session uuid.UUID) *agent.Mailbox {
	t.Helper()
	m, err := s.OpenStream(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func openCall(t testing.TB, s *agent.Service, session uuid.UUID, key string) *agent.Mailbox {
	t.Helper()
	m, err := s.OpenCall(session, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// send sends a message again and again while there is no room for it, or no database.
func send(ctx context.Context, s *agent.Service, session uuid.UUID, key, body string) error {
	for {
		err := s.Send(ctx, session, key, []byte(body))
		if !fault.Is(err, fault.RateLimited) && !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return err
		}
	}
}

func mustSend(t testing.TB, s *agent.Service, session uuid.UUID, key, body string) {
	t.Helper()
	if err := s.Send(t.Context(), session, key, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// wakes waits until a mailbox wakes.
func wakes(t testing.TB, m *agent.Mailbox) {
	t.Helper()
	select {
	case <-m.Wake():
	case <-time.After(pgtest.Patience):
		t.Fatal("waited in vain for a mailbox to wake")
	}
}

// take takes n messages, whatever fails in between that passes.
func take(t testing.TB, m *agent.Mailbox, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	var got []string
	for len(got) < n {
		select {
		case <-m.Wake():
		case <-ctx.Done():
			t.Fatalf("took %d messages, waited in vain for %d", len(got), n)
		}
		bodies, err := m.Take(ctx)
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		for _, body := range bodies {
			got = append(got, string(body))
		}
	}
	return got
}

// ends waits until a mailbox says that it is of no use.
func ends(t testing.TB, m *agent.Mailbox) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for {
		select {
		case <-m.Wake():
		case <-ctx.Done():
			t.Fatal("waited in vain for the end of a mailbox")
		}
		if _, err := m.Take(ctx); err != nil {
			return err
		}
	}
}

func wantCode(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestSessionsAreServedByAllReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url), start(t, url)
	made := newSession(agent.HTTP)
	if err := a.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	get := func(s *agent.Service, want agent.Session) {
		t.Helper()
		got, err := s.Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.CreatedAt.IsZero() {
			t.Error("no time of creation")
		}
		want.CreatedAt = got.CreatedAt
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	get(a, made)
	get(b, made)
	m := openCall(t, a, made.ID, "any")
	wakes(t, m) // it was just opened
	made.Hello = agent.Hello{Client: agent.Client{Name: "other"}, Parameters: json.RawMessage("{}"), AgentID: "x", AgentName: "Bob's agent"}
	if err := b.Introduce(t.Context(), made.ID, made.Hello); err != nil {
		t.Fatal(err)
	}
	get(b, made)
	wakes(t, m) // the line was heard
	get(a, made)
	if err := b.Delete(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the mailbox of a session that ended", ends(t, m), fault.NotFound)
	for _, s := range []*agent.Service{a, b} {
		_, err := s.Get(t.Context(), made.ID)
		wantCode(t, "get", err, fault.NotFound)
	}
}

func TestWhatHasNoSessionIsRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, conn := start(t, url), pgtest.Connect(t, url)
	expired := create(t, s, agent.HTTP)
	pgtest.Exec(t, conn, "UPDATE mcp_sessions SET seen_at = now() - interval '25 h', expires_at = now() - interval '1 h'")
	ctx := t.Context()
	for _, id := range []uuid.UUID{expired, uuid.New()} {
		for what, f := range map[string]func() error{
			"get":         func() error { _, err := s.Get(ctx, id); return err },
			"introduce":   func() error { return s.Introduce(ctx, id, agent.Hello{AgentID: "x", AgentName: "x"}) },
			"delete":      func() error { return s.Delete(ctx, id) },
			"subscribe":   func() error { return s.Subscribe(ctx, id, "u") },
			"unsubscribe": func() error { return s.Unsubscribe(ctx, id, "u") },
			"stream":      func() error { _, err := s.OpenStream(ctx, id); return err },
			"send":        func() error { return s.Send(ctx, id, "", []byte("{}")) },
			"answer": func() error {
				m, err := s.OpenCall(id, "q")
				if err != nil {
					return err
				}
				defer m.Close()
				_, err = m.Await(ctx)
				return err
			},
		} {
			err := f()
			wantCode(t, what, err, fault.NotFound)
			if f := fault.From(err); f != nil && f.Details["hint"] == nil {
				t.Errorf("%s: no hint in %v", what, f.Details)
			}
		}
	}
	if n, err := s.TrimSessions(ctx); n != 1 || err != nil {
		t.Errorf("removed %d sessions, %v, want the one that expired", n, err)
	}
	if n := pgtest.Count(t, conn, "SELECT sessions FROM mcp_totals"); n != 0 {
		t.Errorf("the total is %d, want 0", n)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.New(t))
	id, ctx := create(t, s, agent.HTTP), t.Context()
	long := strings.Repeat("x", 1001)
	with := func(change func(*agent.Session)) error {
		session := newSession(agent.HTTP)
		change(&session)
		return s.Create(ctx, session)
	}
	for what, err := range map[string]error{
		"parameters too long":      with(func(s *agent.Session) { s.Parameters = fmt.Appendf(nil, "%q", strings.Repeat("x", 64<<10)) }),
		"parameters no JSON":       with(func(s *agent.Session) { s.Parameters = json.RawMessage("{") }),
		"parameters no UTF-8":      with(func(s *agent.Session) { s.Parameters = json.RawMessage("\"\xff\"") }),
		"a client's name too long": with(func(s *agent.Session) { s.Client.Name = long }),
		"a client's title no text": with(func(s *agent.Session) { s.Client.Title = "\xff" }),
		"a version with a NUL":     with(func(s *agent.Session) { s.Client.Version = "1\x00" }),
		"a protocol too long":      with(func(s *agent.Session) { s.Protocol = long }),
		"no URI":                   s.Subscribe(ctx, id, ""),
		"a URI too long":           s.Subscribe(ctx, id, long),
		"a URI with a NUL":         s.Unsubscribe(ctx, id, "a\x00"),
		"a URI no text":            s.Subscribe(ctx, id, "\xff"),
		"a message too long":       s.Send(ctx, id, "", make([]byte, agent.MaxMessage+1)),
		"no message":               s.Send(ctx, id, "", nil),
		"a key too long":           s.Send(ctx, id, long, []byte("{}")),
		"a key with a NUL":         s.Send(ctx, id, "\x00", []byte("{}")),
		"a key no text":            s.Send(ctx, id, "\xff", []byte("{}")),
	} {
		wantCode(t, what, err, fault.BadRequest)
	}
	for what, err := range map[string]error{
		"parameters as deep as Go reads": with(func(s *agent.Session) {
			s.Parameters = json.RawMessage(strings.Repeat("[", 9999) + strings.Repeat("]", 9999))
		}),
		"parameters with a NUL":  with(func(s *agent.Session) { s.Parameters = json.RawMessage(`"\u0000"`) }),
		"a message of any bytes": s.Send(ctx, id, "", []byte{0, 0xff}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSeenIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, conn := start(t, url), start(t, url), pgtest.Connect(t, url)
	id := create(t, a, agent.HTTP)
	const version = "SELECT xmin::text FROM mcp_sessions"
	before := pgtest.Texts(t, conn, version)
	if _, err := a.Get(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if after := pgtest.Texts(t, conn, version); !slices.Equal(before, after) {
		t.Error("a session that was just made was written again")
	}
	pgtest.Exec(t, conn, "UPDATE mcp_sessions SET seen_at = now() - interval '1 h', expires_at = now() + interval '23 h'")
	if _, err := b.Get(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM mcp_sessions WHERE seen_at > now() - interval '1 min' AND expires_at > now() + interval '23.9 h'"); n != 1 {
		t.Error("a request did not prolong its session")
	}
}

// Beyond the limit the sessions go that were silent for longest, also when many are made at once.
func TestSessionsAreLimited(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, conn := start(t, url), start(t, url), pgtest.Connect(t, url)
	pgtest.Exec(t, conn, `INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id,
			agent_name, network, seen_at, expires_at)
		SELECT gen_random_uuid(), 'http', '', n, '', '', '{}', 'x', 'x', '', now() - interval '1 h' - n * interval '1 s',
			now() + interval '23 h' - n * interval '1 s'
		FROM generate_series(1, $1) n`, agent.MaxSessions-10)
	var g errgroup.Group
	for n := range 30 {
		g.Go(func() error { return []*agent.Service{a, b}[n%2].Create(t.Context(), newSession(agent.HTTP)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	got := pgtest.Texts(t, conn, `SELECT concat_ws(' ', count(*), (SELECT sessions FROM mcp_totals), count(*) FILTER (WHERE client_name = 'tester'),
		max(client_name::int) FILTER (WHERE client_name <> 'tester')) FROM mcp_sessions`)
	if want := fmt.Sprintf("%d %[1]d 30 %d", agent.MaxSessions, agent.MaxSessions-30); got[0] != want {
		t.Errorf("%s, want %s: sessions, total, new ones, the longest silent that is left", got[0], want)
	}
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url), start(t, url)
	id := create(t, a, agent.HTTP)
	m := openStream(t, a, id)
	take(t, m, 0)
	wakes(t, m)
	for n := range agent.MaxSubscriptions {
		for range 2 { // the second time is no error
			if err := b.Subscribe(t.Context(), id, fmt.Sprintf("layercake://projects/%02d", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wakes(t, m)
	wantCode(t, "one more", a.Subscribe(t.Context(), id, "x"), fault.BadRequest)
	for _, uri := range []string{"layercake://projects/00", "x"} {
		if err := a.Unsubscribe(t.Context(), id, uri); err != nil {
			t.Fatal(err)
		}
	}
	uris, err := a.Subscriptions(t.Context(), id)
	if err != nil || len(uris) != agent.MaxSubscriptions-1 || uris[0] != "layercake://projects/01" || !slices.IsSorted(uris) {
		t.Errorf("%q, %v", uris, err)
	}
}

// The limit of subscriptions and that of the inbox are exact when much comes at once.
func TestLimitsOfASessionAreExact(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, conn := start(t, url), start(t, url), pgtest.Connect(t, url)
	id := create(t, a, agent.SSE)
	var g errgroup.Group
	for n := range 100 {
		s := []*agent.Service{a, b}[n%2]
		g.Go(func() error {
			if err := s.Subscribe(t.Context(), id, fmt.Sprint(n)); err != nil && !fault.Is(err, fault.BadRequest) {
				return err
			}
			if err := s.Send(t.Context(), id, "", []byte("{}")); err != nil && !fault.Is(err, fault.RateLimited) {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	got := pgtest.Texts(t, conn, "SELECT concat_ws(' ', (SELECT count(*) FROM mcp_subscriptions), (SELECT count(*) FROM mcp_inbox))")
	if want := fmt.Sprint(agent.MaxSubscriptions, " ", agent.MaxMessages); got[0] != want {
		t.Errorf("%s subscriptions and messages, want %s", got[0], want)
	}
}

// What two replicas do to a session happens one after the other: the second waits, and then knows what the first did.
func TestChangesOfASessionTakeTurns(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, other, conn := start(t, url), pgtest.Connect(t, url), pgtest.Connect(t, url)
	id := create(t, s, agent.SSE)
	m := openStream(t, s, id)
	for _, c := range []struct {
		other string // statement of another replica
		own   func() error
		want  func(error) bool
	}{
		{
			"INSERT INTO mcp_subscriptions (session_id, uri) SELECT id, n FROM mcp_sessions, generate_series(1, 64) n",
			func() error { return s.Subscribe(t.Context(), id, "u") }, func(err error) bool { return fault.Is(err, fault.BadRequest) },
		},
		{
			"UPDATE mcp_sessions SET stream_id = gen_random_uuid()",
			func() error { _, err := m.Take(t.Context()); return err }, func(err error) bool { return errors.Is(err, agent.ErrReplaced) },
		},
		{
			"INSERT INTO mcp_inbox (session_id, key, body) SELECT id, '', 'x' FROM mcp_sessions, generate_series(1, 64) n",
			func() error { return s.Send(t.Context(), id, "q", []byte("x")) }, func(err error) bool { return fault.Is(err, fault.RateLimited) },
		},
	} {
		pgtest.Exec(t, other, "BEGIN")
		pgtest.Exec(t, other, "SELECT FROM mcp_sessions FOR NO KEY UPDATE")
		ended := make(chan error, 1)
		go func() { ended <- c.own() }()
		pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM pg_locks l WHERE NOT l.granted AND l.pid IN
			(SELECT pid FROM pg_stat_activity WHERE datname = current_database())`)
		pgtest.Exec(t, other, c.other)
		pgtest.Exec(t, other, "COMMIT")
		err := <-ended
		if fault.Is(err, fault.Unavailable) { // the machine stood still for longer than one waits for a lock
			err = c.own()
		}
		if !c.want(err) {
			t.Errorf("after %s: %v", c.other, err)
		}
	}
}

// Whoever waits for a session holds no connection of the pool meanwhile, but for one.
func TestOneSessionDoesNotTakeThePool(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, other, conn := start(t, url), pgtest.Connect(t, url), pgtest.Connect(t, url)
	id := create(t, s, agent.SSE)
	pgtest.Exec(t, other, "BEGIN")
	pgtest.Exec(t, other, "SELECT FROM mcp_sessions FOR NO KEY UPDATE")
	var g errgroup.Group
	for n := range 10 {
		g.Go(func() error { return s.Subscribe(t.Context(), id, fmt.Sprint(n)) })
		g.Go(func() error { return s.Send(t.Context(), id, "", []byte("x")) })
	}
	const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	pgtest.AwaitCount(t, conn, 1, waiting)
	for range 20 {
		if _, err := s.Subscriptions(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if n := pgtest.Count(t, conn, waiting); n > 1 {
		t.Errorf("%d connections wait for one session", n)
	}
	pgtest.Exec(t, other, "COMMIT")
	if err := g.Wait(); err != nil && !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestInboxIsLimited(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s, conn := start(t, url), pgtest.Connect(t, url)
	id := create(t, s, agent.SSE)
	for range 4 {
		mustSend(t, s, id, "", strings.Repeat("x", agent.MaxMessage))
	}
	err := s.Send(t.Context(), id, "", []byte("x"))
	wantCode(t, "more bytes", err, fault.RateLimited)
	if f := fault.From(err); f != nil && f.Details["retryAfterMs"] == nil {
		t.Errorf("not told when to try again: %v", f.Details)
	}
	// What is too old makes room.
	pgtest.Exec(t, conn, "UPDATE mcp_inbox SET at = at - interval '61 s'")
	mustSend(t, s, id, "", "x")
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM mcp_inbox"); n != 1 {
		t.Errorf("%d messages wait, want the new one", n)
	}
	pgtest.Exec(t, conn, "UPDATE mcp_inbox SET at = at - interval '59 s'")
	if n, err := s.TrimInbox(t.Context()); n != 0 || err != nil {
		t.Errorf("removed %d messages, %v, want none that is young", n, err)
	}
	pgtest.Exec(t, conn, "UPDATE mcp_inbox SET at = at - interval '59 s'")
	if n, err := s.TrimInbox(t.Context()); n != 1 || err != nil {
		t.Errorf("removed %d messages, %v, want the old one", n, err)
	}
	// Memory is as limited as the table.
	m := openStream(t, s, id)
	for range agent.MaxMessages {
		mustSend(t, s, id, "", "x")
	}
	wantCode(t, "more in memory", s.Send(t.Context(), id, "", []byte("x")), fault.RateLimited)
	take(t, m, agent.MaxMessages)
	for range 4 {
		mustSend(t, s, id, "", strings.Repeat("x", agent.MaxMessage))
	}
	wantCode(t, "more bytes in memory", s.Send(t.Context(), id, "", []byte("x")), fault.RateLimited)
}

// Cancellations of calls that have ended are taken by nobody. They fill no inbox, and are soon gone.
func TestPassingMessagesTakeNoRoom(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, conn := start(t, url), start(t, url), pgtest.Connect(t, url)
	id := create(t, a, agent.HTTP)
	cancel := func(n int) {
		t.Helper()
		if err := a.SendPassing(t.Context(), id, fmt.Sprint("cancel ", n), fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 * agent.MaxMessages {
		cancel(n)
	}
	const waiting = "SELECT count(*) FROM mcp_inbox"
	if n := pgtest.Count(t, conn, waiting); n != agent.MaxMessages {
		t.Errorf("%d messages wait, want %d", n, agent.MaxMessages)
	}
	for range agent.MaxMessages {
		mustSend(t, a, id, "q", "answer")
	}
	wantCode(t, "another answer", a.Send(t.Context(), id, "q", []byte("x")), fault.RateLimited)
	cancel(1000)
	m := openCall(t, b, id, "cancel 1000")
	if got := take(t, m, 1); got[0] != "1000" {
		t.Errorf("took %q, want the newest", got)
	}
	pgtest.Exec(t, conn, "UPDATE mcp_inbox SET at = at - interval '6 s'")
	cancel(1001)
	if n := pgtest.Count(t, conn, waiting+" WHERE passing"); n != 1 {
		t.Errorf("%d passing messages wait, want the new one", n)
	}
	pgtest.Exec(t, conn, "UPDATE mcp_inbox SET at = at - interval '6 s'")
	if n, err := a.TrimInbox(t.Context()); n != 1 || err != nil {
		t.Errorf("removed %d messages, %v, want the passing one", n, err)
	}
	if n := pgtest.Count(t, conn, waiting); n != agent.MaxMessages {
		t.Errorf("%d messages wait, want all answers", n)
	}
	// For a call that runs here there is as little room in memory, and it needs no more than one.
	openCall(t, a, id, "cancel 7")
	for range 2 * agent.MaxMessages {
		cancel(7)
	}
	wantCode(t, "no session", a.SendPassing(t.Context(), uuid.New(), "cancel 7", []byte("x")), fault.NotFound)
}

// Each message is taken once, in the order in which it was accepted, whichever replicas accept it: that with the stream, or others.
func TestMessagesAreTakenOnceInTheOrderInWhichTheyWereAccepted(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, c := start(t, url), start(t, url), start(t, url)
	id := create(t, a, agent.SSE)
	m := openStream(t, a, id)
	const each = 500
	var g errgroup.Group
	for name, replicas := range map[string][]*agent.Service{"one": {a, b}, "two": {c, a, b}} {
		g.Go(func() error {
			for n := range each {
				if err := send(t.Context(), replicas[n%len(replicas)], id, "", fmt.Sprintf("%s %03d", name, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	got := take(t, m, 2*each)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		var sent, came []string
		for n := range each {
			sent = append(sent, fmt.Sprintf("%s %03d", name, n))
		}
		for _, body := range got {
			if strings.HasPrefix(body, name) {
				came = append(came, body)
			}
		}
		if diff := cmp.Diff(sent, came); diff != "" {
			t.Errorf("sender %s (-sent +taken):\n%s", name, diff)
		}
	}
	if bodies, err := m.Take(t.Context()); len(bodies) > 0 || err != nil {
		t.Errorf("%d messages came again, %v", len(bodies), err)
	}
}

// A line that is lost costs a second. Nobody says a line about what is written in SQL, and nobody hears one that a fault test drops.
func TestLostLinesAreMadeUpFor(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, conn := start(t, url), pgtest.Connect(t, url)
	b := start(t, url, func(c *server.Config) { c.Loss = 1 })
	id := create(t, a, agent.SSE)
	m, call := openStream(t, a, id), openCall(t, a, id, "q 1")
	wakes(t, m)
	pgtest.Exec(t, conn, "INSERT INTO mcp_inbox (session_id, key, body) VALUES ($1, '', 'one')", id)
	got := take(t, m, 1)
	mustSend(t, b, id, "", "two")
	got = append(got, take(t, m, 1)...)
	mustSend(t, b, id, "q 1", "answer")
	got = append(got, take(t, call, 1)...)
	if diff := cmp.Diff([]string{"one", "two", "answer"}, got); diff != "" {
		t.Error(diff)
	}
	pgtest.Exec(t, conn, "UPDATE mcp_sessions SET revision = revision + 1")
	wakes(t, m)
	pgtest.Exec(t, conn, "UPDATE mcp_sessions SET stream_id = gen_random_uuid()")
	if err := ends(t, m); !errors.Is(err, agent.ErrReplaced) {
		t.Errorf("the stream ends with %v", err)
	}
	pgtest.Exec(t, conn, "DELETE FROM mcp_sessions")
	wantCode(t, "the call", ends(t, call), fault.NotFound)
}

func TestNewerStreamReplacesTheOlder(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url), start(t, url)
	id := create(t, a, agent.SSE)
	for _, newer := range []*agent.Service{b, a} {
		older := openStream(t, a, id)
		take(t, older, 0)
		m := openStream(t, newer, id)
		mustSend(t, a, id, "", "message") // a still has the older one
		if err := ends(t, older); !errors.Is(err, agent.ErrReplaced) {
			t.Errorf("the older stream ends with %v", err)
		}
		if got := take(t, m, 1); got[0] != "message" {
			t.Errorf("the newer stream took %q", got)
		}
		older.Close() // which does not touch the newer one
		mustSend(t, b, id, "", "another")
		if got := take(t, m, 1); got[0] != "another" {
			t.Errorf("the newer stream took %q", got)
		}
		m.Close()
	}
}

// A stream that is closed goes from the row of its session, unless a newer one has taken its place.
func TestClosedStreamsAreNotShown(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b, conn := start(t, url), start(t, url), pgtest.Connect(t, url)
	first, second := create(t, a, agent.SSE), create(t, a, agent.HTTP)
	const streams = "SELECT coalesce(sum(streams), 0) FROM layercake.mcp_sessions"
	older, newer, other := openStream(t, a, first), openStream(t, b, first), openStream(t, a, second)
	if n := pgtest.Count(t, conn, streams); n != 2 {
		t.Errorf("%d streams are shown, want one a session", n)
	}
	older.Close()
	other.Close() // the two are cleared in this order, or at once
	pgtest.AwaitCount(t, conn, 1, streams)
	newer.Close()
	pgtest.AwaitCount(t, conn, 0, streams)
}

// A call on one replica asks its client, who answers to another one.
func TestAnswersReachTheCallThatAsked(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := start(t, url), start(t, url)
	id := create(t, a, agent.HTTP)
	calls := []*agent.Mailbox{openCall(t, a, id, "q 1"), openCall(t, a, id, "q 2")}
	mustSend(t, b, id, "q 2", "second")
	mustSend(t, a, id, "q 1", "first")
	mustSend(t, b, id, "q 1", "first again")
	for i, want := range [][]string{{"first", "first again"}, {"second"}} {
		for _, want := range want {
			if got, err := calls[i].Await(t.Context()); err != nil || string(got) != want {
				t.Errorf("the call got %q, %v, want %q", got, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	if _, err := calls[0].Await(ctx); !errors.Is(err, over) {
		t.Errorf("a call that is over: %v", err)
	}
}

// What was accepted outlives a crash of the database, and is taken once, by a stream that lives.
func TestAcceptedMessagesOutliveACrashOfTheDatabase(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Server(t)
	a, b := start(t, cluster.URL), start(t, cluster.URL)
	id := create(t, a, agent.SSE)
	m := openStream(t, a, id)
	var want []string
	for round := range 3 {
		for n := range 20 {
			body := fmt.Sprintf("%d %02d", round, n)
			ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
			if err := send(ctx, []*agent.Service{b, a}[n%10/9], id, "", body); err != nil {
				t.Fatal(err)
			}
			cancel()
			want = append(want, body)
		}
		if round < 2 {
			cluster.Kill()
			cluster.Start()
		}
	}
	got := take(t, m, len(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-accepted +taken)\n%s", diff)
	}
}
