package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
)

const closeKicked = websocket.StatusCode(4000)

// visitor is a client with a socket, who listens until it is closed.
type visitor struct {
	ended chan struct{}
	close client.Closed // how the server ended it; read it after ended
}

// visit listens to a socket until the test ends.
func visit(t *testing.T, socket *client.Socket) *visitor {
	t.Helper()
	v := &visitor{ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		for {
			if _, err := socket.Receive(context.Background()); err != nil {
				var closed *client.Closed
				if errors.As(err, &closed) {
					v.close = *closed
				}
				return
			}
		}
	}()
	t.Cleanup(func() {
		socket.CloseNow()
		<-v.ended
	})
	return v
}

// join opens a socket of somebody in project 1.
func join(t *testing.T, url, user string) *visitor {
	t.Helper()
	return visit(t, enter(t, url, 1, client.Join{UserID: strings.ToLower(user), UserName: user, DocumentID: "plan"}))
}

// closed waits for the end of the socket, and says how the server ended it.
func (v *visitor) closed(t *testing.T) client.Closed {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(pgtest.Patience):
		t.Fatal("the socket is still open")
	}
	return v.close
}

func (v *visitor) isOpen() bool {
	select {
	case <-v.ended:
		return false
	default:
		return true
	}
}

// console is an operator's session.
type console struct {
	t    *testing.T
	conn *pgx.Conn
}

func openConsole(t *testing.T, database string) console {
	t.Helper()
	return console{t, pgtest.Connect(t, database)}
}

// text returns the one value of a query, as a text.
func (c console) text(sql string, args ...any) string {
	c.t.Helper()
	return pgtest.Texts(c.t, c.conn, sql, args...)[0]
}

// await asks until the one value of a query is as wanted.
func (c console) await(want, sql string, args ...any) {
	c.t.Helper()
	pgtest.AwaitTexts(c.t, c.conn, []string{want}, sql, args...)
}

func address(r *servertest.Replica) string { return strings.TrimPrefix(r.URL, "http://") }

func TestKick(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]float64{"on another replica": 0, "although lines are lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			replicas := servertest.StartOn(t, database, 3, func(c *server.Config) { c.Loss, c.AdminAddr = loss, "127.0.0.1:0" })
			newProject(t, replicas[0].URL)
			ann, bob := join(t, replicas[2].URL, "Ann"), join(t, replicas[1].URL, "Bob")
			dba := openConsole(t, database)
			dba.await("2", "SELECT count(*)::text FROM layercake.who")

			reason := strings.Repeat("ü", 100)
			began := time.Now()
			id := dba.text("SELECT layercake.kick(connection_id, $1)::text FROM layercake.who WHERE user_name = 'Ann'", reason)
			if got := ann.closed(t); got.Code != closeKicked || got.Reason != strings.Repeat("ü", 61) {
				t.Errorf("closed with %d %q, want %d and as much of the reason as there is room for", got.Code, got.Reason, closeKicked)
			}
			t.Logf("closed after %v", time.Since(began)) // the promise is 1 s, on a machine that is not busy
			dba.await("Bob", "SELECT string_agg(user_name, ',') FROM layercake.who")
			dba.await(fmt.Sprintf("kick {%s} 1 t", address(replicas[2])),
				`SELECT concat_ws(' ', kind, acted_by, connections, issued_by = session_user) FROM layercake.commands WHERE id::text = $1`, id)
			dba.await("kicked", "SELECT coalesce(max(reason), '') FROM layercake.presence_log")
			for n, want := range []string{"0", "0", "1"} {
				_, metrics := health(t, replicas[n].Admin+"/metrics")
				if line := `layercake_commands_total{kind="kick",outcome="acted"} ` + want + "\n"; !strings.Contains(metrics, line) {
					t.Errorf("metrics of replica %d lack %s", n, line)
				}
			}
			if !bob.isOpen() {
				t.Error("somebody else was kicked, too")
			}
		})
	}
}

