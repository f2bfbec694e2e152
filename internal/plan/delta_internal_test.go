package plan

import (
	"testing"

	"layercake/internal/feed"
)

// Existing clients know a version by its label alone. After a failover, events that were lost and others that came instead have the
// same numbers.
func TestDeltasDemandTheirHistory(t *testing.T) {
	t.Parallel()
	for epoch, want := range map[string][3]string{
		"3w5e11264sgsf-1":  {`"6"`, `"7"`, `"7"`},
		"3w5e11264sgsf-2":  {`"6@2"`, `"7@2"`, `"7@2"`},
		"3w5e11264sgsf-31": {`"6@31"`, `"7@31"`, `"7@31"`},
	} {
		cursor, err := feed.ParseCursor(epoch + ".7")
		if err != nil {
			t.Fatal(err)
		}
		u := newUpdate(1, feed.Step{Cursor: cursor})
		u.Event = &Event{Version: 7}
		patch, err := u.Delta()
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{string(patch[0].Value), string(patch[1].Value), string(u.Check()[0].Value)}
		if got != want || patch[0].Op != patchTest || patch[1].Op != patchReplace {
			t.Errorf("epoch %s: %v, want %v", epoch, got, want)
		}
	}
}
