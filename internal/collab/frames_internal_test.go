package collab

import (
	"encoding/json"
	"testing"
	"time"

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
	for viewer, want := range map[string][]string{"bob": {"ann 2"}, "ann": {"ann#" + moves.Connection.String()[:8] + " 2", "ann 1"}} {
		var frame struct {
			Data struct {
				ActiveUsers []struct {
					UserID   string
					Position json.RawMessage
				}
			}
		}
		if err := json.Unmarshal(activityFrame(d, viewer, rests.Connection), &frame); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, u := range frame.Data.ActiveUsers {
			got[u.UserID+" "+string(u.Position)] = true
		}
		for _, w := range want {
			if !got[w] || len(got) != len(want) {
				t.Errorf("%s is told %v, want %q", viewer, got, want)
			}
		}
	}
}
