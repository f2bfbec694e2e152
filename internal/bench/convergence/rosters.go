package convergence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Attendee is a connection that is in a project.
type Attendee struct {
	User string // user id that it joined with; several connections may have the same
	At   string // place of its cursor, in any form
}

// Difference is the difference between what a viewer was told and who is there, by user id.
type Difference struct {
	Ghosts    []string // ids that are not there; repeated as often as they are too many
	Missing   []string // ids that the viewer lacks; repeated as often as they are too few
	Misplaced []string // ids with the cursor at another place
}

// OK reports whether there is no difference.
func (d Difference) OK() bool { return len(d.Ghosts)+len(d.Missing)+len(d.Misplaced) == 0 }

// CompareRoster compares what a browser with the id viewer was told, positions by user id, with who is there, itself included. A
// browser is shown others as one person for each id, but those with its own id one by one, as "id#...".
func CompareRoster(viewer string, there []Attendee, told map[string]string) Difference {
	places := map[string][]string{} // places by user id
	for _, a := range there {
		places[a.User] = append(places[a.User], a.At)
	}
	var d Difference
	namesakes, free := max(len(places[viewer])-1, 0), slices.Clone(places[viewer])
	for _, id := range slices.Sorted(maps.Keys(told)) {
		switch namesake := strings.HasPrefix(id, viewer+"#"); {
		case id == viewer: // a browser is not told of its own cursor
		case namesake && namesakes == 0, !namesake && len(places[id]) == 0:
			d.Ghosts = append(d.Ghosts, id)
		case namesake:
			namesakes--
			i := slices.Index(free, told[id])
			if i < 0 {
				d.Misplaced = append(d.Misplaced, id)
				continue
			}
			free = slices.Delete(free, i, i+1)
		case !slices.Contains(places[id], told[id]):
			d.Misplaced = append(d.Misplaced, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(places)) {
		if _, known := told[id]; !known {
			d.Missing = append(d.Missing, id)
		}
	}
	for range namesakes {
		d.Missing = append(d.Missing, viewer+"#")
	}
	return d
}

// CompareRows compares the user ids of the rows of a table with who is there: a row for each connection.
func CompareRows(there []Attendee, rows []string) Difference {
	counts := map[string]int{}
	for _, id := range rows {
		counts[id]++
	}
	for _, a := range there {
		counts[a.User]--
	}
	var d Difference
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		for n := counts[id]; n > 0; n-- {
			d.Ghosts = append(d.Ghosts, id)
		}
		for n := counts[id]; n < 0; n++ {
			d.Missing = append(d.Missing, id)
		}
	}
	return d
}

// Stay is a time during which somebody was in a project, over one connection.
type Stay struct {
	User string
	From time.Time // time at which they knew that they were in
	To   time.Time // end of the connection, or of its use; zero while it lasts
	// Silent says that it ended without a trace, so that the replica notices only when nothing comes for too long.
	Silent bool
}

// View is everything that a viewer was told about the people in a project, over one connection.
type View struct {
	Viewer string
	From   time.Time // time of the roster, which Told begins with
	To     time.Time // end of the connection, or of its use
	Told   []Told    // everything told, in order
}

// Told is one thing that a viewer was told. Being told again that a person is here changes nothing.
type Told struct {
	At   time.Time
	User string
	Here bool
}

// Patience is how late a viewer may learn of things.
type Patience struct {
	Here   time.Duration // limit after the beginning of a stay
	Gone   time.Duration // limit after its end
	Silent time.Duration // limit after an end without a trace
}

// Plus returns limits that are longer by slack.
func (p Patience) Plus(slack time.Duration) Patience {
	return Patience{Here: p.Here + slack, Gone: p.Gone + slack, Silent: p.Silent + slack}
}

func (p Patience) after(s Stay) time.Duration {
	if s.Silent {
		return p.Silent
	}
	return p.Gone
}

// Attendance is the comparison of all views with all stays, over time.
type Attendance struct {
	Ghosts   int64         // stays that a viewer believed in for too long after their end
	Missing  int64         // stays that a viewer did not know of for too long
	Flickers int64         // reports to a viewer that a person left who did not
	Absence  time.Duration // longest time in which a viewer did not know of a person who was there
	Presence time.Duration // longest time in which a viewer believed in a person who had gone
	First    []string      // first mistakes, in words; at most 10
}

// OK reports whether nothing was wrong.
func (a Attendance) OK() bool { return a.Ghosts+a.Missing+a.Flickers == 0 }

// clockSlack is how much later than its replica a client may notice that its own connection has ended.
const clockSlack = 2 * time.Second

// Attend compares what viewers were told with who was there, until now. The stays of one user do not overlap. What viewers were told about
// users without any stay is not judged.
func Attend(stays []Stay, views []View, p Patience, now time.Time) Attendance {
	var a Attendance
	byUser := map[string][]Stay{}
	for _, s := range stays {
		byUser[s.User] = append(byUser[s.User], s)
	}
	byViewer := map[string][]View{}
	for _, v := range views {
		byViewer[v.Viewer] = append(byViewer[v.Viewer], v)
	}
	for _, viewer := range slices.Sorted(maps.Keys(byViewer)) {
		mine := byViewer[viewer]
		slices.SortFunc(mine, func(a, b View) int { return a.From.Compare(b.From) })
		for _, user := range slices.Sorted(maps.Keys(byUser)) {
			if user == viewer {
				continue
			}
			theirs := byUser[user]
			slices.SortFunc(theirs, func(a, b Stay) int { return a.From.Compare(b.From) })
			w := witness{Attendance: &a, Patience: p, viewer: viewer, user: user, stays: theirs, now: now}
			for _, v := range mine {
				w.see(v)
			}
		}
	}
	return a
}

// witness compares what one viewer was told of one user.
type witness struct {
	*Attendance
	Patience
	viewer, user string
	stays        []Stay
	now          time.Time
	known        time.Time // end of the last stay that the viewer was told to have ended
}

func (w *witness) wrong(count *int64, format string, args ...any) {
	*count++
	if len(w.First) < maxFirst {
		w.First = append(w.First, w.viewer+": "+fmt.Sprintf(format, args...))
	}
}

// see goes through one view.
func (w *witness) see(v View) {
	until := v.To
	if until.IsZero() {
		until = w.now
	}
	here, since := false, v.From
	before := w.known
	w.known = later(before, w.lastEnd(v.From)) // unless the roster has them
	for _, t := range v.Told {
		if t.User != w.user || t.Here == here {
			continue
		}
		if t.At.Equal(v.From) {
			w.known = before
		}
		w.judge(here, since, t.At)
		here, since = t.Here, t.At
		if !t.Here {
			w.left(t.At)
		}
	}
	w.judge(here, since, until)
}

// judge judges a time during which the viewer believed the user to be here, or not to be.
func (w *witness) judge(here bool, from, to time.Time) {
	for n, s := range w.stays {
		end := w.end(s)
		if !here {
			absence := earlier(to, end).Sub(later(from, s.From))
			w.Absence = max(w.Absence, absence)
			if absence > w.Here {
				w.wrong(&w.Missing, "did not know of %s for %v", w.user, absence.Round(time.Millisecond))
			}
			continue
		}
		// After this stay there is none until the next one.
		next := w.now
		if n+1 < len(w.stays) {
			next = w.stays[n+1].From
		}
		ghost := earlier(to, next).Sub(later(from, end))
		w.Presence = max(w.Presence, ghost)
		if ghost > w.after(s) {
			w.wrong(&w.Ghosts, "believed in %s for %v after they had gone", w.user, ghost.Round(time.Millisecond))
		}
	}
}

// left judges a report that the user left.
func (w *witness) left(at time.Time) {
	// They may be there again, or again and again, and the viewer only now learns that they left before.
	if before, ok := w.nextEnd(at); ok {
		w.known = before
		return
	}
	for _, s := range w.stays {
		switch ended := !s.To.IsZero(); {
		case s.From.After(at) || ended && !s.To.After(at):
		case ended && s.To.Sub(at) <= clockSlack:
			w.known = s.To
		default:
			w.wrong(&w.Flickers, "was told that %s left, who did not", w.user)
		}
	}
}

// nextEnd returns when the first stay ended before a time, of those that the viewer was not told to have ended and whose end is not
// too long ago.
func (w *witness) nextEnd(at time.Time) (time.Time, bool) {
	for _, s := range w.stays { // in order
		if s.To.After(w.known) && !s.To.After(at) && at.Sub(s.To) <= max(w.Gone, w.Silent) {
			return s.To, true
		}
	}
	return time.Time{}, false
}

// lastEnd returns the end of the last stay that ended before a time.
func (w *witness) lastEnd(at time.Time) (end time.Time) {
	for _, s := range w.stays {
		if !s.To.IsZero() && !s.To.After(at) {
			end = later(end, s.To)
		}
	}
	return end
}

func (w *witness) end(s Stay) time.Time {
	if s.To.IsZero() {
		return w.now
	}
	return s.To
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