// A client that does not take leave is gone for everybody else, and what it says does not bring it back.
func TestKickedClientThatStays(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	url := servertest.StartOn(t, database, 1, nil)[0].URL
	newProject(t, url)
	joining := client.Join{UserID: "ann", UserName: "Ann"}
	socket := enter(t, url, 1, joining)
	dba := openConsole(t, database)
	dba.await("1", "SELECT count(*)::text FROM layercake.who")
	dba.text("SELECT layercake.kick_user('ann')::text")
	dba.await("0", "SELECT count(*)::text FROM layercake.who")
	// The library waits 5 s for the peer's goodbye. Nobody else does.
	dba.await("true", `SELECT bool_and(l.left_at < c.acted_at + interval '4 s')::text
		FROM layercake.presence_log l, layercake.commands c WHERE l.reason = 'kicked' AND c.acted_at IS NOT NULL`)
	say(t, socket, string(joining.Frame()), string(client.MoveFrame("d", 1, 1)))
	// Somebody else comes later, and is there.
	bob := join(t, url, "Bob")
	dba.await("Bob", "SELECT coalesce(string_agg(user_name, ','), '') FROM layercake.who")
	if !bob.isOpen() {
		t.Error("somebody else was kicked")
	}
	if visits := dba.text("SELECT count(*)::text FROM layercake.presence_log WHERE user_name <> 'Bob'"); visits != "1" {
		t.Errorf("%s visits, want one: others saw the kicked come back", visits)
	}
}

// A user is kicked once, everywhere: not again after coming back, nor by a replica that began later.
func TestKickUser(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 3, nil)
	newProject(t, replicas[0].URL)
	anns := []*visitor{join(t, replicas[0].URL, "Ann"), join(t, replicas[1].URL, "Ann"), join(t, replicas[1].URL, "Ann")}
	bob := join(t, replicas[2].URL, "Bob")
	dba := openConsole(t, database)
	dba.await("4", "SELECT count(*)::text FROM layercake.who")

	dba.text("SELECT layercake.kick_user('ann')::text")
	for _, ann := range anns {
		if got := ann.closed(t); got.Code != closeKicked || got.Reason != "Disconnected by an operator" {
			t.Errorf("closed with %d %q", got.Code, got.Reason)
		}
	}
	dba.await("3 replicas, 3 connections",
		"SELECT format('%s replicas, %s connections', cardinality(acted_by), connections) FROM layercake.commands")
	back := []*visitor{join(t, replicas[1].URL, "Ann"), join(t, servertest.StartOn(t, database, 1, nil)[0].URL, "Ann")}
	dba.await("3", "SELECT count(*)::text FROM layercake.who")

	// When the next command was acted on by all, all looked at the first one again.
	dba.text("SELECT layercake.kick_user('bob')::text")
	if got := bob.closed(t); got.Code != closeKicked {
		t.Errorf("closed with %d %q", got.Code, got.Reason)
	}
	dba.await("4", "SELECT cardinality(acted_by)::text FROM layercake.commands ORDER BY id DESC LIMIT 1")
	for n, ann := range back {
		if !ann.isOpen() {
			t.Errorf("who came back was kicked again (%d)", n)
		}
	}
	dba.await("3", "SELECT cardinality(acted_by)::text FROM layercake.commands ORDER BY id LIMIT 1")
}

// Whoever may connect can say that there is a command. Replicas look, but not each time.
func TestLooksForCommandsAreBounded(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })[0]
	conn := pgtest.Connect(t, database)
	looks := func() (n int) {
		_, metrics := health(t, replica.Admin+"/metrics")
		_, counted, _ := strings.Cut(metrics, `layercake_database_query_seconds_count{pool="system",query="ListCommands"} `)
		_, _ = fmt.Sscan(counted, &n)
		return n
	}
	until(t, "the first look", func() bool { return looks() > 0 })
	began := time.Now()
	before, said := looks(), 0
	for ; said < 2000; said++ {
		pgtest.Exec(t, conn, "SELECT pg_notify('layercake_presence', E'1 - - 0\na nothing')")
	}
	until(t, "a look", func() bool { return looks() > before })
	if n, most := looks()-before, int(time.Since(began)/(250*time.Millisecond))+2; n > most {
		t.Errorf("%d looks after %d notices, want at most %d", n, said, most)
	}
}

// health returns what /health says, and the status.
func health(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer := fetch(t, url)
	return answer.Status, string(answer.Text)
}

