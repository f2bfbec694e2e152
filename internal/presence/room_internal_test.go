package presence

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/replica"

	"github.com/google/uuid"
)

// newTestTracker is a tracker that never runs.
func newTestTracker() *Tracker {
	return New(Config{Wire: fanout.New(fanout.Config{}), Replica: replica.New(replica.Config{})})
}

// newTestRoom is a room of such a tracker.
func newTestRoom() *Room { return &Room{room: newRoom(1), tracker: newTestTracker()} }

func rowOf(connection, incarnation uuid.UUID, revision int64) db.ListPresenceRow {
	return db.ListPresenceRow{ConnectionID: connection, Incarnation: &incarnation, ProjectID: 1, Revision: revision, UserID: "u", UserName: "U"}
}

func TestAnswersAreComparedWithWhatWasKnownWhenAsked(t *testing.T) {
	t.Parallel()
	incarnation := uuid.New()
	said := func(revision int64) line {
		return line{Incarnation: incarnation, Revision: revision, UserID: "u", Name: "U"}
	}
	c := uuid.New()

	t.Run("one that joined since is not removed", func(t *testing.T) {
		t.Parallel()
		r := newTestRoom()
		asked := r.baseline()
		r.hear(c, said(1), false)
		r.correct(asked, nil, time.Now())
		if r.Entry(c) == nil {
			t.Error("removed by an old answer")
		}
		r.correct(r.baseline(), nil, time.Now())
		if r.Entry(c) != nil {
			t.Error("kept against a new answer")
		}
	})
	t.Run("one that left since does not come back", func(t *testing.T) {
		t.Parallel()
		r := newTestRoom()
		r.hear(c, said(1), false)
		asked := r.baseline()
		r.tracker.rooms[1] = r
		r.tracker.hearLeave(1, c, leaveLine{incarnation: incarnation})
		r.correct(asked, []db.ListPresenceRow{rowOf(c, incarnation, 1)}, time.Now())
		if r.Entry(c) != nil {
			t.Error("came back with an old answer")
		}
	})
	t.Run("an older row changes nothing", func(t *testing.T) {
		t.Parallel()
		r := newTestRoom()
		r.hear(c, said(7), false)
		before := r.Entry(c)
		r.correct(r.baseline(), []db.ListPresenceRow{rowOf(c, incarnation, 6)}, time.Now())
		if r.Entry(c) != before {
			t.Error("an older row replaced what a line said")
		}
	})
	t.Run("nobody is removed while it is quiet", func(t *testing.T) {
		t.Parallel()
		r := newTestRoom()
		r.hear(c, said(1), false)
		r.correct(r.baseline(), nil, time.Time{})
		if r.Entry(c) == nil {
			t.Error("removed")
		}
	})
}

