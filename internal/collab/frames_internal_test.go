package collab

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"layercake/internal/presence"

	"github.com/google/uuid"
)

// News of a tab that rests does not show its person there again, when another tab of theirs moved later.
func TestActivityShowsWhereAPersonMovedLast(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tab := func(x string, moved time.Time) *presence.Entry {
		return &presence.Entry{
			Connection: uuid.New(), Identity: presence.Identity{UserID: "ann", Name: "Ann"}, ActiveAt: now,
			Place: &presence.Place{Document: "d", Type: "canvas", Position: json.RawMessage(x), At: moved},
		}
	}
	rests, moves := tab("1", now.Add(-time.Minute)), tab("2", now)
	d := &presence.Document{ID: "d", Entries: []*presence.Entry{rests, moves}} // the one that changed last comes first
	other := "#" + moves.Connection.String()[:8] + " 2"
	for v, want := range map[viewer][]string{
		{user: "bob", stated: "bob"}: {"ann 2"}, {user: "ann", stated: "ann"}: {"ann" + other, "ann 1"},
		{user: "ann", stated: "tab"}: {"tab" + other, "tab 1"}, // it signed in, and does not know its user id
	} {
		v.connection = rests.Connection
		var frame struct {
			Data struct {
				ActiveUsers []struct {
					UserID   string
					Position json.RawMessage
				}
			}
		}
		if err := json.Unmarshal(activityFrame(d, v), &frame); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, u := range frame.Data.ActiveUsers {
			got[u.UserID+" "+string(u.Position)] = true
		}
		for _, w := range want {
			if !got[w] || len(got) != len(want) {
				t.Errorf("%+v is told %v, want %q", v, got, want)
			}
		}
	}
}

// FuzzFrames shows anybody whom a room may hold, as package presence checks what clients and other replicas say: every frame is JSON in
// UTF-8.
func FuzzFrames(f *testing.F) {
	f.Add("ann", "Ann", "#123456", "plan", "canvas", `{"x":1}`, "n", int64(1), int64(2))
	f.Add("\u2028", "é\"", "", "", "", "null", "", int64(-62135596800000), int64(253402300799999))
	f.Fuzz(func(t *testing.T, user, name, color, document, kind, position, selected string, at, active int64) {
		e := &presence.Entry{
			Connection: uuid.New(), Identity: presence.Identity{UserID: user, Name: name, Color: color},
			JoinedAt: time.UnixMilli(at), ActiveAt: time.UnixMilli(active),
			Place: &presence.Place{
				Document: document, Type: kind, Position: json.RawMessage(position), Selected: selected, At: time.UnixMilli(at),
			},
		}
		first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, at := range []time.Time{e.JoinedAt, e.ActiveAt} {
			if at.Before(first) || !at.Before(last) {
				return
			}
		}
		if e.Check() != nil || e.Place.Check() != nil || !json.Valid(e.Place.Position) || !utf8.ValidString(position) {
			return
		}
		person := &presence.Person{Entries: []*presence.Entry{e}}
		roster := &presence.Roster{People: []*presence.Person{person}}
		inDocument := &presence.Document{ID: document, Entries: []*presence.Entry{e}}
		frames := [][]byte{bulkFrame(roster)}
		for _, v := range []viewer{{user: "bob", stated: "bob"}, {user: user, stated: user}, {user: user, stated: name}} {
			frames = append(frames, activityFrame(inDocument, v),
				changeFrame(presence.Change{Entry: e, Person: person}, v), changeFrame(presence.Change{Entry: e, Left: true}, v))
		}
		for _, frame := range frames {
			if !json.Valid(frame) || !utf8.Valid(frame) {
				t.Errorf("%+v is shown as %q", e.Identity, frame)
			}
		}
	})
}