// refuses reports whether a replica takes no sockets.
func refuses(t *testing.T, url string) bool {
	t.Helper()
	for _, path := range []string{graphQLSocket, collaborationSocket} {
		socket, err := client.Dialer{Timeout: pgtest.Patience}.Open(t.Context(), url, path)
		var unopened *client.Unopened
		switch {
		case err == nil:
			socket.CloseNow()
			return false
		case !errors.As(err, &unopened):
			t.Fatal(err)
		case unopened.Status != http.StatusServiceUnavailable:
			t.Errorf("%s: status %d, want 503", path, unopened.Status)
		}
	}
	return true
}

func TestDrainAndUndrain(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 3, nil)
	newProject(t, replicas[0].URL)
	victim := replicas[1]
	greeted, err := client.Dialer{Timeout: pgtest.Patience}.GraphQL(t.Context(), victim.URL)
	if err != nil {
		t.Fatal(err)
	}
	visitors := []*visitor{visit(t, greeted.Socket)}
	for range 5 {
		visitors = append(visitors, join(t, victim.URL, "Ann"))
	}
	elsewhere := join(t, replicas[0].URL, "Bob")
	dba := openConsole(t, database)
	dba.await("6", "SELECT count(*)::text FROM layercake.who")

	dba.text("SELECT layercake.drain($1, '500 ms')::text", address(victim))
	for _, v := range visitors {
		if got := v.closed(t); got.Code != websocket.StatusServiceRestart || !strings.Contains(got.Reason, "retryAfterMs") {
			t.Errorf("closed with %d %q, want 1012", got.Code, got.Reason)
		}
	}
	status, body := health(t, victim.URL+"/health/ready")
	if want := "drained by " + dba.text("SELECT session_user::text"); status != http.StatusServiceUnavailable || !strings.Contains(body, want) {
		t.Errorf("health of a drained replica: %d %s, want %q", status, body, want)
	}
	if !refuses(t, victim.URL) {
		t.Error("a drained replica takes sockets")
	}
	if a := ask(t, victim.URL, addNode(1)); a.Code() != "" {
		t.Errorf("a change on a drained replica: %+v", a.Errors)
	}
	dba.await("true", "SELECT bool_and(state = CASE address WHEN $1 THEN 'draining' ELSE 'live' END)::text FROM layercake.replicas", address(victim))
	dba.await("Bob", "SELECT string_agg(user_name, ',') FROM layercake.who")
	if !elsewhere.isOpen() || get(t, replicas[0].URL+"/health") != http.StatusOK {
		t.Error("another replica was drained, too")
	}
	dba.await("6", "SELECT connections::text FROM layercake.commands")

	dba.text("SELECT layercake.undrain(left(replica, 13))::text FROM layercake.replicas WHERE address = $1", address(victim))
	until(t, "the replica to be ready", func() bool { return get(t, victim.URL+"/health/ready") == http.StatusOK })
	if refuses(t, victim.URL) {
		t.Error("an undrained replica takes no sockets")
	}
	dba.await("true", "SELECT bool_and(state = 'live')::text FROM layercake.replicas")

	// A drain that is called off leaves the sockets alone that were not closed yet: here the second, which would be 8 s later.
	goes, stays := join(t, victim.URL, "Ann"), join(t, victim.URL, "Ann")
	dba.text("SELECT layercake.drain($1, '20 s')::text", address(victim))
	select {
	case <-goes.ended:
	case <-stays.ended:
		goes, stays = stays, goes
	case <-time.After(pgtest.Patience):
		t.Fatal("no socket was closed")
	}
	dba.text("SELECT layercake.undrain($1)::text", address(victim))
	dba.await("true", "SELECT (cardinality(acted_by) = 1)::text FROM layercake.commands ORDER BY id DESC LIMIT 1") // the drain has ended: nobody closes any more
	if status := get(t, victim.URL+"/health/ready"); status != http.StatusOK || !stays.isOpen() {
		t.Errorf("after a drain that was called off /health is %d, and the socket that was not closed yet is open: %t", status, stays.isOpen())
	}

	// A replica that is being drained stops in order, and in time.
	dba.text("SELECT layercake.drain($1, '1 hour')::text", address(victim))
	until(t, "the drain", func() bool { return get(t, victim.URL+"/health/ready") != http.StatusOK })
	victim.Stop(t)
	if got := stays.closed(t); got.Code != websocket.StatusServiceRestart {
		t.Errorf("closed with %d %q, want 1012", got.Code, got.Reason)
	}
}
