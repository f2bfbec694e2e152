package plan

import (
	"encoding/json"
	"testing"

	"layercake/internal/feed"
	"layercake/internal/postgres"
)

// Existing clients know a version by its label alone. After a failover, events that were lost and others that came instead have the
// same numbers.
func TestDeltasDemandTheirHistory(t *testing.T) {
	t.Parallel()
	oldest := int32(hashedLabels)
	for _, c := range []struct {
		epoch, before, hash string
		oldest              int32
		want                [3]string
	}{
		{"3w5e11264sgsf-1", "", "", oldest, [3]string{`"6"`, `"7"`, `"7"`}},
		{"3w5e11264sgsf-2", "", "", oldest, [3]string{`"6@2"`, `"7@2"`, `"7@2"`}},
		{"3w5e11264sgsf-31", "", "", oldest, [3]string{`"6@31"`, `"7@31"`, `"7@31"`}},
		{"3w5e11264sgsf-1", "0a1b2c3d", "aabbccdd", oldest, [3]string{`"6~0a1b2c3d"`, `"7~aabbccdd"`, `"7~aabbccdd"`}},
		{"3w5e11264sgsf-2", "0a1b2c3d", "aabbccdd", oldest, [3]string{`"6~0a1b2c3d"`, `"7~aabbccdd"`, `"7~aabbccdd"`}},
		// A replica of the release before would compare its own labels with them.
		{"3w5e11264sgsf-1", "0a1b2c3d", "aabbccdd", oldest - 1, [3]string{`"6"`, `"7"`, `"7"`}},
		{"3w5e11264sgsf-2", "0a1b2c3d", "aabbccdd", 0, [3]string{`"6@2"`, `"7@2"`, `"7@2"`}},
	} {
		s := &Service{oldest: func() int32 { return c.oldest }}
		body, err := json.Marshal(Event{Version: 7})
		if err != nil {
			t.Fatal(err)
		}
		at := Cursor{Epoch: postgres.Epoch(c.epoch), Version: 7, Hash: c.hash}
		u, err := updateOf(1, feed.Delivery{At: at, Event: &feed.Event{At: at, Before: c.before, Body: body}})
		if err != nil {
			t.Fatal(err)
		}
		patch, err := s.Delta(u)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{string(patch[0].Value), string(patch[1].Value), string(s.Check(u.At)[0].Value)}
		if got != c.want || patch[0].Op != patchTest || patch[1].Op != patchReplace {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
