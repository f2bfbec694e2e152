package presence_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
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

// caught returns how many panics were logged, of each part of a replica.
func (l *syncLog) caught() (wire, tracker int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		switch {
		case !strings.Contains(line, "stack="):
		case strings.Contains(line, "where=wire"):
			wire++
		case strings.Contains(line, "where=presence"):
			tracker++
		}
	}
	return wire, tracker
}

// Whoever panics while a line is heard, while rooms are compared with the table, or while rows are written, ends this one try: lines are
// heard, rooms compared and rows written as before.
func TestPanicsEndOneRound(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	log := &syncLog{}
	core := servertest.StartCoreOn(t, url, func(c *server.Config) {
		c.Log, c.Lease, c.Presence = slog.New(slog.NewTextHandler(log, nil)), fast.lease, fast.people
	})
	here := &node{Tracker: core.Presence, Replica: core.Replica, projects: core.Projects}
	there := start(t, url)
	project := here.newProject(t)
	room, roomThere := here.enter(t, project), there.enter(t, project)
	var armed atomic.Bool
	reached := make(chan struct{}, 1)
	t.Cleanup(room.Watch(func() {
		if armed.CompareAndSwap(true, false) {
			reached <- struct{}{}
			panic("boom")
		}
	}))

	armed.Store(true)
	bob := join(t, roomThere, "bob")
	<-reached // the line was heard
	roomThere.Leave(bob, presence.ReasonLeft)
	await(t, room, "bob to leave", func() bool { return room.Size() == 0 })

	ann := join(t, roomThere, "ann")
	await(t, room, "ann", func() bool { return room.Person("ann") != nil })
	conn := pgtest.Connect(t, url)
	pgtest.AwaitCount(t, conn, 1, countPresence)
	armed.Store(true)
	pgtest.Exec(t, conn, "UPDATE presence SET revision = revision + 1, user_name = 'X'")
	here.Doubt("test")
	<-reached // the table was compared
	pgtest.Exec(t, conn, "UPDATE presence SET revision = revision + 1, user_name = 'Y'")
	here.Doubt("test")
	await(t, room, "ann under another name", func() bool { return room.Entry(ann).Name == "Y" })

	here.BreakWrites()
	eve := join(t, room, "eve")
	pgtest.AwaitCount(t, conn, 2, countPresence)
	room.Leave(eve, presence.ReasonLeft)
	pgtest.AwaitCount(t, conn, 1, countPresence)
	if wire, tracker := log.caught(); wire != 1 || tracker != 1 {
		t.Errorf("%d panics of the wire and %d of the tracker were logged, want the first of each", wire, tracker)
	}
}
