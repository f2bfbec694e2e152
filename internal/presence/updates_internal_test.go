package presence

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/replica"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var someAgent = Identity{UserID: "agent", Name: "Agent", Agent: true, Transport: "mcp"}

func TestUpdatesOfGuestsAreBounded(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker()
	for n := range maxNoted {
		tracker.RenewGuest(1, strconv.Itoa(n))
	}
	tracker.SeeGuest(1, "late", Maker{}, someAgent)
	if err := tracker.PlaceGuest(1, "late", OnCanvas(1, 2, "")); err != nil {
		t.Error(err)
	}
	if noted, updates := len(tracker.noted), len(tracker.updates); noted != maxNoted || updates != maxUpdates {
		t.Errorf("%d are remembered and %d wait, want the first %d and %d", noted, updates, maxNoted, maxUpdates)
	}
	if n := testutil.ToFloat64(tracker.metrics.refusedGuests.WithLabelValues(limitMemory)); n != 2 {
		t.Errorf("%v calls are counted, want the 2 that were not noted", n)
	}

	// What is written makes room, and what waits does not.
	tracker.notedSince = time.Now().Add(-2 * DefaultTiming.RenewMany)
	tracker.SeeGuest(1, "late", Maker{}, someAgent)
	if len(tracker.updates) != maxUpdates || tracker.updates[GuestID(1, "late")] != nil {
		t.Error("one has taken the place of another that waits")
	}
	taken, more := tracker.takeUpdates(false, 10)
	tracker.endUpdates(taken)
	tracker.SeeGuest(1, "late", Maker{}, someAgent)
	if tracker.updates[GuestID(1, "late")] == nil || len(taken) != 10 || !more {
		t.Errorf("what is written does not make room: %d taken, more: %t", len(taken), more)
	}

	// Nor is more remembered when all is written.
	tracker.notedSince = time.Now()
	for n := len(tracker.noted); n < maxNoted; n++ {
		tracker.noted[uuid.New()] = true
	}
	taken, _ = tracker.takeUpdates(false, maxUpdates)
	tracker.endUpdates(taken)
	tracker.SeeGuest(1, "last", Maker{}, someAgent)
	if len(tracker.noted) != maxNoted || tracker.Updates() != 0 {
		t.Errorf("%d are remembered and %d wait, want %d and none", len(tracker.noted), tracker.Updates(), maxNoted)
	}
}

// A client that calls often is written once in a while, and of its places the newest. Who it is is known as long as it waits.
func TestCallsOfAGuestAreOneUpdate(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker()
	by := Maker{Caller: "caller"}
	c := GuestID(1, "c")
	write := func() *guestUpdate {
		taken, _ := tracker.takeUpdates(false, batch)
		tracker.endWrites(taken, []db.UpdateGuestsRow{{ConnectionID: c}})
		return taken[c]
	}
	place := func(x float64) {
		t.Helper()
		if err := tracker.PlaceGuest(1, "c", OnCanvas(x, 0, "")); err != nil {
			t.Error(err)
		}
	}
	tracker.SeeGuest(1, "c", by, someAgent)
	for x := range 10 {
		place(float64(x))
		tracker.RenewGuest(1, "c")
		tracker.SeeGuest(1, "c", by, someAgent)
	}
	want := string(OnCanvas(9, 0, "").Position)
	if u := write(); u == nil || u.who == nil || u.by != by || string(u.place.Position) != want {
		t.Errorf("written: %+v", u)
	}
	tracker.SeeGuest(1, "c", by, someAgent)
	tracker.RenewGuest(1, "c")
	if u := write(); u != nil {
		t.Errorf("written again: %+v", u)
	}
	place(3)
	if u := write(); u == nil || u.place == nil {
		t.Errorf("a place waits for the renewal: %+v", u)
	}
	tracker.forgetNoted(c) // it left
	tracker.SeeGuest(1, "c", by, someAgent)
	if u := write(); u == nil {
		t.Error("one that left does not come back with its next call")
	}
	tracker.notedSince = time.Now().Add(-2 * DefaultTiming.RenewGuest)
	tracker.SeeGuest(1, "c", by, someAgent)
	if u := write(); u == nil {
		t.Error("not renewed")
	}

	// What comes during a write is not lost with it, and one that is not there joins with it.
	place(1)
	taken, _ := tracker.takeUpdates(false, batch)
	tracker.forgetNoted(c)
	tracker.SeeGuest(1, "c", by, someAgent)
	place(2)
	tracker.endWrites(taken, nil)
	absent, _ := tracker.takeUpdates(true, batch)
	if u := absent[c]; u == nil || string(u.place.Position) != string(OnCanvas(2, 0, "").Position) || *u.who != someAgent {
		t.Errorf("joins as %+v", u)
	}
	tracker.forgetUpdate(c)
	tracker.endWrites(taken, nil)
	if len(tracker.updates) > 0 {
		t.Error("one that left joins")
	}
}

// An update with which a write panics each time is given up: here all are, because there is no database.
func TestUpdatesThatPanicAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tracker := New(Config{Wire: fanout.New(fanout.Config{}), Replica: replica.New(replica.Config{}), Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		var loops sync.WaitGroup
		loops.Go(func() { tracker.updateGuests(ctx) })
		loops.Go(func() { tracker.joinGuests(ctx) })
		tracker.SeeGuest(1, "there", Maker{}, someAgent)
		tracker.mu.Lock()
		tracker.updates[GuestID(1, "absent")] = &guestUpdate{project: 1, client: "absent", who: &someAgent, absent: true}
		tracker.mu.Unlock()
		task.Wake(tracker.guestJoins)
		synctest.Wait()
		if n := tracker.Updates(); n > 0 {
			t.Errorf("%d are tried again", n)
		}
		stop()
		loops.Wait()
	})
}