// What follows from a change is in what the room returns: nobody else knows of it.
func TestEffects(t *testing.T) {
	t.Parallel()
	r, c, other, incarnation := newRoom(1), uuid.New(), uuid.New(), uuid.New()
	now := time.Now()
	in := func(document, position string) Place {
		return Place{Document: document, Position: []byte(position), At: now}
	}
	first := func(follows effects, _ any) effects { return follows }
	joined := func(name string) effects { return first(r.join(c, Identity{UserID: "u", Name: name}, nil, now)) }
	said := line{Incarnation: incarnation, Revision: 2, UserID: "o", Name: "O"}
	for _, step := range []struct {
		what   string
		change func() effects
		want   string
	}{
		{"a join", func() effects { return joined("U") }, "notify write"},
		{"another join as the same", func() effects { return joined("U") }, "notify write"},
		{"a join as somebody else", func() effects { return joined("V") }, "notify write"},
		{"the same after a minute", func() effects { now = now.Add(visitTime); return joined("W") }, "notify write renamed"},
		{"a document", func() effects { return first(r.move(c, in("d", ""))) }, "notify write"},
		{"a cursor", func() effects { return first(r.move(c, in("d", "{}"))) }, "notify move"},
		{"another document", func() effects { return first(r.move(c, in("e", "{}"))) }, "notify write"},
		{"a sign of life", func() effects { return r.touch(c, now.Add(1)) }, "notify write"},
		{"an older one", func() effects { return r.touch(c, now) }, ""},
		{"a line about the own", func() effects { return r.hear(c, said, false) }, ""},
		{"a leave of the own", func() effects { return r.hearLeave(c, leaveLine{}) }, ""},
		{"a move of somebody unknown", func() effects { return r.hear(other, said, true) }, ""},
		{"a join elsewhere", func() effects { return r.hear(other, said, false) }, "notify"},
		{"an older line", func() effects { return r.hear(other, said, true) }, ""},
		{"a move of another's", func() effects { return first(r.move(other, in("d", ""))) }, ""},
		{"a leave of another's", func() effects { return first(r.leave(other, ReasonLeft)) }, ""},
		{"a table that agrees", func() effects {
			return r.correct(r.baseline(), []db.ListPresenceRow{rowOf(other, incarnation, 2)}, now)
		}, ""},
		{"a newer row", func() effects {
			return r.correct(r.baseline(), []db.ListPresenceRow{rowOf(other, incarnation, 3)}, now)
		}, "notify"},
		{"a leave elsewhere", func() effects { return r.hearLeave(other, leaveLine{incarnation: incarnation}) }, "notify"},
		{"a leave", func() effects { return first(r.leave(c, ReasonClosed)) }, "notify write closed"},
		{"another one", func() effects { return first(r.leave(c, ReasonClosed)) }, ""},
		{"the end of the project", r.end, "notify"},
	} {
		follows := step.change()
		var words []string
		for _, effect := range []struct {
			set  bool
			word string
		}{{follows.notify, "notify"}, {follows.write, "write"}, {follows.move, "move"}} {
			if effect.set {
				words = append(words, effect.word)
			}
		}
		for _, v := range follows.visits {
			words = append(words, string(v.reason))
		}
		if got := strings.Join(words, " "); got != step.want {
			t.Errorf("after %s follows %q, want %q", step.what, got, step.want)
		}
		if (follows.write || follows.move) != (follows.connection == c) {
			t.Errorf("%s is about %v", step.what, follows.connection)
		}
	}
}

func TestLeaveOfAnotherLifeIsIgnored(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	r.tracker.rooms[1] = r
	c, before, now := uuid.New(), uuid.New(), uuid.New()
	r.hear(c, line{Incarnation: before, Revision: 3, UserID: "u"}, false)
	seq := r.Roster().Seq
	r.hear(c, line{Incarnation: now, Revision: 3, UserID: "u"}, false)
	if r.Roster().Seq != seq {
		t.Error("another life is news to watchers")
	}
	r.tracker.hearLeave(1, c, leaveLine{incarnation: before})
	if r.Entry(c) == nil {
		t.Error("removed with the life before")
	}
	r.tracker.hearLeave(1, c, leaveLine{incarnation: now})
	if r.Entry(c) != nil {
		t.Error("not removed")
	}
}

