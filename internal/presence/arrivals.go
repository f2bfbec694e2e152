package presence

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"layercake/internal/project"
)

// Arrival is a person who came into a project, or who left it.
type Arrival struct {
	ID string // no other arrival of a watcher has it
	Identity
	Left bool
	At   time.Time
}

// Arrivals yields who comes into a project and who leaves it, on any replica, until ctx ends. People are there while any connection
// with their user id is. Those who are there when it begins are not told of, nor those who came and left while the caller was busy.
// It ends with project.ErrNotFound when the project does not exist or is deleted, and with fault.Unavailable when the database does
// not answer.
func (t *Tracker) Arrivals(ctx context.Context, id int32) iter.Seq2[Arrival, error] {
	return func(yield func(Arrival, error) bool) {
		r, err := t.Enter(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				yield(Arrival{}, err)
			}
			return
		}
		defer r.Exit()
		changed := make(chan struct{}, 1)
		stop := r.Watch(func() { signal(changed) })
		defer stop()
		w := watcher{room: r, here: make(map[string]Arrival)}
		_, w.announced = r.announcementsSince(0)
		w.look() // who is there already
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			for _, arrival := range w.look() {
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

// watcher is what one caller of Arrivals was told.
type watcher struct {
	room      *Room
	seq       int64              // of the room, when it looked last; 0 before
	announced int64              // number of the announcement that it was told last
	here      map[string]Arrival // who is there, by user id
	anonymous bool               // the last announcement was a join, and no anonymous connection came since
}

// look returns what changed since it looked last.
func (w *watcher) look() []Arrival {
	changes, now, ok := w.room.Since(w.seq, maxLeaves)
	var arrivals []Arrival
	if ok && w.seq > 0 {
		slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.seq, b.seq) })
		for _, c := range changes {
			if c.Person != nil {
				arrivals = w.came(arrivals, c.Person)
			} else if _, there := w.here[c.Entry.UserID]; there {
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
		if _, there := w.here[Anonymous.UserID]; there {
			continue // their connection is news enough
		}
		w.anonymous = !n.Left
		v := Arrival{ID: n.id, Identity: Anonymous, Left: n.Left, At: time.UnixMilli(n.At)}
		arrivals = append(arrivals, v)
	}
	return arrivals
}

// compare looks at everybody: too much changed, or it is not known any more what.
func (w *watcher) compare() (arrivals []Arrival, now int64) {
	roster := w.room.Roster()
	there := make(map[string]bool, len(roster.People))
	for _, p := range roster.People {
		there[p.Entries[0].UserID] = true
		arrivals = w.came(arrivals, p)
	}
	at := time.Now()
	for user, v := range w.here {
		if !there[user] {
			arrivals = w.left(arrivals, Arrival{ID: fmt.Sprintf("%s.left.%d", v.ID, at.UnixNano()), Identity: v.Identity, At: at})
		}
	}
	return arrivals, roster.Seq
}

func (w *watcher) came(arrivals []Arrival, p *Person) []Arrival {
	e := p.Entries[0]
	if _, there := w.here[e.UserID]; there {
		return arrivals
	}
	w.here[e.UserID] = Arrival{ID: arrivalID(e), Identity: e.Identity}
	if e.UserID == Anonymous.UserID && w.anonymous {
		w.anonymous = false
		return arrivals // it was told already
	}
	return append(arrivals, Arrival{ID: arrivalID(e) + ".joined", Identity: e.Identity, At: e.JoinedAt})
}

func (w *watcher) left(arrivals []Arrival, v Arrival) []Arrival {
	delete(w.here, v.UserID)
	v.Left = true
	return append(arrivals, v)
}

// arrivalID names one state of a connection. JoinedAt is part of it because a connection that comes back after its leave was forgotten
// starts at revision 1 again.
func arrivalID(e *Entry) string {
	return fmt.Sprintf("%s.%d.%d", e.Connection, e.JoinedAt.UnixMilli(), e.revision)
}
