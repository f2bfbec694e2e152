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

// Passage is that a person came into a project, or left it.
type Passage struct {
	ID string // no other passage of a watcher has it
	Identity
	Left bool
	At   time.Time
}

// Passages yields who comes into a project and who leaves it, on any replica, until ctx ends. People are there while any connection
// with their user id is. Those who are there when it begins are not told of, nor those who came and left while the caller was busy.
// It ends with project.ErrNotFound when the project does not exist or is deleted, and with fault.Unavailable when the database does
// not answer.
func (t *Tracker) Passages(ctx context.Context, id int32) iter.Seq2[Passage, error] {
	return func(yield func(Passage, error) bool) {
		r, err := t.Enter(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				yield(Passage{}, err)
			}
			return
		}
		defer r.Exit()
		changed := make(chan struct{}, 1)
		stop := r.Watch(func() { signal(changed) })
		defer stop()
		w := watcher{room: r, here: make(map[string]attendee)}
		_, w.noticed = r.noticesSince(0)
		w.look() // who is there already
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			for _, passage := range w.look() {
				if !yield(passage, nil) {
					return
				}
			}
			if r.Ended() {
				yield(Passage{}, project.ErrNotFound)
				return
			}
		}
	}
}

// watcher is what one caller of Passages was told.
type watcher struct {
	room      *Room
	seq       int64               // of the room, when it looked last; 0 before
	noticed   int64               // the same for notices
	here      map[string]attendee // by user id
	anonymous bool                // somebody of whom nothing is known came last
}

// attendee is a person who is there, as they were when they came.
type attendee struct {
	Identity
	id string
}

// look returns what changed since it looked last.
func (w *watcher) look() []Passage {
	changes, now, ok := w.room.Since(w.seq, maxDepartures)
	var passages []Passage
	if ok && w.seq > 0 {
		slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.seq, b.seq) })
		for _, c := range changes {
			if c.Person != nil {
				passages = w.came(passages, c.Person)
			} else if _, there := w.here[c.Entry.UserID]; there {
				passages = w.left(passages, Passage{ID: passageID(c.Entry) + ".left", Identity: c.Entry.Identity, At: c.at})
			}
		}
	} else {
		passages, now = w.compare()
	}
	w.seq = now
	notices, last := w.room.noticesSince(w.noticed)
	w.noticed = last
	for _, n := range notices {
		if _, there := w.here[Anonymous.UserID]; there {
			continue // their connection tells
		}
		w.anonymous = !n.Left
		v := Passage{ID: n.id, Identity: Anonymous, Left: n.Left, At: time.UnixMilli(n.At)}
		passages = append(passages, v)
	}
	return passages
}

// compare looks at everybody: too much changed, or it is not known any more what.
func (w *watcher) compare() (passages []Passage, now int64) {
	roster := w.room.Roster()
	there := make(map[string]bool, len(roster.People))
	for _, p := range roster.People {
		there[p.Entries[0].UserID] = true
		passages = w.came(passages, p)
	}
	at := time.Now()
	for user, v := range w.here {
		if !there[user] {
			passages = w.left(passages, Passage{ID: fmt.Sprintf("%s.left.%d", v.id, at.UnixNano()), Identity: v.Identity, At: at})
		}
	}
	return passages, roster.Seq
}

func (w *watcher) came(passages []Passage, p *Person) []Passage {
	e := p.Entries[0]
	if _, there := w.here[e.UserID]; there {
		return passages
	}
	w.here[e.UserID] = attendee{e.Identity, passageID(e)}
	if e.UserID == Anonymous.UserID && w.anonymous {
		w.anonymous = false
		return passages // it was told already
	}
	return append(passages, Passage{ID: passageID(e) + ".joined", Identity: e.Identity, At: e.JoinedAt})
}

func (w *watcher) left(passages []Passage, v Passage) []Passage {
	delete(w.here, v.UserID)
	v.Left = true
	return append(passages, v)
}

// passageID tells what a connection is now from what it is at any other time: revisions begin anew when it joins after long.
func passageID(e *Entry) string {
	return fmt.Sprintf("%s.%d.%d", e.Connection, e.JoinedAt.UnixMilli(), e.revision)
}