func TestGuestsThatCannotBeStoredAreNotSeen(t *testing.T) {
	t.Parallel()
	tracker := newTestTracker()
	nameless := someAgent
	nameless.Name = " "
	tracker.SeeGuest(1, "c", Maker{}, nameless)
	tracker.SeeGuest(1, strings.Repeat("c", maxClientID+1), Maker{}, someAgent)
	if n := testutil.ToFloat64(tracker.metrics.refusedGuests.WithLabelValues(limitText)); n != 2 || len(tracker.updates) > 0 {
		t.Errorf("%v are counted, %d wait", n, len(tracker.updates))
	}
	for what, change := range map[string]func(*Place){
		"no document":            func(p *Place) { p.Document = "" },
		"a long document":        func(p *Place) { p.Document = strings.Repeat("d", MaxDocument+1) },
		"no type":                func(p *Place) { p.Type = "" },
		"a type with NUL":        func(p *Place) { p.Type = "\x00" },
		"a long node":            func(p *Place) { p.Selected = strings.Repeat("n", MaxDocument+1) },
		"a position in no JSON":  func(p *Place) { p.Position = []byte("{") },
		"an empty position":      func(p *Place) { p.Position = []byte{} },
		"a position in no UTF-8": func(p *Place) { p.Position = []byte("\"\xff\"") },
		"a long position":        func(p *Place) { p.Position = []byte(`"` + strings.Repeat("x", maxPosition) + `"`) },
	} {
		place := OnCanvas(1, 2, "n")
		change(&place)
		if err := tracker.PlaceGuest(1, "c", place); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v, want BAD_REQUEST", what, err)
		}
	}
	if len(tracker.updates) > 0 {
		t.Error("what cannot be stored waits to be")
	}
}

func TestOnCanvas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		x, y float64
		want string
	}{
		{1.5, -2, `{"type":"canvas","x":1.5,"y":-2,"zoom":null}`},
		{math.NaN(), 0, ""},
		{0, math.Inf(1), ""},
	} {
		p := OnCanvas(c.x, c.y, "n")
		if string(p.Position) != c.want || p.Document != "plan-dag-canvas" || p.Type != "canvas" || p.Selected != "n" || p.checkGuest() != nil {
			t.Errorf("%v, %v: %+v at %s", c.x, c.y, p, p.Position)
		}
	}
}

func TestColorOf(t *testing.T) {
	t.Parallel()
	if a, b := ColorOf("x"), ColorOf("x"); a != b {
		t.Errorf("%s and %s for one id", a, b)
	}
	used := make(map[string]bool)
	for n := range 1000 {
		id := uuid.NewSHA1(uuid.Nil, []byte(strconv.Itoa(n))).String()
		used[ColorOf(id)] = true
	}
	if len(used) != len(palette) {
		t.Errorf("%d colours are used of %d", len(used), len(palette))
	}
	for _, color := range palette {
		// WCAG 2: white on it has a contrast of 4.5 or more.
		var rgb [3]uint8
		if _, err := fmt.Sscanf(color, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
			t.Fatal(err)
		}
		light := 0.0
		for n, weight := range []float64{.2126, .7152, .0722} {
			c := float64(rgb[n]) / 255
			if c <= .03928 {
				light += weight * c / 12.92
			} else {
				light += weight * math.Pow((c+.055)/1.055, 2.4)
			}
		}
		if contrast := 1.05 / (light + .05); contrast < 4.5 {
			t.Errorf("%s has a contrast of %.2f", color, contrast)
		}
	}
}

// The line about the place of a guest may come before that about its join, and that about its join elsewhere later.
func TestGuestIsWhereItsNewestLineSays(t *testing.T) {
	t.Parallel()
	r, c := newTestRoom(), GuestID(1, "c")
	said := func(revision int64, x float64) line {
		place := OnCanvas(x, 0, "")
		return lineOf(&Entry{Connection: c, Project: 1, Identity: someAgent, Place: &place, revision: revision}, guestIncarnation)
	}
	joined := said(10, 0)
	joined.Document, joined.Type, joined.Position = "", "", nil
	r.hear(c, said(11, 1), false)
	r.hear(c, joined, false)
	r.hear(c, said(13, 3).cursorLine(), true)
	r.hear(c, said(12, 2).cursorLine(), true)
	row := func(revision int64, x float64) db.ListPresenceRow {
		document, kind, at := "plan-dag-canvas", "canvas", time.Now()
		return db.ListPresenceRow{
			ConnectionID: c, ProjectID: 1, Revision: revision, UserID: "agent", UserName: "Agent", DocumentID: &document, DocumentType: &kind,
			Position: OnCanvas(x, 0, "").Position, DocumentAt: &at,
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want float64
	}{
		{"lines in disorder", func() {}, 3},
		{"a comparison that was asked before", func() { r.correct(r.baseline(), []db.ListPresenceRow{row(12, 2)}, time.Now()) }, 3},
		{"a comparison", func() { r.correct(r.baseline(), []db.ListPresenceRow{row(14, 4)}, time.Now()) }, 4},
	} {
		step.do()
		e := r.Entry(c)
		if e == nil || e.Place == nil || string(e.Place.Position) != string(OnCanvas(step.want, 0, "").Position) || e.Name != "Agent" {
			t.Errorf("after %s: %+v", step.what, e)
		}
	}
}
