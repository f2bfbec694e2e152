package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// newWatcher watches a room from now on.
func newWatcher(r *Room) *watcher {
	w := &watcher{room: r, present: make(map[string]Arrival)}
	w.poll()
	return w
}

// told looks, and writes who came and left such as "+a -b".
func (w *watcher) polled() string {
	var all []string
	for _, v := range w.poll() {
		sign := "+"
		if v.Left {
			sign = "-"
		}
		all = append(all, sign+v.UserID)
	}
	return strings.Join(all, " ")
}

func (r *Room) joinAs(t *testing.T, user string) uuid.UUID {
	t.Helper()
	c := uuid.New()
	if err := r.Join(c, Identity{UserID: user, Name: "N"}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	return c
}

func expect(t *testing.T, w *watcher, want string) {
	t.Helper()
	if got := w.polled(); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestPeopleComeWithTheirFirstConnectionAndLeaveWithTheirLast(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	there := r.joinAs(t, "there")
	w := newWatcher(r)
	expect(t, w, "")
	a, b := r.joinAs(t, "a"), r.joinAs(t, "b")
	expect(t, w, "+a +b")
	tab := r.joinAs(t, "a")
	r.Move(a, Place{Document: "d", At: time.Now()})
	expect(t, w, "")
	r.Leave(a, ReasonLeft)
	expect(t, w, "")
	r.Leave(tab, ReasonLeft)
	r.joinAs(t, "c")
	r.Leave(b, ReasonLeft)
	expect(t, w, "-a +c -b")
	r.Leave(there, ReasonLeft)
	expect(t, w, "-there")
	if err := r.Join(tab, Identity{UserID: "d", Name: "N"}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := r.Join(tab, Identity{UserID: "e", Name: "N"}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	expect(t, w, "+e")
	if err := r.Join(tab, Identity{UserID: "d", Name: "N"}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	expect(t, w, "-e +d")
	flicker := r.joinAs(t, "flicker")
	r.Leave(flicker, ReasonLeft)
	expect(t, w, "")
}

// However much happens while a watcher is busy, it is told what came of it, and once.
func TestWatcherThatWasOvertaken(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	stays, goes := r.joinAs(t, "stays"), r.joinAs(t, "goes")
	w := newWatcher(r)
	for n := range 20 * maxLeaves {
		r.Leave(r.joinAs(t, fmt.Sprint("flicker ", n)), ReasonLeft)
	}
	r.Leave(goes, ReasonLeft)
	comes := r.joinAs(t, "comes")
	if _, _, ok := r.Since(w.seq, maxLeaves); ok {
		t.Fatal("it was not overtaken")
	}
	expect(t, w, "+comes -goes")
	expect(t, w, "")
	r.Leave(stays, ReasonLeft)
	r.Leave(comes, ReasonLeft)
	expect(t, w, "-stays -comes")
	if len(w.present) != 0 {
		t.Errorf("%d are remembered", len(w.present))
	}
}

func TestNoPassageHasTheIDOfAnother(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	w := newWatcher(r)
	c, began := uuid.New(), time.Now()
	var ids []string
	look := func() {
		for _, v := range w.poll() {
			ids = append(ids, v.ID)
		}
	}
	for n := range 10 {
		for _, user := range []string{"a", "b", "a"} {
			if err := r.Join(c, Identity{UserID: user, Name: "N"}, nil, began.Add(time.Duration(n)*leaveAge)); err != nil {
				t.Fatal(err)
			}
			look()
		}
		r.Leave(c, ReasonLeft)
		look()
		if n%3 == 0 { // it is forgotten
			r.leaves.Init()
			clear(r.leaveOf)
		}
		r.hearAnnouncement(announcement{id: uuid.NewString()})
		look()
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) || len(ids) != 70 {
		t.Errorf("%d ids: %q", len(ids), ids)
	}
}

func TestAnnouncements(t *testing.T) {
	t.Parallel()
	r := newTestRoom()
	r.hearAnnouncement(announcement{id: "before"})
	w := newWatcher(r)
	came, went := announcement{id: "x"}, announcement{id: "y", Left: true}
	r.hearAnnouncement(came)
	r.hearAnnouncement(went)
	expect(t, w, "+anonymous -anonymous")
	// The existing client says that it comes, then its socket does, and the other way round when it leaves.
	r.hearAnnouncement(came)
	expect(t, w, "+anonymous")
	socket := r.joinAs(t, Anonymous.UserID)
	r.hearAnnouncement(went)
	expect(t, w, "")
	r.Leave(socket, ReasonLeft)
	expect(t, w, "-anonymous")
	other := r.joinAs(t, Anonymous.UserID)
	expect(t, w, "+anonymous")
	r.hearAnnouncement(came)
	r.hearAnnouncement(went)
	expect(t, w, "")
	r.Leave(other, ReasonLeft)
	expect(t, w, "-anonymous")
	for range 3 * maxAnnouncements {
		r.hearAnnouncement(came)
	}
	if n := len(w.poll()); n != maxAnnouncements || len(r.announcements) != maxAnnouncements {
		t.Errorf("told %d times, %d are remembered, want %d", n, len(r.announcements), maxAnnouncements)
	}
}
