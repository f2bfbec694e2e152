package presence

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"layercake/internal/auth"
	"layercake/internal/project"
	"layercake/internal/task"
)

// Arrival is a person who came into a project or, with Left, who left it.
type Arrival struct {
	ID string // names what the arrival shows: those with the same ID are equal, at every watcher of every replica
	Identity
	Left bool
	At   time.Time
}

// Arrivals yields who comes into a project and who leaves it, on any replica, until ctx ends. People are there while any connection
// with their user id is. Those who are there when it begins are not yielded, nor those who came and left while the caller was busy.
// It ends with project.ErrNotFound when the project does not exist or is deleted, and with fault.Unavailable when the database does
// not answer.
func (t *Tracker) Arrivals(ctx context.Context, access auth.Access) iter.Seq2[Arrival, error] {
	return func(yield func(Arrival, error) bool) {
		r, err := t.Enter(ctx, access)
		if err != nil {
			if ctx.Err() == nil {
				yield(Arrival{}, err)
			}
			return
		}
		defer r.Exit()
		changed := make(chan struct{}, 1)
		stop := r.Watch(func() { task.Wake(changed) })
		defer stop()
		w := watcher{room: r, present: make(map[string]Arrival)}
		_, w.announced = r.announcementsSince(0)
		w.poll() // fills present; those who are there already are no arrivals
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			for _, arrival := range w.poll() {
				if !yield(arrival, nil) {
					return
				}
			}
			if r.Ended() {
				yield(Arrival{}, project.ErrNotFound)
				return
			}
		}
	}
}

// watcher is what one caller of Arrivals knows.
type watcher struct {
	room      *Room
	seq       int64              // the room's Seq at the last poll; 0 before the first
	announced int64              // number of the last announcement that was yielded
	present   map[string]Arrival // people who are there, by user id
	anonymous bool               // the last announcement was a join, and no anonymous connection came since
}

// poll returns who came and left since the last poll: first people with connections, in the order of the room's changes, then
// announcements.
func (w *watcher) poll() []Arrival {
	changes, now, ok := w.room.Since(w.seq, maxLeaves)
	var arrivals []Arrival
	if ok && w.seq > 0 {
		slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.seq, b.seq) })
		for _, c := range changes {
			if c.Person != nil {
				arrivals = w.arrived(arrivals, c.Person)
			} else if _, there := w.present[c.Entry.UserID]; there {
				arrivals = w.left(arrivals, Arrival{ID: arrivalID(c.Entry) + ".left", Identity: c.Entry.Identity, At: c.at})
			}
		}
	} else {
		arrivals, now = w.compare()
	}
	w.seq = now
	announcements, last := w.room.announcementsSince(w.announced)
	w.announced = last
	for _, n := range announcements {
		if _, there := w.present[Anonymous.UserID]; there {
			continue // an anonymous connection is there: its arrival was yielded, and its leave will be
		}
		w.anonymous = !n.Left
		arrivals = append(arrivals, Arrival{ID: n.id, Identity: Anonymous, Left: n.Left, At: time.UnixMilli(n.At)})
	}
	return arrivals
}

// compare finds out who came and left by comparing the roster with who was present. It serves the first poll, and a watcher that was
// overtaken: more changed than the room remembers.
func (w *watcher) compare() (arrivals []Arrival, now int64) {
	roster := w.room.Roster()
	there := make(map[string]bool, len(roster.People))
	for _, p := range roster.People {
		there[p.Entries[0].UserID] = true
		arrivals = w.arrived(arrivals, p)
	}
	at := time.Now()
	for user, a := range w.present {
		if !there[user] {
			arrivals = w.left(arrivals, Arrival{ID: fmt.Sprintf("%s.left.%d", a.ID, at.UnixNano()), Identity: a.Identity, At: at})
		}
	}
	return arrivals, roster.Seq
}

// arrived adds the arrival of a person, unless they are present already.
func (w *watcher) arrived(arrivals []Arrival, p *Person) []Arrival {
	e := p.Entries[0]
	if _, there := w.present[e.UserID]; there {
		return arrivals
	}
	w.present[e.UserID] = Arrival{ID: arrivalID(e), Identity: e.Identity}
	if e.UserID == Anonymous.UserID && w.anonymous {
		w.anonymous = false
		return arrivals // the announcement was yielded as the arrival of this user
	}
	return append(arrivals, Arrival{ID: arrivalID(e) + ".joined", Identity: e.Identity, At: e.JoinedAt})
}

// left adds the leave of a person who is present.
func (w *watcher) left(arrivals []Arrival, leave Arrival) []Arrival {
	delete(w.present, leave.UserID)
	leave.Left = true
	return append(arrivals, leave)
}

// arrivalID names one state of a connection, by its revision. JoinedAt is part of it because a connection that comes back after its leave
// was forgotten starts at revision 1 again.
func arrivalID(e *Entry) string {
	return fmt.Sprintf("%s.%d.%d", e.Connection, e.JoinedAt.UnixMilli(), e.revision)
}
