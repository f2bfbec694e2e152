package convergence_test

import (
	"slices"
	"testing"
	"time"

	"layercake/internal/bench/convergence"
)

func TestCompareRoster(t *testing.T) {
	t.Parallel()
	there := []convergence.Attendee{{"ann", "1"}, {"bob", "2"}, {"anonymous", "3"}, {"anonymous", "4"}, {"anonymous", "5"}}
	tests := []struct {
		name, viewer string
		told         map[string]string
		want         convergence.Difference
	}{
		{"as it is", "ann", map[string]string{"ann": "0", "bob": "2", "anonymous": "4"}, convergence.Difference{}},
		{
			"as a namesake sees it", "anonymous",
			map[string]string{"ann": "1", "bob": "2", "anonymous": "", "anonymous#a": "5", "anonymous#b": "3"},
			convergence.Difference{},
		},
		{"nobody", "ann", nil, convergence.Difference{Missing: []string{"ann", "anonymous", "bob"}}},
		{
			"a ghost", "ann",
			map[string]string{"ann": "1", "bob": "2", "anonymous": "4", "carl": "9"},
			convergence.Difference{Ghosts: []string{"carl"}},
		},
		{"somebody missing", "ann", map[string]string{"ann": "1", "anonymous": "4"}, convergence.Difference{Missing: []string{"bob"}}},
		{
			"somebody elsewhere", "ann",
			map[string]string{"ann": "1", "bob": "7", "anonymous": "4"},
			convergence.Difference{Misplaced: []string{"bob"}},
		},
		{
			"a namesake missing", "anonymous",
			map[string]string{"ann": "1", "bob": "2", "anonymous": "3", "anonymous#a": "5"},
			convergence.Difference{Missing: []string{"anonymous#"}},
		},
		{
			"a namesake too many", "anonymous",
			map[string]string{"ann": "1", "bob": "2", "anonymous": "3", "anonymous#a": "4", "anonymous#b": "5", "anonymous#c": "3"},
			convergence.Difference{Ghosts: []string{"anonymous#c"}},
		},
		{
			"a namesake twice", "anonymous",
			map[string]string{"ann": "1", "bob": "2", "anonymous": "3", "anonymous#a": "4", "anonymous#b": "4"},
			convergence.Difference{Misplaced: []string{"anonymous#b"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := convergence.CompareRoster(tt.viewer, there, tt.told)
			if !equal(got, tt.want) || got.OK() != (tt.want.Ghosts == nil && tt.want.Missing == nil && tt.want.Misplaced == nil) {
				t.Errorf("difference = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func equal(a, b convergence.Difference) bool {
	return slices.Equal(a.Ghosts, b.Ghosts) && slices.Equal(a.Missing, b.Missing) && slices.Equal(a.Misplaced, b.Misplaced)
}

func TestCompareRows(t *testing.T) {
	t.Parallel()
	there := []convergence.Attendee{{User: "ann"}, {User: "anonymous"}, {User: "anonymous"}}
	if d := convergence.CompareRows(there, []string{"anonymous", "ann", "anonymous"}); !d.OK() {
		t.Errorf("difference = %+v, want none", d)
	}
	got := convergence.CompareRows(there, []string{"anonymous", "bob"})
	if want := (convergence.Difference{Ghosts: []string{"bob"}, Missing: []string{"ann", "anonymous"}}); !equal(got, want) {
		t.Errorf("difference = %+v, want %+v", got, want)
	}
}

// Every case is about bob, as ann sees him. Times are in seconds.
func TestAttend(t *testing.T) {
	t.Parallel()
	zero := time.Unix(1_000_000, 0)
	at := func(s float64) time.Time {
		if s < 0 {
			return time.Time{} // it lasts
		}
		return zero.Add(time.Duration(s * float64(time.Second)))
	}
	stay := func(from, to float64) convergence.Stay {
		return convergence.Stay{User: "bob", From: at(from), To: at(to)}
	}
	told := func(when float64, here bool) convergence.Told {
		return convergence.Told{At: at(when), User: "bob", Here: here}
	}
	view := func(from, to float64, t ...convergence.Told) convergence.View {
		return convergence.View{Viewer: "ann", From: at(from), To: at(to), Told: t}
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	tests := []struct {
		name  string
		stays []convergence.Stay
		views []convergence.View
		want  convergence.Attendance // its counts and times
	}{
		{
			"he comes and goes",
			[]convergence.Stay{stay(10, 20), stay(30, -1)},
			[]convergence.View{view(0, -1, told(11, true), told(22, false), told(30.5, true))},
			convergence.Attendance{Absence: seconds(1), Presence: seconds(2)},
		},
		{
			"a ghost",
			[]convergence.Stay{stay(10, 20)},
			[]convergence.View{view(0, -1, told(10, true))},
			convergence.Attendance{Ghosts: 1, Presence: seconds(80)},
		},
		{
			"a ghost until it is too late",
			[]convergence.Stay{stay(10, 20)},
			[]convergence.View{view(0, -1, told(10, true), told(26.5, false))},
			convergence.Attendance{Ghosts: 1, Presence: seconds(6.5)},
		},
		{
			"a ghost that nobody could know of",
			[]convergence.Stay{{User: "bob", From: at(10), To: at(20), Silent: true}},
			[]convergence.View{view(0, -1, told(10, true), told(28, false))},
			convergence.Attendance{Presence: seconds(8)},
		},
		{
			"a ghost that somebody should know of",
			[]convergence.Stay{{User: "bob", From: at(10), To: at(20), Silent: true}},
			[]convergence.View{view(0, -1, told(10, true), told(30, false))},
			convergence.Attendance{Ghosts: 1, Presence: seconds(10)},
		},
		{
			"a ghost that a late viewer is told of",
			[]convergence.Stay{stay(10, 20)},
			[]convergence.View{view(50, -1, told(50, true))},
			convergence.Attendance{Ghosts: 1, Presence: seconds(50)},
		},
		{
			"missing",
			[]convergence.Stay{stay(10, -1)},
			[]convergence.View{view(0, -1)},
			convergence.Attendance{Missing: 1, Absence: seconds(90)},
		},
		{
			"missing until it is too late",
			[]convergence.Stay{stay(10, -1)},
			[]convergence.View{view(0, -1, told(30, true))},
			convergence.Attendance{Missing: 1, Absence: seconds(20)},
		},
		{
			"a flicker",
			[]convergence.Stay{stay(10, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(50, false), told(50.5, true))},
			convergence.Attendance{Flickers: 1, Absence: seconds(0.5)},
		},
		{
			"he comes back before anybody is told that he left",
			[]convergence.Stay{stay(10, 20), stay(21, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(25, false), told(25.5, true))},
			convergence.Attendance{Absence: seconds(0.5), Presence: seconds(1)},
		},
		{
			"his leaving is told twice",
			[]convergence.Stay{stay(10, 20), stay(21, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(20.1, false), told(21, true), told(25, false), told(25.5, true))},
			convergence.Attendance{Flickers: 1, Absence: seconds(0.5), Presence: seconds(0.1)},
		},
		{
			"a new viewer's roster says that he left, and then he is told to have left",
			[]convergence.Stay{stay(10, 20), stay(21, -1)},
			[]convergence.View{view(0, 20, told(10, true)), view(20.5, -1, told(21, true), told(25, false), told(25.5, true))},
			convergence.Attendance{Flickers: 1, Absence: seconds(0.5)},
		},
		{
			"a new viewer's roster still has him",
			[]convergence.Stay{stay(10, 20), stay(21, -1)},
			[]convergence.View{view(0, 20, told(10, true)), view(20.5, -1, told(20.5, true), told(25, false), told(25.5, true))},
			convergence.Attendance{Absence: seconds(0.5), Presence: seconds(0.5)},
		},
		{
			"late news of somebody who comes and goes, in order",
			[]convergence.Stay{stay(10, 20), stay(21, 22), stay(23, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(23, false), told(23.5, true), told(24, false), told(24.5, true))},
			convergence.Attendance{Absence: seconds(0.5), Presence: seconds(1)},
		},
		{
			"one leaving too many",
			[]convergence.Stay{stay(10, 20), stay(21, 22), stay(23, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(23, false), told(23.5, true), told(24, false), told(24.5, true), told(25, false), told(25.5, true))},
			convergence.Attendance{Flickers: 1, Absence: seconds(0.5), Presence: seconds(1)},
		},
		{
			"an old leaving excuses nothing",
			[]convergence.Stay{stay(10, 20), stay(21, -1)},
			[]convergence.View{view(0, -1, told(10, true), told(40, false), told(40.5, true))},
			convergence.Attendance{Flickers: 1, Absence: seconds(0.5), Presence: seconds(1)},
		},
		{
			"others notice before him that his connection ended",
			[]convergence.Stay{stay(10, 20)},
			[]convergence.View{view(0, -1, told(10, true), told(19.5, false))},
			convergence.Attendance{Absence: seconds(0.5)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := convergence.Attend(tt.stays, tt.views, convergence.Patience{Gone: seconds(6), Here: seconds(15), Silent: seconds(9)}, at(100))
			if got.Ghosts != tt.want.Ghosts || got.Missing != tt.want.Missing || got.Flickers != tt.want.Flickers ||
				got.Absence != tt.want.Absence || got.Presence != tt.want.Presence {
				t.Errorf("attendance = %+v, want %+v", got, tt.want)
			}
			if bad := tt.want.Ghosts + tt.want.Missing + tt.want.Flickers; got.OK() != (bad == 0) || len(got.First) != int(bad) {
				t.Errorf("OK is %t with %d wrong, in words: %q", got.OK(), bad, got.First)
			}
		})
	}
}