func TestMoveDoesNotOvertakeItsDocument(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	c := uuid.New()
	if err := r.Join(c, Identity{UserID: "u", Name: "U"}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.Move(c, Place{Document: "d", Type: "canvas", At: time.Now()})
	r.Move(c, Place{Document: "d", Type: "canvas", Position: []byte("{}"), At: time.Now()})
	if _, taken := r.tracker.takeCursors(); len(taken) != 0 {
		t.Error("a cursor is told before its document is")
	}
	r.tracker.pending = map[uuid.UUID]pendingWrite{}
	if _, taken := r.tracker.takeCursors(); len(taken) != 1 {
		t.Error("the cursor is lost")
	}
}

func TestSinceTellsEachConnectionOnce(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for n, c := range ids {
		if err := r.Join(c, Identity{UserID: string(rune('a' + n)), Name: "N"}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	_, seq, _ := r.Since(0, 10)
	for range 5 {
		r.Move(ids[0], Place{Document: "d", At: time.Now()})
	}
	r.Leave(ids[1], ReasonLeft)
	changes, now, ok := r.Since(seq, 10)
	if !ok || len(changes) != 2 || now <= seq {
		t.Fatalf("%d changes, %v, want a move and a departure", len(changes), ok)
	}
	for _, c := range changes {
		if c.Left != (c.Entry.Connection == ids[1]) || c.Left == (c.Person != nil) {
			t.Errorf("%+v", c)
		}
	}
	if _, _, ok := r.Since(seq, 1); ok {
		t.Error("two changes where one was asked for")
	}
	if changes, _, ok := r.Since(now, 10); !ok || len(changes) != 0 {
		t.Errorf("%d changes since now", len(changes))
	}
	for range 20 * maxLeaves {
		c := uuid.New()
		_ = r.Join(c, Identity{UserID: "x", Name: "N"}, nil, time.Now())
		r.Leave(c, ReasonLeft)
	}
	if n := r.leaves.Len(); n > 16*maxLeaves || len(r.leaveOf) != n {
		t.Errorf("%d departures are remembered, %d by connection", n, len(r.leaveOf))
	}
	if _, _, ok := r.Since(now, 1_000_000); ok {
		t.Error("changes that were forgotten are not missed")
	}
}

func TestWhoComesBackAsSomebodyElseLeavesNoGhost(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	c := uuid.New()
	join := func(user string) {
		if err := r.Join(c, Identity{UserID: user, Name: "N"}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	join("a")
	_, seq, _ := r.Since(0, 10)
	join("b")
	r.Leave(c, ReasonLeft)
	join("c")
	online := map[string]bool{"a": true}
	changes, _, _ := r.Since(seq, 10)
	for _, change := range changes {
		online[change.Entry.UserID] = change.Person != nil
	}
	if online["a"] || online["b"] || !online["c"] {
		t.Errorf("online are %v, want c alone", online)
	}
	if r.Size() != 1 || len(r.Roster().People) != 1 {
		t.Errorf("%d connections of %d people", r.Size(), len(r.Roster().People))
	}
}

func TestRoomIsBounded(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	for range MaxPeople {
		if err := r.Join(uuid.New(), Identity{UserID: "u", Name: "N"}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	one := r.own()[0]
	if err := r.Join(uuid.New(), Identity{UserID: "u", Name: "N"}, nil, time.Now()); err != ErrFull { //nolint:errorlint // the very one
		t.Errorf("got %v, want ErrFull", err)
	}
	for n := range 10_000 {
		r.Move(one, Place{Document: string(rune(n)) + "d", At: time.Now()})
	}
	if len(r.documents) != 1 {
		t.Errorf("%d documents, want the one that somebody is in", len(r.documents))
	}
}

// The bound also holds for what lines say and what the table holds. Lines keep nobody out who is here; what the table holds does.
func TestRoomIsBoundedForOthers(t *testing.T) {
	t.Parallel()
	incarnation := uuid.New()
	r := newRoom(1)
	join := func() error {
		_, err := r.join(uuid.New(), Identity{UserID: "u", Name: "N"}, nil, time.Now())
		return err
	}
	said := line{Incarnation: incarnation, Revision: 1, UserID: "u", Name: "N"}
	var heard []uuid.UUID
	for range MaxPeople {
		c := uuid.New()
		heard = append(heard, c)
		r.hear(c, said, false)
	}
	if f := r.hear(uuid.New(), said, false); f.noRoom != 1 || f.notify || r.Size() != MaxPeople {
		t.Errorf("one too many was heard: %+v, %d people", f, r.Size())
	}
	said.Revision++
	if f := r.hear(heard[0], said, true); f.noRoom != 0 || !f.notify {
		t.Errorf("who is there moved: %+v", f)
	}
	if err := join(); err != nil {
		t.Errorf("nobody is here but those of whom lines speak: %v", err)
	}
	var rows []db.ListPresenceRow
	for _, c := range heard[:MaxPeople-1] {
		rows = append(rows, rowOf(c, incarnation, 3))
	}
	stranger := rowOf(uuid.New(), incarnation, 1)
	asked := r.baseline()
	if f := r.correct(asked, append(rows, stranger), time.Time{}); f.noRoom != 1 || r.Size() != MaxPeople+1 {
		t.Errorf("the table was read: %+v, %d people", f, r.Size())
	}
	if err := join(); err != ErrFull { //nolint:errorlint // the very one
		t.Errorf("with %d people in the table: %v, want ErrFull", MaxPeople-1, err)
	}
	// The one of whom only a line spoke goes, and its room is used at once.
	if f := r.correct(r.baseline(), append(rows[1:], stranger), time.Now()); f.noRoom != 0 || r.Entry(stranger.ConnectionID) == nil || r.Size() != MaxPeople {
		t.Errorf("after some went: %+v, %d people", f, r.Size())
	}
}

func TestVisitsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	c := uuid.New()
	for n := range 100 {
		now := time.Now().Add(time.Duration(n) * visitTime)
		if err := r.Join(c, Identity{UserID: "u", Name: string(rune('A' + n%2))}, nil, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.tracker.pending[c].visits); n != maxVisits {
		t.Errorf("%d visits wait for the log, want %d", n, maxVisits)
	}
}

// Many connections that come and go as ever others make the room forget their leaves, but not when their visits began.
func TestNoConnectionBeginsVisitsFasterThanAMinute(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	now := time.Now()
	connections := make([]uuid.UUID, 2*16*maxLeaves/10)
	for n := range connections {
		connections[n] = uuid.New()
	}
	begun := map[uuid.UUID]map[time.Time]bool{}
	for round := range 10 {
		for n, c := range connections {
			who := Identity{UserID: fmt.Sprint(n, " ", round), Name: "N"}
			if err := r.Join(c, who, nil, now.Add(time.Duration(round)*visitTime/10)); err != nil {
				t.Fatal(err)
			}
			if begun[c] == nil {
				begun[c] = map[time.Time]bool{}
			}
			begun[c][r.Entry(c).since] = true
			r.Leave(c, ReasonLeft)
		}
	}
	for c, times := range begun {
		if len(times) != 1 || len(r.tracker.pending[c].visits) != 1 {
			t.Fatalf("a connection began %d visits within a minute, and %d wait for the log", len(times), len(r.tracker.pending[c].visits))
		}
		r.Leave(c, ReasonClosed)
	}
	if n := len(r.visits); n != 0 {
		t.Errorf("the room remembers visits of %d connections that are gone", n)
	}
}

func TestOwnConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	r.tracker.rooms[1], r.tracker.rooms[2] = r, &Room{room: newRoom(2)}
	for range 3 {
		if err := r.Join(uuid.New(), Identity{UserID: "u", Name: "N"}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	r.hear(uuid.New(), line{Revision: 1, UserID: "elsewhere"}, false)
	r.Leave(r.own()[0], ReasonLeft)
	if n := r.tracker.own(); n != 2 {
		t.Errorf("%d own connections, want 2", n)
	}
	if got, want := r.tracker.ownByProject(), map[int32]int{1: 2}; !maps.Equal(got, want) {
		t.Errorf("got %v by project, want %v", got, want)
	}
}

func TestLeaveThatComesAfterTheReturnIsIgnored(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	r.tracker.rooms[1] = r
	c := uuid.New()
	said := func(revision int64) line {
		return line{Incarnation: guestIncarnation, Revision: revision, UserID: "u", Name: "U"}
	}
	r.hear(c, said(10), false)
	r.hear(c, said(12), false) // another replica let the guest in again
	left, err := parseLeaveLine(leaveLine{guestIncarnation, 10}.encode())
	if err != nil {
		t.Fatal(err)
	}
	r.tracker.hearLeave(1, c, left)
	if r.Entry(c) == nil {
		t.Error("removed by a departure before the return")
	}
	left.revision = 12
	r.tracker.hearLeave(1, c, left)
	if r.Entry(c) != nil {
		t.Error("not removed")
	}
	// Its row may stand again although the line about it was lost.
	r.correct(r.baseline(), []db.ListPresenceRow{{ConnectionID: c, ProjectID: 1, Revision: 13, UserID: "u", UserName: "U"}}, time.Now())
	if r.Entry(c) == nil {
		t.Error("the table does not bring a guest back")
	}
}
