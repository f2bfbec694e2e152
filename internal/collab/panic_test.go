package collab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/client"
	"layercake/internal/fanout"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// syncLog holds what was logged.
type syncLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *syncLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A panic in what a socket reads or is sent ends this socket. Its connection leaves the room, and others are served.
func TestPanicEndsItsOwnSocket(t *testing.T) {
	t.Parallel()
	for name, breakFor := range map[string]func(room *presence.Room) (mend func()){
		"while reading": func(room *presence.Room) func() {
			var once atomic.Bool
			return room.Watch(func() {
				if once.CompareAndSwap(false, true) {
					panic("boom")
				}
			})
		},
		"while writing": func(room *presence.Room) func() {
			bad := uuid.New()
			who := presence.Identity{UserID: "bad", Name: "B"}
			place := &presence.Place{Document: "d", Position: json.RawMessage(`{`), At: time.Now()} // nobody can encode it
			if err := room.Join(bad, who, place, time.Now()); err != nil {
				t.Error(err)
			}
			return func() { room.Leave(bad, presence.ReasonLeft) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, socket.DefaultTiming, time.Hour)
			room, err := s.core.Presence.Enter(t.Context(), auth.Unchecked(auth.Actor{}, int32(s.project)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(room.Exit)
			bob := open(t, s.url, s.newProject(t))
			bob.join("bob", "Bob", "")
			mend := breakFor(room)
			ann := open(t, s.url, s.project)
			ann.send(string(client.Join{UserID: "ann", UserName: "Ann"}.Frame()))
			if code, reason := ann.closeStatus(); code != websocket.StatusInternalError {
				t.Errorf("closed with %d %q", code, reason)
			}
			mend()
			s.sockets.Changed.Await(t, "the socket to end", func() bool { return closedAs(t, s.metrics, "internal") == 1 })
			if n := room.Size(); n != 0 {
				t.Errorf("%d are still in the room", n)
			}
			if n := counted(t, s.metrics, "layercake_panics_total", "where", "socket"); n != 1 {
				t.Errorf("%v panics were counted", n)
			}
			if text := s.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "stack=") {
				t.Errorf("logged %s", text)
			}
			if got := bob.ask(`{"type":"ping"}`); got != "pong: " {
				t.Errorf("the other got %q", got)
			}
			again := open(t, s.url, s.project)
			again.join("ann", "Ann", "")
			again.wait("herself", func() bool { return len(again.users) == 1 })
		})
	}
}

// People who cannot be, said by something that is heard like a replica, are shown to nobody and end nothing.
func TestForgedPeopleAreRefused(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica, forger := servertest.StartOn(t, database, 1, nil)[0], servertest.StartCoreOn(t, database, nil)
	project := newProject(t, replica.URL)
	ann := open(t, replica.URL, project)
	ann.join("ann", "Ann", "d")
	for _, member := range []string{
		`"m":253402300800000`, `"d":"d","a":253402300800000`, `"n":" "`, `"d":"\u0000"`, `"i":"00000000-0000-0000-0000-000000000000"`,
	} {
		forger.Wire.Publish(fanout.Line{Letter: 'j', Text: fmt.Sprintf(`%d %s {"i":"%s","r":1,"u":"lie","n":"Lie",%s}`,
			project, uuid.New(), forger.Replica.Incarnation(), member)})
	}
	// The truth comes on the same channel, and so after the lies.
	room, err := forger.Presence.Enter(t.Context(), auth.Unchecked(auth.Actor{}, int32(project)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Exit)
	who := presence.Identity{UserID: "truth", Name: "Truth", Transport: "collaboration"}
	if err := room.Join(uuid.New(), who, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	ann.wait("who is there", func() bool { return ann.users["truth"].IsOnline })
	ann.mu.Lock()
	defer ann.mu.Unlock()
	if len(ann.users) != 2 {
		t.Errorf("ann is shown %v", ann.users)
	}
}
