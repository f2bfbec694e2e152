package operate_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/operate"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// command runs a commander beside a core, until the test ends. It hears no lines.
func command(t *testing.T, core *servertest.Core, address string) *socket.Registry {
	t.Helper()
	registry, polls := socket.New(socket.Options{}), make(chan struct{})
	polled := sync.OnceFunc(func() { close(polls) })
	c := operate.NewCommander(operate.CommanderConfig{
		DB: core.DB.System, Wire: fanout.New(fanout.Config{}), Sockets: registry, Presence: core.Presence,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: prometheus.NewRegistry(), Address: func() string { return address },
		Incarnation: func() uuid.UUID { polled(); return core.Replica.Incarnation() },
	})
	commands := task.Go(t.Context(), c.Run)
	t.Cleanup(func() {
		if err := commands.Stop(); err != nil {
			t.Error(err)
		}
	})
	<-polls // it acts on what is commanded from now on
	return registry
}

// The kick of a guest ends its streams, on whichever replica they are, and removes it once. Those of its user go with a kick of the user.
func TestKicksOfGuests(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	a, b := servertest.StartCoreOn(t, url, nil), servertest.StartCoreOn(t, url, nil)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'One'), (2, 'Two')")
	registries := []*socket.Registry{command(t, a, "a"), command(t, b, "b")}
	streams := registries[1].Transport("x", socket.Timing{})
	stream := func(user string, guests ...uuid.UUID) *socket.Socket {
		s := streams.Admit(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		s.SetUser(user)
		s.SetGuests(guests...)
		t.Cleanup(s.Release)
		return s
	}
	id := presence.GuestID
	room, err := a.Presence.Enter(t.Context(), auth.Unchecked(auth.Actor{}, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Exit)
	changed := make(chan struct{}, 1)
	t.Cleanup(room.Watch(func() { task.Wake(changed) }))
	join := func(project int32, client string) {
		t.Helper()
		who := presence.Identity{UserID: client, Name: client, Agent: true, Transport: "mcp"}
		if err := b.Presence.JoinGuest(t.Context(), presence.Maker{Caller: client}, auth.Unchecked(auth.Actor{}, project), client, who); err != nil {
			t.Fatal(err)
		}
	}
	join(1, "ann")
	join(2, "ann")
	join(1, "bob")
	both, one, bob := stream("ann", id(1, "ann"), id(2, "ann")), stream("ann", id(2, "ann")), stream("bob", id(1, "bob"))
	const people = "SELECT format('%s in %s', user_name, project_id) FROM layercake.who ORDER BY 1"
	outcome := func(want string) {
		t.Helper()
		pgtest.AwaitTexts(t, conn, []string{want}, `SELECT format('%s %s: %s by %s', kind, target, connections, cardinality(acted_by))
			FROM layercake.commands ORDER BY id DESC LIMIT 1`)
	}

	pgtest.Exec(t, conn, "SELECT layercake.kick($1)", id(1, "ann"))
	outcome("kick_guest " + id(1, "ann").String() + ": 2 by 2")
	pgtest.AwaitTexts(t, conn, []string{"ann in 2", "bob in 1"}, people)
	if !both.Closed() || one.Closed() || bob.Closed() {
		t.Errorf("closed: the stream of the guest: %t, another of its client: %t, of somebody else: %t", both.Closed(), one.Closed(), bob.Closed())
	}
	enough := time.After(pgtest.Patience)
	for room.Entry(id(1, "ann")) != nil {
		select {
		case <-changed:
		case <-enough:
			t.Fatal("the guest is still shown")
		}
	}

	pgtest.Exec(t, conn, "SELECT layercake.kick_user('ann')")
	outcome("kick_user ann: 2 by 2")
	pgtest.AwaitTexts(t, conn, []string{"bob in 1"}, people)
	if !one.Closed() || bob.Closed() {
		t.Errorf("closed: the stream of the user: %t, of somebody else: %t", one.Closed(), bob.Closed())
	}
	pgtest.AwaitTexts(t, conn, []string{"ann kicked", "ann kicked", "bob is there"},
		"SELECT user_name || ' ' || coalesce(reason, 'is there') FROM layercake.presence_log ORDER BY 1")
}
